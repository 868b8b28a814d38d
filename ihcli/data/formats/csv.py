"""CSV files of one table."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from ihcli.data.formats.conversions import by_reading_csv, by_recoding, literal
from ihcli.data.formats.numerals import Numerals, is_number_text, numerals_of, options_of
from ihcli.data.formats.separators import Head
from ihcli.data.formats.table import TableFiles, is_number
from ihcli.errors import DataError
from ihcli.files.locations import Location
from ihcli.wording import column_list, first_line, quoted

CSV_BLOCK_BYTES = 1 << 22  # a block must hold at least one whole line
# Integers that print as they were written and fit 64 bits; the empty value stays empty.
WHOLE_NUMBER = r"^(0|-?[1-9][0-9]{0,17})?$"
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?(\.[0-9]+)?")  # pandas adds .1 to what is twice
NO_NAME = re.compile(r"Unnamed: \d+|nan|na|null|none|[+-]?inf", re.IGNORECASE)
BAD_VALUE = re.compile(r"CSV column #(\d+): Row #(\d+): CSV conversion error to (\S+): (.*)")
BLANKS = frozenset({*pacsv.ConvertOptions().null_values, "None", "<NA>"})  # as pandas reads them
MOST_TEXTS = 10_000
MOST_LINES = 20
COMMENT = "#"
BLANKS_BETWEEN = r"\s+"
WESTERN = "WINDOWS-1252"


class CsvFiles(TableFiles):
    """CSV files with a header line, plain or gzipped; types come from the first block of the first file."""

    format = "CSV"
    blanks = BLANKS

    def __init__(self, path: str, files: Sequence[Location]) -> None:
        super().__init__(path, files)
        self.schema = self._first_schema(self.files[0])
        if len(self.schema.names) == 1:
            self._refuse_blanks(self.schema.names[0])
        for file in self.files[1:]:
            self._require_same_columns(file, self._first_schema(file).names)

    def batches(
        self, wanted: pa.Schema, numbers: Sequence[str] = (), categories: Sequence[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Stream the wanted columns, parsed as the wanted types, numbers too."""
        for file in self.files:
            with file.open("rb") as stream:
                try:
                    for batch in _csv_reader(stream, wanted):
                        if batch.num_rows:
                            yield batch
                except (pa.ArrowException, OSError, EOFError) as error:
                    others = {*numbers, *categories}
                    kept = [name for name in wanted.names if name not in others]
                    raise self._unreadable(file, error, kept) from error

    def feature_type(self, name: str) -> pa.DataType:
        """Return bool where the first block says true and false, else float64."""
        return pa.bool_() if pa.types.is_boolean(self.schema.field(name).type) else pa.float64()

    def category_type(self, name: str) -> pa.DataType:
        """Return text, each different value once."""
        return pa.dictionary(pa.int32(), pa.string())

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

    def _by_pandas(self) -> str:
        separator = "" if self._head.separator == "," else f", sep={literal(self._head.separator)}"
        return f'pandas.read_csv(FILE, dtype="str"{separator})'

    def text_example(self, name: str) -> str | None:
        """Return the first value of the first batch that is no number."""
        return next(iter(self._texts(name)), None)

    def header_of_numbers(self) -> str | None:
        """Return the header's first number where the columns of numbers are all called by numbers that do not count.

        Names such as 0, 1, 2, ..., which pandas writes where it has none, are names.
        """
        names = [field.name for field in self.schema if is_number(field.type) and not NO_NAME.fullmatch(field.name)]
        is_of_numbers = bool(names) and all(NUMBER.fullmatch(name) for name in names)
        return names[0] if is_of_numbers and not _counts(names) else None

    def conversion(self, names: Sequence[str], kept: Sequence[str]) -> str | None:
        """Say what pandas is told to read those columns as numbers, where they are such; others are kept as text."""
        found = {name: numerals_of(self._texts(name), self._head.separator) for name in names}
        return self._conversion({name: numerals for name, numerals in found.items() if numerals}, kept)

    def naming(self) -> str:
        """Return the line that writes a header of 0, 1, 2, ..."""
        separator = {} if self._head.separator == "," else {"sep": self._head.separator}
        made = by_reading_csv(self.files[0], {"header": None, **separator}, ".csv")
        return f"{made}, whose columns are called 0, 1, 2, ..."

    @cached_property
    def _head(self) -> Head:
        with self.files[0].open("rb") as stream:
            return Head.of(stream)

    def _texts(self, name: str) -> list[str]:
        """Return different values of the first batch that are no numbers, in their order; some at most."""
        batch = next(self.batches(pa.schema([(name, pa.string())])), None)
        values = [] if batch is None else pc.unique(batch[name]).to_pylist()
        return [value for value in values if not _is_plain(value)][:MOST_TEXTS]

    def _refuse_blanks(self, name: str) -> None:
        """Refuse a table whose only column is all of them: a name, and numbers in each row, with blanks between."""
        rows = [value.split() for value in self._texts(name)[:MOST_LINES]]
        n_columns = len(name.split())
        if rows and n_columns > 1 and all(len(row) == n_columns and all(map(is_number_text, row)) for row in rows):
            raise DataError(
                f"{self.files[0]}: has blanks between its columns. Expected commas, semicolons, tabs or |. Try "
                f"{by_reading_csv(self.files[0], {'sep': BLANKS_BETWEEN})}."
            )

    def _conversion(self, found: Mapping[str, Numerals], kept: Sequence[str]) -> str | None:
        options = options_of(list(found.values()))
        has_points = any(pa.types.is_floating(type_) for type_ in self.schema.types)
        if options is None or len(self.files) > 1 or ("decimal" in options and has_points):
            return None
        separator = {} if self._head.separator == "," else {"sep": self._head.separator}
        texts = {"dtype": dict.fromkeys(kept, "str")} if kept else {}
        change = "".join(_bared(literal(name), numerals.removed) for name, numerals in found.items())
        made = by_reading_csv(self.files[0], {**separator, **texts, **options}, change=change)
        return f"It holds {next(iter(found.values())).words}. Try {made}."

    def _first_schema(self, file: Location) -> pa.Schema:
        with file.open("rb") as stream:
            try:
                schema = _csv_reader(stream, None).schema
                _ = schema.names  # decoded only now
                return schema
            except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError) as error:
                raise self._unreadable(file, error) from error

    def _unreadable(self, file: Location, error: Exception, kept: Sequence[str] = ()) -> DataError:
        text = first_line(error)
        if "Empty CSV" in text:
            return DataError(f"{file}: has no rows. Expected a header line and at least one row.")
        if isinstance(error, UnicodeDecodeError):
            return _not_utf8(file, "its header")
        if "straddling" in text:
            return DataError(
                f"{file}: has a line of more than {CSV_BLOCK_BYTES >> 20} MiB. Expected shorter ones. Try closing "
                "every quotation mark, or Parquet for values of that size."
            )
        bad_value = BAD_VALUE.search(text)
        if bad_value is None:
            made = by_reading_csv(file, {"comment": COMMENT}) if _begins_with_comment(file) else None
            advice = "" if made is None else f" Its first line is a comment. Try {made}."
            return DataError(
                f"{file}: cannot be read as CSV: {text}. Expected comma-separated UTF-8 with a header line.{advice}"
            )
        return self._wrong_value(file, int(bad_value[1]), int(bad_value[2]) - 2, bad_value[3], bad_value[4], kept)

    def _wrong_value(
        self, file: Location, column: int, row: int, type_: str, told: str, kept: Sequence[str]
    ) -> DataError:
        name = _header(file)[column]
        if "UTF8" in told:
            return _not_utf8(file, f"column {quoted(name)}, row {row}")
        expected = {"double": "a number", "bool": "true or false", "int64": "an integer"}.get(type_, "UTF-8 text")
        value = re.fullmatch("invalid value '(.*)'", told)
        meant = numerals_of([value[1]], self._head.separator) if value else None
        conversion = self._conversion({name: meant}, kept) if meant else None
        advice = f"Try `exclude={column_list([name])}`, or leave the value empty and use `missing=flag`."
        return DataError(
            f"{file}: column {quoted(name)}, row {row}: {told}. Expected {expected}. {conversion or advice}"
        )


