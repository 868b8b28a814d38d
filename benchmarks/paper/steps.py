"""Fig. 8 and 9 of Janizek, Sturmfels and Lee (2021): how many points interactions take, by the bend of SoftPlus.

The sum of all Gamma needs derivatives along the path only. With F(t) = f(x' + t delta), on their grid of k x k points,

    sum of Gamma = mean over l, p = 1 ... k of  t F''(t) + F'(t)   at t = (l / k) (p / k).
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.paper.experiment import Asked, Claim, Experiment, Grid, Section
from benchmarks.paper.explaining import explained
from benchmarks.paper.networks import as_tensor, mlp
from benchmarks.paper.pictures import Panel, draw_curves
from benchmarks.tables import Cell

INPUTS, WIDTH = 100, 50
SIDES = (5, 10, 14, 20, 30)
TOLERANCES = (1e-2, 1e-3)
DEPTHS, BETAS = (5, 10), (1, 5, 10, 50)


@dataclass(frozen=True)
class Figures:
    """By depth and beta, means over networks and their rows.

    on_grid      the mean gap between the sum of Gamma and f(x) - f(0), by mean |f(x)|, on the grid of each side
    evaluations  of ihcli at each tolerance
    gap          of ihcli at each tolerance, as on_grid
    """

    on_grid: dict[str, list[float]]
    evaluations: dict[str, list[float]]
    gap: dict[str, list[float]]


def measure(asked: Asked) -> Figures:
    """Explain ten rows of untrained networks by the published grid and by ihcli."""
    found = Figures({}, {}, {})
    networks, sides = range(asked.of(5, 1)), asked.of(SIDES, SIDES[:2])
    for depth in asked.of(DEPTHS, DEPTHS[:1]):
        for beta in asked.of(BETAS, BETAS[1:3]):
            grid, evaluations, gaps = [], [], []
            for seed in networks:
                net = mlp([INPUTS, *[WIDTH] * depth, 1], lambda beta=beta: nn.Softplus(beta), seed=seed, glorot=True)
                net.requires_grad_(False)
                x = np.random.default_rng(seed).standard_normal((10, INPUTS), dtype=np.float32)
                ends = [value.numpy() for value in (net(as_tensor(x))[:, 0], net(as_tensor(0 * x))[:, 0])]
                grid.append([_gap(on_grid(net, x, k), *ends) for k in sides])
                ours = [explained(net, x, "ih", tolerance=tolerance) for tolerance in TOLERANCES]
                evaluations.append([float(one.evaluations.mean()) for one in ours])
                gaps.append([_gap(np.asarray(one.interactions, np.float64).sum((1, 2)), *ends) for one in ours])
            name = f"{depth}, {beta}"
            found.on_grid[name], found.evaluations[name], found.gap[name] = (
                [float(v) for v in np.mean(values, axis=0)] for values in (grid, evaluations, gaps)
            )
    return found


def _gap(total: np.ndarray, end: np.ndarray, start: np.ndarray) -> float:
    return float(np.abs(total - end + start).mean() / np.abs(end).mean())


def on_grid(net: nn.Module, x: np.ndarray, k: int) -> np.ndarray:
    """Return the sum of Gamma from zeros by the published grid of k x k points, (N,)."""
    rows, t = as_tensor(x), torch.outer(torch.arange(1, k + 1) / k, torch.arange(1, k + 1) / k).flatten()
    t = t[:, None].repeat(1, len(rows)).requires_grad_()
    values = net((t[..., None] * rows).flatten(0, 1))
    (slope,) = torch.autograd.grad(values.sum(), t, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), t)
    found: np.ndarray = (t * bend + slope).detach().mean(0).numpy()
    return found


def section(found: Figures) -> Section:
    """Say it."""
    rows: list[list[Cell]] = []
    for name, gaps in found.on_grid.items():
        ours = [f"{n:.0f} ({gap:.0e})" for n, gap in zip(found.evaluations[name], found.gap[name], strict=True)]
        rows.append([name, *(f"{gap:.4f}" for gap in gaps), *ours])
    largest = max(evaluations[-1] for evaluations in found.evaluations.values())
    kept = all(gap <= tolerance for gaps in found.gap.values() for gap, tolerance in zip(gaps, TOLERANCES, strict=True))
    monotone = all(a > b for gaps in found.on_grid.values() for a, b in pairwise(gaps))
    return Section(
        how=f"""Untrained networks of 5 or 10 hidden layers of {WIDTH} SoftPlus units, Glorot's start, biases 0; 10 rows
            of {INPUTS} inputs N(0, 1) from zeros, five networks. The gap is that between the sum of all Gamma and f(x)
            - f(0), by |f(x)|, both as means of rows: single rows have f(x) near 0. Left: the published grid of k x k
            points. Right: evaluations of ihcli at two tolerances, and in brackets the gap that it then has.""",
        claims=[
            Claim(
                "the gap falls with points",
                "so, in pictures",
                "everywhere" if monotone else "not everywhere",
                "everywhere",
                monotone,
            ),
            Claim(
                "gap of ihcli at tolerance 0.001",
                "",
                f"{max(gaps[-1] for gaps in found.gap.values()):.0e} at most, of {largest:.0f} evaluations at most",
                "within the tolerance",
                kept,
            ),
        ],
        grids=[
            Grid(
                (
                    "layers, beta",
                    *(f"{k * k} points" for k in SIDES),
                    *(f"ihcli at {tolerance:g}" for tolerance in TOLERANCES),
                ),
                rows,
            )
        ],
        picture="Gap against points, by depth and beta",
        remarks=[
            """A grid whose points include the end of the path and not its start is off by about 1 / k, however smooth
            the network is: that is what most of the published curves show. The theorem's bound, d beta^2 / epsilon
            points, is an upper one. Gauss-Legendre panels that carry the logarithm in their weights need 8 points on
            the smooth ones.""",
        ],
    )


def draw(found: Figures, file: Path) -> None:
    """Draw the gap against points."""
    points = [k * k for k in SIDES]
    panels = []
    for depth in dict.fromkeys(name.split(", ")[0] for name in found.on_grid):
        of_depth = {name.split(", ")[1]: name for name in found.on_grid if name.split(", ")[0] == depth}
        curves = {
            f"grid, beta {beta}": (points[: len(found.on_grid[n])], found.on_grid[n]) for beta, n in of_depth.items()
        }
        curves |= {f"ihcli, beta {beta}": (found.evaluations[n], found.gap[n]) for beta, n in of_depth.items()}
        panels.append(Panel(f"{depth} layers", "points of a path", "gap / |f(x)|", curves, log="xy"))
    draw_curves(file, panels, height=3.6)


EXPERIMENT = Experiment("Beta against points (Janizek et al. 2021, Fig. 8 and 9)", Figures, measure, section, draw)
