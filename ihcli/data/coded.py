"""Tables whose category columns are read as codes: to whoever reads on, they are numbers like all others."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from ihcli.data.coding import CategoryColumn, UnknownValueError, can_be_category
from ihcli.data.formats.table import LISTED_BY_HAND, TableFiles, has_dictionary
from ihcli.errors import DataError
from ihcli.files.arrays import numbers as as_numbers
from ihcli.vocabulary import Vocabulary
from ihcli.wording import listed, quoted


class CodedTable(TableFiles):
    """A table with some of its columns as codes of a vocabulary, block by block.

    own  columns whose codes are the places in dictionaries of their own, which must be the same everywhere
    """

    def __init__(self, table: TableFiles, vocabulary: Vocabulary, own: Sequence[str] = ()) -> None:
        super().__init__(table.path, table.files)
        self.format, self.index_columns = table.format, table.index_columns
        self.own = tuple(own)
        self._table, self._vocabulary = table, vocabulary
        there = frozenset(table.schema.names)
        self._coded = {name: self._column(name) for name in vocabulary.values if name in there}
        coded = [field.with_type(pa.float64()) if field.name in self._coded else field for field in table.schema]
        self.schema = pa.schema(coded)

    def batches(
        self, wanted: pa.Schema, numbers: Sequence[str] = (), categories: Sequence[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Stream the wanted columns, those of categories as codes in float64."""
        coded = [name for name in wanted.names if name in self._coded]
        plain = [name for name in numbers if name not in self._coded]
        known = {*coded, *plain}
        others = [name for name in wanted.names if name not in known]
        types = {name: wanted.field(name).type for name in [*plain, *others]}
        types |= {name: self._type(name) for name in coded}
        inner, first_row = pa.schema([(name, types[name]) for name in [*plain, *coded, *others]]), 0
        for batch in self._table.batches(inner, plain, coded):
            columns = [
                self._codes(name, batch.column(name), first_row) if name in self._coded else batch.column(name)
                for name in wanted.names
            ]
            yield pa.RecordBatch.from_arrays(columns, wanted.names)
            first_row += batch.num_rows

    def feature_type(self, name: str) -> pa.DataType:
        """Return float64 of codes."""
        return pa.float64() if name in self._coded else self._table.feature_type(name)

    def category_type(self, name: str) -> pa.DataType:
        """Return the type of the column as it is stored."""
        return self._table.category_type(name)

    def carried_types(self, names: Sequence[str]) -> dict[str, pa.DataType]:
        """Return the types of the table; those of codes are not asked for."""
        return self._table.carried_types(names)

    def text_example(self, name: str) -> str | None:
        """Return what the table says."""
        return self._table.text_example(name)

    def _by_pandas(self) -> str:
        return self._table._by_pandas()

    def _column(self, name: str) -> CategoryColumn:
        stored = self._table.schema.field(name).type
        if not can_be_category(stored):
            raise DataError(
                f"{self.path}: column {quoted(name)} holds {stored} values. Expected text, numbers or booleans, as "
                f"{self._vocabulary.source} lists."
            )
        return CategoryColumn(name, self._vocabulary, stored, self._table.blanks)

    def _type(self, name: str) -> pa.DataType:
        """Return what a column of categories is read as."""
        holds_codes = self._coded[name].holds_codes
        return self._table.feature_type(name) if holds_codes else self._table.category_type(name)

    def _codes(self, name: str, column: pa.Array, first_row: int) -> pa.Array:
        if name in self.own and column.null_count < len(column):
            self._require_own(name, column, first_row)
        try:
            return as_numbers(self._coded[name].codes(column))
        except UnknownValueError as error:
            where = f"{self.path}: column {quoted(name)}, row {first_row + error.place}"
            raise DataError(f"{where}: {error.words}") from None
        except pa.ArrowException as error:
            raise DataError(
                f"{self.path}: column {quoted(name)} holds {column.type} values in row {first_row}. Expected text, "
                "numbers or booleans."
            ) from error

    def _require_own(self, name: str, column: pa.Array, first_row: int) -> None:
        """Refuse a dictionary in another order, by which codes would stand for something else."""
        own = self._vocabulary.values[name]
        found = tuple(column.dictionary.to_pylist()) if pa.types.is_dictionary(column.type) else None
        if found != own:
            what = "no dictionary" if found is None else f"the dictionary {listed(found, 6)}"
            raise DataError(
                f"{self.path}: column {quoted(name)} has {what} from row {first_row} on. Expected one for all rows, as "
                f"codes are places in it, got {listed(own, 6)} before. "
                f"To have codes by value, {self._table.listing([name]) or LISTED_BY_HAND}"
            )


def with_codes(
    table: TableFiles, features: Sequence[str], given: Vocabulary | None
) -> tuple[TableFiles, Vocabulary | None]:
    """Return the table with its category columns among the features as codes, and what these stand for.

    Categories are columns that a vocabulary is given of, and columns of text that bring a dictionary of their own.

    Raises DataError where a column cannot be of categories.
    """
    known = {} if given is None else given.of(features).values
    others = [name for name in features if name not in known and has_dictionary(table.schema.field(name).type)]
    own = {name: _dictionary(table, name) for name in others}
    if not known and not own:
        return table, None
    if given is None:
        vocabulary = Vocabulary(own, source="the column's own categories")
    else:
        named = given.of(features)
        vocabulary = replace(named, values={**own, **named.values})
    return CodedTable(table, vocabulary, tuple(own)), vocabulary


def _dictionary(table: TableFiles, name: str) -> tuple[Any, ...]:
    """Return the values of a column's own dictionary, as its first rows with values have it."""
    for batch in table.batches(pa.schema([(name, table.category_type(name))]), categories=[name]):
        column = batch.column(0)
        if column.null_count < len(column):
            return tuple(column.dictionary.to_pylist())
    raise DataError(f"{table.path}: column {quoted(name)} has no value in any row. Expected categories.")
