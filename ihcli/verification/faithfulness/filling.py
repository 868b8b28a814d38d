"""What stands in for inputs that are masked: means, rows of a background, or what the other inputs let expect."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

RIDGE = 1e-6
"""Added to the correlations, so that columns that follow from each other can be told apart."""


class Fill(ABC):
    """Puts something in the place of masked inputs of rows."""

    @property
    def copies(self) -> int:
        """How many points one masked row becomes, of whose outputs the mean is taken."""
        return 1

    @abstractmethod
    def points(self, row: np.ndarray, inputs: np.ndarray, masked: np.ndarray) -> np.ndarray:
        """Return rows (P,) with inputs (P, D) filled where masked (P, D), (P * copies, D): copies of one together."""


@dataclass(frozen=True)
class Constant(Fill):
    """Fills with the same whatever else is known: values (D,), or (N, D) where each row has its own."""

    values: np.ndarray

    def points(self, row: np.ndarray, inputs: np.ndarray, masked: np.ndarray) -> np.ndarray:
        """Return the rows filled."""
        return np.where(masked, self.values[row] if self.values.ndim > 1 else self.values, inputs)


@dataclass(frozen=True)
class Resampled(Fill):
    """Fills jointly with each of some rows: drawn (R, D), or (N, R, D) where each row has its own."""

    drawn: np.ndarray

    @property
    def copies(self) -> int:
        """R."""
        return self.drawn.shape[-2]

    def points(self, row: np.ndarray, inputs: np.ndarray, masked: np.ndarray) -> np.ndarray:
        """Return R copies of each row."""
        drawn = self.drawn[row] if self.drawn.ndim > 2 else self.drawn
        return np.where(masked[:, None], drawn, inputs[:, None]).reshape(-1, inputs.shape[1])


class Imputed(Fill):
    """Fills with the mean of a Gaussian given the inputs that are not masked.

        m_I + C_IO C_OO^-1 (x_O - m_O) = m_I - P_II^-1 P_IO (x_O - m_O),   P = C^-1

    of masked inputs I and others O. m and C are those of the background, C with RIDGE times its diagonal added, so that
    units of columns do not matter. The smaller one of the two systems is solved.
    """

    def __init__(self, background: np.ndarray) -> None:
        rows = np.asarray(background, np.float64)
        self._mean, spread = rows.mean(0), rows.std(0, ddof=1) if len(rows) > 1 else np.zeros(rows.shape[1])
        self._spread = np.where(spread > 0, spread, 1.0)
        standard = (rows - self._mean) / self._spread
        self._c = standard.T @ standard / max(1, len(rows) - 1) + RIDGE * np.eye(rows.shape[1])
        self._p = np.linalg.inv(self._c)

    def points(self, row: np.ndarray, inputs: np.ndarray, masked: np.ndarray) -> np.ndarray:
        """Return the rows filled."""
        filled, standard = inputs.copy(), (inputs - self._mean) / self._spread
        for place, hidden in enumerate(masked):
            expected = self._expected(standard[place], np.flatnonzero(hidden), np.flatnonzero(~hidden))
            filled[place, hidden] = (self._mean + self._spread * expected)[hidden]
        return filled

    def _expected(self, standard: np.ndarray, hidden: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """Return standardised means of the hidden inputs, (D,), 0 elsewhere."""
        found = np.zeros(len(standard))
        if not len(hidden) or not len(seen):
            return found
        if len(seen) <= len(hidden):
            found[hidden] = self._c[np.ix_(hidden, seen)] @ np.linalg.solve(self._c[np.ix_(seen, seen)], standard[seen])
        else:
            pull = self._p[np.ix_(hidden, seen)] @ standard[seen]
            found[hidden] = -np.linalg.solve(self._p[np.ix_(hidden, hidden)], pull)
        return found
