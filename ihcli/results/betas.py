"""Betas that a run tried before it took one, as a table: a line for each, and for each pair that turns its sign."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from ihcli.errors import RunError
from ihcli.explanation.betas import BetaScan
from ihcli.quality import NO_UNIT, OUTPUT_UNIT, field_metadata
from ihcli.runs.computation import scan_told
from ihcli.runs.run import Run
from ihcli.runs.told import if_told

BETA, PAIR = "beta", "pair"
COLUMNS: Mapping[str, tuple[pa.DataType, str]] = {
    "of": (pa.string(), f"what the line is of: {BETA}, or {PAIR}, one whose sign depends on beta"),
    "beta": (pa.float64(), "of SoftPlus; of a pair the sharpest that converges, under which its effect is told"),
    "is_taken": (pa.bool_(), "whether the run took it"),
    "drift": (pa.float64(), "RMS of f_smooth - f on the sample, in standard deviations of f"),
    "changed": (pa.float64(), "share of predictions that smoothing changes"),
    "within_tolerance": (pa.bool_(), "whether both are within the tolerance of smoothing"),
    "evaluations": (pa.float64(), "a row"),
    "converged": (pa.float64(), "share of rows whose integrals are within the tolerance"),
    "pairs_share": (pa.float64(), "of pairs in the sizes of all effects"),
    "agreement": (pa.float64(), "median over rows of Spearman's correlation of pairs with those of the sharpest"),
    "following": (pa.float64(), "the same with those of the next sharper beta"),
    "top": (pa.int64(), "how many of the top_k largest pairs are the sharpest beta's"),
    "top_k": (pa.int64(), "how many largest pairs are compared"),
    "turned": (pa.int64(), "how many pairs have the other sign than under the sharpest beta"),
    "feature_i": (pa.string(), "first of the pair"),
    "feature_j": (pa.string(), "second of the pair"),
    "text": (pa.int64(), "number of the text in the sample, of texts, whose pairs are their own"),
    "effect": (pa.float64(), "of the pair, under the sharpest beta that converges"),
    "other_sign_at": (pa.list_(pa.float64()), "betas under which the sign is the other, gentlest first"),
}
"""Columns of the table, with their types and what they are."""
SCHEMA = pa.schema(
    [
        pa.field(name, type_, metadata=field_metadata(words, OUTPUT_UNIT if name == "effect" else NO_UNIT))
        for name, (type_, words) in COLUMNS.items()
    ]
)


def scan_of(run: Run) -> BetaScan:
    """Return the betas that a run tried; raises RunError where it tried none."""
    found = if_told(lambda: scan_told(run.info.smoothing))
    if found is None:
        raise RunError(
            f"{run.path}: tried no betas of SoftPlus. Expected a run of a network with ReLUs that scanned them. Try "
            "ihcli explain with `smooth=scan`."
        )
    return found


def scan_table(scan: BetaScan) -> pa.Table:
    """Return the lines of a scan: betas, gentlest first, then the pairs that turn."""
    return pa.Table.from_pylist([*_betas(scan), *_pairs(scan)], schema=SCHEMA)


def _betas(scan: BetaScan) -> list[dict[str, Any]]:
    known = [name for name in COLUMNS if hasattr(scan.betas[0], name)]
    return [
        {name: getattr(each, name) for name in known}
        | {"of": BETA, "is_taken": each.beta == scan.chosen, "top_k": None if each.top is None else scan.top_k}
        for each in scan.betas
    ]


def _pairs(scan: BetaScan) -> list[dict[str, Any]]:
    return [
        {
            "of": PAIR,
            "beta": scan.sharpest,
            "feature_i": pair.feature_1,
            "feature_j": pair.feature_2,
            "text": pair.row,
            "effect": pair.effect,
            "other_sign_at": list(pair.betas),
        }
        for pair in scan.turning
    ]
