"""Supplementary Fig. 2 of Erion et al. (2021): how many draws expected gradients take."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.paper.experiment import Asked, Claim, Experiment, Grid, Section
from benchmarks.paper.explaining import explained
from benchmarks.paper.linear60 import CORRELATED, Linear60, trained
from benchmarks.paper.networks import as_tensor
from benchmarks.paper.pictures import Panel, draw_curves

DRAWS = (2, 5, 10, 30, 100, 200, 500, 1000)
ROWS, STEPS = 20, 8
POINTS, PATHS = "a point of each path, as published", "all nodes of each path, ihcli"


@dataclass(frozen=True)
class Figures:
    """Mean absolute differences of attributions to those over all rows as baselines, by number of draws.

    size      the mean absolute attribution
    points    of a random point of the path from each drawn baseline
    paths     of all nodes of these paths
    reported  the mean of what ihcli says of the sampling error there, times size
    l1        of points: the median relative L1 error
    """

    draws: list[int]
    size: float
    points: list[float]
    paths: list[float]
    reported: list[float]
    l1: list[float]


def measure(asked: Asked) -> Figures:
    """Explain rows over ever more baselines, and over all."""
    data = Linear60.drawn(CORRELATED)
    every = data.x.astype(np.float32)[: asked.of(1000, 100)]
    net = trained(every, data.y[: len(every)], 0, asked.of(30, 5))
    x = every[: asked.of(ROWS, 3)]
    truth = _over_paths(net, x, every)[0]
    size = np.abs(truth)
    found = Figures([n for n in DRAWS if n <= len(every)], float(size.mean()), [], [], [], [])
    again = range(asked.of(5, 2))
    for n in found.draws:
        drawn = [np.random.default_rng((n, k)) for k in again]
        off = [np.abs(_over_points(net, x, every, n, rng) - truth) for rng in drawn]
        found.points.append(float(np.mean(off)))
        found.l1.append(float(np.median([one.sum(1) / size.sum(1) for one in off])))
        if n == len(every):
            continue
        means = [_over_paths(net, x, every, n, seed) for seed in again]
        found.paths.append(float(np.mean([np.abs(phi - truth) for phi, _ in means])))
        found.reported.append(float(np.mean([error for _, error in means])))
    return found


def _over_paths(
    net: nn.Module, x: np.ndarray, every: np.ndarray, n: int | None = None, seed: int = 0
) -> tuple[np.ndarray, float]:
    """Return attributions over n drawn baselines, or all, and the mean sampling error that is reported of a value."""
    rows = len(every) if n is None else n
    found = explained(net, x, "eg", baseline=every, baseline_rows=rows, seed=seed, steps=STEPS, smooth="none")
    phi = found.attributions
    reported = 0.0 if found.sampling_error is None else float((found.sampling_error * np.abs(phi).mean(1)).mean())
    return phi, reported


def _over_points(net: nn.Module, x: np.ndarray, every: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return the published estimate: of each of n baselines the gradient at one random point of its path."""
    with_start = every[rng.permutation(len(every))[:n]]
    rows, start, t = as_tensor(x)[:, None], as_tensor(with_start), as_tensor(rng.random((len(x), n, 1)))
    points = (start + t * (rows - start)).requires_grad_()
    (slope,) = torch.autograd.grad(net(points.flatten(0, 1)).sum(), points)
    found: np.ndarray = ((rows - start) * slope).mean(1).numpy()
    return found


def section(found: Figures) -> Section:
    """Say it."""
    at = found.draws.index(200) if 200 in found.draws else -1
    missing = [""] * (len(found.draws) - len(found.paths))
    rows = [
        [POINTS, *(f"{value:.4f}" for value in found.points)],
        [PATHS, *(f"{value:.4f}" for value in found.paths), *missing],
        ["reported by ihcli as sampling error", *(f"{value:.4f}" for value in found.reported), *missing],
    ]
    return Section(
        how=f"""Correlated groups 60, as above. {ROWS} rows; the truth has all 1,000 rows as baselines. Mean absolute
            difference of an attribution, over five draws; attributions are {found.size:.3f} in the mean.""",
        claims=[
            Claim(
                "200 draws of a point each",
                "converged at 100 to 200",
                f"{found.points[at]:.4f}, or {found.l1[at]:.0%} of a row's attributions (median)",
            ),
            Claim(
                "200 drawn baselines, whole paths",
                "",
                f"{found.paths[at]:.4f}, reported {found.reported[at]:.4f}",
                "reported is not less",
                found.reported[at] >= found.paths[at],
            ),
        ],
        grids=[Grid(("baselines drawn", *(f"{n:,}" for n in found.draws)), rows)],
        picture="Error of expected gradients against draws",
        remarks=[
            """What is drawn too few of are baselines, more than points of paths. ihcli draws them so that they stand
            for the table, see [Method](method.md#many-baselines): 100 of them are nearer than 200 drawn uniformly,
            whose paths were off by 0.0100. `_sampling_error` reports what is left, and `--baseline-rows auto` draws
            as many as it asks for."""
        ],
    )


def draw(found: Figures, file: Path) -> None:
    """Draw errors against draws."""
    curves = {
        POINTS: (found.draws, found.points),
        PATHS: (found.draws[: len(found.paths)], found.paths),
        "reported by ihcli": (found.draws[: len(found.reported)], found.reported),
    }
    panels = [Panel("Correlated groups 60", "baselines drawn", "mean absolute error", curves, log="xy")]
    draw_curves(file, panels, width=6.0)


EXPERIMENT = Experiment(
    "Draws of expected gradients (Erion et al. 2021, supplementary Fig. 2)", Figures, measure, section, draw
)
