"""How far a run can be trusted: shares of statuses, and how errors, drift and sampling error are distributed."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ihcli.quality import COLUMNS, EVALUATIONS, PREDICTION, ROW, STATUS, TARGET, TRUNCATED, Status
from ihcli.report.numbers import clipped, rounded
from ihcli.results.result import Result
from ihcli.runs.computation import scan_told
from ihcli.runs.told import if_told

BINS = 40
LEAST_ERROR = 1e-9  # smaller ones are drawn as this
MOST_TURNING = 20
QUANTILES = (0.5, 0.9, 0.99, 1.0)
SPREADS = tuple(sorted((c for c in COLUMNS if c.trust), key=lambda column: column.trust == "figure"))
"""Columns whose distribution is told, those that are drawn first."""


@dataclass(frozen=True)
class Spread:
    """How a figure is distributed over all entries of a run.

    entries    how many have it
    quantiles  of its size, at QUANTILES
    edges      (bins + 1) of a histogram; of relative errors, sampling errors: powers of ten
    counts     (bins)
    """

    entries: int
    quantiles: list[float | None]
    edges: list[float | None]
    counts: list[int]
    is_logarithmic: bool


@dataclass(frozen=True)
class Trust:
    """What is known of the quality of a run.

    entries      rows times targets
    statuses     how many of each status
    tolerance    at which rows are done, and in words; None where run.json does not tell
    spreads      by figure: relative_error, and drift, sampling_error and completeness_gap where the run has them
    evaluations  a row, on average
    smoothing    beta, what was replaced, and which kinks remain; None where nothing was replaced
    truncated    how many texts were longer than the model takes; None for tables
    """

    entries: int
    rows: int
    ok: int
    statuses: dict[str, int]
    tolerance: float | None
    tolerance_in_words: str | None
    quantiles: tuple[float, ...]
    spreads: dict[str, Spread]
    evaluations: float
    smoothing: dict[str, Any] | None
    truncated: int | None


def trust_of(result: Result) -> tuple[Trust, pa.Table]:
    """Return the figures, and the columns of all entries of which they were made, with what was predicted."""
    known = result.run.attribution_parts.schema.names
    spreads = [column for column in SPREADS if column.name in known]
    truncated = [TRUNCATED] if TRUNCATED in known else []
    names = [column.name for column in spreads]
    table = result.run.attributions([ROW, TARGET, PREDICTION, STATUS, EVALUATIONS, *names, *truncated])
    statuses = {found["values"]: found["counts"] for found in table[STATUS].value_counts().to_pylist()}
    trust = Trust(
        entries=table.num_rows,
        rows=result.n_rows,
        ok=statuses.get(Status.OK, 0),
        statuses=statuses,
        tolerance=result.told.tolerance,
        tolerance_in_words=result.told.tolerance_in_words,
        quantiles=QUANTILES,
        spreads={column.attribute: _spread(table[column.name], column.is_relative) for column in spreads},
        evaluations=float(np.sum(table[EVALUATIONS].to_numpy())) / max(1, result.n_rows),
        smoothing=_smoothing(result),
        truncated=int(np.sum(table[TRUNCATED].to_numpy())) if truncated else None,
    )
    return trust, table


def _spread(column: pa.ChunkedArray, is_logarithmic: bool) -> Spread:
    values = column.to_numpy().astype(np.float64)
    values = values[np.isfinite(values)]
    sizes = np.abs(values)
    quantiles = rounded(np.quantile(sizes, QUANTILES)) if len(values) else [None] * len(QUANTILES)
    drawn = np.log10(np.maximum(sizes, LEAST_ERROR)) if is_logarithmic else values
    counts, edges = np.histogram(drawn, BINS) if len(values) else (np.zeros(0, int), np.zeros(0))
    return Spread(len(values), quantiles, rounded(edges, 6), counts.tolist(), is_logarithmic)


def _smoothing(result: Result) -> dict[str, Any] | None:
    found = if_told(lambda: result.told.smoothing)
    if found is None:
        return None
    names = ("beta", "drift", "changed", "within_tolerance")
    told = dict.fromkeys((*names, "replaced", "kinks")) | found.content()
    lists = {name: [clipped(item) for item in told[name] or []] for name in ("replaced", "kinks")}
    return {name: told[name] for name in names} | lists | {"scan": _scan(result)}


def _scan(result: Result) -> dict[str, Any] | None:
    """Return what every beta that was tried gave, and the pairs whose sign depends on it."""
    scan = if_told(lambda: scan_told(result.told.smoothing))
    if scan is None:
        return None
    turning = [
        {"pair": f"{clipped(pair.feature_1)} × {clipped(pair.feature_2)}", "effect": pair.effect, "betas": pair.betas}
        for pair in scan.turning[:MOST_TURNING]
    ]
    told = {"rows": scan.rows, "chosen": scan.chosen, "sharpest": scan.sharpest, "top_k": scan.top_k}
    return told | {"n_turning": scan.n_turning, "turning": turning, "betas": [asdict(each) for each in scan.betas]}
