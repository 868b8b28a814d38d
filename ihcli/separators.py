"""The separator of a CSV file, told from its header line and first row."""

import csv
import gzip
import zlib
from typing import BinaryIO

HEAD_BYTES = 1 << 16  # in which the header and the first row of a CSV are looked for
SEPARATORS = (",", ";", "\t", "|")


def read_head(stream: BinaryIO, is_gzip: bool) -> bytes:
    """Return the first bytes of a CSV; nothing where they cannot be unzipped, which reading them will tell."""
    if not is_gzip:
        return stream.read(HEAD_BYTES)
    try:
        return gzip.GzipFile(fileobj=stream).read(HEAD_BYTES)
    except (OSError, EOFError, zlib.error):
        return b""


def separator_of(head: bytes) -> str:
    """Return the comma, or another separator where it alone cuts the header and the first row into as many columns."""
    lines = head.decode("utf-8-sig", "replace").splitlines()[:2]
    for separator in SEPARATORS:
        try:
            widths = {len(row) for row in csv.reader(lines, delimiter=separator)}
        except csv.Error:
            break
        if len(widths) == 1 and widths.pop() > 1:
            return separator
    return SEPARATORS[0]
