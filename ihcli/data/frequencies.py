"""How often the values of some columns occur, counted in one pass over the rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ihcli.data.rows import Rows


@dataclass(frozen=True)
class Frequencies:
    """The finite values of one column, ascending, and how often each occurs."""

    column: int
    values: np.ndarray
    counts: np.ndarray

    @property
    def mode(self) -> float:
        """Return the most frequent value, the lowest of several; NaN where there is none."""
        return float(self.values[self.counts.argmax()]) if len(self.values) else np.nan


def frequencies(rows: Rows, columns: Sequence[int]) -> tuple[Frequencies, ...]:
    """Count the values of these columns of all rows.

    Cost: a pass, which sorts them block by block; memory for the values that differ.
    """
    found = [Frequencies(column, np.zeros(0), np.zeros(0, np.int64)) for column in columns]
    for block in rows.inputs() if found else ():
        found = [_joined(before, block[:, before.column]) for before in found]
    return tuple(found)


def _joined(before: Frequencies, values: np.ndarray) -> Frequencies:
    some, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    together, place = np.unique(np.concatenate([before.values, some]), return_inverse=True)
    joined = np.bincount(place, np.concatenate([before.counts, counts]), len(together)).astype(np.int64)
    return Frequencies(before.column, together, joined)
