"""Single pairs of drawn rows: their true errors beside their bars, and what is stored beside the largest of them."""

from collections.abc import Iterator

import numpy as np

from ihcli.bars import pair_bars
from ihcli.explanation.factors import whole
from ihcli.integration.assembly import ExplainedRows
from ihcli.layouts.columns import ERROR_BAR, STANDARD_ERROR
from ihcli.results.records import Effects, Record, pair_effects
from ihcli.verification.findings import Bounded, Finding
from ihcli.verification.recomputation.judging import Truth

BEYOND_SHARE = 0.05
"""Pairs whose true error may be beyond the bar: bars cover 99.6 % of them, and 97.5 % in the worst family measured."""
AGREEMENT = 0.05
"""To which bars and standard errors agree with those of other values, which are off by what the row reports."""


class PairChecks:
    """Holds the pairs of each drawn row against a finer matrix.

    Parameters:
        finer: what the finer matrix was computed with, in words.
        beside: what stands beside the largest pairs, where the run stores these.
    """

    def __init__(self, finer: str, beside: tuple[str, ...]) -> None:
        self._errors = Bounded("pairs, finer", f"true error of each pair next to its bar, {finer}", BEYOND_SHARE)
        self._stored = {
            name: Bounded(f"stored {words}", f"{name} of the largest pairs, computed once more")
            for name, words in ((ERROR_BAR, "error bars"), (STANDARD_ERROR, "standard errors"))
            if name in beside
        }

    def see(self, record: Record, found: ExplainedRows, truth: Truth, name: str) -> None:
        """Add a row; pairs of words that a text repeats are left out, as their places are not known.

        Parameters:
            found: the same row, finer.
            truth: of its matrix.
        """
        effects = pair_effects(record)
        if effects is None or effects.error_bars is None or found.interactions is None or not len(effects.values):
            return
        gamma, error = whole(found.interactions)[0].astype(np.float64), found.interaction_error
        unsure = np.zeros_like(gamma) if error is None else pair_bars(gamma, error[0])
        known = _told_apart(record, effects)
        at = effects.first[known], effects.second[known]
        names = [f"{record.names[i]} and {record.names[j]} of {name}" for i, j in zip(*at, strict=True)]
        rounding = truth.rounding * float(np.abs(gamma).sum())
        off = np.abs(effects.values[known] - 2 * gamma[at])
        self._errors.see(off, effects.error_bars[known] + 2 * unsure[at] + rounding, names)
        agreement = AGREEMENT + 4 * truth.reported
        if ERROR_BAR in self._stored:
            wanted = 2 * pair_bars(gamma, truth.reported)[at]
            off = np.abs(effects.error_bars[known] - wanted)
            self._stored[ERROR_BAR].see(off, agreement * (wanted + wanted.mean()), names)
        if (
            STANDARD_ERROR in self._stored
            and effects.standard_errors is not None
            and found.interaction_spread is not None
        ):
            wanted = 2 * found.interaction_spread[0][at].astype(np.float64)
            off = np.abs(effects.standard_errors[known] - wanted)
            self._stored[STANDARD_ERROR].see(off, agreement * (wanted + wanted.mean()) + rounding, names)

    def findings(self) -> Iterator[Finding]:
        """Return what came of it."""
        yield self._errors.finding()
        for check in self._stored.values():
            yield check.finding()


def _told_apart(record: Record, effects: Effects) -> np.ndarray:
    """Return which pairs are of names that the record has once, or of whole matrices all, (n,) bool."""
    if record.interactions is not None:
        return np.ones(len(effects.values), bool)
    once = np.array([record.names.count(name) == 1 for name in record.names], bool)
    return np.asarray(once[effects.first] & once[effects.second])
