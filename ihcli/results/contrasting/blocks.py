"""Explained rows as they stream by: entries of both kinds of parts, and the columns beside them, a block at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ihcli.errors import RunError
from ihcli.quality import (
    INTERACTION_ERROR,
    INTERACTIONS,
    RELATIVE_ERROR,
    ROW,
    STATUS,
    TARGET,
    WITHOUT_INTERACTION_ERROR,
    Status,
    has_values,
)
from ihcli.results.contrasting.columns import Columns, Values
from ihcli.results.contrasting.conditions import Condition, all_hold
from ihcli.results.result import Result
from ihcli.runs.told import if_told
from ihcli.summaries.ranked import most_error

ERRORS = (RELATIVE_ERROR, INTERACTION_ERROR)
BLOCK_ROWS = 1 << 14


@dataclass(frozen=True)
class Block:
    """Consecutive entries of a run that have values and meet the conditions.

    entries  of the attributions parts
    stored   the same entries of the interactions parts; None where they are not asked for
    beside   the columns that were asked for
    most     error with which entries rank; None: all do
    """

    entries: pa.Table
    stored: pa.ChunkedArray | None
    beside: dict[str, Values]
    most: float | None

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def row(self) -> np.ndarray:
        """Indices of rows, (n,)."""
        return np.asarray(self.entries[ROW].to_numpy())

    def is_of(self, target: str) -> np.ndarray:
        """Return which entries are of a target, (n,) bool."""
        return np.asarray(pc.equal(self.entries[TARGET], target).to_numpy(zero_copy_only=False), bool)

    @cached_property
    def rank(self) -> tuple[np.ndarray, np.ndarray]:
        """Which attributions rank, and which interactions, (n,) bool each: see `ihcli.summaries.ranked`."""
        if self.most is None:
            return (np.ones(len(self), bool),) * 2
        error, both = (np.full(len(self), np.nan) for _ in ERRORS)
        for name in (name for name in ERRORS if name in self.entries.column_names):
            found = self.entries[name].cast(pa.float64()).to_numpy()
            error, both = (found if name == RELATIVE_ERROR else error), np.fmax(both, found)
        is_ok = np.asarray(pc.equal(self.entries[STATUS], Status.OK.value).to_numpy(zero_copy_only=False), bool)
        return is_ok | ~(error > self.most), is_ok | ~(both > self.most)


@dataclass(frozen=True)
class Rows:
    """Rows of a run to look at.

    columns     from which conditions are judged
    conditions  that rows must meet
    all_rows    whether also those count whose errors are too large to rank
    rows        indices of those among which to look; None: all
    """

    result: Result
    columns: Columns
    conditions: tuple[Condition, ...] = ()
    all_rows: bool = False
    rows: Sequence[int] | None = None

    def blocks(
        self, beside: Sequence[str] = (), features: Sequence[str] = (), *, interactions: bool = False
    ) -> Iterator[Block]:
        """Give the rows in order, with these columns beside them and these attributions."""
        needed = list(dict.fromkeys([*beside, *(condition.column for condition in self.conditions)]))
        following, most = self.columns.follow(needed), self._most_error()
        stored_names = self.result.run.attribution_parts.schema.names
        errors = [name for name in ERRORS if name in stored_names]
        names = list(dict.fromkeys([ROW, TARGET, STATUS, *errors, *following.own, *features]))
        for entries, stored in self._streams(names, interactions=interactions):
            values = following.beside(entries)
            status = entries[STATUS].to_numpy(zero_copy_only=False)
            kept = has_values(status) & all_hold(self.conditions, values, len(entries))
            if kept.any():
                yield _block(entries, stored, values, kept, most)

    def _most_error(self) -> float | None:
        info = self.result.told
        all_rank = self.all_rows or if_told(lambda: info.versions.ihcli) in WITHOUT_INTERACTION_ERROR
        if all_rank or info.tolerance is None:
            return None
        return most_error(info.tolerance, if_told(lambda: info.arguments.steps))

    def _streams(self, names: list[str], *, interactions: bool) -> Iterator[tuple[pa.Table, pa.ChunkedArray | None]]:
        entries = _cut(self.result.entries(names, self.rows))
        if not interactions:
            yield from ((table, None) for table in entries)
            return
        stored = self.result.interaction_entries([ROW, TARGET, INTERACTIONS], self.rows)
        yield from _side_by_side(self.result, entries, stored)


def _cut(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    for table in tables:
        for start in range(0, len(table), BLOCK_ROWS):
            yield table.slice(start, BLOCK_ROWS)


def _side_by_side(
    result: Result, entries: Iterator[pa.Table], interactions: Iterator[pa.Table]
) -> Iterator[tuple[pa.Table, pa.ChunkedArray]]:
    """Give the same entries of both streams, whose row groups may end in different places; raises RunError."""
    more: pa.Table | None = None
    for table in entries:
        while len(table):
            more = more if more is not None and len(more) else next(interactions, None)
            n = 0 if more is None else min(len(table), len(more))
            if more is None or any(not table[name][:n].equals(more[name][:n]) for name in (ROW, TARGET)):
                raise RunError(
                    f"{result.path}: its interactions are not of the rows that its attributions are of. "
                    f"Try ihcli verify {result.path}."
                )
            if n:
                yield table[:n], more[INTERACTIONS][:n]
            table, more = table[n:], more[n:]


def _block(
    entries: pa.Table,
    stored: pa.ChunkedArray | None,
    values: dict[str, Values],
    kept: np.ndarray,
    most: float | None,
) -> Block:
    if kept.all():
        return Block(entries, stored, values, most)
    mask = pa.array(kept)
    values = {
        name: found.filter(mask) if isinstance(found, pa.Array) else found[kept] for name, found in values.items()
    }
    return Block(entries.filter(mask), None if stored is None else stored.filter(mask), values, most)
