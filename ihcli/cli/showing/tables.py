"""Ranked tables in five formats, to a file or to standard output."""

import csv
import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ihcli.cli.showing.spelling import spelled
from ihcli.cli.showing.terminal import cell, escaped
from ihcli.errors import OptionError, RunError
from ihcli.wording import printable, told_apart

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import RenderableType
    from rich.table import Table

    from ihcli.files.locations import Location

STANDARD_OUTPUT = "-"
FORMATS = ("table", "csv", "jsonl", "parquet", "arrow")
BINARY = ("parquet", "arrow")
UNBOUNDED, NAME_WIDTH = 10_000, 6
BETWEEN = 2  # blanks of a table beside each column
BARS = ("error_bar", "standard_error")
SPARE = ("std", "share")  # not shown on a terminal that is too narrow for all


@dataclass(frozen=True)
class Shown:
    """A table with a column `target`, and how a person sees it.

    columns   those that a table for people shows, where there are such
    titles    what stands above the entries of each target
    notes     sentences below them
    drawings  what a terminal shows below these
    """

    table: "pa.Table"
    columns: tuple[str, ...]
    titles: Mapping[str, str]
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    drawings: Mapping[str, "RenderableType"] = field(default_factory=dict)


@dataclass(frozen=True)
class Destination:
    """Where a table goes and in which format.

    file         a path, or - for standard output
    format_name  one of FORMATS; None: as the file is named, else a table on a terminal and csv elsewhere
    """

    file: str = STANDARD_OUTPUT
    format_name: str | None = None
    overwrite: bool = False

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
        if self.file == STANDARD_OUTPUT:
            return
        require_writable(self._location, self.overwrite)

    def write(self, shown: Shown) -> None:
        """Write a table. Raises RunError."""
        with self._stream() as stream:
            if self.format == "parquet":
                _write_parquet(shown.table, stream)
            elif self.format == "arrow":
                _write_arrow(shown.table, stream)
            else:
                stream.write(self._text(shown).encode())

    def _text(self, shown: Shown) -> str:
        if self.format == "csv":
            return csv_text(shown.table.column_names, _records(shown.table), self.is_terminal)
        if self.format == "jsonl":
            return _json_lines(shown.table, self.is_terminal)
        return _rich_tables(shown, self.is_terminal)

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
            raise RunError(f"-o {self.file}: cannot be written: {reason}. Try another file with -o.") from error


def require_writable(file: "Location", overwrite: bool) -> None:
    """Refuse a file that could not be written, or not without losing another. Raises OptionError."""
    if file.is_dir():
        raise OptionError(f"-o {file}: is a directory. Expected the name of a file.")
    if file.is_file() and not overwrite:
        raise OptionError(f"-o {file}: exists already. Try --overwrite to replace it, or another -o.")
    if isinstance(file, Path) and not file.parent.is_dir():
        raise OptionError(f"-o {file}: there is no directory {file.parent}. Try creating it first.")


def _records(table: "pa.Table") -> Iterator[tuple[Any, ...]]:
    """Return the rows, with None for NaN."""
    columns = [column.to_pylist() for column in table.columns]
    for record in zip(*columns, strict=True):
        yield tuple(None if isinstance(value, float) and math.isnan(value) else value for value in record)


def csv_text(header: Iterable[str], records: Iterable[Iterable[Any]], is_terminal: bool) -> str:
    """Return CSV, with words as they are, but on a terminal."""
    written = _Lines()
    writer = csv.writer(written, lineterminator="\r\n")  # what holds either is quoted
    for record in (header, *records):
        writer.writerow([printable(value) if is_terminal and isinstance(value, str) else value for value in record])
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
    records = (dict(zip(table.column_names, record, strict=True)) for record in _records(table))
    return "".join(json_line(record, is_terminal) for record in records)


def _write_parquet(table: "pa.Table", stream: BinaryIO) -> None:
    import pyarrow.parquet as pq

    pq.write_table(table, stream)


