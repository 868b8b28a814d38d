"""Entries of both kinds of part files side by side, a block at a time, so that memory does not grow with the run."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ihcli.files.locations import Location
from ihcli.layouts.layout import Sized
from ihcli.quality import INTERACTIONS, ROW, STATUS, TARGET, has_values
from ihcli.runs.files import opened_part, read_group
from ihcli.verification.described import Described

BLOCK_VALUES = 1 << 20  # of the file with more values a row: 8 MiB in float64


@dataclass(frozen=True)
class Block:
    """Consecutive entries of one part.

    entries       from its attributions
    interactions  the same entries from its interactions; None where nothing is stored, or not as many
    """

    run: Described
    part: int
    entries: pa.Table
    interactions: pa.Table | None

    def __len__(self) -> int:
        return len(self.entries)

    @cached_property
    def row(self) -> np.ndarray:
        """Return indices of rows, (n,) int64."""
        return self.entries[ROW].to_numpy()

    @cached_property
    def target(self) -> np.ndarray:
        """Return names of targets, (n,)."""
        return self.entries[TARGET].to_numpy()

    @cached_property
    def status(self) -> np.ndarray:
        """Return statuses, (n,)."""
        return self.entries[STATUS].to_numpy()

    @cached_property
    def has_values(self) -> np.ndarray:
        """Return which entries must have figures, (n,) bool."""
        return has_values(self.status)

    def numbers(self, name: str) -> np.ndarray:
        """Return a column, (n,) float64, NaN for null."""
        return self.entries[name].cast(pa.float64()).to_numpy()

    def names(self, place: np.ndarray) -> list[str]:
        """Return what messages call these entries."""
        return [f"row {self.row[i]}, target {self.target[i]}" for i in place]

    def name(self, where: np.ndarray) -> str:
        """Return what messages call the first entry under a mask."""
        places = np.flatnonzero(where)
        return self.names(places[:1])[0] if len(places) else ""

    @cached_property
    def sizes(self) -> list[Sized]:
        """Return the entries that have values, those of one size together; misshapen ones are left out."""
        matrices = None
        if self.run.stores_matrices and self.interactions is not None:
            matrices = self.interactions[INTERACTIONS]
        return list(self.run.layout.sized(self.entries, matrices, self.has_values))

    @cached_property
    def misshapen(self) -> int:
        """Return how many entries of texts have lists whose lengths do not fit each other."""
        fitting = sum(len(some.place) for some in self.sizes)
        return int(self.has_values.sum()) - fitting


def footer(file: Location) -> tuple[pa.Schema, int]:
    """Return columns and number of entries of a part; raises RunError where it cannot be read."""
    with opened_part(file) as opened:
        return opened.schema_arrow, opened.metadata.num_rows


def blocks(run: Described, part: int, attributions: Location, interactions: Location | None) -> Iterator[Block]:
    """Give the entries of a part in blocks of about BLOCK_VALUES values; raises RunError where a file is torn.

    Both files have equally many entries.
    """
    files = [attributions] if interactions is None else [attributions, interactions]
    footers = [_footer(file) for file in files]
    size = min(map(_rows_at_once, footers))
    streams = [_tables(file, size, told) for file, told in zip(files, footers, strict=True)]
    for tables in zip(*streams, strict=True):
        yield Block(run, part, tables[0], tables[1] if len(tables) > 1 else None)


def _footer(file: Location) -> pq.FileMetaData:
    with opened_part(file) as opened:
        return opened.metadata


def _rows_at_once(footer: pq.FileMetaData) -> int:
    groups = [footer.row_group(i) for i in range(footer.num_row_groups)]
    values = sum(group.column(i).num_values for group in groups for i in range(group.num_columns))
    entries = sum(group.num_rows for group in groups)
    return max(1, BLOCK_VALUES * entries // max(1, values))


def _tables(file: Location, size: int, footer: pq.FileMetaData) -> Iterator[pa.Table]:
    """Give tables of `size` entries, the last may be shorter, however the file is cut into row groups."""
    with opened_part(file, footer) as opened:
        pending = opened.schema_arrow.empty_table()
        for group in range(opened.num_row_groups):  # iter_batches keeps the whole file in memory until its end
            pending = pa.concat_tables([pending, read_group(opened, group)])
            while len(pending) >= size:
                yield pending.slice(0, size)
                pending = pending.slice(size)
            if not len(pending):  # an empty slice would keep what it was cut from, and so the whole file
                pending = pending.schema.empty_table()
        if len(pending):
            yield pending
