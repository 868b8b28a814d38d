"""How time grows: against rows, features, width and depth, with exponents fitted."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.lines import chosen_engine, paths_from_zero
from benchmarks.setup import Setup, alone, normal_rows, softplus_net, watch
from benchmarks.tables import Cell, Result, absent
from ihcli.integration.assembly import explain_rows
from ihcli.integration.effort import Effort
from ihcli.methods import METHODS

TOLERANCE = 1e-3
COLUMNS = ("varied", "device", "method", "rows", "D", "width", "hidden layers", "wall s", "evaluations per row")
EXPONENTS = ("device", "method", "exponent of rows", "of D", "of width", "of hidden layers")
NOTES = (
    f"SoftPlus nets (beta 10), zero baseline, tolerance {TOLERANCE:g}, float32: certified and assembled, without the "
    "checks of the model.",
)


@dataclass(frozen=True)
class Size:
    """What a run has to work on."""

    method: str
    rows: int = 500
    features: int = 50
    width: int = 128
    hidden: int = 5


VARIED = {
    "rows": (250, 500, 1000, 2000),
    "features": (32, 128, 256, 512, 1024),
    "width": (64, 128, 256, 512),
    "hidden": (2, 4, 8, 16),
}
LARGE_ROWS = 100
"""Rows where another dimension is varied, so that the largest of them fits."""


def measure(setup: Setup) -> list[Result]:
    """Measure a ladder of each dimension, then fit wall s = c * size^exponent through it."""
    rows: list[list[Cell]] = []
    exponents: list[list[Cell]] = []
    for device in setup.devices():
        for method in ("ig", "ih"):
            fitted: list[Cell] = []
            for varied in VARIED:
                lines = [_line(varied, size, device) for size in _ladder(setup, method, varied)]
                rows += lines
                fitted.append(_exponent([getattr(s, varied) for s in _ladder(setup, method, varied)], lines))
            exponents.append([device, method, *fitted])
    if len(setup.devices()) == 1:
        rows.append(absent(COLUMNS, "cuda"))
        exponents.append(absent(EXPONENTS, "cuda"))
    return [
        Result("growth", "Growth of time", COLUMNS, rows, NOTES),
        Result("exponents", "Growth of time: fitted exponents", EXPONENTS, exponents, NOTES),
    ]


def _ladder(setup: Setup, method: str, varied: str) -> Iterator[Size]:
    base = Size(method) if varied == "rows" else Size(method, rows=setup.rows(LARGE_ROWS, 20))
    for value in VARIED[varied][: 2 if setup.quick else None]:
        yield replace(base, **{varied: value})


def _line(varied: str, size: Size, device: str) -> list[Cell]:
    wall_s, evaluations = alone(_run, size, device)
    dimensions = [size.method, size.rows, size.features, size.width, size.hidden]
    return [varied, device, *dimensions, wall_s, evaluations]


def _run(size: Size, device: str) -> tuple[float, float]:
    net = softplus_net(size.features, size.width, size.hidden).requires_grad_(False).to(device)
    paths = paths_from_zero(normal_rows(size.rows, size.features), device)
    engine = chosen_engine(net, paths)
    seen = watch(lambda: explain_rows(engine.along(paths), METHODS[size.method], Effort(TOLERANCE)), device)
    return seen.wall_s, float(seen.value.certificate.evaluations.mean())


def _exponent(sizes: list[int], lines: list[list[Cell]]) -> float:
    return float(np.polyfit(np.log(sizes), np.log([line[COLUMNS.index("wall s")] for line in lines]), 1)[0])
