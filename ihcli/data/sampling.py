"""Uniform samples of rows that stream by, from a seed, however the rows come in blocks."""

from collections.abc import Iterable

import numpy as np


class Sampler:
    """A uniform sample without replacement of rows whose number is not known before: one pass, 2 x size rows in memory.

    Every row gets a random key, and the rows of the smallest keys are the sample (bottom-k sampling, Cohen and Kaplan
    2007). So the samples of one seed are parts of one another, and a row's chance depends on no other row.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
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
        if len(self._keys) > 2 * self.size:
            smallest = self._smallest(self.size)
            self._rows = [np.concatenate(self._rows)[smallest]]
            self._keys = self._keys[smallest]
            self._bound = self._keys.max()

    def rows(self, size: int) -> np.ndarray:
        """Return a sample of at most the sampler's size, in the order in which rows came."""
        return np.concatenate(self._rows)[self._smallest(min(size, self.size))]

    def _smallest(self, size: int) -> np.ndarray:
        return np.sort(np.argsort(self._keys, kind="stable")[:size])


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
