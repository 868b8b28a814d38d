"""The interactions of a text as a table of colours: orange raises the output, blue lowers it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ihcli.cli.showing.terminal import cell
from ihcli.wording import shortened

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.style import Style
    from rich.table import Table

    from ihcli.results.records import Record

MOST_UNITS = 30
CELL, LABEL = 4, 16  # columns of a terminal; a cell holds a sign and up to three digits
RAISES, LOWERS = (230, 97, 1), (38, 110, 190)  # told apart under every common colour blindness
PLAIN = (255, 255, 255)
DARK = 140  # luminance of 255 below which white text reads better than black
FEW_COLOURS = "standard"  # what rich calls a terminal of 16
FAINT = 0.25  # on such a terminal, which cannot shade, smaller values have no colour


@dataclass(frozen=True)
class Heat:
    """The matrix Gamma of a record in percent of its largest size, or a line that says why it is not drawn."""

    record: "Record"

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """Draw where the terminal is wide enough."""
        from rich.text import Text

        from ihcli.cli.showing.words import number_in_words

        if self.record.interactions is None:
            return
        size = len(self.record.names)
        needed = LABEL + CELL * size
        if size > MOST_UNITS:
            yield Text(f"The matrix of {size} units is not drawn: it is readable up to {MOST_UNITS}. Try --top-k.")
        elif needed > options.max_width:
            yield Text(
                f"The matrix of {size} units is not drawn: it takes {needed} columns, the terminal has "
                f"{options.max_width}."
            )
        else:
            gamma = self.record.interactions
            largest = float(abs(gamma).max())
            yield Text(f"Gamma in percent of {number_in_words(largest)}; a pair's effect is twice its cell", "bold")
            yield self._table(gamma / (largest or 1.0), console.color_system == FEW_COLOURS)

    def _table(self, levels: "np.ndarray", has_few_colours: bool) -> "Table":
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, padding=0, pad_edge=False)
        table.add_column(width=LABEL, no_wrap=True, overflow="ellipsis")
        for position in range(len(levels)):
            table.add_column(Text(str(position)), width=CELL, justify="right", no_wrap=True)
        for position, name in enumerate(self.record.names):
            cells = (Text(_percent(level), _style(level, has_few_colours)) for level in levels[position].tolist())
            table.add_row(cell(f"{position:>2} {shortened(name, LABEL - 4)}"), *cells)
        return table


def _percent(level: float) -> str:
    return f"{100 * level:+.0f}" if abs(level) >= 0.005 else "·"


def _style(level: float, has_few_colours: bool) -> "Style":
    """Return the colour of a level between -1 and 1: white at 0, and the text black or white as it reads better."""
    from rich.color import Color
    from rich.style import Style

    if has_few_colours:
        return Style() if abs(level) < FAINT else Style(color="black", bgcolor="yellow" if level > 0 else "cyan")
    end = RAISES if level > 0 else LOWERS
    shade = [round(low + (high - low) * abs(level)) for low, high in zip(PLAIN, end, strict=True)]
    luminance = 0.299 * shade[0] + 0.587 * shade[1] + 0.114 * shade[2]
    return Style(color="white" if luminance < DARK else "black", bgcolor=Color.from_rgb(*shade))
