"""Uniform samples of rows that stream by: which, from a seed, and collecting them in one pass."""

from collections.abc import Iterable

import numpy as np


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
