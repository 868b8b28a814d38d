"""The sanity checks of Adebayo et al. (2018) by Janizek, Sturmfels and Lee (2021): networks that learned nothing."""

from dataclasses import dataclass, replace

import numpy as np

from benchmarks.paper.experiment import Asked, Claim, Experiment, Grid, Section, mean_of, over
from benchmarks.paper.explaining import pair_effects
from benchmarks.paper.known import PRODUCTS, RECIPE, Problem, network, trained
from benchmarks.paper.ranks import spearman

WEIGHTS, LABELS = "random weights", "permuted labels"
PER_ROW, POOLED, ABSOLUTE = "signed, per row", "signed, all rows at once", "absolute, all rows at once"


@dataclass(frozen=True)
class Figures:
    """Rank correlation of effects with those of the trained network: of each check, by how, for each seed."""

    correlation: dict[str, dict[str, list[float]]]


def measure(asked: Asked) -> Figures:
    """Explain the same rows by a trained network, a fresh one, and one that was trained on permuted labels."""
    ways = (PER_ROW, POOLED, ABSOLUTE)
    found = {check: {way: [] for way in ways} for check in (WEIGHTS, LABELS)}
    recipe = asked.of(RECIPE, replace(RECIPE, epochs=10))
    for seed in range(asked.of(5, 1)):
        problem = Problem.drawn(PRODUCTS, asked.of(8000, 2000), seed)
        x = Problem.drawn(PRODUCTS, asked.of(1000, 100), seed, part=1).x
        learned = pair_effects(trained(problem, seed, recipe), x, "ih")
        labels = np.random.default_rng(seed).permutation(problem.y)
        others = {WEIGHTS: network(1000 + seed), LABELS: trained(problem, seed, recipe, labels)}
        for check, net in others.items():
            effects = pair_effects(net, x, "ih")
            found[check][PER_ROW].append(float(spearman(learned, effects).mean()))
            found[check][POOLED].append(float(spearman(learned.ravel(), effects.ravel())))
            found[check][ABSOLUTE].append(float(spearman(np.abs(learned).ravel(), np.abs(effects).ravel())))
    return Figures(found)


def section(found: Figures) -> Section:
    """Say it."""
    rows = [[check, *(over(values, 2) for values in ways.values())] for check, ways in found.correlation.items()]
    claims = []
    for check, ways in found.correlation.items():
        mean = mean_of(ways[PER_ROW])
        claims.append(
            Claim(f"{check}, signed, per row", "0", f"{mean:.3f}", "below 0.15 in size", bool(abs(mean) < 0.15))
        )
    n = len(found.correlation[WEIGHTS][PER_ROW])
    each = "; ".join(
        f"{check} {', '.join(f'{value:.2f}' for value in ways[PER_ROW])}" for check, ways in found.correlation.items()
    )
    return Section(
        how=(
            "Products as above. The effects of the ten pairs in 1,000 rows, by the trained network and by one of the "
            "same shape that has fresh weights, or was trained as long on permuted labels. Spearman, mean and standard "
            f"deviation over {n} seeds."
        ),
        claims=claims,
        grids=[Grid(("check", PER_ROW, POOLED, ABSOLUTE), rows)],
        remarks=[
            f"Seed by seed, signed and per row: {each}.",
            "Absolute values do not pass, of any network: each Gamma_ij carries (x_i - x'_i)(x_j - x'_j), so that a "
            "pair "
            "of large inputs has a large effect whatever the network is. A sanity check has to keep the sign and to "
            "look at one row at a time.",
        ],
    )


EXPERIMENT = Experiment("Sanity checks (Janizek et al. 2021, supplement)", Figures, measure, section)
