"""Parquet files of one table."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ihcli.data.formats.conversions import Conversion, by_pandas, literal
from ihcli.data.formats.numerals import is_number_text
from ihcli.data.formats.table import (
    BATCH_VALUES,
    MOST_COLUMNS,
    TableFiles,
    holds_lists,
    holds_text,
    is_list,
    is_nested,
    is_number,
)
from ihcli.errors import DataError
from ihcli.files.leaves import leaves_of
from ihcli.files.locations import Location, parquet_file
from ihcli.wording import first_line, quoted

BUFFER_BYTES = 1 << 20  # without a buffer Arrow reads a whole column chunk of a row group at once
LIST_ROWS = 1 << 10  # of columns of lists, each of which may hold thousands of numbers
LOOKED_AT = 10_000
"""Rows that tell what a column that is no number holds."""
FETCHED_BYTES = 256 << 20  # of a row group on a store that are fetched at once; more is fetched buffer by buffer


class ParquetFiles(TableFiles):
    """Parquet files, a batch of rows in memory at a time however large the row groups are."""

    format = "Parquet"

    def __init__(self, path: str, files: Sequence[Location]) -> None:
        super().__init__(path, files)
        with self._opened(self.files[0]) as first:
            self.schema = first.schema_arrow
        self.index_columns = _index_columns(self.schema)
        for file in self.files[1:]:
            with self._opened(file) as other:
                self._require_same_columns(file, other.schema_arrow.names)

    def batches(
        self, wanted: pa.Schema, numbers: Sequence[str] = (), categories: Sequence[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Stream the wanted columns, cast where a file stores them as another type and they are no numbers."""
        batch_rows = max(1, min(1 << 16, BATCH_VALUES // min(max(1, len(wanted)), MOST_COLUMNS)))
        if any(map(is_list, wanted.types)):
            batch_rows = min(batch_rows, LIST_ROWS)
        for file in self.files:
            try:
                for batch in self._read(file, batch_rows, wanted.names, categories):
                    if batch.num_rows:
                        yield _cast_batch(file, batch, wanted, numbers, categories)
            except (pa.ArrowException, OSError) as error:
                raise DataError(f"{file}: cannot be read as Parquet: {first_line(error)}.") from error

    def feature_type(self, name: str) -> pa.DataType:
        """Return float64: booleans are cast too, since another file may store the column as integers."""
        return pa.float64()

    def category_type(self, name: str) -> pa.DataType:
        """Return the type as stored in the first file."""
        return self.schema.field(name).type

    def carried_types(self, names: Sequence[str]) -> dict[str, pa.DataType]:
        """Return the types as stored in the first file."""
        return {name: self.schema.field(name).type for name in names}

    def _by_pandas(self) -> str:
        return "pandas.read_parquet(FILE)"

    def text_example(self, name: str) -> str | None:
        """Return None: the stored type says enough."""
        return None

    def conversion(self, names: Sequence[str], kept: Sequence[str]) -> str | None:
        """Say how numbers that are kept as text, or as lists of one length, become columns of numbers."""
        if len(self.files) > 1:
            return None
        if all(holds_text(self.schema.field(name).type) for name in names):
            return self._of_texts(names)
        return self._of_list(names[0]) if len(names) == 1 else None

    def _of_texts(self, names: Sequence[str]) -> str | None:
        found = {name: [value for value in self._first_values(name) if value is not None] for name in names}
        if not all(values and all(map(is_number_text, values)) for values in found.values()):
            return None
        change = "".join(f"t[{literal(name)}] = pandas.to_numeric(t[{literal(name)}].astype(str)); " for name in names)
        example = quoted(found[names[0]][0])
        return f"It holds numbers as text, such as {example}. Try {self._changed(change)}."

    def _of_list(self, name: str) -> str | None:
        type_ = self.schema.field(name).type
        if not holds_lists(type_) or is_nested(type_):
            return None
        if len({None if value is None else len(value) for value in self._first_values(name)}) != 1:
            return None
        columns = (
            f"t.join(pandas.DataFrame([*t.pop({literal(name)})], index=t.index).add_prefix({literal(name + '_')}))"
        )
        return (
            f"Try {self._changed(f't = {columns}; ')} where its entries are features. Where a row is a sequence, one "
            "entry for each step, try `sequence=any`."
        )

    def _changed(self, change: str) -> Conversion:
        return by_pandas(self.files[0], self._by_pandas(), change=change)

    def _first_values(self, name: str) -> list[Any]:
        """Return values of the first rows."""
        batch = next(self.batches(pa.schema([self.schema.field(name)])), None)
        return [] if batch is None else batch[name][:LOOKED_AT].to_pylist()

    def _read(
        self, file: Location, batch_rows: int, names: Sequence[str], categories: Sequence[str]
    ) -> Iterator[pa.RecordBatch]:
        if isinstance(file, Path):
            with self._opened(file, categories) as opened:
                yield from opened.iter_batches(batch_rows, columns=names)
            return
        with parquet_file(file, read_dictionary=list(categories)) as fetched:
            for group in range(fetched.num_row_groups):  # all at once would keep what was fetched until the end
                if _compressed_bytes(fetched, group, names) <= FETCHED_BYTES:
                    yield from fetched.iter_batches(batch_rows, row_groups=[group], columns=names)
                    continue
                with self._opened(file, categories) as opened:
                    yield from opened.iter_batches(batch_rows, row_groups=[group], columns=names)

    @staticmethod
    def _opened(file: Location, as_dictionaries: Sequence[str] = ()) -> pq.ParquetFile:
        """Open a file; text of those columns comes as dictionaries, each value once."""
        try:
            return parquet_file(file, buffer_size=BUFFER_BYTES, pre_buffer=False, read_dictionary=list(as_dictionaries))
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{file}: cannot be read as Parquet: {first_line(error)}. "
                "Expected a whole Parquet file. Try to write or copy it again."
            ) from error


def _compressed_bytes(file: pq.ParquetFile, group: int, names: Sequence[str]) -> int:
    stored, wanted = file.metadata.row_group(group), frozenset(names)
    leaves = enumerate(leaves_of(file.schema_arrow))
    return sum(stored.column(index).total_compressed_size for index, leaf in leaves if leaf.column in wanted)


def _cast_batch(
    file: Location, batch: pa.RecordBatch, wanted: pa.Schema, numbers: Sequence[str], categories: Sequence[str]
) -> pa.RecordBatch:
    stored = batch.select(numbers)
    if not all(is_number(type_) for type_ in set(stored.schema.types)):
        for field in stored.schema:
            _require_number(file, field.name, field.type)
    behind = len(numbers) + len(categories)
    others = [wanted.field(position) for position in range(behind, len(wanted))]
    columns = [_cast_column(file, batch.column(field.name), field) for field in others]
    as_they_are = [*stored.columns, *batch.select(categories).columns]
    return pa.RecordBatch.from_arrays([*as_they_are, *columns], wanted.names)


def _require_number(file: Location, name: str, type_: pa.DataType) -> None:
    if not is_number(type_):
        raise DataError(f"{file}: column {name!r} is {type_} here. Expected numbers, as in the first file.")


def _cast_column(file: Location, column: pa.Array, field: pa.Field) -> pa.Array:
    if column.type == field.type:
        return column
    if pa.types.is_float64(field.type):
        _require_number(file, field.name, column.type)
    try:
        return column.cast(field.type, safe=not pa.types.is_float64(field.type))
    except pa.ArrowException as error:
        raise DataError(
            f"{file}: column {field.name!r} is {column.type} here. Expected {field.type}, as in the first file."
        ) from error


def _index_columns(schema: pa.Schema) -> frozenset[str]:
    """Return the columns that pandas wrote of its index; what its note says is anybody's, and only names count."""
    try:
        note = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
        found = note.get("index_columns") or [] if isinstance(note, dict) else []
        return frozenset(name for name in found if isinstance(name, str) and name in schema.names)
    except (ValueError, RecursionError, TypeError):
        return frozenset()
