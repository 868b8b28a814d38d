"""Moments of effects in groups of rows, gathered while these stream by, and groups compared with each other."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from ihcli.results.contrasting.effects import FEATURE, Effects
from ihcli.results.contrasting.significance import Tested, mann_whitney, welch
from ihcli.summaries.moments import Moments

Ranks = tuple[np.ndarray, np.ndarray]
"""Which entries count of attributions, and which of interactions, (n,) bool each."""


@dataclass(frozen=True)
class Comparison:
    """A group of rows compared with others, value by value.

    group, against      places of the groups
    rows, rows_against  (E,) how many there are of each value;  mean and mean_against (E,) over these
    tested              (E,)
    """

    group: int
    against: tuple[int, ...]
    rows: np.ndarray
    rows_against: np.ndarray
    mean: np.ndarray
    mean_against: np.ndarray
    tested: Tested

    @property
    def difference(self) -> np.ndarray:
        """mean - mean_against, (E,)."""
        return self.mean - self.mean_against

    def with_ranks(self, values: np.ndarray, codes: np.ndarray, parts: Sequence[slice]) -> "Comparison":
        """Return the same with a test of ranks, of values (n, E) in groups (n,).

        Parameters:
            parts: columns that count in the same rows; they are NaN in others.
        """
        found = Tested.none(values.shape[1])
        for part in parts:
            counts = ~np.isnan(values[:, part]).all(axis=1)
            ours, others = (values[counts & np.isin(codes, some), part] for some in ((self.group,), self.against))
            found.put(part, mann_whitney(ours, others))
        return replace(self, tested=found)


class Gathered:
    """Moments of one target's effects, by group; attributions and interactions apart, as they may count in other rows.

    parts  columns of both
    """

    def __init__(self, effects: Effects) -> None:
        n_features = int(effects.are(FEATURE).sum())
        self.parts = tuple(part for part in (slice(0, n_features), slice(n_features, len(effects))))
        self._size = len(effects)
        self._moments: dict[tuple[int, int], Moments] = {}

    def add(self, values: np.ndarray, codes: np.ndarray, ranks: Ranks) -> None:
        """Add values (n, E) of entries in groups (n,), of which -1 is none."""
        for place, (part, counts) in enumerate(zip(self.parts, ranks, strict=True)):
            for group in np.unique(codes[counts & (codes >= 0)]).tolist() if part.stop > part.start else ():
                more = Moments.of(values[counts & (codes == group), part])
                mine = self._moments.get((place, group))
                self._moments[place, group] = more if mine is None else mine.merge(more)

    def rows(self) -> dict[int, int]:
        """Return how many entries each group has that has some, at most, in the order of groups."""
        found: dict[int, int] = {}
        for (_, group), moments in self._moments.items():
            found[group] = max(found.get(group, 0), moments.count)
        return dict(sorted(found.items()))

    def compared(self) -> list[Comparison]:
        """Return two groups compared, the second with the first, or each of more with the rest; nothing of one."""
        groups = list(self.rows())
        if len(groups) < 2:
            return []
        compared = groups[1:] if len(groups) == 2 else groups
        return [self._comparison(group, tuple(other for other in groups if other != group)) for group in compared]

    def _comparison(self, group: int, against: tuple[int, ...]) -> Comparison:
        rows, means = np.zeros((2, self._size), np.int64), np.full((2, self._size), np.nan)
        found = Tested.none(self._size)
        for place, part in enumerate(self.parts):
            ours, others = self._of(place, (group,)), self._of(place, against)
            for side, moments in enumerate((ours, others)):
                if moments is not None:
                    rows[side, part], means[side, part] = moments.count, moments.mean
            if ours is not None and others is not None:
                found.put(part, welch(ours, others))
        return Comparison(group, against, rows[0], rows[1], means[0], means[1], found)

    def _of(self, place: int, groups: Sequence[int]) -> Moments | None:
        found = [self._moments[place, group] for group in groups if (place, group) in self._moments]
        return reduce(Moments.merge, found) if found else None
