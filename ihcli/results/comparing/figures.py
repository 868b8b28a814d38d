"""What is kept of a comparison while rows stream by: of each two runs, and of each feature, pair or word."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ihcli.explanation.ranks import average_ranks, correlations
from ihcli.results.comparing.agreement import Agreement, least, means, signs

BINS = 20_000  # of -1 to 1: a median is known to 0.0001
FEWEST = 3  # values that a correlation over rows is of
Two = tuple[int, int]
"""Places of two runs among those that are compared."""


class Distribution:
    """Numbers between -1 and 1: their mean and least are exact, their median is to half a bin."""

    def __init__(self) -> None:
        self.count, self._sum, self.least, self.least_row = 0, 0.0, np.nan, -1
        self._counts = np.zeros(BINS + 1, np.int64)

    def see(self, values: np.ndarray, row: np.ndarray) -> None:
        """Add those that are known of rows."""
        known = ~np.isnan(values)
        values, row = values[known], row[known]
        if not len(values):
            return
        self.count += len(values)
        self._sum += float(values.sum())
        self._counts += np.bincount(np.rint((values + 1) * (BINS / 2)).astype(np.int64), minlength=BINS + 1)
        place = int(values.argmin())
        if not values[place] >= self.least:
            self.least, self.least_row = float(values[place]), int(row[place])

    @property
    def mean(self) -> float:
        """NaN where there is none."""
        return self._sum / self.count if self.count else np.nan

    @property
    def median(self) -> float:
        """The lower one of two in the middle, NaN where there is none."""
        if not self.count:
            return np.nan
        place = int(np.searchsorted(np.cumsum(self._counts), (self.count + 1) // 2))
        return place / (BINS / 2) - 1


@dataclass
class OfTwo:
    """How far two runs agree over the rows seen."""

    spearman: Distribution = field(default_factory=Distribution)
    spearman_abs: Distribution = field(default_factory=Distribution)
    overlap: Distribution = field(default_factory=Distribution)
    sign: Distribution = field(default_factory=Distribution)
    change: float = np.nan
    change_row: int = -1
    rows: int = 0

    def see(self, found: Agreement, row: np.ndarray) -> None:
        """Add rows."""
        self.rows += len(row)
        for name in ("spearman", "spearman_abs", "overlap", "sign"):
            getattr(self, name).see(getattr(found, name), row)
        if not len(row) or np.isnan(found.change).all():
            return
        place = int(np.nanargmax(found.change))
        if not found.change[place] <= self.change:
            self.change, self.change_row = float(found.change[place]), int(row[place])


class Totals:
    """Sums over rows for each of n names, whatever they are of, and of each run; names may come while rows go by.

    rows    (n,) in how many a name was seen
    sums, sizes  (R, n) of the values and of their absolute values
    agreed, signed  (n,) equal signs, and signs in both, over rows and over the two runs that are compared
    change, change_row  (n,) the largest difference of two runs, and in which row
    """

    def __init__(self, n_runs: int, compared: Sequence[Two], names: Sequence[Hashable] = ()) -> None:
        self.n_runs, self.compared = n_runs, tuple(compared)
        self.place: dict[Hashable, int] = {name: place for place, name in enumerate(names)}
        self.rows, self.agreed, self.signed = (np.zeros(len(names), np.int64) for _ in range(3))
        self.sums, self.sizes = np.zeros((n_runs, len(names))), np.zeros((n_runs, len(names)))
        self.change, self.change_row = np.full(len(names), -1.0), np.full(len(names), -1, np.int64)
        self._sampled: list[tuple[np.ndarray | None, np.ndarray]] = []

    @property
    def names(self) -> list[Hashable]:
        """What the figures are of."""
        return list(self.place)

    def see(self, values: np.ndarray, row: np.ndarray) -> None:
        """Add rows that have a value for every name.

        Parameters:
            values: (R, m, n);  row: (m,).
        """
        if not len(row):
            return
        self.rows += len(row)
        self.sums += values.sum(axis=1)
        self.sizes += np.abs(values).sum(axis=1)
        told = [signs(some) for some in values]
        for one, other in self.compared:
            in_both = (told[one] != 0) & (told[other] != 0)
            self.signed += in_both.sum(axis=0)
            self.agreed += (in_both & (told[one] == told[other])).sum(axis=0)
            self._change(np.arange(values.shape[2]), *_largest(np.abs(values[one] - values[other]), row))

    def see_some(self, names: Sequence[Hashable], place: np.ndarray, values: np.ndarray, row: np.ndarray) -> np.ndarray:
        """Add values of some names; return their places among all.

        Parameters:
            names: different ones;  place: (m,) among them;  values: (R, m), whose signs count;  row: (m,).
        """
        at = np.array([self._place(name) for name in names], np.int64)[place]
        n = len(self.rows)
        self.rows += np.bincount(at, minlength=n)
        for sums, sizes, some in zip(self.sums, self.sizes, values, strict=True):
            sums += np.bincount(at, some, minlength=n)
            sizes += np.bincount(at, np.abs(some), minlength=n)
        for one, other in self.compared:
            in_both = (values[one] != 0) & (values[other] != 0)
            self.signed += np.bincount(at, in_both, minlength=n).astype(np.int64)
            agree = in_both & (np.sign(values[one]) == np.sign(values[other]))
            self.agreed += np.bincount(at, agree, minlength=n).astype(np.int64)
            difference = np.abs(values[one] - values[other])
            ascending = np.argsort(difference, kind="stable")  # of equal places the last one stays
            largest, where = np.full(n, -1.0), np.full(n, -1, np.int64)
            largest[at[ascending]], where[at[ascending]] = difference[ascending], row[ascending]
            self._change(np.arange(n), largest, where)
        return at

    def sample(self, place: np.ndarray | None, values: np.ndarray) -> None:
        """Keep values for the correlation over rows: (R, m, c) of all listed names, or (R, m) of those at `place`."""
        if values.shape[1]:
            self._sampled.append((place, values))

    def correlations(self, listed: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return mean and least over the two runs compared of Spearman over the sampled rows, and how many these were.

        Parameters:
            listed: (c,) the names that values were kept of.
        """
        found = np.full((2, len(listed)), np.nan)
        counts = np.zeros(len(listed), np.int64)
        for where, values in self._grouped(listed):
            counts[where] = values.shape[2]
            if values.shape[2] >= FEWEST:
                ranks = [average_ranks(some) for some in values]
                each = [correlations(ranks[one], ranks[other]) for one, other in self.compared]
                found[:, where] = means(each), least(each)
        return found[0], found[1], counts

    def _grouped(self, listed: np.ndarray) -> Iterable[tuple[np.ndarray, np.ndarray]]:
        """Give places among the listed names, and their sampled values (R, c, m)."""
        if not self._sampled:
            return
        if self._sampled[0][0] is None:
            yield np.arange(len(listed)), np.concatenate([some for _, some in self._sampled], axis=1).transpose(0, 2, 1)
            return
        at = np.concatenate([place for place, _ in self._sampled if place is not None])
        values = np.concatenate([some for _, some in self._sampled], axis=1)
        order = np.argsort(at, kind="stable")
        starts = np.searchsorted(at[order], listed)
        ends = np.searchsorted(at[order], listed, side="right")
        for where, (start, end) in enumerate(zip(starts, ends, strict=True)):
            yield np.array([where]), values[:, None, order[start:end]]

    def _place(self, name: Hashable) -> int:
        place = self.place.setdefault(name, len(self.place))
        if place == len(self.rows):
            grown = max(64, place)
            self.rows, self.agreed, self.signed = (
                np.concatenate([some, np.zeros(grown, np.int64)]) for some in (self.rows, self.agreed, self.signed)
            )
            more = np.zeros((self.n_runs, grown))
            self.sums, self.sizes = np.hstack([self.sums, more]), np.hstack([self.sizes, more])
            self.change = np.concatenate([self.change, np.full(grown, -1.0)])
            self.change_row = np.concatenate([self.change_row, np.full(grown, -1, np.int64)])
        return place

    def _change(self, place: np.ndarray, largest: np.ndarray, row: np.ndarray) -> None:
        is_more = largest > self.change[place]
        self.change[place[is_more]], self.change_row[place[is_more]] = largest[is_more], row[is_more]


def ranks_of(sizes: np.ndarray) -> np.ndarray:
    """Return the rank of each mean size of each run (R, n), 1 for the largest; equal ones share the best."""
    order = np.sort(sizes, axis=1)
    return np.stack(
        [len(some) - np.searchsorted(each, some, side="right") + 1 for each, some in zip(order, sizes, strict=True)]
    )


def _largest(differences: np.ndarray, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    place = differences.argmax(axis=0)
    return np.take_along_axis(differences, place[None], axis=0)[0], row[place]
