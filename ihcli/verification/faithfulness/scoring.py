"""Scores of curves: means of outputs, or agreement with truth; areas below them, and intervals over rows."""

from dataclasses import dataclass

import numpy as np

from ihcli.verification.faithfulness.metrics import ABSOLUTE, Metric

DRAWS = 1000
INTERVAL = (2.5, 97.5)
"""Percentiles of areas over rows drawn with replacement, as often as that."""


@dataclass(frozen=True)
class Truth:
    """What outputs of N rows are held against where curves are by absolute values.

    values      (N,) numbers, or bool: which rows are of the explained class
    """

    values: np.ndarray

    @property
    def name(self) -> str:
        """Of the score."""
        return "ROC AUC" if self.values.dtype == bool else "R2"

    def scores(self, outputs: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the scores of outputs (N, K) of rows that count as often as weights (B, N) say, (B, K).

        NaN where there is nothing to tell apart.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.values.dtype == bool:
                return np.stack([self._auc(column, weights) for column in outputs.T], axis=1)
            return self._r2(outputs, weights)

    def _r2(self, outputs: np.ndarray, weights: np.ndarray) -> np.ndarray:
        total = weights.sum(1)
        mean = weights @ self.values / total
        spread = weights @ self.values**2 - total * mean**2
        spread = np.where(spread > 1e-12 * (weights @ self.values**2), spread, np.nan)
        found: np.ndarray = 1 - weights @ (outputs - self.values[:, None]) ** 2 / spread[:, None]
        return found

    def _auc(self, outputs: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the share of pairs of a row of the class and another that the outputs put in that order."""
        inside, outside = outputs[self.values], outputs[~self.values]
        wins = (inside[:, None] > outside) + 0.5 * (inside[:, None] == outside)
        wins = np.where(np.isnan(inside)[:, None] | np.isnan(outside), np.nan, wins)
        ours, theirs = weights[:, self.values], weights[:, ~self.values]
        found: np.ndarray = ((ours @ wins) * theirs).sum(1) / (ours.sum(1) * theirs.sum(1))
        return found


@dataclass(frozen=True)
class Scored:
    """A curve's scores (K,), more is better, its area over shares, and the interval of that over rows."""

    scores: np.ndarray
    area: float
    low: float
    high: float


def score(metric: Metric, outputs: np.ndarray, shares: np.ndarray, truth: Truth, seed: int) -> Scored:
    """Score the outputs (N, K) of rows along a curve, at shares (K,) of their units."""
    weights = _weights(len(outputs), seed)
    found = truth.scores(outputs, weights) if metric.sign == ABSOLUTE else weights @ outputs / len(outputs)
    found = metric.better(found)
    areas = np.trapezoid(found, shares, axis=1)
    low, high = _interval(areas[1:])
    return Scored(found[0], float(areas[0]), low, high)


@dataclass(frozen=True)
class Mean:
    """The mean of figures of rows, the interval of that over rows, and of how many there is one."""

    value: float
    low: float
    high: float
    rows: int

    @classmethod
    def over(cls, figures: np.ndarray, seed: int) -> "Mean":
        """Return that of figures (N,), NaN where a row has none."""
        known = figures[~np.isnan(figures)]
        if not len(known):
            return cls(float("nan"), float("nan"), float("nan"), 0)
        means = _weights(len(known), seed) @ known / len(known)
        return cls(float(means[0]), *_interval(means[1:]), len(known))


def _weights(n: int, seed: int) -> np.ndarray:
    """Return how often each of n rows counts: once, and then as often as each of DRAWS draws took it."""
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), DRAWS)
    return np.concatenate([np.ones((1, n)), drawn]).astype(np.float64)


def _interval(areas: np.ndarray) -> tuple[float, float]:
    known = areas[np.isfinite(areas)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.percentile(known, INTERVAL)
    return float(low), float(high)
