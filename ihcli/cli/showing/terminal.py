"""What people read: words of strangers only printable, one line a line, on standard output and standard error.

Names of columns, keys, paths, run.json and the messages of models and of libraries may hold anything. Written to a file
or a pipe as csv, jsonl, parquet or arrow they stay as they are.
"""

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from shutil import get_terminal_size
from typing import IO, TYPE_CHECKING, Any

import click

from ihcli.cli.showing.spelling import spelled
from ihcli.wording import printable

if TYPE_CHECKING:
    from rich.text import Text

MOST_LINE = 4_000
"""Letters of a line, of which the middle is left out: the beginning says what is wrong, the end what to try."""
LAYOUT = "\n\t"
SET_IN = 2
"""Blanks before what goes on of a line without a second column."""
FIRST_COLUMN = re.compile(r"\s*\S.*?\s{2,}(?=\S)")
QUIET = "ihcli.quiet"
"""What the context of a command remembers of --quiet."""


def line(text: str) -> str:
    """Return text as one printable line with options as here, without its middle where it goes on and on."""
    text = spelled(text)
    if len(text) <= MOST_LINE:
        return printable(text, at_most=None)
    end = MOST_LINE // 4
    left_out = len(text) - MOST_LINE
    return (
        f"{printable(text[: MOST_LINE - end], None)}... {left_out} letters left out ...{printable(text[-end:], None)}"
    )


def lines(text: str) -> str:
    """Return text of several lines, each of them printable; for text whose line ends are ours, and for tracebacks."""
    return "".join(letter if letter.isprintable() or letter in LAYOUT else repr(letter)[1:-1] for letter in text)


def escaped(text: str) -> str:
    r"""Return JSON with what is not printable as JSON writes it, such as `\u202e`: it means the same."""
    return "".join(letter if letter.isprintable() or letter in LAYOUT else json.dumps(letter)[1:-1] for letter in text)


def cell(text: str, style: str = "") -> "Text":
    """Return words of a stranger for a table or a console of rich, which would look for its own codes in them."""
    from rich.text import Text

    return Text(printable(text), style)


def tell(*told: str) -> None:
    """Print lines on standard output; on a terminal, one that is too long goes on below its second column."""
    shown: Iterable[str] = map(line, told)
    if sys.stdout.isatty():
        width = get_terminal_size().columns
        shown = (part for text in shown for part in folded(text, width))
    show("".join(f"{text}\n" for text in shown))


def folded(text: str, width: int) -> list[str]:
    """Return a line as lines of so many cells at most, those after the first set in as its second column is."""
    from rich.cells import cell_len
    from rich.console import Console
    from rich.text import Text

    if cell_len(text) <= width:
        return [text]
    before = FIRST_COLUMN.match(text)
    first = before[0] if before is not None and cell_len(before[0]) <= width // 2 else ""
    indent = cell_len(first) or len(text) - len(text.lstrip()) + SET_IN
    first = first or text[: len(text) - len(text.lstrip())]
    rest = Text(text[len(first) :]).wrap(Console(width=width), width - indent)
    return [f"{' ' * indent if place else first}{part.plain.rstrip()}" for place, part in enumerate(rest)]


def is_quiet() -> bool:
    """Return whether the user asked for --quiet."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(QUIET))


def say(*said: str) -> None:
    """Print notes, advice and progress on standard error, unless the user asked for quiet."""
    if not is_quiet():
        insist(*said)


def warn(*warnings: str) -> None:
    """Print warnings on standard error."""
    insist(*(f"Warning: {text}" for text in warnings))


def insist(*said: str) -> None:
    """Print lines on standard error; a reader that has gone is no reason to stop a run."""
    if not said:
        return
    try:
        click.echo("\n".join(map(line, said)), err=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def show(drawn: str) -> None:
    """Print what is printable already on standard output, with the codes that rich put between its cells."""
    sys.stdout.flush()
    sys.stdout.buffer.write(drawn.encode(sys.stdout.encoding or "utf-8", "backslashreplace"))
    sys.stdout.buffer.flush()


def unfiltered(stream: IO[str]) -> IO[str]:
    """Return the stream on which rich may write codes of its own."""
    return stream.unfiltered if isinstance(stream, _Printable) else stream


@contextmanager
def printable_streams() -> Iterator[None]:
    """Let whatever a library prints, warns or logs meanwhile reach a terminal only printable."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_printable_stream, before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _printable_stream(stream: Any) -> Any:
    return _Printable(stream) if stream.isatty() and not isinstance(stream, _Printable) else stream


class _Printable:
    """A text stream to a terminal without control codes; all else is that of the stream behind it."""

    def __init__(self, stream: Any) -> None:
        self.unfiltered = stream

    def write(self, text: str) -> int:
        self.unfiltered.write(lines(text) if isinstance(text, str) else text)  # click asks whether it takes bytes
        return len(text)

    def writelines(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unfiltered, name)
