"""The values of entries of a run, one after the other: attributions, or the effects of pairs with their error bars."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ihcli.bars import pair_bars
from ihcli.files.arrays import strings
from ihcli.layouts.columns import ERROR_BAR, holds_top_pairs
from ihcli.layouts.layout import Layout, Sized
from ihcli.quality import INTERACTION_ERROR


@dataclass(frozen=True)
class Cells:
    """C values of n entries, those of one entry next to each other.

    entry      (C,) place of the entry that each belongs to
    names      of units, among which `ends` point
    ends       (C,) places of the name of the unit, or of both units of a pair
    positions  (C,) places of these units in the entry, as `ends`; None where they are not told
    values     (C,) float64
    bars       (C,) how far each may be off; None: nothing is known of it
    """

    entry: np.ndarray
    names: pa.Array
    ends: tuple[np.ndarray, ...]
    positions: tuple[np.ndarray, ...] | None
    values: np.ndarray
    bars: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values)

    def take(self, some: np.ndarray | slice) -> "Cells":
        """Return some of them, in that order."""
        return replace(
            self,
            entry=self.entry[some],
            ends=tuple(each[some] for each in self.ends),
            positions=None if self.positions is None else tuple(each[some] for each in self.positions),
            values=self.values[some],
            bars=None if self.bars is None else self.bars[some],
        )

    def with_names(self, wanted: Sequence[str]) -> "Cells":
        """Return those that have one of these names."""
        is_wanted = np.asarray(pc.is_in(self.names, value_set=strings(wanted)).to_numpy(zero_copy_only=False), bool)
        return self.take(np.logical_or.reduce([is_wanted[each] for each in self.ends]))

    def largest(self, most: int | None = None) -> "Cells":
        """Return the `most` largest of every entry, all where it is None, the largest first, ties as they come."""
        order = np.lexsort((-np.abs(self.values), self.entry))
        entry = self.entry[order]
        rank = np.arange(len(entry)) - np.searchsorted(entry, entry)
        return self.take(order if most is None else order[rank < most])

    def cut(self, most: int) -> Iterator["Cells"]:
        """Give so many of them at a time."""
        for start in range(0, len(self), most):
            yield self.take(slice(start, start + most))


def attribution_cells(entries: pa.Table, layout: Layout[Any]) -> Cells:
    """Return the attributions of entries (n,) of an attributions part, which have values."""
    found = []
    for some in layout.sized(entries, None, np.ones(len(entries), bool)):
        m, size = some.phi.shape
        found.append((np.repeat(some.place, size), np.tile(np.arange(size), m), some.phi.ravel()))
    entry, position, values = _in_order(found, 3)
    names, base = _names(entries, layout)
    return Cells(entry, names, (base[entry] + position,), (position,), values)


def pair_cells(entries: pa.Table, stored: pa.ChunkedArray, layout: Layout[Any], main_effects: bool) -> Cells:
    """Return the effects of pairs of entries: of all pairs where matrices are stored, else of the largest.

    Parameters:
        stored: of an interactions part, the same entries.
        main_effects: whether those of a unit with itself are among them, of matrices.
    """
    if holds_top_pairs(stored.type):
        return _top_cells(stored, layout)
    found = [
        _of_matrices(entries, some, main_effects)
        for some in layout.sized(entries, stored, np.ones(len(entries), bool))
        if some.gamma is not None
    ]
    entry, first, second, values, bars = _in_order(found, 5)
    names, base = _names(entries, layout)
    ends = base[entry] + first, base[entry] + second
    known = INTERACTION_ERROR in entries.column_names
    return Cells(entry, names, ends, (first, second), values, bars if known else None)


def counts(entries: pa.Table, stored: pa.ChunkedArray | None, layout: Layout[Any]) -> np.ndarray:
    """Return how many values each entry has at most, (n,)."""
    if stored is not None and holds_top_pairs(stored.type):
        return np.asarray(pc.list_value_length(stored).to_numpy(zero_copy_only=False), np.int64)
    units = np.full(len(entries), len(layout.features))
    if layout.shared:
        units = np.asarray(pc.list_value_length(entries[layout.shared[0]]).to_numpy(zero_copy_only=False), np.int64)
    return units if stored is None else units * (units + 1) // 2


def _of_matrices(entries: pa.Table, some: Sized, main_effects: bool) -> tuple[np.ndarray, ...]:
    """Return place of the entry, both positions, effect and bar of all pairs, one entry after the other."""
    assert some.gamma is not None
    m, size = some.phi.shape
    first, second = np.triu_indices(size, 0 if main_effects else 1)
    upper, twice = first * size + second, np.where(first == second, 1.0, 2.0)

    def of_pairs(matrices: np.ndarray) -> np.ndarray:
        return np.asarray(twice * np.take(matrices.reshape(m, -1), upper, axis=1).astype(np.float64)).ravel()

    bars = np.full(m * len(upper), np.nan)
    if INTERACTION_ERROR in entries.column_names:
        errors = entries[INTERACTION_ERROR].cast(pa.float64()).to_numpy()[some.place]
        bars = of_pairs(pair_bars(some.gamma, errors))
    return np.repeat(some.place, len(upper)), np.tile(first, m), np.tile(second, m), of_pairs(some.gamma), bars


def _top_cells(stored: pa.ChunkedArray, layout: Layout[Any]) -> Cells:
    """Return the largest pairs as they are stored, by the names of their members, the largest first."""
    column = stored.combine_chunks()
    pairs = pc.list_flatten(column)
    entry = np.asarray(pc.list_parent_indices(column).to_numpy(zero_copy_only=False), np.int64)
    ends = [pc.struct_field(pairs, name) for name in ("i", "j")]
    values = _floats(pc.struct_field(pairs, "value"))
    known = column.type.value_type.get_field_index(ERROR_BAR) >= 0
    bars = _floats(pc.struct_field(pairs, ERROR_BAR)) if known else None
    if layout.is_aligned:
        names = strings(layout.features)
        places = tuple(np.asarray(pc.index_in(end, value_set=names).to_numpy(zero_copy_only=False)) for end in ends)
        return Cells(entry, names, places, places, values, bars).largest()
    n = len(values)  # of a word that occurs twice it is not told which of them is meant
    return Cells(entry, pa.concat_arrays(ends), (np.arange(n), n + np.arange(n)), None, values, bars).largest()


def _names(entries: pa.Table, layout: Layout[Any]) -> tuple[pa.Array, np.ndarray]:
    """Return names of units, and where among them those of each entry begin, (n,)."""
    if not layout.shared:
        return strings(layout.features), np.zeros(len(entries), np.int64)
    (column,) = layout.shared
    units = entries[column].combine_chunks()
    lengths = np.asarray(pc.list_value_length(units).to_numpy(zero_copy_only=False), np.int64)
    return pc.list_flatten(units), np.cumsum(lengths) - lengths


def _in_order(found: Sequence[Sequence[np.ndarray]], width: int) -> list[np.ndarray]:
    """Return columns of which the first is the place of an entry, in the order of entries."""
    if not found:
        return [np.zeros(0, np.int64)] * (width - 1) + [np.zeros(0)]
    if len(found) == 1:
        return list(found[0])
    columns = [np.concatenate(parts) for parts in zip(*found, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    return [column[order] for column in columns]


def _floats(column: pa.Array) -> np.ndarray:
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
