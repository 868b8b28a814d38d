"""Lines of a comparison: one table for two runs, features, pairs and rows, which says of each what it is of."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from ihcli.quality import ATTRIBUTIONS, INTERACTIONS, NO_UNIT, OUTPUT_UNIT, ROW, field_metadata

RUNS, FEATURE, PAIR, ROWS = KINDS = ("runs", "feature", "pair", "row")
"""What a line can be of."""
VALUES = (ATTRIBUTIONS, INTERACTIONS)


class Column(NamedTuple):
    """A column: Arrow's name of its type, what it is, and its unit."""

    type: str
    definition: str
    unit: str = NO_UNIT


FIGURES: Mapping[str, Column] = {
    "feature": Column("string", "the feature, group or word; of a row, where attributions differ most"),
    "feature_i": Column("string", "first of the pair; of a row, of the pair whose effects differ most"),
    "feature_j": Column("string", "second of the pair"),
    "spearman": Column(
        "double",
        "rank correlation of signed values: of a row over its features or pairs, of a feature or pair over rows, of "
        "two runs the median over rows; over more than two runs the mean of each two",
    ),
    "mean_spearman": Column("double", "of two runs: the mean of spearman over rows"),
    "least_spearman": Column("double", "the least spearman: of two runs over rows, else over each two runs"),
    "spearman_abs": Column("double", "as spearman, of sizes"),
    "ranking_spearman": Column("double", "of two runs: rank correlation of mean_abs over features or pairs"),
    "overlap": Column("double", "share of the K largest in size that are among those of the other run, mean"),
    "same_sign": Column("double", "share of equal signs, where both runs have one"),
    "largest_change": Column("double", "largest difference of two runs", OUTPUT_UNIT),
    "largest_change_row": Column("int64", "the row of it"),
    "rows": Column("int64", "rows that it is over; of a word, how often it was seen"),
    "sampled": Column("int64", "rows drawn of these, which spearman of a feature or pair is over"),
    "mean_abs": Column("double", "mean over runs of the mean size over rows", OUTPUT_UNIT),
    "mean_abs_std": Column("double", "standard deviation of it over runs", OUTPUT_UNIT),
    "mean": Column("double", "mean over runs and rows", OUTPUT_UNIT),
    "mean_std": Column("double", "standard deviation over runs of the mean over rows", OUTPUT_UNIT),
    "rank": Column("int64", "by mean_abs, 1 is the largest; where runs have slopes and effects, by the mean of ranks"),
    "worst_rank": Column("int64", "the last rank that it has in any of the runs"),
    "in_top": Column("int64", "in how many runs it is among the K largest"),
}
WHO: Mapping[str, Column] = {
    "of": Column("string", f"what the line is of: {', '.join(KINDS)}"),
    "values": Column("string", f"what is compared: {' or '.join(VALUES)}"),
    "target": Column("string", "explained output"),
    "run": Column("string", "of two runs, the first"),
    "other": Column("string", "of two runs, the second"),
}
ROW_COLUMN = Column("int64", "index of the row in the data of the first run, from 0")


def schema_of(keys: Sequence[pa.Field]) -> pa.Schema:
    """Return the columns of a comparison whose rows have these keys."""
    taken = {*WHO, *FIGURES, ROW}
    carried = [
        pa.field(
            f"key_{key.name}" if key.name in taken else key.name,
            key.type.value_type if pa.types.is_dictionary(key.type) else key.type,
            metadata=field_metadata("key column of the data"),
        )
        for key in keys
    ]
    return pa.schema([*_fields(WHO), *_fields({ROW: ROW_COLUMN}), *carried, *_fields(FIGURES)])


def lines(schema: pa.Schema, columns: Mapping[str, Any]) -> pa.Table:
    """Return lines with these columns, a value for all of them where it is one, and nothing in all other columns."""
    n = max(len(found) for found in columns.values() if not isinstance(found, str))
    return pa.Table.from_arrays([_array(field, columns.get(field.name), n) for field in schema], schema=schema)


def targets_of(tables: Iterable[pa.Table]) -> tuple[str, ...]:
    """Return the targets that lines are of, in their order."""
    return tuple(dict.fromkeys(target for table in tables for target in table["target"].unique().to_pylist()))


def _array(field: pa.Field, found: Any, n: int) -> pa.Array | pa.ChunkedArray:
    if found is None:
        return pa.nulls(n, field.type)
    if isinstance(found, str):
        return pa.array([found] * n, field.type)
    if isinstance(found, pa.ChunkedArray):
        return found.cast(field.type)
    if pa.types.is_integer(field.type):
        return pa.array(found, field.type, mask=np.asarray(found) < 0)
    return pa.array(found, field.type, from_pandas=True)


def _fields(columns: Mapping[str, Column]) -> list[pa.Field]:
    return [
        pa.field(name, pa.type_for_alias(told.type), metadata=field_metadata(told.definition, told.unit))
        for name, told in columns.items()
    ]
