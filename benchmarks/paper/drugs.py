"""The drug network of Janizek, Sturmfels and Lee (2021), 5.3, on made-up cell lines, as its data cannot be had.

Genes to pathways by a masked layer; drugs beside them; a head over both, from whose input on the network is explained.
Drugs a and b act together as far as pathway 1 is active; docs/layers.md has the same on the command line.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.stats import mannwhitneyu
from torch import Tensor, nn

from benchmarks.paper.experiment import Asked, Claim, Experiment, Grid, Section
from benchmarks.paper.explaining import explained
from benchmarks.paper.networks import Recipe, explained_variance, fit
from benchmarks.paper.pictures import draw_points
from benchmarks.paper.ranks import spearman

GENES, PATHWAYS, DRUGS = 300, 40, [f"drug_{letter}" for letter in "abcdefghijkl"]
NAMES = [*(f"pathway_{i}" for i in range(1, PATHWAYS + 1)), *DRUGS]
A, B = NAMES.index("drug_a"), NAMES.index("drug_b")
RECIPE = Recipe(
    epochs=20,
    batch=128,
    optimizer=torch.optim.AdamW,
    schedule=lambda optimizer, steps: torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=steps),
)


class Synergy(nn.Module):
    """Genes to pathways by a masked layer, drugs beside them, and a head over both."""

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)
        self.pathways, self.activity = nn.Linear(GENES, PATHWAYS), nn.Tanh()
        width = PATHWAYS + len(DRUGS)
        self.head = nn.Sequential(nn.Linear(width, 100), nn.Tanh(), nn.Linear(100, 50), nn.Tanh(), nn.Linear(50, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return growth (P, 1) of genes and drugs (P, 312)."""
        sums = nn.functional.linear(x[:, :GENES], self.pathways.weight * self.mask, self.pathways.bias)
        return self.head(torch.cat([self.activity(sums), x[:, GENES:]], dim=1))


