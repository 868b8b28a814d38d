"""What comes of an evaluation: figures and curves of every target, and the tables that hold them; no torch."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ihcli.files.arrays import numbers, strings
from ihcli.verification.faithfulness.curves import Curve
from ihcli.verification.faithfulness.scoring import Mean

RUN, GRADIENT, TIMES_INPUT, RANDOM = "run", "gradient", "gradient_input", "random"
OTHERS = (GRADIENT, TIMES_INPUT, RANDOM)
"""What stands beside a run on the same rows."""
FEATURE, PAIR, ROW = "feature", "pair", "row"
SECOND_DIFFERENCES, UNEXPLAINED = "second-differences", "infidelity-scaled"
"""Of metrics, beside those that are asked for by their names."""
BEST = "best"


@dataclass(frozen=True)
class Figure:
    """One figure over rows, and the interval of it, 95 %.

    of    what is looked at: features or words one by one, pairs of them, or whole rows
    by    whose values: the run's, or others beside it
    rows  of which there is such a figure
    """

    of: str
    metric: str
    by: str
    value: float
    low: float
    high: float
    rows: int

    @classmethod
    def area(cls, curve: Curve) -> "Figure":
        """Return that of a curve."""
        return cls(FEATURE, curve.metric.name, curve.by, curve.area, curve.low, curve.high, curve.rows)

    @classmethod
    def mean(cls, of: str, metric: str, by: str, figures: np.ndarray, seed: int) -> "Figure":
        """Return the mean of figures of rows (N,), NaN where a row has none."""
        found = Mean.over(figures, seed)
        return cls(of, metric, by, found.value, found.low, found.high, found.rows)


@dataclass(frozen=True)
class TargetFigures:
    """What came of one target over its rows."""

    target: str
    rows: int
    figures: tuple[Figure, ...]
    curves: tuple[Curve, ...]

    @property
    def firsts(self) -> tuple[int, int]:
        """In how many curves the run is above all others, and of how many."""
        best = [line.best for line in _lines([self]) if line.of == FEATURE]
        return best.count(RUN), len(best)


@dataclass(frozen=True)
class _Line:
    target: str
    of: str
    metric: str
    by: dict[str, Figure]

    @property
    def best(self) -> str | None:
        """Whose figure is best; None where the run has none, or several share the best."""
        known = {by: found.value for by, found in self.by.items() if not math.isnan(found.value)}
        if RUN not in known or len(known) < 2:
            return None
        most = (max if self.of != ROW else min)(known.values())
        best = [by for by, value in known.items() if value == most]
        return best[0] if len(best) == 1 else None

    @property
    def of_run(self) -> Figure:
        """The run's figure; of values that are slopes, and so no parts of the output, there may be none."""
        return self.by.get(RUN, Figure(self.of, self.metric, RUN, math.nan, math.nan, math.nan, 0))


def areas_table(targets: Iterable[TargetFigures]) -> pa.Table:
    """Return a line for each target and metric: the run's figure with its interval, and the others' beside it.

    More is better of features and pairs, less of rows.
    """
    lines = list(_lines(targets))
    run = [line.of_run for line in lines]
    columns = {
        "target": strings([line.target for line in lines]),
        "of": strings([line.of for line in lines]),
        "metric": strings([line.metric for line in lines]),
        RUN: _floats(found.value for found in run),
        "low": _floats(found.low for found in run),
        "high": _floats(found.high for found in run),
    }
    for other in OTHERS:
        values = [line.by[other].value if other in line.by else math.nan for line in lines]
        columns[other] = _floats(values)
    columns[BEST] = strings([line.best for line in lines])
    columns["rows"] = numbers(np.array([found.rows for found in run], np.int64))
    return pa.table(columns)


def curves_table(targets: Iterable[TargetFigures]) -> pa.Table:
    """Return a line for each point of each curve: the share of units kept or removed, and the score, more is better."""
    points = [
        (found.target, curve.metric, curve.by, share, score)
        for found in targets
        for curve in found.curves
        for share, score in zip(curve.shares.tolist(), curve.scores.tolist(), strict=True)
    ]
    return pa.table(
        {
            "target": strings([target for target, *_ in points]),
            "metric": strings([metric.name for _, metric, *_ in points]),
            "change": strings([metric.change for _, metric, *_ in points]),
            "sign": strings([metric.sign for _, metric, *_ in points]),
            "fill": strings([metric.fill for _, metric, *_ in points]),
            "by": strings([by for *_, by, _, _ in points]),
            "share": _floats(share for *_, share, _ in points),
            "score": _floats(score for *_, score in points),
        }
    )


def _lines(targets: Iterable[TargetFigures]) -> Iterator[_Line]:
    for found in targets:
        lines: dict[tuple[str, str], dict[str, Figure]] = {}
        for figure in found.figures:
            lines.setdefault((figure.of, figure.metric), {})[figure.by] = figure
        for (of, metric), by in lines.items():
            yield _Line(found.target, of, metric, by)


def _floats(values: Iterable[float]) -> pa.Array:
    return pa.array([None if math.isnan(value) else value for value in values], pa.float64())
