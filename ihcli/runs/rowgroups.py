"""Entries of part files: the row groups that can hold them are found by statistics, and only those are read."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ihcli.errors import OptionError, RunError
from ihcli.files.locations import Location
from ihcli.quality import ROW
from ihcli.runs.files import PART, opened_part, require_types


@dataclass(frozen=True)
class PartFiles:
    """The part files of one kind, in the order of their rows; footers are read once, when they are first needed."""

    directory: Location

    @cached_property
    def files(self) -> tuple[Location, ...]:
        """The finished parts when this was first asked."""
        return tuple(sorted(self.directory.glob("part-*.parquet")))

    @cached_property
    def schema(self) -> pa.Schema:
        """Columns of the first part; raises RunError where there is none or it cannot be read."""
        with opened_part(self._first) as file:
            return file.schema_arrow

    @property
    def n_rows(self) -> int:
        """How many rows of the data the parts hold; reads every footer."""
        spans = [self._span(part) for part in range(len(self.files))]
        return sum(last - first + 1 for first, last in spans)

    def read(self, columns: Sequence[str] | None = None, rows: Sequence[int] | None = None) -> pa.Table:
        """Return entries of all rows, or only of those with these indices, in the order of the files."""
        tables = list(self.stream(columns, rows))
        return pa.concat_tables(tables) if tables else self.schema.empty_table().select(columns or self.schema.names)

    def stream(self, columns: Sequence[str] | None = None, rows: Sequence[int] | None = None) -> Iterator[pa.Table]:
        """Give the same entries one row group at a time, so that no more than one is held."""
        if rows is None:
            for part in range(len(self.files)):
                yield from self._groups(part, columns, None)
            return
        wanted = sorted({int(row) for row in rows})
        while wanted:
            part = self._part_of(wanted[0])
            if part == len(self.files):
                return
            end = max(1, bisect_right(wanted, self._span(part)[1]))
            yield from self._groups(part, columns, wanted[:end])
            wanted = wanted[end:]

    def rows_where(self, keys: Mapping[str, Any]) -> list[int]:
        """Return the indices of the rows whose columns have these values; reads those columns only.

        A text is read as a value of the column. Raises OptionError where it is none.
        """
        values = {name: _value_of(self.schema, name, value) for name, value in keys.items()}
        found: dict[int, None] = {}
        for part in range(len(self.files)):
            for table in self._groups(part, [ROW, *values], None, values):
                mask = pa.array([True] * table.num_rows)
                for name, value in values.items():
                    mask = pc.and_(mask, pc.fill_null(pc.equal(_plain(table[name]), value), False))
                found |= dict.fromkeys(table[ROW].filter(mask).to_pylist())
        return list(found)

    @property
    def _first(self) -> Location:
        if not self.files:
            raise RunError(
                f"{self.directory.parent}: stores no {self.directory.name} of single rows. "
                f"Expected {self.directory.name}/part-000000.parquet."
            )
        return self.files[0]

    @cached_property
    def _footers(self) -> dict[int, pq.FileMetaData]:
        return {}

    def _footer(self, part: int) -> pq.FileMetaData:
        if part not in self._footers:
            with opened_part(self.files[part]) as file:
                self._footers[part] = file.metadata
        return self._footers[part]

    def _part_of(self, row: int) -> int:
        """Return the first part that does not end before the row; parts follow each other as rows do."""
        return bisect_left(range(len(self.files)), row, key=lambda part: self._span(part)[1])

    def _span(self, part: int) -> tuple[int, int]:
        footer = self._footer(part)
        ranges = [_range(footer, group, ROW) for group in range(footer.num_row_groups)]
        if any(found is None for found in ranges):
            with opened_part(self.files[part]) as file:
                rows = file.read([ROW])
            require_types(self.files[part], rows, PART, [ROW])
            rows = rows[ROW]
            return pc.min(rows).as_py(), pc.max(rows).as_py()
        known = [found for found in ranges if found is not None]
        return min(low for low, _ in known), max(high for _, high in known)

    def _groups(
        self,
        part: int,
        columns: Sequence[str] | None,
        wanted: Sequence[int] | None,
        values: Mapping[str, pa.Scalar] | None = None,
    ) -> Iterator[pa.Table]:
        """Give the row groups of a part that can hold the wanted rows or values, filtered by row."""
        footer = self._footer(part)
        chosen = [
            group
            for group in range(footer.num_row_groups)
            if _can_hold_rows(footer, group, wanted) and _can_hold(footer, group, values or {})
        ]
        if not chosen:
            return
        names = None if columns is None else list(dict.fromkeys([*columns, *([] if wanted is None else [ROW])]))
        with opened_part(self.files[part], footer) as file:
            for group in chosen:
                table = file.read_row_group(group, names)
                require_types(self.files[part], table, PART, names or ())
                if wanted is not None:
                    table = table.filter(pc.is_in(table[ROW], pa.array(wanted, pa.int64())))
                yield table if columns is None else table.select(list(columns))


def _can_hold_rows(footer: pq.FileMetaData, group: int, wanted: Sequence[int] | None) -> bool:
    """Tell whether one of the sorted rows lies in the range of the group."""
    found = None if wanted is None else _range(footer, group, ROW)
    if wanted is None or found is None:
        return True
    position = bisect_left(wanted, found[0])
    return position < len(wanted) and wanted[position] <= found[1]


def _can_hold(footer: pq.FileMetaData, group: int, values: Mapping[str, pa.Scalar]) -> bool:
    for name, value in values.items():
        found = _range(footer, group, name)
        sought = value.as_py()
        comparable = isinstance(sought, int | str) and type(found and found[0]) is type(sought)
        if found is not None and comparable and not found[0] <= sought <= found[1]:
            return False
    return True


def _range(footer: pq.FileMetaData, group: int, column: str) -> tuple[Any, Any] | None:
    """Return the least and the largest value of a column in a row group, None where the file does not tell."""
    stored = footer.row_group(group)
    for index in range(stored.num_columns):
        found = stored.column(index)
        # A part of a nested column can have the same path, but never as its own name.
        if found.path_in_schema == column and footer.schema.column(index).name == column:
            statistics = found.statistics
            return (statistics.min, statistics.max) if statistics is not None and statistics.has_min_max else None
    return None


def _value_of(schema: pa.Schema, name: str, value: Any) -> pa.Scalar:
    type_ = schema.field(name).type
    type_ = type_.value_type if pa.types.is_dictionary(type_) else type_
    try:
        return pa.scalar(value).cast(type_)
    except pa.ArrowException as error:
        raise OptionError(
            f"`key={name}={value}`: the column holds {type_}. Expected a value of that type, got {value!r}."
        ) from error


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
