"""A score of rows, and which of them are positive: counts by value, from which the area under the ROC curve follows."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

_SIGN = np.int64(np.iinfo(np.int64).max)


@dataclass(frozen=True)
class Scores:
    """Counts of negative and positive rows by their score, of `most` different values at most.

    A score is kept as the bits of its float64, in an order that is that of the numbers. Where there are more different
    ones, so many last bits of all are dropped that no more than `most` are left: that depends on the rows alone, not on
    the order in which they came.

    most    different values that are kept
    bits    how many were dropped
    keys    (n,) ascending;  counts  (n, 2) of negative and of positive rows
    """

    most: int
    bits: int = 0
    keys: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    counts: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.int64))

    @classmethod
    def of(cls, scores: np.ndarray, is_positive: np.ndarray, most: int) -> "Scores":
        """Return those of rows: scores (N,) that are finite or infinite, and which rows are positive (N,) bool."""
        bits = (np.asarray(scores, np.float64) + 0.0).view(np.int64)  # -0.0 is 0.0
        counts = np.stack([~is_positive, is_positive], axis=1).astype(np.int64)
        return _narrowed(most, 0, np.where(bits < 0, bits ^ _SIGN, bits), counts)

    def merge(self, other: "Scores") -> "Scores":
        """Return those of both sets of rows."""
        bits = max(self.bits, other.bits)
        keys = np.concatenate([each.keys >> (bits - each.bits) for each in (self, other)])
        return _narrowed(self.most, bits, keys, np.concatenate([self.counts, other.counts]))

    def auroc(self) -> tuple[float, float]:
        """Return the area under the ROC curve, and how far it may be off; NaN where rows are all of one kind.

        It is the share of pairs of a positive and a negative row in which the positive one scores more, ties counting
        half (Hanley and McNeil 1982). Where bits were dropped, ties may be none.
        """
        negative, positive = self.counts.T.astype(np.float64)
        pairs = negative.sum() * positive.sum()
        if not pairs:
            return float("nan"), 0.0
        tied = float(negative @ positive) / pairs / 2
        below = np.cumsum(negative) - negative
        return float(below @ positive) / pairs + tied, tied if self.bits else 0.0

    def state(self) -> dict[str, np.ndarray]:
        """Return all of it as arrays by name."""
        return {"most": np.array([self.most, self.bits]), "keys": self.keys, "counts": self.counts}

    @classmethod
    def of_state(cls, arrays: Mapping[str, np.ndarray]) -> "Scores":
        """Return what `state` was taken of."""
        most, bits = arrays["most"].tolist()
        return cls(most, bits, arrays["keys"], arrays["counts"])


def _narrowed(most: int, bits: int, keys: np.ndarray, counts: np.ndarray) -> Scores:
    """Return counts by different keys, the last bits of which are dropped until there are few enough."""
    found, place = np.unique(keys, return_inverse=True)
    while len(found) > most:
        bits += 1
        found, back = np.unique(found >> 1, return_inverse=True)
        place = back[place]
    summed = np.zeros((len(found), 2), np.int64)
    np.add.at(summed, place, counts)
    return Scores(most, bits, found, summed)
