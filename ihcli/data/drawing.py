"""Baselines, and how those that stand for a table are drawn from it."""

from dataclasses import dataclass, replace

import numpy as np

from ihcli.data.rows import Rows
from ihcli.data.sampling import BASELINE_ROWS, Sampling
from ihcli.data.survey import RandomRows
from ihcli.data.thinning import Balance, thinned

MOST_TOLD = 12  # categories of one baseline
DRAWN, DRAWN_VALUES = 8, 1 << 22
"""Rows that a baseline stands for: left to chance is the sampling error of so many times as many baselines. Of wide
tables they are fewer: 32 MiB."""


@dataclass(frozen=True)
class Baselines:
    """The B baselines that attributions are averaged over.

    values      (B, D) float64, in raw units
    population  rows of the table they stand for: B when it was used whole, more when it was subsampled
    source      where they come from, in words
    sampling    why there are so many, where nobody said how many
    balance     how they stand to the rows drawn at random that they were thinned from; None: they were not
    """

    values: np.ndarray
    population: int
    source: str
    sampling: Sampling | None = None
    balance: Balance | None = None

    def told(self, rows: Rows) -> "Baselines":
        """Return the same, its source telling the categories where it is one row."""
        if rows.vocabulary is None or len(self.values) > 1:
            return self
        named = [
            f"{name} = {rows.vocabulary.name(name, value)}"
            for name, value in zip(rows.columns.features, self.values[0].tolist(), strict=True)
            if name in rows.vocabulary.values
        ]
        more = f", {len(named) - MOST_TOLD} more" if len(named) > MOST_TOLD else ""
        return replace(self, source=f"{self.source}: {', '.join(named[:MOST_TOLD])}{more}")


@dataclass(frozen=True)
class Drawing:
    """How baselines are drawn of a table.

    rows   so many, at most
    seed   of the draw
    spare  rows that they are thinned from, at most, see `ihcli.data.thinning`; 0: they are drawn uniformly
    """

    rows: int = BASELINE_ROWS
    seed: int = 0
    spare: int = 0

    @classmethod
    def thinned(cls, rows: int, seed: int, n_columns: int) -> "Drawing":
        """Return how rows of a table of so many columns are drawn that stand for more of them."""
        return cls(rows, seed, min(DRAWN * rows, DRAWN_VALUES // n_columns))

    @property
    def surveyed(self) -> int:
        """Rows that a survey draws for it."""
        return max(self.rows, self.spare)


@dataclass(frozen=True)
class Pool:
    """What baselines are drawn from.

    sample      complete rows of a table, drawn from all of them: as many as may be asked for, or all
    population  complete rows of the table
    source      the table, in words
    """

    sample: RandomRows
    population: int
    source: str
    drawing: Drawing

    @property
    def most(self) -> int:
        """Baselines that are drawn at most."""
        return min(self.drawing.rows, len(self.sample.values))

    def draw(self, size: int) -> Baselines:
        """Return so many baselines, in the order of the table: the same ones, however many more may be drawn."""
        values, seed, source = self.sample.values, self.drawing.seed, self.source
        if len(values) < min(size, self.population):
            raise ValueError(f"a survey of {len(values)} rows, where baselines take {size}")
        if size >= self.population:
            return Baselines(values, self.population, source)
        source = f"{source}, {size} of {self.population} complete rows (seed {seed})"
        drawn = self.sample.first(max(size, min(DRAWN * size, self.drawing.spare)))
        if size == len(drawn):
            return Baselines(drawn, self.population, source)
        kept = thinned(drawn, size, seed)
        return Baselines(drawn[kept], self.population, source, balance=Balance.of(drawn, kept))

    def settled(self, found: Sampling) -> Baselines:
        """Return as many as were found enough."""
        return replace(self.draw(found.rows), sampling=found)
