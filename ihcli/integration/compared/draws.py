"""Draws of random values, summed up: their means, and how far these may be off."""

import numpy as np

ERRORS = 2.0
"""Standard errors that are reported: of the L1 norm of many values 1 would be too little in 1 of 3 rows."""


class Draws:
    """Means over draws of N rows, and their standard errors."""

    def __init__(self, *shape: int) -> None:
        self._sum, self._squares = np.zeros(shape), np.zeros(shape)

    def add(self, rows: np.ndarray, drawn: np.ndarray) -> None:
        """Add a draw of these rows."""
        self.add_sums(rows, drawn, drawn**2)

    def add_sums(self, rows: np.ndarray, sums: np.ndarray, squares: np.ndarray) -> None:
        """Add the sums of draws of these rows, and of their squares."""
        self._sum[rows] += sums
        self._squares[rows] += squares

    def mean(self, count: np.ndarray) -> np.ndarray:
        """Return the means of so many draws (N,)."""
        found: np.ndarray = self._sum / _beside(count, self._sum)
        return found

    def error(self, count: np.ndarray) -> np.ndarray:
        """Return the sum of the standard errors of all values of a row, (N,), larger where they come of few draws."""
        times = _beside(count, self._sum)
        variance = np.maximum(self._squares / times - (self._sum / times) ** 2, 0) / np.maximum(times - 1, 1)
        found: np.ndarray = np.sqrt(variance).reshape(len(count), -1).sum(1) * _of_few(count)
        return found


def _beside(count: np.ndarray, like: np.ndarray) -> np.ndarray:
    return count.reshape(-1, *[1] * (like.ndim - 1))


def _of_few(count: np.ndarray) -> np.ndarray:
    """Return by how much Student's t of so many draws is beyond the normal at ERRORS, by its first terms."""
    z, freedom = ERRORS, np.maximum(count - 1, 1)
    terms = (z**2 + 1) / 4, (5 * z**4 + 16 * z**2 + 3) / 96, (3 * z**6 + 19 * z**4 + 17 * z**2 - 15) / 384
    found: np.ndarray = 1 + sum(term / freedom**power for power, term in enumerate(terms, 1))
    return found
