"""Matrices of interactions as products of smaller ones, and any of them looked at in bands of their upper triangle.

Of a wide chain Gamma is P' S P + diag(d), where m, the width of its first layer, is far less than G: whoever wants sums
or the largest entries takes bands of it, and nobody holds G x G numbers of a row.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Factored:
    """Matrices P' S P + diag(d) of N rows; only what is above their diagonals is ever made, so that they are symmetric.

    maps      (N, m, G): P, in the dtype of the matrices
    cores     (N, m, m): S, symmetric
    diagonal  (N, G): what stands on the diagonals in all, in the same dtype
    margins   (N, G) float64: sums of the sizes of every row of the matrices
    """

    maps: np.ndarray
    cores: np.ndarray
    diagonal: np.ndarray
    margins: np.ndarray

    def __len__(self) -> int:
        return len(self.maps)

    def __getitem__(self, rows: Any) -> "Factored":
        """Return those of some rows: a slice, a mask or indices."""
        return Factored(*(values[rows] for values in self._parts))

    def __setitem__(self, rows: Any, value: float) -> None:
        """Set all of some rows, as to NaN where there is none."""
        for values in self._parts:
            values[rows] = value

    @property
    def shape(self) -> tuple[int, int, int]:
        """(N, G, G)."""
        n, _, g = self.maps.shape
        return n, g, g

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the matrices."""
        return self.maps.dtype

    @classmethod
    def joined(cls, parts: Sequence["Factored"]) -> "Factored":
        """Return all rows of the parts, in order."""
        return cls(*(np.concatenate(values) for values in zip(*(part._parts for part in parts), strict=True)))

    def scattered(self, present: np.ndarray) -> "Factored":
        """Put rows where `present` (N,) is True, in order; the others are NaN."""
        spread = [np.full((len(present), *values.shape[1:]), np.nan, values.dtype) for values in self._parts]
        for full, values in zip(spread, self._parts, strict=True):
            full[present] = values
        return Factored(*spread)

    def whole(self) -> np.ndarray:
        """Return the matrices, (N, G, G)."""
        found = np.empty(self.shape, self.dtype)
        for g in range(self.shape[1]):
            found[:, g, g] = self.diagonal[:, g]
            found[:, g, g + 1 :] = found[:, g + 1 :, g] = self.above(range(g, g + 1))
        return found

    def above(self, some: range) -> np.ndarray:
        """Return what stands above the diagonal in some of the rows of the matrices, (N, P)."""
        rows = zip(self.maps, self._carried, strict=True)
        return np.stack([above_in_product(maps, carried, some) for maps, carried in rows])

    @cached_property
    def _carried(self) -> np.ndarray:
        """S P, (N, m, G)."""
        return np.matmul(self.cores, self.maps)

    @property
    def _parts(self) -> tuple[np.ndarray, ...]:
        return tuple(getattr(self, field.name) for field in fields(self))


Matrices = np.ndarray | Factored


def above_in_product(left: np.ndarray, right: np.ndarray, some: range) -> np.ndarray:
    """Return what stands above the diagonal in some of the rows of the matrix left' right of (m, G) each, (P,)."""
    band = left[:, some.start : some.stop].T @ right[:, some.start :]
    return np.concatenate([row[place + 1 :] for place, row in enumerate(band)])


def above(matrices: Matrices, some: range) -> np.ndarray:
    """Return what stands above the diagonal in some of the rows of matrices, (N, P) row after row of them."""
    if isinstance(matrices, Factored):
        return matrices.above(some)
    return np.concatenate([matrices[:, g, g + 1 :] for g in some], axis=1)


def runs_of_rows(n_features: int, values: int) -> Iterator[range]:
    """Cut the rows of an upper triangle into runs of about so many entries, each of at least one row."""
    start = 0
    while start < n_features - 1:
        stop = min(n_features - 1, start + max(1, values // (n_features - 1 - start)))
        yield range(start, stop)
        start = stop


def members(places: np.ndarray, n_features: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the row and the column of entries, given by their places in the upper triangle, row after row."""
    features = np.arange(n_features, dtype=np.int64)
    starts = features * (2 * n_features - 1 - features) // 2
    first = np.searchsorted(starts, places, side="right") - 1
    return first.astype(np.int32), (places - starts[first] + first + 1).astype(np.int32)


def diagonals(matrices: Matrices) -> np.ndarray:
    """Return the diagonals, (N, G)."""
    return matrices.diagonal if isinstance(matrices, Factored) else np.diagonal(matrices, axis1=1, axis2=2)


def whole(matrices: Matrices) -> np.ndarray:
    """Return matrices as (N, G, G) numbers."""
    return matrices.whole() if isinstance(matrices, Factored) else matrices
