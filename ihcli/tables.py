"""The files of a table: found, recognised by content, and streamed in order as record batches."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from ihcli.errors import DataError
from ihcli.leaves import leaves_of
from ihcli.locations import Location, is_glob, locate, matching, parquet_file
from ihcli.separators import read_head, separator_of
from ihcli.wording import first_line, listed

TABLE_SUFFIXES = (".parquet", ".pq", ".csv", ".csv.gz")
BATCH_VALUES = 1 << 20  # values held by one record batch, unless the columns are more than MOST_COLUMNS
MOST_COLUMNS = 1 << 13  # of wider tables batches are larger: each costs some microseconds for every column
BUFFER_BYTES = 1 << 20  # without a buffer Arrow reads a whole column chunk of a row group at once
FETCHED_BYTES = 256 << 20  # of a row group on a store that are fetched at once; more is fetched buffer by buffer
CSV_BLOCK_BYTES = 1 << 22  # a block must hold at least one whole line
FLOATS = {pa.float32(), pa.float64()}
PARQUET_MAGIC, GZIP_MAGIC = b"PAR1", b"\x1f\x8b"
# Integers that print as they were written and fit 64 bits; the empty value stays empty.
WHOLE_NUMBER = r"^(0|-?[1-9][0-9]{0,17})?$"


class TableFiles(ABC):
    """Files of one format with the same columns, read as one table: sorted file names, then file order.

    path    what the user named
    files   the files behind it, sorted
    format  in words
    schema  columns and types of the first file
    """

    format: str
    schema: pa.Schema

    def __init__(self, path: str, files: Sequence[Location]) -> None:
        self.path = path
        self.files = tuple(files)

    @abstractmethod
    def batches(self, wanted: pa.Schema, numbers: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
        """Stream the wanted columns as those types; batches are never empty.

        Parameters:
            numbers: the first of them, which may come as numbers of any type; see `matrix_of`.

        Raises DataError where a file cannot be read or a value is not of its type.
        """

    @abstractmethod
    def feature_type(self, name: str) -> pa.DataType:
        """Return the type that `batches` can read a feature as: float64, or bool where text says true and false."""

    @abstractmethod
    def carried_types(self, names: Sequence[str]) -> dict[str, pa.DataType]:
        """Return the type in which each key or label column is carried without damage."""

    @abstractmethod
    def text_example(self, name: str) -> str | None:
        """Return a value of the column that is not a number, where looking for one is cheap."""

    def _require_same_columns(self, file: Location, names: Sequence[str]) -> None:
        differing = sorted(set(names) ^ set(self.schema.names))
        if differing:
            raise DataError(
                f"{file}: its columns differ from those of {self.files[0].name} by {listed(differing)}. "
                "Expected the same columns in every file. Try a path that names only the files of one table."
            )


class ParquetFiles(TableFiles):
    """Parquet files, a batch of rows in memory at a time however large the row groups are."""

    format = "Parquet"

    def __init__(self, path: str, files: Sequence[Location]) -> None:
        super().__init__(path, files)
        with self._opened(self.files[0]) as first:
            self.schema = first.schema_arrow
        for file in self.files[1:]:
            with self._opened(file) as other:
                self._require_same_columns(file, other.schema_arrow.names)

    def batches(self, wanted: pa.Schema, numbers: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
        """Stream the wanted columns, cast where a file stores them as another type and they are no numbers."""
        batch_rows = max(1, min(1 << 16, BATCH_VALUES // min(max(1, len(wanted)), MOST_COLUMNS)))
        for file in self.files:
            try:
                for batch in self._read(file, batch_rows, wanted.names):
                    if batch.num_rows:
                        yield _cast_batch(file, batch, wanted, numbers)
            except (pa.ArrowException, OSError) as error:
                raise DataError(f"{file}: cannot be read as Parquet: {first_line(error)}.") from error

    def feature_type(self, name: str) -> pa.DataType:
        """Return float64: booleans are cast too, since another file may store the column as integers."""
        return pa.float64()

    def carried_types(self, names: Sequence[str]) -> dict[str, pa.DataType]:
        """Return the types as stored in the first file."""
        return {name: self.schema.field(name).type for name in names}

    def text_example(self, name: str) -> str | None:
        """Return None: the stored type says enough."""
        return None

    def _read(self, file: Location, batch_rows: int, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        if isinstance(file, Path):
            with self._opened(file) as opened:
                yield from opened.iter_batches(batch_rows, columns=names)
            return
        with parquet_file(file) as fetched:
            for group in range(fetched.num_row_groups):  # all at once would keep what was fetched until the end
                if _compressed_bytes(fetched, group, names) <= FETCHED_BYTES:
                    yield from fetched.iter_batches(batch_rows, row_groups=[group], columns=names)
                    continue
                with self._opened(file) as opened:
                    yield from opened.iter_batches(batch_rows, row_groups=[group], columns=names)

    @staticmethod
    def _opened(file: Location) -> pq.ParquetFile:
        try:
            return parquet_file(file, buffer_size=BUFFER_BYTES, pre_buffer=False)
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{file}: cannot be read as Parquet: {first_line(error)}. "
                "Expected a whole Parquet file. Try to write or copy it again."
            ) from error


class CsvFiles(TableFiles):
    """CSV files with a header line, plain or gzipped; types come from the first block of the first file."""

    format = "CSV"

    def __init__(self, path: str, files: Sequence[Location]) -> None:
        super().__init__(path, files)
        self.schema = self._first_schema(self.files[0])
        for file in self.files[1:]:
            self._require_same_columns(file, self._first_schema(file).names)

    def batches(self, wanted: pa.Schema, numbers: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
        """Stream the wanted columns, parsed as the wanted types, numbers too."""
        for file in self.files:
            with file.open("rb") as stream:
                try:
                    for batch in _csv_reader(stream, wanted):
                        if batch.num_rows:
                            yield batch
                except (pa.ArrowException, OSError, EOFError) as error:
                    raise self._unreadable(file, error) from error

    def feature_type(self, name: str) -> pa.DataType:
        """Return bool where the first block says true and false, else float64."""
        return pa.bool_() if pa.types.is_boolean(self.schema.field(name).type) else pa.float64()

    def carried_types(self, names: Sequence[str]) -> dict[str, pa.DataType]:
        """Return int64 where every value prints as it was written, else string. Cost: one pass over the files.

        "007", "1.50" or a date stay the text that they are.
        """
        candidates = [name for name in names if pa.types.is_integer(self.schema.field(name).type)]
        types = {name: pa.int64() if name in candidates else pa.string() for name in names}
        if not candidates:
            return types
        for batch in self.batches(pa.schema([(name, pa.string()) for name in candidates])):
            for name in candidates:
                if (
                    types[name] == pa.int64()
                    and not pc.all(pc.match_substring_regex(batch[name], WHOLE_NUMBER)).as_py()
                ):
                    types[name] = pa.string()
        return types

    def text_example(self, name: str) -> str | None:
        """Return the first value of the first batch that is no number."""
        batch = next(self.batches(pa.schema([(name, pa.string())])), None)
        values = [] if batch is None else batch[name].to_pylist()
        return next((value for value in values if not _is_number_text(value)), None)

    def _first_schema(self, file: Location) -> pa.Schema:
        with file.open("rb") as stream:
            try:
                schema = _csv_reader(stream, None).schema
                _ = schema.names  # decoded only now
                return schema
            except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError) as error:
                raise self._unreadable(file, error) from error

    def _unreadable(self, file: Location, error: Exception) -> DataError:
        text = first_line(error)
        if "Empty CSV" in text:
            return DataError(f"{file}: has no rows. Expected a header line and at least one row.")
        bad_value = re.search(r"CSV column #(\d+): Row #(\d+): CSV conversion error to (\S+): (.*)", text)
        if bad_value is None:
            return DataError(
                f"{file}: cannot be read as CSV: {text}. Expected comma-separated UTF-8 with a header line."
            )
        name = _header(file)[int(bad_value[1])]
        expected = {"double": "a number", "bool": "true or false", "int64": "an integer"}.get(
            bad_value[3], "UTF-8 text"
        )
        return DataError(
            f"{file}: column {name!r}, row {int(bad_value[2]) - 2}: {bad_value[4]}. Expected {expected}. "
            f"Try --exclude {name}, or leave the value empty and use --missing flag."
        )


def open_table(path: str) -> TableFiles:
    """Find the files behind a path (file, directory or glob) and recognise their format by content.

    Raises DataError where there is no file, the formats differ, or a file is neither Parquet nor CSV.
    """
    files = _find_files(path)
    formats = [_recognise(file) for file in files]
    for file, format_ in zip(files, formats, strict=True):
        if format_ is not formats[0]:
            raise DataError(
                f"{path}: holds both {formats[0].format} ({files[0].name}) and {format_.format} ({file.name}). "
                "Expected one format. Try a glob that names only the files of one table."
            )
    return formats[0](path, files)


def is_number(type_: pa.DataType) -> bool:
    """Return whether a column of this type can be a feature: numbers, booleans, and columns that are all null."""
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    checks = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal, pa.types.is_null)
    return any(check(type_) for check in checks)


def matrix_of(batch: pa.RecordBatch, numbers: Sequence[str], order: Literal["C", "F"] = "C") -> np.ndarray:
    """Return columns of numbers as (n, D) float64, NaN where there is no value."""
    columns = batch.select(numbers)
    types = set(columns.schema.types)
    if len(types) == 1 and types <= FLOATS:
        return np.array(columns.to_tensor(null_to_nan=True, row_major=order == "C").to_numpy(), np.float64, order=order)
    matrix = np.empty(columns.shape, order=order)
    for i, column in enumerate(columns.columns):
        matrix[:, i] = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return matrix


def _find_files(path: str) -> list[Location]:
    found = locate(path)
    if found.is_dir():
        files = sorted(file for file in found.iterdir() if _is_table_name(file) and file.is_file())
        if not files:
            _refuse_partitions(found)
            raise DataError(
                f"{path}: the directory holds no table. Expected {', '.join(TABLE_SUFFIXES)} files directly in it."
            )
        return files
    if found.exists():
        return [found]
    if is_glob(found):
        files = matching(found)
        if not files:
            raise DataError(f"{path}: no file matches. Try the pattern with ls.")
        return files
    raise DataError(
        f"{path}: no such file or directory. Expected a Parquet or CSV file, a directory of them, or a glob."
    )


def _refuse_partitions(directory: Location) -> None:
    """Refuse a directory whose subdirectories are named by values, which would have to become a column."""
    named = min((entry.name for entry in directory.iterdir() if entry.is_dir() and "=" in entry.name), default=None)
    if named is not None:
        raise DataError(
            f"{directory}: is partitioned by {named.partition('=')[0]!r}, and values in names of directories are not "
            f"read. Expected files with all their columns. Try the glob '{directory}/*/*.parquet' to go without that "
            "column, or to write the table without partitions."
        )


def _is_table_name(file: Location) -> bool:
    return file.name.lower().endswith(TABLE_SUFFIXES) and not file.name.startswith((".", "_"))


def _recognise(file: Location) -> type[TableFiles]:
    if not file.is_file():
        raise DataError(f"{file}: a pipe or device. Expected a file, which can be read more than once. Try saving it.")
    try:
        with file.open("rb", buffering=0) as stream:
            start = stream.read(4096)
    except OSError as error:
        raise DataError(f"{file}: cannot be opened: {error.strerror}.") from error
    if start.startswith(PARQUET_MAGIC):
        return ParquetFiles
    if start.startswith(GZIP_MAGIC) or (b"\0" not in start and file.suffix.lower() not in (".parquet", ".pq")):
        return CsvFiles
    raise DataError(
        f"{file}: is neither Parquet nor CSV. Expected one of them; other tables can be saved so with pandas."
    )


def _csv_reader(stream: BinaryIO, wanted: pa.Schema | None) -> pacsv.CSVStreamingReader:
    is_gzip = stream.read(2) == GZIP_MAGIC
    stream.seek(0)
    separator = separator_of(read_head(stream, is_gzip))
    stream.seek(0)
    convert = pacsv.ConvertOptions()
    if wanted is not None:
        convert.include_columns = wanted.names
        convert.column_types = wanted
    # Threads bring no speed to a stream, and lose the row number in some of the messages.
    return pacsv.open_csv(
        pa.input_stream(stream, compression="gzip" if is_gzip else None),
        read_options=pacsv.ReadOptions(block_size=CSV_BLOCK_BYTES, use_threads=False),
        parse_options=pacsv.ParseOptions(delimiter=separator, newlines_in_values=True),
        convert_options=convert,
    )


def _is_number_text(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return value in pacsv.ConvertOptions().null_values
    return True


def _header(file: Location) -> list[str]:
    with file.open("rb") as stream:
        return list(_csv_reader(stream, None).schema.names)


def _compressed_bytes(file: pq.ParquetFile, group: int, names: Sequence[str]) -> int:
    stored, wanted = file.metadata.row_group(group), frozenset(names)
    leaves = enumerate(leaves_of(file.schema_arrow))
    return sum(stored.column(index).total_compressed_size for index, leaf in leaves if leaf.column in wanted)


def _cast_batch(file: Location, batch: pa.RecordBatch, wanted: pa.Schema, numbers: Sequence[str]) -> pa.RecordBatch:
    stored = batch.select(numbers)
    if not all(is_number(type_) for type_ in set(stored.schema.types)):
        for field in stored.schema:
            _require_number(file, field.name, field.type)
    others = [wanted.field(position) for position in range(len(numbers), len(wanted))]
    columns = [_cast_column(file, batch.column(field.name), field) for field in others]
    return pa.RecordBatch.from_arrays([*stored.columns, *columns], wanted.names)


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
