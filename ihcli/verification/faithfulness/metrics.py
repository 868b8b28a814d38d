"""The 18 curves by name: units kept or removed, by the sign of their values, and what stands in for those removed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ihcli.errors import OptionError
from ihcli.wording import did_you_mean

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


CURVES, PAIRS, INFIDELITY, SENSITIVITY = "curves", "pairs", "infidelity", "sensitivity"
DEFAULT = (CURVES, PAIRS, INFIDELITY)
WORDS = ("all", CURVES, PAIRS, INFIDELITY, SENSITIVITY, KEEP, REMOVE, *SIGNS, *FILLS)


@dataclass(frozen=True)
class Wanted:
    """What is to be evaluated: some of the curves, and what else."""

    curves: tuple[Metric, ...]
    others: frozenset[str]

    @classmethod
    def of(cls, words: Sequence[str] = DEFAULT) -> "Wanted":
        """Return what words name: one of WORDS, or several parts of a curve's name with - between them.

        Raises OptionError for another word.
        """
        chosen, others = set(), set()
        for word in words:
            named = _named(word)
            if not named:
                raise OptionError(
                    f"`metrics={word}`: is none of the metrics. Expected some of {', '.join(WORDS)}, or a curve such "
                    f"as {METRICS[0].name}.{did_you_mean(word, (*WORDS, *(metric.name for metric in METRICS)))}"
                )
            chosen |= named & set(METRICS)
            others |= {other for other in named if isinstance(other, str)}
        return cls(tuple(metric for metric in METRICS if metric in chosen), frozenset(others))


def _named(word: str) -> set[Metric | str]:
    if word == "all":
        return {*METRICS, PAIRS, INFIDELITY, SENSITIVITY}
    if word in (PAIRS, INFIDELITY, SENSITIVITY):
        return {word}
    parts = set() if word == CURVES else set(word.split("-"))
    return {metric for metric in METRICS if parts <= {metric.change, metric.sign, metric.fill}}
