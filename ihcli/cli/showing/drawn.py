"""Tables as a person sees them: numbers short and whole, words cut so that all columns fit."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ihcli.cli.showing.spelling import spelled
from ihcli.cli.showing.spreadsheets import is_number
from ihcli.cli.showing.terminal import cell
from ihcli.wording import printable, told_apart

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console, RenderableType
    from rich.table import Table

NOTHING = "nothing to rank\n"
UNBOUNDED = 10_000
NAME_WIDTH, WORD_WIDTH = 6, 20
"""Cells that names of features are cut to at least, and that other words have before spare columns are shown."""
BETWEEN = 2  # blanks of a table beside each column
BARS = ("error_bar", "standard_error")
VALUES = ("value", "value_i", "value_j")
"""Of features, written out where some are words."""
SPARE = ("std", "share")  # not shown on a terminal that is too narrow for all


@dataclass(frozen=True)
class Section:
    """What a person sees under one title: a table, sentences below it, and on a terminal what is drawn below these.

    before, above  sentences before the title, and between it and the table
    spare  columns that are not shown on a terminal too narrow for all, the first of them first
    """

    title: str
    table: "pa.Table | None" = None
    notes: Sequence[str] = ()
    drawing: "RenderableType | None" = None
    before: Sequence[str] = ()
    above: Sequence[str] = ()
    spare: Sequence[str] = SPARE


def drawn(sections: Iterable[Section], is_terminal: bool) -> str:
    """Draw sections one below the other, and on a terminal what belongs below each."""
    from rich.console import Console

    console = Console(force_terminal=is_terminal, width=None if is_terminal else UNBOUNDED)
    with console.capture() as captured:
        for section in sections:
            _print(console, section.before)
            console.print(cell(section.title, "bold"))
            _print(console, section.above)
            if section.table is not None:
                _print_table(console, section.table, section.spare)
            _print(console, section.notes)
            if is_terminal and section.drawing is not None:
                console.print(section.drawing)
    return captured.get() or NOTHING


def _print_table(console: "Console", table: "pa.Table", spare: Sequence[str]) -> None:
    width = console.width
    drawn, console.width = _rich_table(_fitting(table, spare, width), width)
    console.print(drawn)
    console.width = width


def _print(console: "Console", sentences: Iterable[str]) -> None:
    for sentence in sentences:
        console.print(cell(spelled(sentence)))


def records_of(table: "pa.Table") -> Iterator[tuple[Any, ...]]:
    """Return the rows, with None for NaN."""
    columns = [column.to_pylist() for column in table.columns]
    for record in zip(*columns, strict=True):
        yield tuple(None if isinstance(value, float) and math.isnan(value) else value for value in record)


def _fitting(table: "pa.Table", spare: Sequence[str], width: int) -> "pa.Table":
    """Leave out spare columns, one by one, until the others fit in so many columns of a terminal."""
    shown, words = _cells(table), _words_of(table)
    widths = {name: _width(name, column) for name, column in shown.items()}
    widths |= {name: min(widths[name], _least(name)) for name in words}
    for name in spare:
        if sum(widths.values()) + BETWEEN * len(widths) <= width:
            break
        widths.pop(name, None)
    return table.select(list(widths))


def _cells(table: "pa.Table") -> dict[str, list[str]]:
    """Return what people read of each column."""
    return {
        name: [printable(_shown(record[place], name), None) for record in records_of(table)]
        for place, name in enumerate(table.column_names)
    }


def _width(name: str, column: Iterable[str]) -> int:
    from rich.cells import cell_len

    return max(map(cell_len, [name, *column]))


def _words_of(table: "pa.Table") -> list[str]:
    """Return the columns of words, which may be cut."""
    import pyarrow as pa

    checks = (pa.types.is_string, pa.types.is_large_string)
    return [field.name for field in table.schema if any(check(field.type) for check in checks)]


def _least(name: str) -> int:
    """Return the cells that a column of words should have at least."""
    return max(len(name), NAME_WIDTH if name.startswith("feature") else WORD_WIDTH)


def _rich_table(table: "pa.Table", width: int) -> "tuple[Table, int]":
    """Draw a table in so many columns of a terminal, and return how many it takes: more where numbers need them."""
    from rich import box
    from rich.table import Table

    shown, words = _cells(table), _words_of(table)
    _cut_words(shown, words, width)
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in shown:
        drawn.add_column(cell(name), justify="left" if name in words else "right", no_wrap=True)
    for record in zip(*shown.values(), strict=True):
        drawn.add_row(*map(cell, record))
    needed = sum(_width(name, column) for name, column in shown.items()) + BETWEEN * len(shown)
    return drawn, max(width, needed)


def _cut_words(shown: dict[str, list[str]], words: Sequence[str], width: int) -> None:
    """Cut words so far that a table of these columns is no wider than `width`, if it can be."""
    from rich.cells import cell_len

    widths = {name: _width(name, column) for name, column in shown.items()}
    room = width - BETWEEN * len(shown) - sum(widths[name] for name in shown if name not in words)
    if not words or sum(widths[name] for name in words) <= room:
        return
    most = max(NAME_WIDTH, _most(sorted(widths[name] for name in words), room))
    long = [word for name in words for word in shown[name] if cell_len(word) > most]
    widest = max((cell_len(word) / len(word) for word in long), default=1.0)
    cut = told_apart(long, max(1, int(most / widest)))
    shown |= {name: [cut.get(word, word) for word in shown[name]] for name in words}


def _most(widths: list[int], room: int) -> int:
    """Return what is left for each of the wide columns when the narrow ones, which come first, have what they need."""
    for place, needed in enumerate(widths):
        part = room // (len(widths) - place)
        if needed > part:
            return part
        room -= needed
    return max(widths)


def _shown(value: str | int | float | None, column: str) -> str:
    from ihcli.cli.showing.certainty import MARK
    from ihcli.cli.showing.words import number_in_words

    if value is None:
        return "-"
    if isinstance(value, bool):
        return MARK if value else ""
    if column in BARS and isinstance(value, float):
        return f"±{number_in_words(value, digits=2)}"
    if column in VALUES and isinstance(value, str) and is_number(value):
        return number_in_words(float(value))
    return number_in_words(value) if isinstance(value, float) else str(value)
