"""The interactions of a text as a table of colours: orange raises the output, blue lowers it."""

import math
from typing import TYPE_CHECKING

import numpy as np

from ihcli.cli.words import number_in_words

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.style import Style

    from ihcli.records import Record

MOST_UNITS = 30
CELL, LABEL = 4, 16  # columns of a terminal; a cell holds a sign and up to three digits
RAISES, LOWERS = (230, 97, 1), (38, 110, 190)  # distinct under every common colour blindness
PLAIN = (255, 255, 255)


def heat_table(record: "Record", width: int) -> "RenderableType":
    """Return the matrix Gamma of a record in percent of its largest size, or a line that says why it is not drawn.

    Parameters:
        width: columns of the terminal.
    """
    from rich.text import Text

    if record.interactions is None:
        return Text("")
    size = len(record.names)
    if size > MOST_UNITS:
        return Text(f"The matrix of {size} units is not drawn: more than {MOST_UNITS}. Try -o FILE, or a plot.")
    needed = LABEL + 1 + CELL * size
    if needed > width:
        return Text(f"The matrix of {size} units is not drawn: it takes {needed} columns, the terminal has {width}.")
    return _drawn(record, record.interactions.astype(np.float64))


def _drawn(record: "Record", gamma: np.ndarray) -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    largest = float(np.abs(gamma).max(initial=0.0))
    title = f"Gamma in percent of {number_in_words(largest)}, its largest size; a pair's effect is twice its cell"
    table = Table(box=None, padding=0, pad_edge=False, title=Text(title), title_justify="left")
    table.add_column(width=LABEL, no_wrap=True, overflow="ellipsis")
    for position in range(len(record.names)):
        table.add_column(Text(str(position)), width=CELL, justify="right", no_wrap=True)
    for position, name in enumerate(record.names):
        cells = (_cell(value / largest if largest else 0.0) for value in gamma[position].tolist())
        table.add_row(Text(f"{position:>2} {name}"), *cells)
    return table


def _cell(level: float) -> "RenderableType":
    from rich.text import Text

    percent = math.copysign(round(100 * abs(level)), level)
    return Text(f"{percent:+.0f}" if percent else "·", _style(level))


def _style(level: float) -> "Style":
    """Return the colour of a level between -1 and 1: white at 0, and the text black or white as it reads better."""
    from rich.color import Color
    from rich.style import Style

    end = RAISES if level > 0 else LOWERS
    shade = [round(low + (high - low) * abs(level)) for low, high in zip(PLAIN, end, strict=True)]
    dark = 0.299 * shade[0] + 0.587 * shade[1] + 0.114 * shade[2] < 140
    return Style(color="white" if dark else "black", bgcolor=Color.from_rgb(*shade))
