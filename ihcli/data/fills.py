"""What a model's own imputer puts in the place of missing numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ihcli.wording import quoted

NAMED = 5


@dataclass(frozen=True)
class Filled:
    """What is filled in one feature of a table: how many values, and with what number."""

    column: str
    count: int
    value: float


@dataclass(frozen=True, eq=False)
class Fills:
    """Numbers that are put into D columns.

    names    of the columns
    markers  (D,) what is replaced: NaN, a missing value, or a number that stands for one
    values   (D,) by what; NaN: nothing is replaced
    """

    names: tuple[str, ...]
    markers: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, names: Sequence[str], fills: "Sequence[tuple[float, float] | None]") -> "Fills | None":
        """Take (marker, value) of each column, None where nothing is replaced; None where that is everywhere."""
        if not any(fills):
            return None
        markers, values = np.array([fill or (np.nan, np.nan) for fill in fills], np.float64).T
        return cls(tuple(names), markers, values)

    def described(self) -> dict[str, float]:
        """Return the number that is put into each column, where one is."""
        values = zip(self.names, self.values.tolist(), strict=True)
        return {name: value for name, value in values if not np.isnan(value)}

    def told(self, counts: np.ndarray) -> tuple[Filled, ...]:
        """Return in which columns so many values are filled."""
        entries = zip(self.names, counts.tolist(), self.values.tolist(), strict=True)
        return tuple(Filled(name, count, value) for name, count, value in entries if count)

    def where(self, block: np.ndarray) -> np.ndarray:
        """Return which numbers (n, D) are replaced, bool."""
        is_marker = np.where(np.isnan(self.markers), np.isnan(block), block == self.markers)
        return np.asarray(is_marker & ~np.isnan(self.values))

    def filled(self, block: np.ndarray) -> np.ndarray:
        """Return numbers (n, D) with those that are replaced."""
        where = self.where(block)
        return np.where(where, self.values, block) if where.any() else block


def filled_in_words(filled: Sequence[Filled]) -> str:
    """Return a sentence on what a model's imputer fills."""
    told = ", ".join(f"{quoted(each.column)} ({each.count} with {each.value:.4g})" for each in filled[:NAMED])
    more = f" and {len(filled) - NAMED} more columns" if len(filled) > NAMED else ""
    return f"missing values are filled by the model's own imputer, and explained as what it puts there: {told}{more}."
