"""What one pass over the rows tells: how many there are, their means, and what is missing."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Missing:
    """Values of one feature that cannot be explained: "null" (no value, or NaN) or "non-finite" (infinite)."""

    column: str
    count: int
    first_row: int
    kind: str


@dataclass(frozen=True)
class Scan:
    """What one pass over the rows tells.

    n_rows      rows seen
    n_complete  rows whose inputs are all finite
    mean        (D,) mean of the finite values of every feature; NaN where it has none
    missing     one entry per feature and kind of missing value, in feature order
    """

    n_rows: int
    n_complete: int
    mean: np.ndarray
    missing: tuple[Missing, ...]


class Tally:
    """Means (Chan et al. 1983, pairwise update) and missing values of blocks added in row order."""

    def __init__(self, features: tuple[str, ...]) -> None:
        self.n_rows = self.n_complete = 0
        self._features = features
        self._n_finite = np.zeros(len(features), np.int64)
        self._mean = np.zeros(len(features))
        self._counts = {"null": np.zeros(len(features), np.int64), "non-finite": np.zeros(len(features), np.int64)}
        self._first_rows = {kind: np.full(len(features), -1) for kind in self._counts}

    @np.errstate(over="ignore", invalid="ignore")  # of sums: of the largest numbers, and of infinite ones
    def add(self, block: np.ndarray) -> np.ndarray:
        """Add (n, D) inputs that follow those added before, and return the complete rows of them."""
        total = block.sum(axis=0)
        if np.isfinite(total).all():  # so is every value
            self._add_mean(total, np.full(len(total), len(block)))
            complete = block
        else:
            is_finite = np.isfinite(block)
            self._add_mean(np.where(is_finite, block, 0.0).sum(axis=0), is_finite.sum(axis=0))
            self._add_missing("null", np.isnan(block))
            self._add_missing("non-finite", np.isinf(block))
            complete = block[is_finite.all(axis=1)]
        self.n_rows += len(block)
        self.n_complete += len(complete)
        return complete

    def _add_mean(self, total: np.ndarray, n_finite: np.ndarray) -> None:
        self._n_finite += n_finite
        mean = total / np.maximum(n_finite, 1)
        self._mean += (mean - self._mean) * (n_finite / np.maximum(self._n_finite, 1))

    def _add_missing(self, kind: str, is_missing: np.ndarray) -> None:
        is_first = is_missing.any(axis=0) & (self._first_rows[kind] < 0)
        self._first_rows[kind][is_first] = self.n_rows + is_missing.argmax(axis=0)[is_first]
        self._counts[kind] += is_missing.sum(axis=0)

    def scan(self) -> Scan:
        """Return what was seen so far."""
        missing = tuple(
            Missing(name, int(self._counts[kind][i]), int(self._first_rows[kind][i]), kind)
            for i, name in enumerate(self._features)
            for kind in self._counts
            if self._counts[kind][i]
        )
        return Scan(self.n_rows, self.n_complete, np.where(self._n_finite > 0, self._mean, np.nan), missing)
