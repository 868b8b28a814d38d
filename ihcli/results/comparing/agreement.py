"""How far values agree, row by row: correlation of ranks, overlap of the largest, signs, and the largest change."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ihcli.explanation.ranks import average_ranks, correlations

SIGNLESS = 1e-6
"""Values so small beside the largest of their row have no sign: they are rounding in single precision."""
K, FEW = 10, 20


def k_of(n_values: int, asked: int | None) -> int:
    """Return how many values are the top: as asked, else 10, or of fewer than 20 values half."""
    if asked is not None:
        return min(asked, n_values)
    return K if n_values >= FEW else max(1, n_values // 2)


def signs(values: np.ndarray) -> np.ndarray:
    """Return -1, 0 or 1 of every value (m, n); 0 where it is SIGNLESS beside the largest of its row."""
    sizes = np.abs(values)
    is_nothing = sizes <= SIGNLESS * sizes.max(axis=1, initial=0.0, keepdims=True)
    return np.where(is_nothing, 0, np.sign(values)).astype(np.int8)


@dataclass(frozen=True)
class Ranked:
    """Values of m rows (m, n) of one run, with what comparing them takes; k of them are the top."""

    values: np.ndarray
    k: int

    @cached_property
    def ranks(self) -> np.ndarray:
        """Ranks of the signed values."""
        return average_ranks(self.values)

    @cached_property
    def size_ranks(self) -> np.ndarray:
        """Ranks of the sizes, the largest first."""
        return average_ranks(-np.abs(self.values))

    @cached_property
    def top(self) -> np.ndarray:
        """Whether each is among the k largest in size of its row, ties by place, (m, n) bool; what is 0 never is."""
        found = np.zeros(self.values.shape, bool)
        largest_first = np.argsort(-np.abs(self.values), axis=1, kind="stable")
        np.put_along_axis(found, largest_first[:, : self.k], True, axis=1)
        return found & (self.values != 0)

    @cached_property
    def signs(self) -> np.ndarray:
        """Signs, see `signs`."""
        return signs(self.values)


@dataclass(frozen=True)
class Agreement:
    """How far two runs agree in m rows; NaN where it is not defined.

    spearman, spearman_abs  (m,) of the signed values, and of their sizes
    overlap   (m,) share of the k largest in size, of the run that has more of them, that are among those of the other
    sign      (m,) share of equal signs among values that have one in both
    change    (m,) the largest difference, and its place
    """

    spearman: np.ndarray
    spearman_abs: np.ndarray
    overlap: np.ndarray
    sign: np.ndarray
    change: np.ndarray
    place: np.ndarray

    @classmethod
    def of(cls, first: Ranked, second: Ranked) -> "Agreement":
        """Compare rows of two runs."""
        signed = (first.signs != 0) & (second.signs != 0)
        differences = np.abs(first.values - second.values)
        place = differences.argmax(axis=1)
        return cls(
            correlations(first.ranks, second.ranks),
            correlations(first.size_ranks, second.size_ranks),
            _shares(first.top & second.top, _longer(first.top, second.top)),
            _shares((first.signs == second.signs) & signed, signed),
            np.take_along_axis(differences, place[:, None], axis=1)[:, 0],
            place,
        )


def _longer(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return for each row that of two selections (m, n) that takes more."""
    return np.where((first.sum(axis=1) >= second.sum(axis=1))[:, None], first, second)


def means(figures: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean of what is known of several (m,), NaN where nothing is."""
    stacked = np.stack(figures)
    known = ~np.isnan(stacked)
    return _shares(np.where(known, stacked, 0.0), known, axis=0)


def least(figures: Sequence[np.ndarray]) -> np.ndarray:
    """Return the least of what is known of several (m,), NaN where nothing is."""
    return np.fmin.reduce(np.stack(figures))


def _shares(found: np.ndarray, among: np.ndarray, axis: int = 1) -> np.ndarray:
    counts = among.sum(axis=axis)
    return np.where(counts > 0, found.sum(axis=axis) / np.maximum(counts, 1), np.nan)
