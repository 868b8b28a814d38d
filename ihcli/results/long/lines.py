"""A run in long form: a line for every value, in the order of rows, streamed in pieces."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from ihcli.errors import DataError, OptionError, RunError
from ihcli.files.arrays import numbers
from ihcli.layouts.columns import ERROR_BAR, holds_top_pairs
from ihcli.quality import (
    COLUMNS,
    INTERACTIONS,
    NO_UNIT,
    OUTPUT_UNIT,
    RELATIVE_ERROR,
    ROW,
    STATUS,
    TARGET,
    WITHOUT_VALUES,
    field_metadata,
)
from ihcli.results.contrasting.blocks import Block, Rows
from ihcli.results.contrasting.columns import Columns
from ihcli.results.contrasting.conditions import Condition
from ihcli.results.explained_data import names_features
from ihcli.results.long.cells import Cells, attribution_cells, counts, pair_cells
from ihcli.results.long.values import ValuesBeside
from ihcli.results.result import Result
from ihcli.runs.info import DONE
from ihcli.runs.told import if_told
from ihcli.wording import counted, did_you_mean, listed

PIECE_CELLS = 1 << 18
"""Lines made together: some 20 MB, and a row group of Parquet."""
KIND, MAIN, PAIR = "kind", "main", "pair"
OF_INPUTS = "of the inputs, as in the data"
MEANINGS = {
    "value": ("what the feature is in the row of the data; null where that is not one value", OF_INPUTS),
    "position": ("place of the word or step in the record, from 0", NO_UNIT),
    "feature": ("feature or group; of texts the word", NO_UNIT),
    "attribution": ("attribution phi", OUTPUT_UNIT),
    "interaction": ("effect of the pair, Gamma_ij + Gamma_ji; of a main effect Gamma_ii", OUTPUT_UNIT),
    KIND: ("pair, or main: a feature with itself", NO_UNIT),
    ERROR_BAR: ("how far interaction may be off, from _interaction_error", OUTPUT_UNIT),
}
"""Of columns of lines: what each is, and its unit."""
KEY_MEANING = "key column of the data"


@dataclass(frozen=True)
class LongRequest:
    """What is wanted in long form.

    pairs         interactions of pairs in place of attributions
    rows          indices of rows of the data, in any order; None: all
    where         conditions that rows must meet, see `ihcli.results.contrasting.conditions`
    target        only this one; None: all
    features      only lines with one of these
    top_k         so many of the largest of every row and target, the largest first; None: all that are stored
    main_effects  those of a feature with itself too, among the pairs
    data          a table with the same rows to take values of features from; None: the explained one
    """

    pairs: bool = False
    rows: Sequence[int] | None = None
    where: tuple[str, ...] = ()
    target: str | None = None
    features: tuple[str, ...] = ()
    top_k: int | None = None
    main_effects: bool = False
    data: str | None = None


class Lines:
    """The lines that a request asks for; nothing but what is told of them is read before they are.

    warnings, notes  in sentences: what lowers trust, or is missing; and what else is to be known

    Raises OptionError and RunError for what the run does not have; DataError where `data` was named and cannot be used.
    Where the explained data are gone, values are null, and a warning says so.

    Memory: some MB for each million cells of a piece, a row group of the parts, and a batch of the data. Cost: a pass
    over parts and data.
    """

    def __init__(self, result: Result, request: LongRequest) -> None:
        self._result, self._request = result, request
        self.warnings: list[str] = []
        self.notes: list[str] = []
        _refuse(result, request)
        self._columns = Columns(result, request.data)
        self._where = tuple(Condition.parse(text, self._columns) for text in request.where)
        self._type = self._value_type()
        self._tell()

    @cached_property
    def schema(self) -> pa.Schema:
        """Columns of the lines, with what each is and its unit."""
        asked, stored = self._request, self._result.run.attribution_parts.schema
        keys = [(name, _plain(stored.field(name).type)) for name in self._keys]
        unit = [("position", pa.int32())] if self._tells_positions else []
        unit += [("feature", pa.string())]
        unit += [] if self._type is None else [("value", self._type)]
        return schema_of(keys, unit, self._floats, pairs=asked.pairs, main_effects=asked.main_effects)

    def pieces(self) -> Iterator[pa.Table]:
        """Give the lines, in the order of rows, so many at a time."""
        asked, layout = self._request, self._result.layout
        values = self._values
        rows = None if asked.rows is None else sorted(set(asked.rows))
        stream = Rows(self._result, self._columns, self._where, all_rows=True, rows=rows)
        for block in stream.blocks(features=[*self._keys, *layout.columns], interactions=asked.pairs):
            for entries, stored in _cut(self._of_target(block), layout):
                beside = None if values is None else pa.concat_arrays(values.beside(entries[ROW].to_numpy()))
                for cells in self._chosen(self._cells(entries, stored)).cut(PIECE_CELLS):
                    yield self._table(entries, cells, beside)

    def _cells(self, entries: pa.Table, stored: pa.ChunkedArray | None) -> Cells:
        layout = self._result.layout
        if stored is None:
            return attribution_cells(entries, layout)
        return pair_cells(entries, stored, layout, self._request.main_effects)

    def _chosen(self, cells: Cells) -> Cells:
        asked = self._request
        cells = cells.with_names(asked.features) if asked.features else cells
        return cells if asked.top_k is None else cells.largest(asked.top_k)

    def _table(self, entries: pa.Table, cells: Cells, beside: pa.Array | None) -> pa.Table:
        """Return lines; `beside` are the values of all features, one feature after the other."""
        place, n = numbers(cells.entry), len(entries)
        columns: list[pa.Array] = [_taken(entries[name], place) for name in (ROW, *self._keys, TARGET)]
        if self._request.main_effects:
            kinds = pa.array([PAIR, MAIN], pa.string())
            columns.append(kinds.take(numbers((cells.ends[0] == cells.ends[1]).astype(np.int64))))
        for end, names in enumerate(cells.ends):
            if self._tells_positions and cells.positions is not None:
                columns.append(numbers(cells.positions[end], pa.int32()))
            columns.append(cells.names.take(numbers(names.astype(np.int64))))
            if self._type is not None and beside is None:
                columns.append(pa.nulls(len(cells), self._type))
            elif beside is not None and cells.positions is not None:
                columns.append(beside.take(numbers(cells.positions[end].astype(np.int64) * n + cells.entry)))
        columns.append(numbers(cells.values, self._floats, is_null=np.isnan(cells.values)))
        if self._request.pairs:
            bars = np.full(len(cells), np.nan) if cells.bars is None else cells.bars
            columns.append(numbers(bars, self._floats, is_null=np.isnan(bars)))
        else:
            columns.append(_taken(entries[RELATIVE_ERROR], place))
        return pa.Table.from_arrays(columns, schema=self.schema)

    def _of_target(self, block: Block) -> Block:
        if self._request.target is None:
            return block
        kept = pa.array(block.is_of(self._request.target))
        stored = None if block.stored is None else block.stored.filter(kept)
        return Block(block.entries.filter(kept), stored, {}, block.most)

    @property
    def _keys(self) -> tuple[str, ...]:
        return self._result.keys

    @cached_property
    def _floats(self) -> pa.DataType:
        """The type of the values in the parts."""
        stored = self._result.run.attribution_parts.schema.field(self._result.layout.columns[-1]).type
        return stored.value_type if pa.types.is_list(stored) else stored

    @property
    def _tells_positions(self) -> bool:
        """Whether units are told apart by their position, and it is stored."""
        return self._result.layout.in_reading_order and not (self._request.pairs and _has_top_pairs(self._result))

    @cached_property
    def _values(self) -> ValuesBeside | None:
        """Values of features; None of records whose units are their own, and where the data are gone."""
        if not self._result.layout.is_aligned:
            return None
        named = self._request.data
        if named is not None and self._where and not names_features(self._result, named):
            named = None  # it is there for the conditions
        try:
            return ValuesBeside(self._result, named)
        except DataError as error:
            if named is not None:
                raise
            self.warnings.append(f"Values are null: {error}")
            return None

    def _value_type(self) -> pa.DataType | None:
        """Return the type of values, None where there is no such column."""
        if not self._result.layout.is_aligned:
            return None
        return pa.float64() if self._values is None else self._values.type

    def _tell(self) -> None:
        """Say what is left out."""
        result, asked = self._result, self._request
        if result.run.status != DONE:
            told = f"{result.path} did not finish (status {result.run.status}): lines are of its finished parts only."
            self.warnings.append(told)
        if asked.pairs and asked.top_k is None and _has_top_pairs(result):
            self.notes.append("The run stores the largest pairs of every row, and only these have lines.")
        if missing := self._without_values():
            what = ", ".join(f"{status} {count}" for status, count in missing.items())
            self.warnings.append(f"no lines of {counted(sum(missing.values()), 'entries')} without values ({what}).")

    def _without_values(self) -> dict[str, int]:
        """Count the entries that have no values among the rows asked for, whatever conditions say of them."""
        result, asked = self._result, self._request
        known = if_told(lambda: result.told.totals.statuses)
        if known is not None and not any(known.get(status) for status in WITHOUT_VALUES):
            return {}
        found: dict[str, int] = {}
        for entries in result.entries([STATUS], asked.rows):
            for status, count in zip(*np.unique(entries[STATUS].to_pylist(), return_counts=True), strict=True):
                if status in WITHOUT_VALUES:
                    found[str(status)] = found.get(str(status), 0) + int(count)
        return found


Typed = Sequence[tuple[str, pa.DataType]]


def schema_of(keys: Typed, unit: Typed, floats: pa.DataType, *, pairs: bool, main_effects: bool = False) -> pa.Schema:
    """Return the columns of lines.

    Parameters:
        keys: key columns, which are called otherwise where a column of lines is called so.
        unit: what is told of a feature, and of both of a pair.
    """
    if pairs:
        ends = [(f"{name}_{end}", type_) for end in "ij" for name, type_ in unit]
        told = [*([(KIND, pa.string())] if main_effects else []), *ends, ("interaction", floats), (ERROR_BAR, floats)]
    else:
        told = [*unit, ("attribution", floats), (RELATIVE_ERROR, pa.float64())]
    taken, metadata = {name for name, _ in told}, field_metadata(KEY_MEANING)
    carried = [pa.field(f"key_{name}" if name in taken else name, type_, metadata=metadata) for name, type_ in keys]
    row, target, *others = (pa.field(name, type_, metadata=_meaning(name)) for name, type_ in (*_IDENTITY, *told))
    return pa.schema([row, *carried, target, *others])


_IDENTITY = ((ROW, pa.int64()), (TARGET, pa.string()))
_QUALITY = {column.name: column.metadata for column in COLUMNS}


def _meaning(name: str) -> dict[str, str]:
    """Return what the field of a column says of itself; those of pairs are called as those of one feature and _i."""
    if name in _QUALITY:
        return _QUALITY[name]
    meaning, unit = MEANINGS[name if name in MEANINGS else name.rpartition("_")[0]]
    return field_metadata(meaning, unit)


def _cut(block: Block, layout: Any) -> Iterator[tuple[pa.Table, pa.ChunkedArray | None]]:
    """Give the entries of a block, so many at a time that their values make a piece, one at least."""
    entries, stored = block.entries, block.stored
    ends, start = np.cumsum(counts(entries, stored, layout)), 0
    while start < len(entries):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + PIECE_CELLS, side="right")))
        yield entries[start:stop], None if stored is None else stored[start:stop]
        start = stop


def _taken(column: pa.ChunkedArray, place: pa.Array) -> pa.Array:
    stored = column.combine_chunks()
    return stored.cast(_plain(stored.type)).take(place)


def _plain(type_: pa.DataType) -> pa.DataType:
    return type_.value_type if pa.types.is_dictionary(type_) else type_


def _has_top_pairs(result: Result) -> bool:
    parts = result.run.interaction_parts
    return bool(parts.files) and holds_top_pairs(parts.schema.field(INTERACTIONS).type)


def _refuse(result: Result, asked: LongRequest) -> None:
    """Raise OptionError or RunError for what the run does not have."""
    if asked.pairs:
        result.run.require_pairs(of_rows=True)
    if asked.main_effects and _has_top_pairs(result):
        raise RunError(
            f"`main_effects`: {result.path} stores the largest pairs of every row only. "
            "Try ihcli explain with `interactions=full`."
        )
    if asked.target is not None and asked.target not in result.targets:
        names = result.targets
        told = f"`target`: {result.path} has no target {asked.target!r}. Expected one of {listed(names)}."
        raise OptionError(told + did_you_mean(asked.target, names))
    for name in asked.features if result.layout.is_aligned else ():
        if name not in result.feature_names:
            known = result.feature_names
            raise OptionError(
                f"`feature`: there is no {name!r}. Expected one of {len(known)} features: {listed(known)}."
                f"{did_you_mean(name, known)}"
            )
    if asked.rows is not None:
        _refuse_rows(result, asked.rows)


def _refuse_rows(result: Result, rows: Sequence[int]) -> None:
    there = {row for entries in result.entries([ROW], rows) for row in entries[ROW].to_pylist()}
    if missing := set(rows) - there:
        raise OptionError(
            f"`rows={min(missing)}`: there is no such row. Expected 0 to {result.n_rows - 1}. Try `rows=all`."
        )
