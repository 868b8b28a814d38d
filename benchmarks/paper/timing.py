"""Fig. 4, left, of Janizek, Sturmfels and Lee (2021): seconds for all pairs as features grow, method by method."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import numpy as np

from benchmarks.paper.experiment import Asked, Claim, Experiment, Grid, Section
from benchmarks.paper.explaining import NID, among, explained, pair_effects
from benchmarks.paper.pictures import Panel, draw_curves
from benchmarks.setup import REPEATS, SHORT_S, normal_rows, softplus_net
from benchmarks.tables import Cell

METHODS = ("ih", "sii", "cd", "hessian", NID)
FEATURES = (5, 50, 500)
ROWS = {5: 1000, 50: 200, 500: 20}
ROWS_OF_SII = {5: 1000, 50: 4}
"""Of 500 features none: a single round of draws is half a million forwards a row."""


@dataclass(frozen=True)
class Figures:
    """By method, for each number of features: seconds for 1,000 rows, None where it was not tried, and the rows run.

    error  the median relative error that is reported, None where none is
    """

    seconds: dict[str, list[float | None]]
    rows: dict[str, list[int]]
    error: dict[str, list[float | None]]
    features: list[int]


def measure(asked: Asked) -> Figures:
    """Time each method on rows of a 5 x 128 network."""
    features = asked.of(list(FEATURES), [5])
    found = Figures({}, {}, {}, features)
    for method in among(METHODS):
        for d in features:
            n = ROWS_OF_SII.get(d, 0) if method == "sii" else ROWS[d]
            n = asked.of(n, min(n, 5))
            seconds, error = _timed(method, d, n) if n else (None, None)
            found.seconds.setdefault(method, []).append(seconds)
            found.rows.setdefault(method, []).append(n)
            found.error.setdefault(method, []).append(error)
    return found


def _timed(method: str, d: int, n: int) -> tuple[float, float | None]:
    """Return seconds for 1,000 rows, of NID for all of them at once, and the median error that is reported."""
    net, x = softplus_net(d).requires_grad_(False), normal_rows(n, d)
    if method == NID:
        return _cpu_seconds(lambda: pair_effects(net, x, NID))[0], None
    seconds, found = _cpu_seconds(lambda: explained(net, x, method, smooth="none"))
    errors = found.relative_error
    error = None if errors is None or not np.isfinite(errors).all() else float(np.median(errors))
    return seconds / n * 1000, error


def _cpu_seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds of this process, which a busy machine hardly changes, and what was returned.

    The median of some where it is short.
    """
    times: list[float] = []
    while not times or (times[0] < SHORT_S and len(times) < REPEATS):
        begun = process_time()
        found = work()
        times.append(process_time() - begun)
    return median(times), found


def section(found: Figures) -> Section:
    """Say it."""
    rows: list[list[Cell]] = []
    for method, seconds in found.seconds.items():
        cells = [
            "not tried" if one is None else f"{one:,.3g} s" + ("" if error is None else f" ({error:.0e})")
            for one, error in zip(seconds, found.error[method], strict=True)
        ]
        rows.append([f"`{method}`", *cells])
    last, wide = len(found.features) - 1, found.features[-1]
    of_last = {method: seconds[last] for method, seconds in found.seconds.items()}
    others = {method: one for method, one in of_last.items() if one is not None and method != NID}
    ordered = " < ".join(
        f"{method} {others[method]:,.3g} s" for method in sorted(others, key=lambda name: others[name])
    )
    return Section(
        how="""Untrained 5 x 128 networks, SoftPlus of beta 10, rows N(0, 1), zeros as baseline, the whole call of
            `ihcli.explain` with its default tolerance of 0.01, one thread. Seconds of the processor for all pairs of
            1,000 rows, scaled from fewer where there are more features (in brackets the median of the relative error
            that is reported; a Hessian at the row has none). NID says the same of all rows: its seconds are for all of
            them.""",
        claims=[
            Claim(
                f"cheapest at {wide} features, but for NID",
                "Hessian, then IH; SII not done, 1,000 hours",
                ordered,
                "ih before all but the hessian",
                min((name for name in others if name != "hessian"), key=lambda name: others[name]) == "ih",
            ),
        ],
        grids=[Grid(("method", *(f"{d} features" for d in found.features)), rows)],
        picture="Seconds for all pairs of 1,000 rows against features",
        remarks=[
            f"""sii takes every subset of 5 features. Of 50 it draws subsets, for up to 200,000 forwards a row
            ({found.rows["sii"][min(1, last)]:,} rows were run), and ends with the error in brackets; of 500 a single
            round of orders in which every two features meet is half a million forwards a row. `make bench` has the same
            workload against the published procedure."""
        ],
    )


def draw(found: Figures, file: Path) -> None:
    """Draw seconds against features."""
    curves = {}
    for method, seconds in found.seconds.items():
        tried = [(d, one) for d, one in zip(found.features, seconds, strict=True) if one is not None]
        curves[method] = ([d for d, _ in tried], [one for _, one in tried])
    draw_curves(file, [Panel("All pairs", "features", "s for 1,000 rows", curves, log="xy")], width=5.0)


EXPERIMENT = Experiment(
    "Time against features (Janizek et al. 2021, Fig. 4)", Figures, measure, section, draw, alone=True
)
