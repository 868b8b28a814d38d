"""Explanations as Arrow tables: the columns of a part file, with their units and definitions."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ihcli.errors import RunError
from ihcli.explanation import AnyExplanation
from ihcli.files.arrays import numbers, strings
from ihcli.layouts.choosing import layout_of
from ihcli.layouts.columns import with_gaps
from ihcli.layouts.layout import Columns, Layout
from ihcli.quality import FIGURES, IDENTITY, OUTPUT_UNIT, QualityColumn, field_metadata
from ihcli.runs.seals import QUESTION
from ihcli.runs.storage import InteractionStorage
from ihcli.scales import MODEL


@dataclass(frozen=True)
class Units:
    """Of what is stored: the scale of the explained output, and whether values are for each unit of the inputs."""

    scale: str = MODEL
    are_slopes: bool = False

    def told(self, columns: Columns, *, are_values: bool) -> Columns:
        """Return columns whose unit, where it is that of the explained output, says so."""
        output = OUTPUT_UNIT if self.scale == MODEL else f"{OUTPUT_UNIT} ({self.scale})"
        unit = f"{output} per unit of the inputs" if are_values and self.are_slopes else output
        return [(_in_unit(field, unit), column) for field, column in columns]


OF_OUTPUT = Units()


def attributions_table(
    explanation: AnyExplanation, keys: pa.Table, question: str | None = None, units: Units = OF_OUTPUT
) -> pa.Table:
    """Return the attributions part: who the row is, how well it was explained, and the values as they are laid out.

    Parameters:
        keys: one row of key columns for every data row of the explanation, in row order.
        question: SHA-256 of what was asked, which the part keeps.
    """
    layout = layout_of(explanation)
    values = units.told(layout.attributions(explanation, ~explanation.has_values), are_values=True)
    beside = units.told(_beside(explanation, FIGURES), are_values=False)
    return _table([*_identity(explanation, keys), *beside, *values], layout, question)


def interactions_table(
    explanation: AnyExplanation,
    keys: pa.Table,
    storage: InteractionStorage,
    question: str | None = None,
    units: Units = OF_OUTPUT,
) -> pa.Table | None:
    """Return the interactions part, or None where there are no interactions or none are stored."""
    if explanation.interactions is None or storage.kind == "none":
        return None
    layout, top = layout_of(explanation), storage.top if storage.kind == "top" else None
    values = units.told(layout.interactions(explanation, ~explanation.has_values, top), are_values=True)
    return _table([*_identity(explanation, keys), *values], layout, question)


def _identity(explanation: AnyExplanation, keys: pa.Table) -> Columns:
    row, target = _beside(explanation, IDENTITY)
    if not keys.num_columns:
        return [row, target]
    position = explanation.row - explanation.row.min()
    if position.max() >= keys.num_rows:
        raise ValueError(f"{keys.num_rows} rows of keys for {position.max() + 1} rows of data")
    taken, metadata = keys.take(numbers(position)), field_metadata("key column of the data")
    carried = [
        (pa.field(field.name, field.type, metadata=metadata), column.combine_chunks())
        for field, column in zip(keys.schema, taken.columns, strict=True)
    ]
    return [row, *carried, target]


def _beside(explanation: AnyExplanation, columns: Iterable[QualityColumn]) -> Columns:
    """Return those of the columns beside the values that the explanation has."""
    is_empty = ~explanation.has_values
    known = ((column, getattr(explanation, column.attribute)) for column in columns)
    return [_stored(column, values, is_empty) for column, values in known if values is not None]


def _stored(column: QualityColumn, values: np.ndarray, is_empty: np.ndarray) -> tuple[pa.Field, pa.Array]:
    if column.is_measure:
        stored = with_gaps(values, is_empty)
    elif column.type == "string":
        stored = strings([None if value is None else str(value) for value in values])
    else:
        stored = numbers(values, column.arrow_type)
    return pa.field(column.name, stored.type, metadata=column.metadata), stored


def _table(columns: Columns, layout: Layout[Any], question: str | None) -> pa.Table:
    fields = [field for field, _ in columns]
    name, count = Counter(field.name for field in fields).most_common(1)[0]
    if count > 1:
        raise RunError(f"{name}: two columns of the run would have this name. Try to rename the key or the group.")
    metadata = {key: json.dumps(value) for key, value in layout.metadata.items()}
    metadata |= {} if question is None else {QUESTION: question}
    return pa.Table.from_arrays([column for _, column in columns], schema=pa.schema(fields, metadata=metadata or None))


def _in_unit(field: pa.Field, unit: str) -> pa.Field:
    if unit == OUTPUT_UNIT:
        return field
    told = field.metadata or {}
    if told.get(b"unit") != OUTPUT_UNIT.encode():
        return field
    return field.with_metadata({**told, b"unit": unit.encode()})
