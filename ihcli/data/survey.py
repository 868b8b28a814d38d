"""What one pass over rows finds: how many there are, their means, what is missing, and some drawn at random."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ihcli.data.fills import Filled


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
    filled      one entry per feature in which the model fills missing values, which are then not missing
    """

    n_rows: int
    n_complete: int
    mean: np.ndarray
    missing: tuple[Missing, ...]
    filled: tuple[Filled, ...] = ()


@dataclass(frozen=True, eq=False)
class RandomRows:
    """Complete rows drawn uniformly and without replacement, in the order of the data.

    values  (n, D)
    ranks   (n,): rows of the smallest ranks are a sample as well, the same whatever was drawn beside them
    """

    values: np.ndarray
    ranks: np.ndarray

    def first(self, size: int) -> np.ndarray:
        """Return a sample of at most so many of them."""
        return self.values if size >= len(self.ranks) else self.values[_lowest(self.ranks, size)]


@dataclass(frozen=True)
class Survey:
    """What was found in one pass: see `Scan` and `RandomRows`."""

    scan: Scan
    sample: RandomRows


class Tally(Protocol):
    """Counts rows that are added block by block, in their order."""

    n_rows: int

    def add(self, block: np.ndarray) -> np.ndarray:
        """Add (n, D) inputs that follow those added before, and return the complete rows of them."""
        ...

    def scan(self) -> Scan:
        """Return what was seen so far."""
        ...


class NumberTally:
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
        """Add numbers, NaN where there is none."""
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


class Sampler:
    """A uniform sample without replacement of rows whose number is not known before: one pass, 2 x size rows in memory.

    Every row gets a random key, and the rows of the smallest keys are the sample (bottom-k sampling, Cohen and Kaplan
    2007). So the samples of one seed are parts of one another, and a row's chance depends on no other row.
    """

    def __init__(self, size: int, seed: int) -> None:
        self._size = size
        self._random = np.random.default_rng(seed)
        self._bound = np.inf
        self._keys = np.empty(0)
        self._rows: list[np.ndarray] = []

    def add(self, rows: np.ndarray) -> None:
        """Add (n, D) rows that follow those added before."""
        keys = self._random.random(len(rows))
        (chosen,) = np.nonzero(keys < self._bound)
        if self._rows and not len(chosen):
            return
        self._keys = np.concatenate([self._keys, keys[chosen]])
        self._rows.append(rows[chosen])
        if len(self._keys) > 2 * self._size:
            smallest = _lowest(self._keys, self._size)
            self._rows = [np.concatenate(self._rows)[smallest]]
            self._keys = self._keys[smallest]
            self._bound = self._keys.max()

    def sample(self) -> RandomRows:
        """Return what was drawn so far."""
        chosen = _lowest(self._keys, self._size)
        return RandomRows(np.concatenate(self._rows)[chosen], self._keys[chosen])


def draw(population: int, size: int, seed: int) -> np.ndarray:
    """Return ascending indices of a uniform sample without replacement, all of them where there are no more."""
    if population <= size:
        return np.arange(population)
    return np.sort(np.random.default_rng(seed).choice(population, size, replace=False, shuffle=False))


def collect(blocks: Iterable[np.ndarray], indices: np.ndarray) -> np.ndarray:
    """Return the rows of these ascending indices, counted over all blocks; stops once it has them."""
    taken, first = [], 0
    for rows in blocks:
        start, stop = np.searchsorted(indices, (first, first + len(rows)))
        taken.append(rows[indices[start:stop] - first])
        first += len(rows)
        if stop == len(indices):
            break
    return np.concatenate(taken)


def _lowest(ranks: np.ndarray, size: int) -> np.ndarray:
    """Return the places of the lowest ranks, ascending."""
    return np.sort(np.argsort(ranks, kind="stable")[:size])
