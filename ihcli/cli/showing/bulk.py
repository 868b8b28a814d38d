"""Tables of millions of lines as CSV and JSON: whole columns become text at once, in Arrow."""

import json
from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from ihcli.cli.showing.spreadsheets import NUMBER, RISKY, safe
from ihcli.cli.showing.terminal import escaped
from ihcli.files.arrays import strings
from ihcli.wording import printable

LINES = 1 << 16
"""That become text together: some 10 MB."""
QUOTED_IN_CSV = r'[",\r\n]'
ESCAPED_IN_JSON = r'["\\\x00-\x1f]'
Change = Callable[[str], str]


def csv_of(piece: pa.Table, *, is_terminal: bool = False, is_safe: bool = False) -> Iterator[bytes]:
    """Give the rows of a table as CSV without a header, words in quotes where they need them; null is nothing."""

    def cell(word: str) -> str:
        word = printable(word) if is_terminal else word
        word = safe(word) if is_safe else word
        return '"' + word.replace('"', '""') + '"' if any(letter in word for letter in '",\r\n') else word

    for some in _cut(piece):
        columns = [_words(column, cell, lambda words: _special(words, is_safe, is_terminal)) for column in some.columns]
        parts = [part for column in columns for part in (column, ",")]
        yield _joined([*parts[:-1], "\n"], "")


def json_lines_of(piece: pa.Table, *, is_terminal: bool = False) -> Iterator[bytes]:
    """Give the rows of a table as lines of JSON; what no number of JSON is is null."""

    def cell(word: str) -> str:
        text = json.dumps(word, ensure_ascii=False)
        return (escaped(text) if is_terminal else text)[1:-1]

    def needs(words: pa.Array) -> pa.Array:
        return _all(words) if is_terminal else pc.match_substring_regex(words, ESCAPED_IN_JSON)

    for some in _cut(piece):
        parts: list[pa.Array | str] = []
        for name, column in zip(some.column_names, some.columns, strict=True):
            before = f"{', ' if parts else '{'}{json.dumps(name, ensure_ascii=False)}: "
            if pa.types.is_floating(column.type):
                column = pc.if_else(pc.is_finite(column), column, None)
            words = _words(column, cell, needs)
            if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
                words = pc.binary_join_element_wise('"', words, '"', "")
            parts += [before, words]
        yield _joined([*parts, "}\n"], "null")


def _cut(piece: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, len(piece), LINES):
        yield piece.slice(start, LINES)


def _words(column: pa.ChunkedArray, change: Change, needs_it: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Return a column as text; words that need a change are changed, each once."""
    stored = column.combine_chunks()
    if pa.types.is_floating(stored.type) or pa.types.is_integer(stored.type):
        return stored.cast(pa.string())
    coded = stored.dictionary_encode()
    words = _as_text(coded.dictionary)
    where = needs_it(words)
    if pc.any(where).as_py():
        told = zip(words.to_pylist(), where.to_pylist(), strict=True)
        words = strings([change(word) if is_needed else word for word, is_needed in told])
    return words.take(coded.indices)


def _as_text(words: pa.Array) -> pa.Array:
    """Return values as text, as Python writes those that Arrow does not."""
    try:
        return words.cast(pa.string())
    except pa.ArrowException:
        return strings([str(word) for word in words.to_pylist()])


def _special(words: pa.Array, is_safe: bool, is_terminal: bool) -> pa.Array:
    if is_terminal:
        return _all(words)
    found = pc.match_substring_regex(words, QUOTED_IN_CSV)
    if is_safe:
        risky = pc.and_not(pc.match_substring_regex(words, RISKY), pc.match_substring_regex(words, NUMBER))
        found = pc.or_(found, risky)
    return found


def _all(words: pa.Array) -> pa.Array:
    return pc.is_valid(words)


def _joined(parts: Sequence[pa.Array | str], null: str) -> bytes:
    lines = pc.binary_join_element_wise(*parts, "", null_handling="replace", null_replacement=null)
    text = lines.buffers()[2]
    return b"" if text is None else text.to_pybytes()
