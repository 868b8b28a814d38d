"""What a model's own imputer puts in the place of missing numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Fills:
    """Numbers that are put into D columns.

    markers  (D,) what is replaced: NaN, a missing value, or a number that stands for one
    values   (D,) by what; NaN: nothing is replaced
    """

    markers: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, fills: "Sequence[tuple[float, float] | None]") -> "Fills | None":
        """Return (marker, value) of each column, None where nothing is replaced; None where that is everywhere."""
        if not any(fills):
            return None
        markers, values = np.array([fill or (np.nan, np.nan) for fill in fills], np.float64).T
        return cls(markers, values)

    def where(self, block: np.ndarray) -> np.ndarray:
        """Return which numbers (n, D) are replaced, bool."""
        is_marker = np.where(np.isnan(self.markers), np.isnan(block), block == self.markers)
        return np.asarray(is_marker & ~np.isnan(self.values))

    def filled(self, block: np.ndarray) -> np.ndarray:
        """Return numbers (n, D) with those that are replaced."""
        where = self.where(block)
        return np.where(where, self.values, block) if where.any() else block
