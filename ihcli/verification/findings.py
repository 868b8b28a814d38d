"""Findings: what was checked, on how many entries, the worst figure beside its bound, and what came of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PASSED, FAILED, NOT_CHECKED, NO_PROMISE = "passed", "failed", "not checked", "no promise"
GROSS = 10.0
"""What misses by this factor fails, however few miss: a reported error is not off by so much, a value is."""


@dataclass(frozen=True)
class Finding:
    """What came of one check.

    check    its name
    outcome  passed, failed, not checked, or no promise: what was looked at is nothing that the method promises
    checked  how many entries, files or lines were looked at
    worst    of a check that compares figures, the one nearest to its bound or farthest beyond it
    bound    what it may be at most
    detail   what holds, what is wrong and where first, or why it could not be checked
    """

    check: str
    outcome: str
    detail: str
    checked: int = 0
    worst: float | None = None
    bound: float | None = None


def not_checked(check: str, reason: str) -> Finding:
    """Return the finding of a check that could not be made."""
    return Finding(check, NOT_CHECKED, reason)


class Faults:
    """Counts what is wrong and remembers where it was met first.

    meaning  what holds where nothing is wrong
    """

    def __init__(self, check: str, meaning: str) -> None:
        self._check = check
        self._meaning = meaning
        self._first: dict[str, tuple[int, str]] = {}
        self.checked = 0

    def add(self, fault: str, count: int, where: str = "") -> None:
        """Add occurrences of a fault; none where the count is 0."""
        if count:
            known, first = self._first.get(fault, (0, where))
            self._first[fault] = known + count, first

    def finding(self) -> Finding:
        """Return what came of it."""
        if not self._first:
            return Finding(self._check, PASSED, self._meaning, self.checked)
        told = [f"{count} {fault}{first and f', first {first}'}" for fault, (count, first) in self._first.items()]
        return Finding(self._check, FAILED, "; ".join(told), self.checked)


class Bounded:
    """Compares figures of entries with their bounds and keeps the one that is worst beside its bound.

    meaning        what the figure is
    missing_share  share of the entries that may be beyond their bound; of few entries one may, though not by far
    """

    def __init__(self, check: str, meaning: str, missing_share: float = 0.0) -> None:
        self._check = check
        self._meaning = meaning
        self._missing_share = missing_share
        self._beyond = 0
        self._worst = (-1.0, 0.0, 0.0, "")
        self.checked = 0

    @property
    def within(self) -> int:
        """How many entries are within their bounds."""
        return self.checked - self._beyond

    def see(self, figures: np.ndarray, bounds: np.ndarray, names: Sequence[str]) -> None:
        """Add entries: figures and bounds (n,), both of the same unit; NaN is beyond any bound."""
        if not len(figures):
            return
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(figures == 0, 0.0, figures / bounds)
        ratio = np.where(np.isnan(ratio), np.inf, ratio)
        self.checked += len(ratio)
        self._beyond += int((ratio > 1).sum())
        place = int(ratio.argmax())
        if ratio[place] > self._worst[0]:
            self._worst = (float(ratio[place]), float(figures[place]), float(bounds[place]), names[place])

    def finding(self) -> Finding:
        """Return what came of it."""
        if not self.checked:
            return not_checked(self._check, "no row has values")
        ratio, figure, bound, name = self._worst
        usual = self._missing_share * self.checked
        if self._beyond > math.ceil(usual) or (self._beyond > usual and ratio > GROSS):
            detail = f"{self._beyond} beyond their bound, the worst {name}: {self._meaning}"
            return Finding(self._check, FAILED, detail, self.checked, figure, bound)
        beyond = f"; {self._beyond} of {self.checked} beyond it, {math.ceil(usual)} may be" if self._beyond else ""
        return Finding(self._check, PASSED, f"{self._meaning}{beyond}", self.checked, figure, bound)
