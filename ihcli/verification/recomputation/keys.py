"""Keys of all rows of a run beside those of its data, both streamed: by them people join what was explained."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ihcli.data.formats.table import TableFiles
from ihcli.quality import ROW
from ihcli.runs.run import Run
from ihcli.verification.described import Described
from ihcli.verification.findings import Faults, Finding, not_checked

CHECK = "keys"


def compare_keys(run: Run, described: Described, table: TableFiles) -> Finding:
    """Compare the key columns of every entry with the rows of the data that they name.

    Memory: a batch of the data and a row group of a part. Cost: the key columns of both are read once. Keys of
    interactions are those of attributions by another check. Raises RunError and DataError where a file cannot be read.
    """
    if not described.keys:
        return not_checked(CHECK, "the run has no key columns. Try ihcli explain with `key`")
    faults = Faults(CHECK, f"{', '.join(described.keys)} of every row are those of the data")
    data = _Window(_keys(table, described))
    for entries in run.attribution_parts.stream([ROW, *described.keys]):
        rows = entries[ROW].to_numpy()
        faults.checked += len(rows)
        expected, known = data.take(rows)
        faults.add("rows that the data does not have there", int((~known).sum()), _first(rows, ~known))
        entries = entries.filter(pa.array(known))
        for name in described.keys:
            wrong = ~_equal(entries[name], expected[name])
            faults.add(f"rows with another {name!r} than the data", int(wrong.sum()), _first(rows[known], wrong))
    return faults.finding()


class _Window:
    """Rows of a table that is streamed: those that were asked for last, and what was read beyond."""

    def __init__(self, batches: Iterator[pa.Table]) -> None:
        self._batches = batches
        self._rows = next(batches)
        self._first = 0

    def take(self, rows: np.ndarray) -> tuple[pa.Table, np.ndarray]:
        """Return those of the rows that are there, and which are, (n,); from one call to the next rows only grow."""
        if len(rows):
            self._advance(int(rows.min()), int(rows.max()))
        place = rows - self._first
        known = (place >= 0) & (place < len(self._rows))
        return self._rows.take(pa.array(place[known])), known

    def _advance(self, start: int, last: int) -> None:
        pending = [self._rows]
        count = len(self._rows)
        while self._first + count <= last:
            batch = next(self._batches, None)
            if batch is None:
                break
            while pending and self._first + len(pending[0]) <= start:
                self._first += len(pending[0])
                count -= len(pending.pop(0))
            pending.append(batch)
            count += len(batch)
        self._rows = pa.concat_tables(pending)


def _keys(table: TableFiles, described: Described) -> Iterator[pa.Table]:
    """Stream the key columns as the run carried them."""
    features = set(described.layout.features)
    carried = table.carried_types([name for name in described.keys if name not in features])
    types = {name: carried.get(name) or table.feature_type(name) for name in described.keys}
    for batch in table.batches(pa.schema(list(types.items()))):
        yield pa.Table.from_batches([batch])


def _equal(stored: pa.ChunkedArray, expected: pa.ChunkedArray) -> np.ndarray:
    """Return which entries are the same, (n,) bool; null is null, and NaN is NaN."""
    try:
        wanted = _plain(expected).cast(_plain(stored).type)
        same = pc.fill_null(pc.equal(_plain(stored), wanted), False)
        both = pc.and_(pc.is_null(stored, nan_is_null=True), pc.is_null(wanted, nan_is_null=True))
        return np.asarray(pc.or_(same, both).to_numpy(), bool)
    except pa.ArrowException:  # types that Arrow does not compare, or that do not become each other
        pairs = zip(stored.to_pylist(), expected.to_pylist(), strict=True)
        return np.array([one == other for one, other in pairs], bool)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _first(rows: np.ndarray, where: np.ndarray) -> str:
    places = np.flatnonzero(where)
    return f"row {rows[places[0]]}" if len(places) else ""
