"""The largest pairs of a matrix that is a product of smaller ones, found a band at a time, and what may be as large.

Kept are the entries that may be among the `top` largest, and those that may be the top + 1 largest whatever errors
within their bars: of these, one at least is not among the largest, and says what the largest must exceed to be certain.
"""

from dataclasses import dataclass

import numpy as np

from ihcli.bars import Shares, are_certain
from ihcli.explanation.factors import Factored, members, runs_of_rows
from ihcli.layouts.columns import CERTAIN, ERROR_BAR, TopPairs, largest

BAND_VALUES = 1 << 18
"""Of the entries looked at together: 1 MiB in float32, which stays in cache while passed over."""


@dataclass(frozen=True)
class _Leaders:
    """Entries of one matrix by their place in the upper triangle, ascending: values, bars, and sizes with bars."""

    place: np.ndarray
    values: np.ndarray
    bars: np.ndarray

    @property
    def most(self) -> np.ndarray:
        """The most that each may be."""
        return np.abs(self.values) + self.bars

    def with_more(self, place: np.ndarray, values: np.ndarray, bars: np.ndarray, top: int) -> "_Leaders":
        """Return these and others of later places, without those that neither lead nor may."""
        both = _Leaders(
            np.concatenate([self.place, place]),
            np.concatenate([self.values, values]),
            np.concatenate([self.bars, bars]),
        )
        kept = np.union1d(largest(np.abs(both.values), top), largest(both.most, top + 1))
        return _Leaders(both.place[kept], both.values[kept], both.bars[kept])

    def of_interest(self, sizes: np.ndarray, top: int, shares: Shares) -> np.ndarray:
        """Return which entries of later places may be among these."""
        widest, by_size = shares.most(np.zeros(1))[0], shares.by_size[0]
        if len(self.place) > top:
            size, most = np.sort(np.abs(self.values))[-top], np.sort(self.most)[-top - 1]
            return np.flatnonzero(~(sizes <= min(size, (most - widest) / (1 + by_size))))
        if len(sizes) <= top:
            return np.arange(len(sizes))
        own = np.partition(sizes, -top - 1)[-top - 1]  # what is so large with its bar is no more than top + 1 are
        return np.flatnonzero(~(sizes < (own - widest) / (1 + by_size)))


def top_pairs(matrix: Factored, top: int, error: float | None) -> TopPairs:
    """Return the `top` largest pairs of the one matrix, with bars where an error is known; see `TopPairs.of`."""
    g = matrix.shape[1]
    top = min(top, g * (g - 1) // 2)
    known = error is not None and bool(np.isfinite(error))
    shares = Shares.of(matrix.margins, np.array([error if known and error is not None else 0.0]))
    found, start, row = _Leaders(np.zeros(0, np.int64), np.zeros(0), np.zeros(0)), 0, np.zeros(1, np.int64)
    for some in runs_of_rows(g, BAND_VALUES):
        (band,) = matrix.above(some)
        chosen = found.of_interest(np.abs(band), top, shares)
        place, values = start + chosen, band[chosen].astype(np.float64)
        bars = shares.at(row, np.abs(values), *members(place, g))
        found, start = found.with_more(place, values, bars, top), start + len(band)
    order = largest(np.abs(found.values), top)
    values, bars = 2 * found.values[order], 2 * found.bars[order]
    beside = {}
    if error is not None:
        others = np.delete(found.most, order)
        beyond = 2 * others.max(initial=-np.inf)
        bars = bars if known else np.full(len(bars), np.nan)
        beside = {ERROR_BAR: bars[None], CERTAIN: are_certain(values, bars, beyond)[None]}
    return TopPairs(found.place[order][None], values[None].astype(matrix.dtype), beside)
