"""The 18 curves by name: units kept or removed, by the sign of their values, and what stands in for those removed."""

from dataclasses import dataclass

import numpy as np

KEEP, REMOVE = "keep", "remove"
POSITIVE, NEGATIVE, ABSOLUTE = "positive", "negative", "absolute"
MEAN, RESAMPLE, IMPUTE = "mean", "resample", "impute"
SIGNS, FILLS = (POSITIVE, NEGATIVE, ABSOLUTE), (MEAN, RESAMPLE, IMPUTE)
SHARES = (np.logspace(0, 1, 11) - 1) / 9
"""Of the units of a row, at which curves are taken: close together where few units matter most."""


@dataclass(frozen=True)
class Metric:
    """One curve: what is done with the first units of a ranking, which ranking, and what is put in place of units.

    change  keep: all but the first ones are masked;  remove: the first ones are
    sign    positive ranks by values, negative by their negatives, absolute by their sizes; only units that are not
            below 0 there are ever among the first
    fill    mean: of the background;  resample: rows of it;  impute: the mean given the units that are left
    """

    change: str
    sign: str
    fill: str

    @property
    def name(self) -> str:
        """As it is asked for: keep-positive-mean."""
        return f"{self.change}-{self.sign}-{self.fill}"

    @property
    def keeps(self) -> bool:
        """Whether the first units are kept."""
        return self.change == KEEP

    def ranked(self, values: np.ndarray) -> np.ndarray:
        """Return what units are ranked by, the largest first."""
        return {POSITIVE: values, NEGATIVE: -values, ABSOLUTE: np.abs(values)}[self.sign]

    def better(self, score: np.ndarray) -> np.ndarray:
        """Return a score so that more is better: of a mean output, or of agreement where the sign is absolute."""
        if self.sign == ABSOLUTE:
            return score if self.keeps else 1 - score
        return score if self.keeps == (self.sign == POSITIVE) else -score


METRICS = tuple(Metric(change, sign, fill) for change in (KEEP, REMOVE) for sign in SIGNS for fill in FILLS)
