"""Figures of the model and of the explanation as a whole, one a line: of what each is, its name and its value."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa

from ihcli.files.arrays import numbers, strings

FIGURES: dict[str, tuple[pa.DataType, str]] = {
    "of": (pa.string(), "what the line is of: model, class, bin, column, output or target"),
    "output": (pa.string(), "the class or explained output; null where it is of no single one"),
    "name": (pa.string(), "the bin or column; how the model ends; of labels that were not read the first; else null"),
    "figure": (pa.string(), "what is told"),
    "value": (pa.float64(), "its value; null where there is none"),
    "error": (pa.float64(), "how far the value may be off; null where it is exact"),
    "rows": (pa.int64(), "rows that it is over"),
}
"""Columns of `summary/model.parquet`, with their types and what they are."""


@dataclass(frozen=True)
class Line:
    """One figure, see `FIGURES`."""

    of: str
    figure: str
    value: float | None
    rows: int
    output: str | None = None
    name: str | None = None
    error: float | None = None


def figures_table(lines: Iterable[Line]) -> pa.Table:
    """Return figures as the table that is stored."""
    found = list(lines)
    columns = [_column([getattr(line, name) for line in found], type_) for name, (type_, _) in FIGURES.items()]
    named = FIGURES.items()
    told = [pa.field(name, type_, metadata={"definition": words, "unit": "1"}) for name, (type_, words) in named]
    return pa.Table.from_arrays(columns, schema=pa.schema(told))


def lines_of(table: pa.Table) -> list[Line]:
    """Return the figures that a table holds."""
    names = [each.name for each in fields(Line)]
    return [Line(**{name: record[name] for name in names}) for record in table.select(names).to_pylist()]


def _column(values: list[Any], type_: pa.DataType) -> pa.Array:
    if pa.types.is_string(type_):
        return strings(values)
    known = np.array([np.nan if value is None else value for value in values], np.float64)
    is_null = ~np.isfinite(known)
    return numbers(np.where(is_null, 0, known), type_, is_null=is_null)
