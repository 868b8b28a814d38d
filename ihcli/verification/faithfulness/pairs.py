"""Pairs of units beside second differences: what two units do together that neither does alone.

    f(x on i and j) - f(x on i) - f(x on j) + f(x'),     x' elsewhere, the mean over baselines x'

Of a row its largest pairs are taken, and others at random; a rank correlation says whether the run puts them in the
order of these differences (Spearman 1904).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ihcli.advance import Tell, unheard
from ihcli.explanation.ranks import spearman
from ihcli.verification.faithfulness.filling import Fill
from ihcli.verification.faithfulness.masking import Outputs, Units

LARGEST, RANDOM = 20, 20
"""Pairs of each row."""
LEAST = 3
"""Pairs that a row must have for a rank correlation to say anything."""
ROUNDING = 64
"""What is within so many units of rounding of the outputs is 0, so that rounding does not rank it."""


@dataclass(frozen=True)
class RowPairs:
    """Pairs of units of one row: positions and effects, (n,)."""

    first: np.ndarray
    second: np.ndarray
    effects: np.ndarray

    def some(self, rng: np.random.Generator) -> "RowPairs":
        """Return LARGEST and RANDOM of them, which come with the largest first."""
        others = np.arange(LARGEST, len(self.effects))
        drawn = rng.choice(others, min(RANDOM, len(others)), replace=False)
        chosen = np.concatenate([np.arange(min(LARGEST, len(self.effects))), drawn])
        return RowPairs(self.first[chosen], self.second[chosen], self.effects[chosen])


@dataclass(frozen=True)
class Pairs:
    """M pairs of units of N rows.

    row, first, second  (M,);  effects (M,) of the run
    """

    n_rows: int
    row: np.ndarray
    first: np.ndarray
    second: np.ndarray
    effects: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[RowPairs]) -> "Pairs":
        """Put the pairs of rows together."""
        row = np.repeat(np.arange(len(rows)), [len(pairs.effects) for pairs in rows])
        columns = ([getattr(pairs, name) for pairs in rows] for name in ("first", "second", "effects"))
        return cls(len(rows), row, *map(np.concatenate, columns))

    def forwards(self, copies: int) -> int:
        """Return how many forwards their second differences take."""
        return copies * (len(self.row) + len(self._alone()) + len(np.unique(self.row)))

    def differences(self, f: Outputs, units: Units, fill: Fill, tell: Tell = unheard) -> tuple[np.ndarray, np.ndarray]:
        """Return second differences (M,), and how far each may be rounded, (M,)."""
        (row, unit), (rows, of_row) = self._alone().T, np.unique(self.row, return_inverse=True)
        of = np.concatenate([self.row, row, rows])
        masked = np.ones((len(of), int(units.n_units.max())), bool)
        m, k = len(self.row), len(row)
        masked[np.arange(m), self.first] = masked[np.arange(m), self.second] = False
        masked[m + np.arange(k), unit] = False
        both, alone, none = np.split(units.outputs(f, fill, of, masked, tell), [m, m + k])
        place = {pair: i for i, pair in enumerate(zip(row.tolist(), unit.tolist(), strict=True))}
        ends = ([place[pair] for pair in zip(self.row.tolist(), end.tolist(), strict=True)] for end in self._ends)
        first, second = (alone[np.array(end, np.int64)] for end in ends)
        terms = np.stack([both, -first, -second, none[of_row]])
        return terms.sum(0), ROUNDING * np.finfo(units.inputs.dtype).eps * np.abs(terms).max(0, initial=0.0)

    def agreement(self, values: np.ndarray, differences: np.ndarray, rounding: np.ndarray) -> np.ndarray:
        """Return Spearman's correlation of values with second differences in each row, (N,).

        NaN in rows of fewer than LEAST pairs, and where all values or all differences are the same.
        """
        found = np.full(self.n_rows, np.nan)
        ours, theirs = (np.where(np.abs(some) <= rounding, 0.0, some) for some in (values, differences))
        for row in np.unique(self.row):
            own = self.row == row
            if own.sum() >= LEAST:
                found[row] = spearman(ours[None, own], theirs[None, own])[0]
        return found

    @property
    def _ends(self) -> tuple[np.ndarray, np.ndarray]:
        return self.first, self.second

    def _alone(self) -> np.ndarray:
        """Return each row and unit that is in any of the pairs, (K, 2)."""
        return np.unique(np.concatenate([np.column_stack([self.row, end]) for end in self._ends]), axis=0)
