"""Columns that stand beside explained rows: the run's own, and those of the data, read along with the rows."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ihcli.data.formats.table import TableFiles, is_list, is_number
from ihcli.errors import DataError, OptionError, RunError
from ihcli.files.arrays import strings
from ihcli.quality import ROW, TARGET
from ihcli.results.explained_data import explained_table
from ihcli.results.result import Result
from ihcli.wording import did_you_mean, listed, quoted

BLANK = ""
"""Text that is no value in columns of words."""
Values: TypeAlias = np.ndarray | pa.Array
"""Of a column in some rows: numbers (n,) float64, NaN where there is none; or words, null where there is none."""


class Columns:
    """Columns by name: key and quality columns of the run, then those of the named table, then of the explained data.

    A table is opened when a column is asked for that nothing before it has.

    Parameters:
        data: a table with the same rows in the same order to look in first; its content is not compared.
    """

    def __init__(self, result: Result, data: str | None = None) -> None:
        self.result = result
        self._data = data

    @cached_property
    def own(self) -> tuple[str, ...]:
        """Those that the run stores beside its values."""
        names = self.result.run.attribution_parts.schema.names
        return tuple(name for name in names if name not in {ROW, TARGET, *self.result.layout.columns})

    @cached_property
    def table(self) -> TableFiles:
        """The named table, or the data that was explained."""
        return explained_table(self.result, self._data)

    @cached_property
    def _recorded(self) -> TableFiles | None:
        """The data that was explained; None where it is gone or has changed, and another table was named."""
        try:
            return explained_table(self.result)
        except DataError:
            return None

    def sources(self) -> Iterator[tuple[str, ...]]:
        """Give the names of each place where columns may be, in the order in which to look."""
        yield self.own
        yield _names(self.table)
        if self._data is not None and (recorded := self._recorded) is not None:
            yield _names(recorded)

    def is_number(self, name: str, option: str) -> bool:
        """Whether a column holds numbers; raises OptionError where there is none, or it holds neither them nor words.

        Parameters:
            option: what named it, for the message.
        """
        if not any(name in names for names in self.sources()):
            raise self.unknown(name, option)
        type_ = self._type(name)
        if not _is_scalar(type_):
            raise OptionError(
                f"{option}: column {quoted(name)} holds {type_}. Expected a number or a word in every row. Try another "
                "column."
            )
        return is_number(type_)

    def unknown(self, name: str, option: str) -> OptionError:
        """Return the error that there is no such column."""
        names = tuple(dict.fromkeys(name for source in self.sources() for name in source))
        return OptionError(
            f"{option}: there is no column {quoted(name)} in {self.result.path} or {self.table.path}. Expected one of "
            f"{listed(names)}.{did_you_mean(name, names)}"
        )

    def are_scalar(self) -> tuple[str, ...]:
        """The columns of the named table, or of the data, that hold a number or a word in every row."""
        schema = self.table.schema
        return tuple(name for name in _names(self.table) if _is_scalar(schema.field(name).type))

    def follow(self, names: Sequence[str]) -> "Following":
        """Begin to read columns along with rows that come in order."""
        own = [name for name in names if name in self.own]
        by_table: dict[TableFiles, list[str]] = {}
        for name in names:
            if name not in own and (table := self._table_of(name)) is not None:
                by_table.setdefault(table, []).append(name)
        tables = [Alongside(table, some) for table, some in by_table.items()]
        return Following({name: is_number(self._type(name)) for name in names}, tuple(own), tuple(tables))

    def _type(self, name: str) -> pa.DataType:
        if name in self.own:
            return self.result.run.attribution_parts.schema.field(name).type
        table = self._table_of(name)
        assert table is not None
        return table.schema.field(name).type

    def _table_of(self, name: str) -> TableFiles | None:
        """Return the table that has a column."""
        if name in _names(self.table):
            return self.table
        recorded = None if self._data is None else self._recorded
        return recorded if recorded is not None and name in _names(recorded) else None


@dataclass(frozen=True)
class Following:
    """Columns read along with rows.

    numbers  of each name, whether it holds numbers
    own      those that stand in the run itself
    """

    numbers: Mapping[str, bool]
    own: tuple[str, ...]
    _tables: tuple["Alongside", ...]

    def beside(self, entries: pa.Table) -> dict[str, Values]:
        """Return what the columns hold beside entries of the run, which come in the order of their rows."""
        found = {name: self._values(name, entries, frozenset({BLANK})) for name in self.own}
        rows = entries[ROW].to_numpy()
        for table in self._tables:
            there = table.at(rows)
            found |= {name: self._values(name, there, table.blanks) for name in there.column_names}
        return found

    def _values(self, name: str, table: pa.Table, blanks: Collection[str]) -> Values:
        column = table[name].combine_chunks()
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if self.numbers[name]:
            return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
        words = column.cast(pa.string())
        return pc.if_else(pc.is_in(words, value_set=strings([*blanks])), None, words)


class Alongside:
    """A stream of a table from which rows are taken in ascending order; no more than a batch of it is held."""

    def __init__(self, table: TableFiles, names: Sequence[str]) -> None:
        self._batches, self._path = table.batches(_schema(table, names)), table.path
        self.blanks = frozenset({*table.blanks, BLANK})
        self._held: pa.Table | None = None
        self._first = self._stop = 0

    def at(self, rows: np.ndarray) -> pa.Table:
        """Return rows (n,), ascending; the same may come several times, and again the next time."""
        if len(rows) and (rows[0] < self._first or (np.diff(rows) < 0).any()):
            raise RunError(
                "rows of the run do not ascend. Expected parts as ihcli explain writes them. Try ihcli verify."
            )
        parts, done = [], 0
        while done < len(rows) or self._held is None:
            if self._held is not None:
                stop = int(np.searchsorted(rows, self._stop))
                parts.append(self._held.take(rows[done:stop] - self._first))
                done = stop
            if done < len(rows) or self._held is None:
                self._advance(int(rows[done]) if done < len(rows) else 0)
        return pa.concat_tables(parts) if parts else self._held.slice(0, 0)

    def _advance(self, row: int) -> None:
        batch = next(self._batches, None)
        if batch is None:
            raise DataError(
                f"{self._path}: has {self._stop} rows. Expected row {row} too. Try the data that was explained."
            )
        self._held = pa.Table.from_batches([batch])
        self._first, self._stop = self._stop, self._stop + batch.num_rows


def _is_scalar(type_: pa.DataType) -> bool:
    return not (pa.types.is_nested(type_) or pa.types.is_binary(type_) or is_list(type_))


def _names(table: TableFiles) -> tuple[str, ...]:
    """Return the names that one column has: by others nothing can be meant."""
    return tuple(name for name, count in Counter(table.schema.names).items() if count == 1)


def _schema(table: TableFiles, names: Sequence[str]) -> pa.Schema:
    """Return columns as numbers, or else as text: dates too, as they are written."""
    types = {name: table.schema.field(name).type for name in names}
    return pa.schema([(name, table.feature_type(name) if is_number(types[name]) else pa.string()) for name in names])