def _bared(name: str, removed: str) -> str:
    return f't[{name}] = t[{name}].str.replace("[{removed}]", "", regex=True).astype(float); ' if removed else ""


def _not_utf8(file: Location, what: str) -> DataError:
    with file.open("rb") as stream:
        made = by_recoding(file, WESTERN, Head.of(stream).is_gzip)
    return DataError(
        f"{file}: {what} is not UTF-8. Expected UTF-8. Try {made}, with the encoding in "
        f"which it was written in place of {WESTERN}."
    )


def _begins_with_comment(file: Location) -> bool:
    with file.open("rb") as stream:
        return stream.read(len(COMMENT)) == COMMENT.encode()


def _csv_reader(stream: BinaryIO, wanted: pa.Schema | None) -> pacsv.CSVStreamingReader:
    head = Head.of(stream)
    convert = pacsv.ConvertOptions()
    if wanted is not None:
        convert.include_columns = wanted.names
        convert.column_types = wanted
    # Threads bring no speed to a stream, and lose the row number in some of the messages.
    read = pacsv.ReadOptions(block_size=CSV_BLOCK_BYTES, use_threads=False)
    if head.names is not None:
        read.column_names, read.skip_rows_after_names = head.names, head.n_header
    return pacsv.open_csv(
        pa.input_stream(stream, compression="gzip" if head.is_gzip else None),
        read_options=read,
        parse_options=pacsv.ParseOptions(delimiter=head.separator, newlines_in_values=True),
        convert_options=convert,
    )


def _counts(names: Sequence[str]) -> bool:
    """Tell whether names are integers of which each is the one before and 1: from 0 or 1, or three or more."""
    if not all(name.isdecimal() and str(int(name)) == name for name in names):
        return False
    first = int(names[0])
    return list(map(int, names)) == list(range(first, first + len(names))) and (first <= 1 or len(names) > 2)


def _is_plain(value: str) -> bool:
    return is_number_text(value) or value in pacsv.ConvertOptions().null_values


def _header(file: Location) -> list[str]:
    with file.open("rb") as stream:
        return list(_csv_reader(stream, None).schema.names)
