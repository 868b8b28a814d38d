"""Entries of part files: the row groups that can hold them are found by statistics, and only those are read."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ihcli.errors import OptionError, RunError
from ihcli.files.locations import Location
from ihcli.quality import ROW
from ihcli.runs.files import PART, WRONG, opened_part, read_group, require_types

FOOTER_BYTES = 4 << 20
"""Of the footers that are kept, as files hold them; in memory they are about ten times as large."""
PIECES, PIECES_BYTES = 1024, 16 << 20  # of a table, so many that are together smaller become one


@dataclass(frozen=True)
class PartFiles:
    """The part files of one kind, in the order of their rows; a part is opened once for each time that it is read.

    Which rows they hold is remembered of all parts that were looked at, and their footers of the last few.
    """

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
        tables = list(_in_fewer_pieces(self.stream(columns, rows)))
        return pa.concat_tables(tables) if tables else self.schema.empty_table().select(columns or self.schema.names)

    def stream(self, columns: Sequence[str] | None = None, rows: Sequence[int] | None = None) -> Iterator[pa.Table]:
        """Give the same entries one row group at a time, so that no more than one is held."""
        if rows is None:
            for part in range(len(self.files)):
                yield from self._groups(part, columns, None)
            return
        wanted = sorted({int(row) for row in rows})
        start = 0
        while start < len(wanted):
            part = self._part_of(wanted[start])
            if part == len(self.files):
                return
            end = max(start + 1, bisect_right(wanted, self._span(part)[1]))
            yield from self._groups(part, columns, wanted[start:end])
            start = end

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
    def _footers(self) -> "_Footers":
        return _Footers()

    @cached_property
    def _spans(self) -> dict[int, tuple[int, int]]:
        return {}

    @contextmanager
    def _opened(self, part: int) -> Iterator[tuple[pq.ParquetFile, pq.FileMetaData]]:
        """Open a part, and give its footer too, which is read where it is not kept; remember which rows it tells."""
        with opened_part(self.files[part], self._footers.of(part)) as file:
            footer = self._footers.kept(part, file.metadata)
            if part not in self._spans and (ends := _ends(footer)):
                self._spans[part] = min(ends), max(ends)
            yield file, footer

    def _part_of(self, row: int) -> int:
        """Return the first part that does not end before the row; parts follow each other as rows do.

        Nearly all parts are as long as the first, so it mostly is the one where the row would be if all were.
        """
        if not self.files:
            return 0
        first, last = self._span(0)
        guess = min(max(0, (row - first) // max(1, last - first + 1)), len(self.files) - 1)
        if self._span(guess)[0] <= row <= self._span(guess)[1]:
            return guess
        return bisect_left(range(len(self.files)), row, key=lambda part: self._span(part)[1])

    def _span(self, part: int) -> tuple[int, int]:
        """Return the first and the last row of a part, by reading its rows where statistics do not tell."""
        if part not in self._spans:
            with self._opened(part) as (file, _):
                if part not in self._spans:
                    rows = file.read([ROW])
                    require_types(self.files[part], rows, PART, [ROW])
                    if not len(rows):
                        raise RunError(f"{self.files[part]}: holds no rows. {WRONG}")
                    self._spans[part] = pc.min(rows[ROW]).as_py(), pc.max(rows[ROW]).as_py()
        return self._spans[part]

    def _groups(
        self,
        part: int,
        columns: Sequence[str] | None,
        wanted: Sequence[int] | None,
        values: Mapping[str, pa.Scalar] | None = None,
    ) -> Iterator[pa.Table]:
        """Give the row groups of a part that can hold the wanted rows or values, filtered by row."""
        names = None if columns is None else list(dict.fromkeys([*columns, *([] if wanted is None else [ROW])]))
        with self._opened(part) as (file, footer):
            for group in range(footer.num_row_groups):
                if not (_can_hold_rows(footer, group, wanted) and _can_hold(footer, group, values or {})):
                    continue
                table = read_group(file, group, names)
                require_types(self.files[part], table, PART, names or ())
                if wanted is not None:
                    table = table.filter(pc.is_in(table[ROW], pa.array(wanted, pa.int64())))
                yield table if columns is None else table.select(list(columns))


@dataclass
class _Footers:
    """Footers of the parts that were looked at last."""

    found: dict[int, pq.FileMetaData] = field(default_factory=dict)
    n_bytes: int = 0

    def of(self, part: int) -> pq.FileMetaData | None:
        return self.found.get(part)

    def kept(self, part: int, footer: pq.FileMetaData) -> pq.FileMetaData:
        """Keep a footer as the last, let go of the first of too many, and return it."""
        if part not in self.found:
            self.n_bytes += footer.serialized_size
        self.found[part] = self.found.pop(part, footer)
        while self.n_bytes > FOOTER_BYTES and len(self.found) > 1:
            self.n_bytes -= self.found.pop(next(iter(self.found))).serialized_size
        return footer


def _in_fewer_pieces(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Give tables, many small ones as one: pieces take more memory and time than what is in them."""
    while some := list(islice(tables, PIECES)):
        together = pa.concat_tables(some)
        yield together.combine_chunks() if together.nbytes < PIECES_BYTES else together


def _ends(footer: pq.FileMetaData) -> list[int]:
    """Return the first and the last row of each row group, nothing where statistics do not tell them of all."""
    known = [_range(footer, group, ROW) for group in range(footer.num_row_groups)]
    ends: list[Any] = [end for found in known for end in found or (None,)]
    return ends if all(isinstance(end, int) for end in ends) else []


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
