"""Tables as a person sees them: numbers short, names cut so that all columns fit."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ihcli.cli.showing.spelling import spelled
from ihcli.cli.showing.terminal import cell
from ihcli.wording import told_apart

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console, RenderableType
    from rich.table import Table

NOTHING = "nothing to rank\n"
UNBOUNDED, NAME_WIDTH = 10_000, 6
BETWEEN = 2  # blanks of a table beside each column
BARS = ("error_bar", "standard_error")
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
                console.print(_rich_table(_fitting(section.table, section.spare, console.width), console.width))
            _print(console, section.notes)
            if is_terminal and section.drawing is not None:
                console.print(section.drawing)
    return captured.get() or NOTHING


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
    shown = _cells(table)
    widths = {name: NAME_WIDTH if _is_named(name) else _width(name, column) for name, column in shown.items()}
    for name in spare:
        if sum(widths.values()) + BETWEEN * len(widths) <= width:
            break
        widths.pop(name, None)
    return table.select(list(widths))


def _cells(table: "pa.Table") -> dict[str, list[str]]:
    """Return what people read of each column."""
    return {
        name: [_shown(record[place], is_bar=name in BARS) for record in records_of(table)]
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
    if not named or sum(widths[name] for name in named) <= room:
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
