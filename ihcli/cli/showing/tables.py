"""Tables in five formats, to a file or to standard output, a piece at a time."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ihcli.cli.showing.drawn import Section, drawn, records_of
from ihcli.cli.showing.spreadsheets import safe
from ihcli.cli.showing.terminal import escaped
from ihcli.errors import OptionError, RunError
from ihcli.wording import argument, either, printable

if TYPE_CHECKING:
    import pyarrow as pa

    from ihcli.files.locations import Location

STANDARD_OUTPUT = "-"
FORMATS = ("table", "csv", "jsonl", "parquet", "arrow")
BINARY = ("parquet", "arrow")
NAMED_OTHERWISE = {
    **dict.fromkeys(("xlsx", "xls", "ods", "tsv"), "csv"),
    **dict.fromkeys(("json", "ndjson"), "jsonl"),
    **dict.fromkeys(("feather", "ipc"), "arrow"),
    "pq": "parquet",
}
"""Ends of names that promise what is not written, and the format for the same readers."""
COMPRESSED = ("gz", "bz2", "xz", "zst", "zip")


@dataclass(frozen=True)
class Shown:
    """A table as files hold it, and what a person sees of it; only the one that is asked for is made.

    schema    of all pieces
    pieces    the table, in as many pieces as one likes: no more than one is held
    sections  what stands on a terminal
    is_large  whether it may have millions of lines, which become text column by column
    """

    schema: "pa.Schema"
    pieces: Iterable["pa.Table"]
    sections: Iterable[Section]
    is_large: bool = False


@dataclass(frozen=True)
class Destination:
    """Where a table goes and in which format.

    file         a path, or - for standard output
    format_name  one of FORMATS; None: as the file is named, else a table on a terminal and csv elsewhere
    option       that named the file, for messages
    csv_safe     whether text in CSV is kept from being run as a formula, see `ihcli.cli.showing.spreadsheets`
    """

    file: str = STANDARD_OUTPUT
    format_name: str | None = None
    overwrite: bool = False
    option: str = "-o"
    csv_safe: bool = False

    @property
    def is_terminal(self) -> bool:
        """Whether a person sees the output as it is written."""
        return self.file == STANDARD_OUTPUT and sys.stdout.isatty()

    @property
    def format(self) -> str:
        """The format that is written."""
        if self.format_name is not None:
            return self.format_name
        suffix = self._location.suffix.lower().removeprefix(".")
        if suffix in FORMATS:
            return suffix
        return "table" if self.is_terminal else "csv"

    @cached_property
    def _location(self) -> "Location":
        from ihcli.files.locations import locate

        return locate(self.file)

    def check(self) -> None:
        """Refuse what could not be written; before any work. Raises OptionError."""
        if self.is_terminal and self.format in BINARY:
            raise OptionError(f"--format {self.format}: is not for a terminal. Try -o FILE, or a pipe.")
        require_csv(self.csv_safe, self.format)
        if self.file == STANDARD_OUTPUT:
            return
        self._require_honest_name()
        require_writable(self._location, self.overwrite, self.option)

    def _require_honest_name(self) -> None:
        suffix = self._location.suffix.lower().removeprefix(".")
        is_compressed = suffix in COMPRESSED
        if self.format_name is None and (is_compressed or suffix in NAMED_OTHERWISE):
            plain = self.file[: -len(suffix)].removesuffix(".")
            is_named = plain.rpartition(".")[2].lower() in FORMATS[1:]
            other = plain if is_compressed and is_named else f"{plain}.{NAMED_OTHERWISE.get(suffix, 'csv')}"
            names = either([f".{name}" for name in FORMATS[1:]])
            raise OptionError(
                f"{self.option} {printable(self.file)}: {suffix} is not a format of tables here. Expected a name that "
                f"ends in {names}, or --format. Try {self.option} {argument(other)}."
            )

    def write(self, shown: Shown) -> None:
        """Write a table. Raises RunError."""
        with self._stream() as stream:
            if self.format == "table":
                stream.write(drawn(shown.sections, self.is_terminal).encode())
            elif self.format in BINARY:
                _write_arrow(shown, stream, is_parquet=self.format == "parquet")
            else:
                for text in self._texts(shown):
                    stream.write(text)

    def _texts(self, shown: Shown) -> Iterator[bytes]:
        if self.format == "csv":
            yield csv_rows([shown.schema.names], self.is_terminal, self.csv_safe).encode()
        for piece in shown.pieces:
            if shown.is_large:
                yield from self._lines(piece)
            elif self.format == "csv":
                yield csv_rows(records_of(piece), self.is_terminal, self.csv_safe).encode()
            else:
                yield _json_lines(piece, self.is_terminal).encode()

    def _lines(self, piece: "pa.Table") -> Iterator[bytes]:
        from ihcli.cli.showing.bulk import csv_of, json_lines_of

        if self.format == "csv":
            return csv_of(piece, is_terminal=self.is_terminal, is_safe=self.csv_safe)
        return json_lines_of(piece, is_terminal=self.is_terminal)

    @property
    def place(self) -> "Location | None":
        """What is written to: the directory of the file, or a pipe or device; None where it is standard output."""
        if self.file == STANDARD_OUTPUT:
            return None
        path = self._location
        return path if not isinstance(path, Path) or (path.exists() and not path.is_file()) else path.absolute().parent

    @contextmanager
    def _stream(self) -> Iterator[BinaryIO]:
        if self.file == STANDARD_OUTPUT:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
            return
        from ihcli.files.durable import replacing, whole

        path = self._location
        if not isinstance(path, Path):
            with replacing(path) as stream:
                yield stream
            return
        is_device = path.exists() and not path.is_file()  # or a pipe
        try:
            with path.open("wb") if is_device else whole(path) as stream:
                yield stream
        except BrokenPipeError:
            raise
        except OSError as error:
            reason = error.strerror or str(error)
            told = f"{self.option} {self.file}: cannot be written: {reason}. Try another file with {self.option}."
            raise RunError(told) from error


def require_writable(file: "Location", overwrite: bool, option: str = "-o") -> None:
    """Refuse a file that could not be written, or not without losing another. Raises OptionError."""
    if file.is_dir():
        raise OptionError(f"{option} {file}: is a directory. Expected the name of a file.")
    if file.is_file() and not overwrite:
        raise OptionError(f"{option} {file}: exists already. Try --overwrite to replace it, or another {option}.")
    if isinstance(file, Path) and not file.parent.is_dir():
        raise OptionError(f"{option} {file}: there is no directory {file.parent}. Try creating it first.")


def require_csv(csv_safe: bool, format_name: str) -> None:
    """Raise OptionError where spreadsheets are thought of, and no CSV is written."""
    if csv_safe and format_name != "csv":
        raise OptionError(f"--csv-safe: is for CSV. Expected csv, got {format_name}. Try --format csv, or -o FILE.csv.")


def csv_rows(records: Iterable[Iterable[Any]], is_terminal: bool, csv_safe: bool = False) -> str:
    """Return rows of CSV, with words as they are, but on a terminal, and where they shall be safe in spreadsheets."""

    def cell(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        value = printable(value) if is_terminal else value
        return safe(value) if csv_safe else value

    written = _Lines()
    writer = csv.writer(written, lineterminator="\r\n")  # what holds either is quoted
    for record in records:
        writer.writerow(map(cell, record))
    return "".join(written)


class _Lines(list[str]):
    """Lines of CSV, ended as everywhere else."""

    def write(self, line: str) -> None:
        self.append(f"{line[:-2]}\n")


def json_line(record: Mapping[str, Any], is_terminal: bool) -> str:
    """Return a line of JSON, with words as they are, but on a terminal."""
    text = json.dumps(record, ensure_ascii=False, default=str) + "\n"
    return escaped(text) if is_terminal else text


def _json_lines(table: "pa.Table", is_terminal: bool) -> str:
    records = (dict(zip(table.column_names, record, strict=True)) for record in records_of(table))
    return "".join(json_line(record, is_terminal) for record in records)


def _write_arrow(shown: Shown, stream: BinaryIO, *, is_parquet: bool) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    opened = pq.ParquetWriter if is_parquet else pa.ipc.new_stream
    with opened(stream, shown.schema) as writer:
        for piece in shown.pieces:
            writer.write_table(piece)
