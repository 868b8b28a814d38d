"""What chance leaves of a difference or a dependence: two-sided tests, by scipy, and false discoveries among many."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import binom

from ihcli.summaries.moments import Moments

ROUNDING = 8 * np.finfo(np.float64).eps
"""Spread of values relative to their size that is nothing but rounding: such values are all the same."""
BLOCK_VALUES = 1 << 20
LEAST_ROWS = 2


@dataclass(frozen=True)
class Tested:
    """Statistics and two-sided p-values of many values, NaN where there is no test.

    strength  how far each statistic is from what chance alone would have it be, which orders p that are 0
    """

    statistic: np.ndarray
    p: np.ndarray
    strength: np.ndarray

    @classmethod
    def none(cls, size: int) -> "Tested":
        """Return that of so many values, of which none is tested."""
        return cls(*(np.full(size, np.nan) for _ in range(3)))

    def put(self, part: slice, other: "Tested") -> None:
        """Put the tests of some values in their place."""
        self.statistic[part], self.p[part], self.strength[part] = other.statistic, other.p, other.strength


def welch(ours: Moments, others: Moments) -> Tested:
    """Return Welch's t of the difference of means, ours less others (Welch 1947), from running moments.

    Where neither group varies, t is infinite or 0 / 0. Then p is that of a permutation: no other of the splits of the
    rows into groups of these sizes, or the mirrored one, makes a difference as large. Where they do not differ
    either, there is no test; nor where a group has fewer than two rows.
    """
    difference = ours.mean - others.mean
    if min(ours.count, others.count) < LEAST_ROWS:
        return Tested.none(len(difference))
    deviations = [_deviation(moments) for moments in (ours, others)]
    with np.errstate(all="ignore"):
        t, p = stats.ttest_ind_from_stats(
            *(ours.mean, deviations[0], ours.count),
            *(others.mean, deviations[1], others.count),
            equal_var=False,
        )
    t, p = np.array(t, np.float64), np.array(p, np.float64)
    are_constant = (deviations[0] == 0) & (deviations[1] == 0)
    are_same = np.abs(difference) <= ROUNDING * np.maximum(np.abs(ours.mean), np.abs(others.mean))
    t[are_constant] = np.where(are_same, np.nan, np.copysign(np.inf, difference))[are_constant]
    by_chance = min(1.0, 2 / float(binom(ours.count + others.count, ours.count)))
    p[are_constant] = np.where(are_same, np.nan, by_chance)[are_constant]
    return Tested(t, p, np.abs(t))


def mann_whitney(ours: np.ndarray, others: np.ndarray) -> Tested:
    """Return U of every column of (n, E) values against (m, E) others, where none is missing (Mann, Whitney 1947).

    As of `welch` there is no test where a group has fewer than two rows: of one among 40 no p is below 0.05.
    """
    n, m, columns = len(ours), len(others), ours.shape[1]
    if min(n, m) < LEAST_ROWS:
        return Tested.none(columns)
    u, p, width = np.empty(columns), np.empty(columns), max(1, BLOCK_VALUES // (n + m))
    for start in range(0, columns, width):
        some = slice(start, start + width)
        with np.errstate(all="ignore"):  # 0 / 0 where all values are the same
            u[some], p[some] = stats.mannwhitneyu(ours[:, some], others[:, some], axis=0)
    p[_are_constant(ours, others)] = np.nan
    return Tested(u, p, np.abs(u - n * m / 2))


def spearman(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Return Spearman's correlation of values (n,) and its p; NaN where there is none, as of fewer than 3 rows."""
    if len(one) < 3 or not np.ptp(one) or not np.ptp(other):
        return np.nan, np.nan
    found = stats.spearmanr(one, other)
    return float(found.statistic), float(found.pvalue)


def epsilon(values: np.ndarray, groups: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return how much of the ranks of values (n,) groups of them tell, and the p of Kruskal and Wallis (1952).

    The square root of epsilon^2 = (H - k + 1) / (n - k) (Kelley 1935), which chance leaves at 0 however many groups
    there are; of two groups it is about the size of Spearman's correlation.

    Parameters:
        groups: masks (n,), none of them empty.
    """
    n, k = len(values), len(groups)
    if k < 2 or n <= k or not np.ptp(values):
        return np.nan, np.nan
    h, p = stats.kruskal(*(values[group] for group in groups))
    return float(np.sqrt(max(0.0, (h - k + 1) / (n - k)))), float(p)


def false_discovery_rates(p: np.ndarray) -> np.ndarray:
    """Return q of every p (Benjamini, Hochberg 1995): of all with q at most this, such a share is chance alone.

    The family is every p that there is; NaN are no tests, and stay so.
    """
    q, known = np.full(p.shape, np.nan), ~np.isnan(p)
    if known.any():
        q[known] = stats.false_discovery_control(p[known])
    return q


def _deviation(moments: Moments) -> np.ndarray:
    """Return sample standard deviations, 0 where it is nothing but rounding."""
    deviation = np.sqrt(moments.squares / (moments.count - 1))
    return np.where(deviation <= ROUNDING * moments.mean_abs, 0.0, deviation)


def _are_constant(ours: np.ndarray, others: np.ndarray) -> np.ndarray:
    low = np.minimum(ours.min(axis=0), others.min(axis=0))
    return np.asarray(low == np.maximum(ours.max(axis=0), others.max(axis=0)))