def _write_arrow(table: "pa.Table", stream: BinaryIO) -> None:
    import pyarrow as pa

    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)


def _rich_tables(shown: Shown, is_terminal: bool) -> str:
    """Draw one table per target, and on a terminal what belongs below it."""
    from rich.console import Console

    from ihcli.results.rankings import by_target

    table = shown.table
    if not len(table):
        return "nothing to rank\n"
    console = Console(force_terminal=is_terminal, width=None if is_terminal else UNBOUNDED)
    columns = [name for name in shown.columns if name in table.column_names]
    with console.capture() as captured:
        for target, ranked in by_target(table).items():
            console.print(cell(shown.titles[target], "bold"))
            console.print(_rich_table(_fitting(ranked.select(columns), console.width), console.width))
            for note in shown.notes.get(target, ()):
                console.print(cell(spelled(note)))
            if is_terminal and target in shown.drawings:
                console.print(shown.drawings[target])
    return captured.get()


def _fitting(table: "pa.Table", width: int) -> "pa.Table":
    """Leave out SPARE columns, one by one, until the others fit in so many columns of a terminal."""
    shown = _cells(table)
    widths = {name: NAME_WIDTH if _is_named(name) else _width(name, column) for name, column in shown.items()}
    for name in SPARE:
        if sum(widths.values()) + BETWEEN * len(widths) <= width:
            break
        widths.pop(name, None)
    return table.select(list(widths))


def _cells(table: "pa.Table") -> dict[str, list[str]]:
    """Return what people read of each column."""
    return {
        name: [_shown(record[place], is_bar=name in BARS) for record in _records(table)]
        for place, name in enumerate(table.column_names)
    }


def _width(name: str, column: Iterable[str]) -> int:
    from rich.cells import cell_len

    return max(map(cell_len, [name, *column]))


def _is_named(name: str) -> bool:
    return name.startswith("feature")


def _rich_table(table: "pa.Table", width: int) -> "Table":
    """Draw a table in so many columns of a terminal: numbers whole, long names cut in their middle."""
    import pyarrow as pa
    from rich import box
    from rich.table import Table

    shown = _cells(table)
    _cut_names(shown, width)
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in table.schema:
        is_words = pa.types.is_string(column.type)
        if is_words:
            drawn.add_column(cell(column.name), overflow="fold", min_width=NAME_WIDTH)
        else:
            drawn.add_column(cell(column.name), justify="right", no_wrap=True)
    for record in zip(*shown.values(), strict=True):
        drawn.add_row(*map(cell, record))
    return drawn


def _cut_names(shown: dict[str, list[str]], width: int) -> None:
    """Cut the names of features so far that a table of these columns is no wider than `width`, if it can be."""
    from rich.cells import cell_len

    widths = {name: _width(name, column) for name, column in shown.items()}
    named = [name for name in shown if _is_named(name)]
    room = width - BETWEEN * len(shown) - sum(widths[name] for name in shown if name not in named)
    if sum(widths[name] for name in named) <= room:
        return
    most = max(NAME_WIDTH, _most(sorted(widths[name] for name in named), room))
    letters = [name for column in named for name in shown[column]]
    widest = max((cell_len(name) / len(name) for name in letters if name), default=1.0)
    cut = told_apart(letters, int(most / widest))
    shown |= {column: [cut[name] for name in shown[column]] for column in named}


def _most(widths: list[int], room: int) -> int:
    """Return what is left for each of the wide columns when the narrow ones, which come first, have what they need."""
    for place, needed in enumerate(widths):
        part = room // (len(widths) - place)
        if needed > part:
            return part
        room -= needed
    return max(widths)


def _shown(value: str | int | float | None, is_bar: bool) -> str:
    from ihcli.cli.showing.certainty import MARK
    from ihcli.cli.showing.words import number_in_words

    if value is None:
        return "-"
    if isinstance(value, bool):
        return MARK if value else ""
    if is_bar and isinstance(value, float):
        return f"±{number_in_words(value, digits=2)}"
    return number_in_words(value) if isinstance(value, float) else str(value)
