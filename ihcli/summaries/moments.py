"""Moments and means of columns of values, which merge: of rows that stream by, no value is held."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Moments:
    """Count, mean, mean of absolute values and sum of squared deviations of every column, in float64."""

    count: int
    mean: np.ndarray
    mean_abs: np.ndarray
    squares: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> "Moments":
        """Return the moments of (n, columns) values, n at least 1."""
        values = np.asarray(values, np.float64)
        mean = values.mean(axis=0)
        deviations = values - mean
        squares = np.einsum("ij,ij->j", deviations, deviations)
        return cls(len(values), mean, np.abs(values).mean(axis=0), squares)

    @classmethod
    def side_by_side(cls, parts: list["Moments"]) -> "Moments":
        """Return moments of the same rows as those of one wide table."""
        mean, mean_abs, squares = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("mean", "mean_abs", "squares")
        )
        return cls(parts[0].count, mean, mean_abs, squares)

    def merge(self, other: "Moments") -> "Moments":
        """Return the moments of both sets of rows (Chan, Golub, LeVeque 1983, equation 2.1)."""
        count = self.count + other.count
        share = other.count / count
        difference = other.mean - self.mean
        return Moments(
            count,
            self.mean + difference * share,
            self.mean_abs + (other.mean_abs - self.mean_abs) * share,
            self.squares + other.squares + difference**2 * (self.count * share),
        )

    def take(self, columns: np.ndarray, times: float) -> "Moments":
        """Return those of some columns, as of values that are `times` as large."""
        mean, mean_abs, squares = (values[columns] * times for values in (self.mean, self.mean_abs, self.squares))
        return Moments(self.count, mean, mean_abs, squares * times)

    @property
    def std(self) -> np.ndarray:
        """Population standard deviation."""
        return np.sqrt(self.squares / self.count)


@dataclass(frozen=True)
class Means:
    """Count and mean of every column, in float64."""

    count: int
    mean: np.ndarray

    def merge(self, other: "Means") -> "Means":
        """Return the means over both sets of rows."""
        count = self.count + other.count
        return Means(count, self.mean + (other.mean - self.mean) * (other.count / count))

    def take(self, columns: np.ndarray, times: float) -> "Means":
        """Return those of some columns, as of values that are `times` as large."""
        return Means(self.count, self.mean[columns] * times)
