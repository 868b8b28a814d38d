"""Entries of both kinds of part files side by side, a block at a time, so that memory does not grow with the run."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ihcli.files.locations import Location
from ihcli.layouts.layout import Sized
from ihcli.quality import INTERACTIONS, ROW, STATUS, TARGET, has_values
from ihcli.runs.files import opened_part, read_group
from ihcli.verification.described import Described

BLOCK_VALUES = 1 << 20  # of the file with more values a row: 8 MiB in float64
MOST_PIECES = 64  # tables that wait to be joined: each column of one takes about a KiB, whatever is in it


@dataclass(frozen=True)
class Block:
    """Consecutive entries: some or all of one part, or all of several.

    part          (n,) the number of each entry's
    entries       from attributions
    interactions  the same entries from interactions; None where nothing is stored, or not as many
    share         how much of a block they are, of the values that one may have; 1 where the part has others too
    """

    run: Described
    part: np.ndarray
    entries: pa.Table
    interactions: pa.Table | None
    share: float = 1.0

    @classmethod
    def joined(cls, blocks: "Sequence[Block]") -> "Block":
        """Return the entries of several blocks that are alike, in order."""
        if len(blocks) == 1:
            return blocks[0]
        entries, *interactions = (
            pa.concat_tables(tables).combine_chunks()
            for tables in ([block.entries for block in blocks], [block.interactions for block in blocks])
            if tables[0] is not None
        )
        part = np.concatenate([block.part for block in blocks])
        return cls(blocks[0].run, part, entries, interactions[0] if interactions else None)

    def is_like(self, other: "Block") -> bool:
        """Tell whether both have the same columns."""
        if self.interactions is None or other.interactions is None:
            return self.interactions is other.interactions and self.entries.schema == other.entries.schema
        return bool(
            self.entries.schema == other.entries.schema and self.interactions.schema == other.interactions.schema
        )

    @property
    def pieces(self) -> list[slice]:
        """Return which entries are of one part, part by part."""
        starts = [0, *(np.flatnonzero(np.diff(self.part)) + 1).tolist(), len(self)]
        return [slice(start, stop) for start, stop in pairwise(starts)]

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
    def misshapen(self) -> np.ndarray:
        """Return the places of entries of texts with lists whose lengths do not fit each other."""
        fitting = [some.place for some in self.sizes]
        return np.setdiff1d(np.flatnonzero(self.has_values), np.concatenate([*fitting, np.zeros(0, np.int64)]))


@dataclass(frozen=True)
class PartFile:
    """A file of a part that can be read: its footer, and the columns that it tells of, with their metadata."""

    path: Location
    footer: pq.FileMetaData
    schema: pa.Schema

    @classmethod
    def of(cls, path: Location) -> "PartFile":
        """Read the footer; raises RunError where it cannot be read."""
        with opened_part(path) as opened:
            return cls(path, opened.metadata, opened.schema_arrow)


def blocks(run: Described, part: int, attributions: PartFile, interactions: PartFile | None) -> Iterator[Block]:
    """Give the entries of a part in blocks of about BLOCK_VALUES values; raises RunError where a file is torn.

    Both files have equally many entries.
    """
    files = [attributions] if interactions is None else [attributions, interactions]
    size = min(_rows_at_once(file.footer) for file in files)
    streams = [_tables(file, size) for file in files]
    share = min(1.0, attributions.footer.num_rows / size)
    for tables in zip(*streams, strict=True):
        of_part = np.full(len(tables[0]), part)
        yield Block(run, of_part, tables[0], tables[1] if len(tables) > 1 else None, share)


def together(found: Iterable[Block]) -> Iterator[Block]:
    """Join blocks that are no more than one together: of a small part, looking takes longer than there is to see."""
    held: list[Block] = []
    share = 0.0
    for block in found:
        if held and (share + block.share > 1 or not block.is_like(held[0])):
            yield Block.joined(held)
            held, share = [], 0.0
        held = [*held, block] if len(held) < MOST_PIECES else [Block.joined([*held, block])]
        share += block.share
    if held:
        yield Block.joined(held)


def _rows_at_once(footer: pq.FileMetaData) -> int:
    groups = [footer.row_group(i) for i in range(footer.num_row_groups)]
    values = sum(group.column(i).num_values for group in groups for i in range(group.num_columns))
    entries = sum(group.num_rows for group in groups)
    return max(1, BLOCK_VALUES * entries // max(1, values))


def _tables(file: PartFile, size: int) -> Iterator[pa.Table]:
    """Give tables of `size` entries, the last may be shorter, however the file is cut into row groups."""
    with opened_part(file.path, file.footer) as opened:
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
