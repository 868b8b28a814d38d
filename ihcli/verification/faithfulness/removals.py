"""Infidelity: whether the sum of some values of a row is what becomes of the output when their units are removed.

    mean over random sets S of ( sum_{g in S} phi_g - (f(x) - f(x' on S, x elsewhere)) )^2

Yeh et al. (2019), with a unit removed when its inputs are those of the baseline x', and the mean over baselines where
there are many. Values that are no parts of the output can be compared by their best multiple: what is then left of the
squared differences, 0 to 1.
"""

from dataclasses import dataclass

import numpy as np

from ihcli.advance import Tell, unheard
from ihcli.verification.faithfulness.filling import Fill
from ihcli.verification.faithfulness.masking import Outputs, Units

SETS = 50
"""Of units, drawn for each row: every unit with a chance of one half."""


@dataclass(frozen=True)
class Removals:
    """Sets of units removed from N rows, masked (N, S, G), and the changes of the output, (N, S)."""

    masked: np.ndarray
    changes: np.ndarray

    @classmethod
    def drawn(cls, f: Outputs, units: Units, fill: Fill, seed: int, tell: Tell = unheard) -> "Removals":
        """Remove SETS of each row. Cost: a forward for each copy of what is filled, and one for each row."""
        n, g = len(units.n_units), int(units.n_units.max())
        rng = np.random.default_rng(seed)
        masked = rng.random((n, SETS, g)) < 0.5
        one = (rng.random((n, SETS)) * units.n_units[:, None]).astype(np.int64)
        masked[np.arange(n)[:, None], np.arange(SETS), one] |= ~masked.any(2)
        masked &= np.arange(g) < units.n_units[:, None, None]
        row = np.repeat(np.arange(n), SETS)
        left = units.outputs(f, fill, row, masked.reshape(-1, g), tell)
        return cls(masked, f(units.inputs)[:, None] - left.reshape(n, SETS))

    def infidelity(self, values: np.ndarray) -> np.ndarray:
        """Return the mean squared difference of each row for values (N, G), (N,)."""
        found: np.ndarray = ((self._sums(values) - self.changes) ** 2).mean(1)
        return found

    def unexplained(self, values: np.ndarray) -> np.ndarray:
        """Return what the best multiple of the values leaves of the squared changes of each row, (N,).

        NaN where no removal changes the output.
        """
        sums = self._sums(values)
        of_sums, whole = (sums**2).sum(1), (self.changes**2).sum(1)
        both = (sums * self.changes).sum(1)
        explained = np.divide(both**2, of_sums, out=np.zeros_like(whole), where=of_sums > 0)
        return np.divide(whole - explained, whole, out=np.full_like(whole, np.nan), where=whole > 0)

    def _sums(self, values: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.einsum("nsg,ng->ns", self.masked, np.nan_to_num(values))
        return found


def forwards(n_rows: int, copies: int) -> int:
    """Return how many forwards `Removals.drawn` takes."""
    return n_rows * (SETS * copies + 1)
