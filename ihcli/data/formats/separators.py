"""The head of a CSV file: how it is zipped, what separates its columns, and what the first line calls them."""

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import islice
from typing import BinaryIO

HEAD_BYTES = 1 << 20  # in which the header and the first row of a CSV are looked for
SEPARATORS = (",", ";", "\t", "|")
GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class Head:
    """What is to be known of a CSV before it is read.

    names     of the columns, where one has none and is called as pandas would; None: as the header has them
    n_header  lines until the first row, where there are names
    """

    is_gzip: bool
    separator: str
    names: tuple[str, ...] | None
    n_header: int

    @classmethod
    def of(cls, stream: BinaryIO) -> "Head":
        """Read the head, and go back to where the stream begins."""
        is_gzip = stream.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        stream.seek(0)
        text = read_head(stream, is_gzip).decode("utf-8-sig", "replace")
        stream.seek(0)
        separator = separator_of(text)
        n_blank = len(text) - len(text.lstrip("\r\n"))
        n_header = 1 + text[:n_blank].replace("\r\n", "\n").count("\n")
        return cls(is_gzip, separator, _names(next(_rows(text, separator), [])), n_header)


def read_head(stream: BinaryIO, is_gzip: bool) -> bytes:
    """Return the first bytes of a CSV; nothing where they cannot be unzipped, which reading them will tell."""
    if not is_gzip:
        return stream.read(HEAD_BYTES)
    try:
        return gzip.GzipFile(fileobj=stream).read(HEAD_BYTES)
    except (OSError, EOFError, zlib.error):
        return b""


def separator_of(text: str) -> str:
    """Return the comma, or another separator where it alone cuts the header and the first row into as many columns."""
    for separator in SEPARATORS:
        widths = {len(row) for row in islice(_rows(text, separator), 2)}
        if len(widths) == 1 and widths.pop() > 1:
            return separator
    return SEPARATORS[0]


def _rows(text: str, separator: str) -> Iterator[list[str]]:
    try:
        yield from (row for row in csv.reader(StringIO(text, newline=""), delimiter=separator) if row)
    except csv.Error:
        return


def _names(header: Sequence[str]) -> tuple[str, ...] | None:
    """Call columns without a name `Unnamed: 0`, ... by their place, as pandas does; None where all have one."""
    if "" not in header or not any(header):
        return None
    return tuple(name or f"Unnamed: {place}" for place, name in enumerate(header))
