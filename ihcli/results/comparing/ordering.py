"""Entries of a run in the order of another one's rows: as they stand where that is it, else by way of a directory."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ihcli.errors import RunError
from ihcli.files.arrays import numbers
from ihcli.quality import ROW
from ihcli.results.result import Result

KEYS_AT_ONCE = 1 << 16
BUCKET_ENTRIES = 1 << 14
MISSING = "\0missing"


class Tables:
    """Tables of a stream, cut anew into as many entries as are asked for."""

    def __init__(self, tables: Iterator[pa.Table], schema: pa.Schema) -> None:
        self._tables, self._pending = tables, schema.empty_table()

    def take(self, n: int) -> pa.Table:
        """Return the next n entries, fewer at the end."""
        found = [self._pending]
        while sum(map(len, found)) < n and (table := next(self._tables, None)) is not None:
            found.append(table.cast(self._pending.schema))
        both = pa.concat_tables(found)
        taken, rest = both.slice(0, n), both.slice(n)
        self._pending = rest if len(rest) else both.schema.empty_table()  # an empty slice keeps what it was cut from
        return taken


def in_order_of(first: Result, other: Result, first_rows: int | None = None) -> np.ndarray | None:
    """Return for every row of a run at which row of the first one it stands; None where both have one order.

    Keys are compared a piece at a time; only where they are in another order are 8 bytes of each kept.

    Raises RunError where the rows are not the same, or keys in another order do not tell them apart.
    """
    if _stand_alike(first, other, first_rows):
        return None
    ours, theirs = _hashes(first), _hashes(other)
    for result, found in ((first, ours), (other, theirs)):
        _, at, counts = np.unique(found, return_index=True, return_counts=True)
        if (counts > 1).any():
            raise RunError(
                f"{result.path}: {_named(result, int(at[counts > 1][0]))} is the key of several rows, and rows of "
                f"{first.path} and {other.path} are in another order. Expected another key for each row. "
                "Try ihcli explain with another `key`."
            )
    order = np.argsort(ours, kind="stable")
    place = np.searchsorted(ours, theirs, sorter=order)
    found = order[np.minimum(place, len(order) - 1)]
    is_there = ours[found] == theirs
    if not is_there.all():
        raise _lacks(first, other, int(np.flatnonzero(~is_there)[0]), int((~is_there).sum()))
    if len(theirs) < len(ours):
        lost = np.ones(len(ours), bool)
        lost[found] = False
        raise _lacks(other, first, int(np.flatnonzero(lost)[0]), int(lost.sum()))
    return found


@contextmanager
def ordered_as(
    results: Sequence[Result],
    orders: Sequence[np.ndarray | None],
    with_interactions: bool,
    first_rows: int | None = None,
) -> Iterator[tuple[list[Tables], list[Tables]]]:
    """Give attributions and interactions of each run in these orders, see `in_order_of`."""
    with ExitStack() as stack:
        parts = [[result.run.attribution_parts for result in results]]
        parts.append([result.run.interaction_parts for result in results] if with_interactions else [])
        streams = []
        for files in parts:
            found = []
            for part, order in zip(files, orders, strict=False):
                stream = _first(part.stream(), first_rows)
                if order is not None:
                    directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="ihcli-"))
                    stream = _rearranged(stream, part.schema, order, Path(directory))
                found.append(Tables(stream, part.schema))
            streams.append(found)
        yield streams[0], streams[1]


def _rearranged(
    tables: Iterator[pa.Table], schema: pa.Schema, order: np.ndarray, directory: Path
) -> Iterator[pa.Table]:
    """Give tables sorted by where their rows go: dealt into files of neighbours, of which one is held at a time."""
    n_buckets = -(-len(order) // BUCKET_ENTRIES)
    with ExitStack() as stack:
        writers = [stack.enter_context(pa.OSFile(str(directory / str(bucket)), "wb")) for bucket in range(n_buckets)]
        written = [stack.enter_context(pa.ipc.new_stream(file, schema)) for file in writers]
        for table in tables:
            goal = order[table[ROW].to_numpy()]
            bucket = goal // BUCKET_ENTRIES
            for number in np.unique(bucket):
                places = np.flatnonzero(bucket == number)
                written[number].write_table(table.take(numbers(places, pa.int64())))
    for number in range(n_buckets):
        with pa.OSFile(str(directory / str(number))) as file, pa.ipc.open_stream(file) as stream:
            table = stream.read_all()
        goal = order[table[ROW].to_numpy()]
        yield table.take(numbers(np.argsort(goal, kind="stable"), pa.int64()))
        (directory / str(number)).unlink()


def _first(tables: Iterator[pa.Table], rows: int | None) -> Iterator[pa.Table]:
    """Give the entries of so many rows; None: of all."""
    for table in tables:
        there = len(table) if rows is None else int(np.searchsorted(table[ROW].to_numpy(), rows))
        yield table.slice(0, there)
        if there < len(table):
            return


def _stand_alike(first: Result, other: Result, first_rows: int | None) -> bool:
    """Tell whether keys of both runs are the same row by row; without keys, rows are."""
    names = [*first.keys]
    if not names:
        return True
    ours, theirs = (
        Tables(_first(result.entries([ROW, *names]), first_rows), _schema(result, [ROW, *names]))
        for result in (first, other)
    )
    while len(found := ours.take(KEYS_AT_ONCE)):
        beside = theirs.take(len(found))
        if len(beside) != len(found) or not all(_words(found[name]).equals(_words(beside[name])) for name in names):
            return False
    return not len(theirs.take(1))


def _hashes(result: Result) -> np.ndarray:
    """Return 64 bits of the key of every row."""
    import pandas as pd

    found = np.zeros(result.n_rows, np.uint64)
    for table in result.entries([ROW, *sorted(result.keys)]):
        words = {name: _words(table[name]).to_pandas() for name in sorted(result.keys)}
        found[table[ROW].to_numpy()] = pd.util.hash_pandas_object(pd.DataFrame(words), index=False).to_numpy()
    return found


def _words(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return keys as text: those of one table are numbers, and those of its copy may be words."""
    plain = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
    return pc.fill_null(plain.cast(pa.string()), MISSING).combine_chunks()


def _schema(result: Result, names: Sequence[str]) -> pa.Schema:
    schema = result.run.attribution_parts.schema
    return pa.schema([schema.field(name) for name in names])


def _named(result: Result, row: int) -> str:
    table = next(iter(result.entries([ROW, *result.keys], [row])))
    return ", ".join(f"{name}={table[name][0].as_py()}" for name in result.keys)


def _lacks(lacking: Result, having: Result, row: int, n_rows: int) -> RunError:
    return RunError(
        f"{lacking.path}: lacks {n_rows} {'row' if n_rows == 1 else 'rows'} of {having.path}, the first is "
        f"{_named(having, row)}. Expected runs over the same rows. Try ihcli explain of both over the same data with "
        "the same `key` and `limit`."
    )