def network(mask: np.ndarray, seed: int) -> Synergy:
    """Return the network before it is trained."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Synergy(torch.tensor(mask))


@dataclass(frozen=True)
class Screen:
    """Genes of pathways (40, 300), genes and drugs (N, 312), activity of pathways (N, 40), growth (N,)."""

    mask: np.ndarray
    x: np.ndarray
    active: np.ndarray
    growth: np.ndarray

    @classmethod
    def drawn(cls, n: int, seed: int) -> "Screen":
        """Draw cell lines: a quarter has drugs a and b, a quarter is thinned out to one drug or none."""
        rng = np.random.default_rng(seed)
        mask = np.zeros((PATHWAYS, GENES), np.float32)
        mask[np.arange(PATHWAYS)[:, None], rng.permutation(GENES)[:280].reshape(PATHWAYS, 7)] = 1
        genes = rng.normal(size=(n, GENES))
        active = np.tanh(genes @ (0.6 * mask * rng.normal(size=mask.shape)).T)
        pairs = np.array([rng.choice(len(DRUGS), 2, replace=False) for _ in range(n)])
        pairs[::4] = [0, 1]
        drugs = np.zeros((n, len(DRUGS)))
        drugs[np.arange(n)[:, None], pairs] = 1
        drugs[1::4] *= rng.random((len(drugs[1::4]), len(DRUGS))) < 0.5
        both = drugs[:, 0] * drugs[:, 1]
        growth = drugs @ rng.normal(size=len(DRUGS)) / 2 + 0.3 * active[:, 2] - 0.2 * active[:, 5]
        growth += -1.5 * both / (1 + np.exp(-3 * active[:, 0])) + 0.1 * rng.normal(size=n)
        return cls(mask, np.hstack([genes, drugs]).astype(np.float32), active, growth)


@dataclass(frozen=True)
class Figures:
    """For each seed: R2, the rank of the pair and its mean effect, rank correlations with pathways, and a test.

    own, other  Spearman over rows with both drugs, with pathway 1 and the largest with any other
    p           of rows with the pair and an active pathway against others with the pair, Mann and Whitney's
    points      of the first seed: activity of pathway 1 and effect, of rows with both drugs
    """

    r2: list[float]
    rank: list[int]
    mean: list[float]
    own: list[float]
    other: list[float]
    p: list[float]
    points: list[list[float]]


def measure(asked: Asked) -> Figures:
    """Train a network for each seed, and explain cell lines that it has not seen from the input of its head on."""
    found = Figures([], [], [], [], [], [], [])
    n, split = asked.of((6000, 5000), (1500, 1400))
    for seed in range(asked.of(5, 1)):
        screen = Screen.drawn(n, seed)
        net = fit(network(screen.mask, seed), screen.x[:split], screen.growth[:split], RECIPE, seed)
        x, active = screen.x[split:], screen.active[split:]
        found.r2.append(explained_variance(net, x, screen.growth[split:]))
        effects = 2 * np.asarray(explained(net, x, "ih", layers=["head:input"], layer_names=NAMES).interactions)
        _judge(found, effects, active, x)
    return found


def _judge(found: Figures, effects: np.ndarray, active: np.ndarray, x: np.ndarray) -> None:
    size, pair = np.abs(effects).mean(0), effects[:, A, B]
    found.rank.append(int((size[np.triu_indices(len(NAMES), 1)] > size[A, B]).sum()) + 1)
    both = (x[:, GENES] == 1) & (x[:, GENES + 1] == 1)
    found.mean.append(float(pair[both].mean()))
    each = spearman(active[both], pair[both][:, None], axis=0)
    found.own.append(float(each[0]))
    found.other.append(float(np.abs(each[1:]).max()))
    synergy = both & (active[:, 0] > 0)
    found.p.append(float(mannwhitneyu(pair[synergy], pair[both & ~synergy], alternative="less").pvalue))
    if not found.points:
        found.points.extend([active[both, 0].tolist(), pair[both].tolist()])


def section(found: Figures) -> Section:
    """Say it."""
    n = len(found.r2)
    rows = [
        [
            f"seed {seed}",
            f"{found.r2[seed]:.3f}",
            found.rank[seed],
            f"{found.mean[seed]:+.3f}",
            f"{found.own[seed]:+.2f}",
            f"{found.other[seed]:.2f}",
            f"{found.p[seed]:.0e}",
        ]
        for seed in range(n)
    ]
    return Section(
        how=f"""Made-up cell lines: 300 genes, 40 pathways, 12 drugs of which each line has two; a and b lower growth by
            1.5 sigmoid(3 pathway 1) where both are given, and a quarter of the rows are controls (docs/layers.md has
            the generator). 5,000 to train on, 1,000 explained with `--layer head:input` from zeros, {n} seeds.""",
        claims=[
            Claim(
                "pair a, b first of 1,326 and negative",
                "Venetoclax x Artemisinin negative",
                f"rank {', '.join(map(str, found.rank))}; mean effect at most {max(found.mean):+.3f}",
                "first, negative, in all",
                max(found.rank) == 1 and max(found.mean) < 0,
            ),
            Claim(
                "its effect by pathway 1, Spearman",
                "more negative with expression",
                ", ".join(f"{value:+.2f}" for value in found.own),
                "below -0.5",
                max(found.own) < -0.5,
            ),
            Claim("by any other pathway, at most", "", f"{max(found.other):.2f}", "below 0.3", max(found.other) < 0.3),
            Claim(
                "rows with true synergy against others with the pair",
                "p = 2.31e-4",
                f"p at most {max(found.p):.0e}",
                "p < 1e-3",
                max(found.p) < 1e-3,
            ),
        ],
        grids=[Grid(("", "R2", "rank of a x b", "mean effect", "with pathway 1", "with others, at most", "p"), rows)],
        picture="Effect of drugs a and b against the activity of pathway 1",
        remarks=[
            f"""The pair is negative in every network, and at least number {max(found.rank)} of 1,326. How closely its
            effect follows the pathway differs from network to network: paths start from no drug and pass through halves
            of drugs, of which a network has seen few. docs/layers.md has other ways to train.""",
        ],
    )


def draw(found: Figures, file: Path) -> None:
    """Draw the effect against the pathway."""
    draw_points(file, found.points[0], found.points[1], "activity of pathway 1", "effect of drug a x drug b")


EXPERIMENT = Experiment("Drug combinations, simulated (Janizek et al. 2021, 5.3)", Figures, measure, section, draw)
