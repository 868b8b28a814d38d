"""Ranked tables of statistics: their columns, and the entries of a target with the largest first."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ihcli.files.arrays import numbers, strings, values_of
from ihcli.quality import OUTPUT_UNIT
from ihcli.summaries.moments import Moments

STATISTICS: dict[str, tuple[pa.DataType, str, str]] = {
    "target": (pa.string(), "explained output", "1"),
    "feature": (pa.string(), "feature or group", "1"),
    "feature_i": (pa.string(), "first feature or group of the pair", "1"),
    "feature_j": (pa.string(), "second feature or group of the pair", "1"),
    "rank": (pa.int32(), "by mean_abs within the target, 1 is the largest", "1"),
    "mean_abs": (pa.float64(), "mean of the absolute values over rows", OUTPUT_UNIT),
    "mean": (pa.float64(), "mean over rows", OUTPUT_UNIT),
    "std": (pa.float64(), "population standard deviation over rows", OUTPUT_UNIT),
    "min": (pa.float64(), "smallest value", OUTPUT_UNIT),
    "max": (pa.float64(), "largest value", OUTPUT_UNIT),
    "share": (pa.float64(), "of the total mean_abs of the target", "1"),
    "rows": (pa.int64(), "rows that it is over; rows without values are never among them", "1"),
    "main_mean_abs": (pa.float64(), "mean of |Gamma_gg|, the main effect, over rows", OUTPUT_UNIT),
    "main_mean": (pa.float64(), "mean of Gamma_gg, the main effect, over rows", OUTPUT_UNIT),
    "main_std": (pa.float64(), "population standard deviation of Gamma_gg, the main effect, over rows", OUTPUT_UNIT),
    "main_rows": (pa.int64(), "rows that the main effects are of", "1"),
    "main_opposed": (
        pa.float64(),
        "share of these rows in which Gamma_gg and the attribution have opposite signs, both beyond their errors",
        "1",
    ),
    "left_out": (pa.int64(), "explained rows that do not rank, as their error is beyond 10 tolerances", "1"),
    "error_bar": (pa.float64(), "how far mean_abs and mean may be off: the mean of the rows' error bars", OUTPUT_UNIT),
    "standard_error": (
        pa.float64(),
        "over the drawn baselines: the mean of the rows' standard errors",
        OUTPUT_UNIT,
    ),
    "main_error_bar": (pa.float64(), "error_bar of main_mean_abs and main_mean", OUTPUT_UNIT),
    "main_standard_error": (pa.float64(), "standard_error of main_mean_abs and main_mean", OUTPUT_UNIT),
}
ATTRIBUTION_COLUMNS = ("target", "feature", "rank", "mean_abs", "mean", "std", "min", "max", "share", "rows")
LEFT_OUT = "left_out"
MAIN_COLUMNS = ("main_mean_abs", "main_mean", "main_std", "main_rows")
OPPOSED = "main_opposed"
"""Of tables, whose features are the same in all rows."""
INTERACTION_COLUMNS = ("target", "feature_i", "feature_j", "rank", "mean_abs", "mean", "std", "share", "rows")
BARS = ("error_bar", "standard_error")
"""Of pairs, where they are known of all rows; of main effects the same with "main_" before it."""
SUMMARIES = {
    "attributions": (*ATTRIBUTION_COLUMNS, *MAIN_COLUMNS, OPPOSED, *(f"main_{name}" for name in BARS), LEFT_OUT),
    "interactions": (*INTERACTION_COLUMNS, *BARS, LEFT_OUT),
}
"""All columns that each summary of a run may have."""
JUDGED = {
    "certain": (pa.bool_(), "whether the rank holds whatever the errors: bars, and two standard errors", "1"),
    "near_zero": (pa.bool_(), "whether the value is within two standard errors of zero", "1"),
}
"""What a ranking of a summary says of it on top of that."""

Ranking = dict[str, np.ndarray | pa.Array]
"""Columns of one target's entries, the largest first."""


def largest_first(values: np.ndarray, most: int | None = None) -> np.ndarray:
    """Return the stable order of falling values, of all or of the `most` largest.

    By numpy's partition and quicksort, which are faster, and then ties put right.
    """
    if most is not None and most < len(values):
        least = np.partition(values, -most)[-most]
        above, tied = np.flatnonzero(values > least), np.flatnonzero(values == least)
        some = np.sort(np.concatenate([above, tied[: most - len(above)]]))
        return np.asarray(some[largest_first(values[some])])
    falling = -values
    order = np.argsort(falling)
    ranked = falling[order]
    starts = np.concatenate([[True], ranked[1:] != ranked[:-1]]) if len(ranked) else np.zeros(0, bool)
    tied = ~starts
    tied[:-1] |= tied[1:]
    run = np.cumsum(starts)[tied]
    order[tied] = order[tied][np.lexsort((order[tied], run))]
    return order


def ranked(target: str, moments: Moments, most: int | None = None) -> tuple[np.ndarray, Ranking]:
    """Return the order by mean_abs, ties in feature order, and the columns that every ranking has.

    Parameters:
        most: so many of the largest at most; shares are of all.
    """
    order = largest_first(moments.mean_abs, most)
    total, of_those = moments.mean_abs.sum(), moments.take(order, 1.0)
    return order, {
        "target": strings([target]).take(numbers(np.zeros(len(order), np.int64))),
        "rank": np.arange(1, len(order) + 1, dtype=np.int32),
        "mean_abs": of_those.mean_abs,
        "mean": of_those.mean,
        "std": of_those.std,
        "share": of_those.mean_abs / total if total > 0 else np.zeros(len(order)),
        "rows": np.full(len(order), moments.count, np.int64),
    }


def statistics_table(names: tuple[str, ...], rankings: Sequence[Ranking]) -> pa.Table:
    """Return rankings one below the other, as a table of these columns of STATISTICS."""
    columns, fields = [], []
    for name in names:
        field = field_of(name)
        columns.append(pa.chunked_array([_column(ranking[name], field.type) for ranking in rankings], field.type))
        fields.append(field)
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def by_target(table: pa.Table) -> dict[str, pa.Table]:
    """Return the ranking of each target; a table has them one after the other."""
    rankings, start = {}, 0
    for found in table["target"].value_counts().to_pylist():
        rankings[found["values"]] = table.slice(start, found["counts"])
        start += found["counts"]
    return rankings


def floats(ranking: pa.Table, name: str) -> np.ndarray:
    """Return a column of numbers, NaN for null."""
    column = ranking[name].combine_chunks().cast(pa.float64())
    unknown = numbers(np.array([np.nan]), column.type)[0]
    return values_of(pc.coalesce(column, unknown)) if column.null_count else values_of(column)


def field_of(name: str) -> pa.Field:
    """Return a column of STATISTICS as a table has it."""
    type_, definition, unit = {**STATISTICS, **JUDGED}[name]
    return pa.field(name, type_, metadata={"definition": definition, "unit": unit})


def _column(values: np.ndarray | pa.Array, type_: pa.DataType) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    if pa.types.is_string(type_):
        return strings(values.tolist())
    return numbers(values, type_, is_null=np.isnan(values) if pa.types.is_floating(type_) else None)
