"""Entries of several runs side by side: the same rows and targets, a block at a time, in the order of the first run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest

import numpy as np
import pyarrow as pa

from ihcli.errors import RunError
from ihcli.layouts.columns import holds_top_pairs
from ihcli.layouts.layout import Sized
from ihcli.quality import INTERACTIONS, ROW, STATUS, TARGET, UNITS, has_values
from ihcli.results.comparing.ordering import in_order_of, ordered_as
from ihcli.results.result import Result
from ihcli.runs.told import if_told

BLOCK_VALUES = 1 << 20  # of all runs together: 8 MiB in float64
MOST_ENTRIES = 8192
TYPICAL_UNITS = 64


@dataclass(frozen=True)
class Block:
    """Consecutive entries of the first run, and those of the others that are of the same rows and targets.

    entries       (n entries) of each run's attributions
    interactions  of each run's interactions; empty where not all runs store them
    """

    results: tuple[Result, ...]
    entries: tuple[pa.Table, ...]
    interactions: tuple[pa.Table, ...]

    def __len__(self) -> int:
        return len(self.entries[0])

    @property
    def row(self) -> np.ndarray:
        """Indices of rows of the first run, (n,)."""
        return self.entries[0][ROW].to_numpy()

    @cached_property
    def target(self) -> np.ndarray:
        """Names of targets, (n,); None where a row has no prediction."""
        return self.entries[0][TARGET].to_numpy()

    @cached_property
    def has_values(self) -> np.ndarray:
        """Which entries have values in all runs, (n,) bool."""
        return np.all([has_values(table[STATUS].to_numpy()) for table in self.entries], axis=0)

    @cached_property
    def is_same_target(self) -> np.ndarray:
        """Which entries are of the same target in all runs, (n,) bool."""
        return np.all([table[TARGET].to_numpy() == self.target for table in self.entries], axis=0)

    @cached_property
    def is_same_text(self) -> np.ndarray:
        """Which entries have the same units in all runs, (n,) bool: of tables, all."""
        if self.results[0].layout.is_aligned:
            return np.ones(len(self), bool)
        units = [table[UNITS].to_pylist() for table in self.entries]
        return np.array([all(one == found[0] for one in found[1:]) for found in zip(*units, strict=True)], bool)

    @property
    def compared(self) -> np.ndarray:
        """Which entries are compared, (n,) bool."""
        return self.has_values & self.is_same_target & self.is_same_text

    @property
    def has_matrices(self) -> bool:
        """Whether all runs store whole matrices."""
        return bool(self.interactions) and not any(_holds_top_pairs(table) for table in self.interactions)

    def sized(self) -> Iterator[tuple[Sized, ...]]:
        """Give the entries that are compared, of each run; those of one size together, features as in the first run."""
        matrices = (
            [table[INTERACTIONS] for table in self.interactions] if self.has_matrices else [None] * len(self.results)
        )
        found = [
            result.layout.sized(table, gamma, self.compared)
            for result, table, gamma in zip_longest(self.results, self.entries, matrices)
        ]
        for parts in zip(*found, strict=True):
            first, *others = self.results
            yield (parts[0], *(_as_in(first, other, part) for other, part in zip(others, parts[1:], strict=True)))


@dataclass(frozen=True)
class Joined:
    """Runs whose rows are the same, in whatever order.

    first_rows  so many rows of the first run are all that is looked at; None: all
    """

    results: tuple[Result, ...]
    first_rows: int | None = None

    @property
    def have_interactions(self) -> bool:
        """Whether all runs store interactions of single rows."""
        return all(result.run.has_interactions for result in self.results)

    @property
    def n_rows(self) -> int:
        """How many rows are joined."""
        n_rows = self.results[0].n_rows
        return n_rows if self.first_rows is None else min(n_rows, self.first_rows)

    def blocks(self, rows: int | None = None) -> Iterator[Block]:
        """Give all entries; each call reads the runs once, and once more where rows are in another order.

        Parameters:
            rows: of the data, of each block but the last; None: as many as fit.

        Raises RunError where a run has a row that another one lacks.
        """
        orders = [None, *(in_order_of(self.results[0], other, self.first_rows) for other in self.results[1:])]
        with_interactions = self.have_interactions
        with ordered_as(self.results, orders, with_interactions, self.first_rows) as (attributions, interactions):
            size = (self.rows_at_once if rows is None else rows) * self._targets_per_row
            while len((entries := [tables.take(size) for tables in attributions])[0]):
                gammas = [tables.take(len(entries[0])) for tables in interactions]
                yield Block(self.results, *map(tuple, _of_equal_length(self.results, entries, gammas)))

    @property
    def rows_at_once(self) -> int:
        """How many rows of the data fit into a block."""
        layout = self.results[0].layout
        width = len(layout.features) if layout.is_aligned else TYPICAL_UNITS
        values = width * (width if self.have_interactions else 1) * len(self.results)
        return max(1, min(BLOCK_VALUES // max(1, values), MOST_ENTRIES) // self._targets_per_row)

    @cached_property
    def _targets_per_row(self) -> int:
        totals = if_told(lambda: self.results[0].told.totals)
        entries = None if totals is None else if_told(lambda: totals.entries)
        return 1 if entries is None else max(1, entries // max(1, self.results[0].n_rows))


def _of_equal_length(
    results: Sequence[Result], entries: list[pa.Table], gammas: list[pa.Table]
) -> tuple[list[pa.Table], list[pa.Table]]:
    n = len(entries[0])
    for result, table in zip((*results, *results), (*entries, *gammas), strict=False):
        if len(table) != n:
            raise RunError(
                f"{result.path}: has fewer entries than {results[0].path}, or fewer interactions than attributions. "
                "Expected as many of the same rows. Try ihcli verify."
            )
    return entries, gammas


def _holds_top_pairs(table: pa.Table) -> bool:
    return holds_top_pairs(table.schema.field(INTERACTIONS).type)


def _as_in(first: Result, other: Result, part: Sized) -> Sized:
    if first.feature_names == other.feature_names:
        return part
    place = {name: i for i, name in enumerate(other.feature_names)}
    order = np.array([place[name] for name in first.feature_names])
    gamma = None if part.gamma is None else part.gamma[:, order][:, :, order]
    return Sized(part.place, part.phi[:, order], gamma)
