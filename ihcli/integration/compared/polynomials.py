"""Polynomials in the signs of gates, +1 open and -1 closed: games whose Shapley values and indices are known.

    v(S) = sum_A c_A prod_{g in A} z_g

is odd where all A have odd sizes: v of the complement is -v(S). Then, as gates before g in an order are as many as any,

    phi_g = sum over A with g of 2 c_A / |A|        and where all sizes are even, I_gh = sum over A with both of
                                                    4 c_A / (|A| - 1)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import comb

import numpy as np

PIECE = 1 << 12
"""Subsets whose columns are held at once."""
_RIDGE = 1e-14


@dataclass(frozen=True)
class Polynomial:
    """A polynomial in the signs of G gates, with p columns: the products of all sets of gates of these sizes."""

    g: int
    sizes: tuple[int, ...]

    def __len__(self) -> int:
        return sum(comb(self.g, size) for size in self.sizes)

    @cached_property
    def _places(self) -> list[np.ndarray]:
        """Return the gates of each column, (columns, size) of each size."""
        sets = (list(combinations(range(self.g), size)) for size in self.sizes)
        return [np.array(found, np.int64).reshape(len(found), -1) for found in sets]

    def columns(self, signs: np.ndarray) -> np.ndarray:
        """Return the products at signs (S, G), (S, p)."""
        found = np.ones((len(signs), len(self)))
        start = 0
        for places in self._places:
            part = found[:, start : start + len(places)]
            for member in places.T:
                part *= signs[:, member]
            start += len(places)
        return found

    def values(self, coefficients: np.ndarray) -> np.ndarray:
        """Return Shapley values (R, G) of odd polynomials, given their coefficients (p, R)."""
        found = np.zeros((self.g, coefficients.shape[1]))
        for part, places in self._by_size(coefficients):
            for member in places.T:
                np.add.at(found, member, 2 / places.shape[1] * part)
        return found.T

    def indices(self, coefficients: np.ndarray) -> np.ndarray:
        """Return interaction indices (R, G, G) of even polynomials, given their coefficients (p, R)."""
        found = np.zeros((self.g, self.g, coefficients.shape[1]))
        for part, places in self._by_size(coefficients):
            for i, j in combinations(range(places.shape[1]), 2):
                np.add.at(found, (places[:, i], places[:, j]), 4 / (places.shape[1] - 1) * part)
        return (found + found.transpose(1, 0, 2)).transpose(2, 0, 1)

    def _by_size(self, coefficients: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        ends = np.cumsum([len(places) for places in self._places], dtype=np.int64)
        return list(zip(np.split(coefficients, ends), self._places, strict=False))

    def fitted(self, parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
        """Return for each part the coefficients (p, R) that fit all others best.

        parts  subsets (S, G) and values there (R, S), of each
        """
        sums = [self._normal(sets, values) for sets, values in parts]
        gram, moments = (np.sum(of_parts, axis=0) for of_parts in zip(*sums, strict=True))
        ridge = _RIDGE * np.trace(gram) / max(1, len(self)) * np.eye(len(self))
        return [np.linalg.solve(gram - own + ridge, moments - its) for own, its in sums]

    def _normal(self, sets: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        gram, moments = np.zeros((len(self), len(self))), np.zeros((len(self), len(values)))
        for some in pieces(len(sets)):
            columns = self.columns(signs_of(sets[some]))
            gram += columns.T @ columns
            moments += columns.T @ values[:, some].T
        return gram, moments


def richest(g: int, is_odd: bool, most: float) -> Polynomial:
    """Return the polynomial of that kind of as many columns as there may be, which may be none."""
    sizes: tuple[int, ...] = ()
    size = 1 if is_odd else 0
    while size <= g and len(wider := Polynomial(g, (*sizes, size))) <= most:
        sizes, size = wider.sizes, size + 2
    return Polynomial(g, sizes)


def signs_of(sets: np.ndarray) -> np.ndarray:
    """Return +1 for open gates and -1 for closed ones."""
    return np.where(sets, 1.0, -1.0)


def pieces(count: int) -> list[slice]:
    """Return slices of so many subsets that are worked on at once."""
    return [slice(first, first + PIECE) for first in range(0, count, PIECE)]
