"""Figures of each entry against each other: sums, row sums, symmetry, and the order of the largest pairs."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ihcli.bars import certain_ranks
from ihcli.layouts.columns import CERTAIN, ERROR_BAR
from ihcli.layouts.layout import Sized
from ihcli.quality import BASELINE_PREDICTION, COMPLETENESS_GAP, INTERACTIONS, PREDICTION, RELATIVE_ERROR
from ihcli.verification.described import Described
from ihcli.verification.findings import Bounded, Faults, Finding, not_checked
from ihcli.verification.stored import Block

ROUNDING = 16.0
"""Rounding of a sum in units of eps times the sum of the sizes."""
ENDS_ROUNDING = 64.0
"""Rounding of f at the ends of all panels, and of sums over nodes, in the same units."""
UNDERSTATED_SHARE = 0.01
"""Rows whose true error may be beyond the reported one, by the contract of the reported error."""


class Gaps:
    """Completeness: the gap is what it is said to be, and no larger than the certified error allows.

    The gap is a sum of signed errors, so it is at most the L1 error of phi: relative error times ||phi||_1. A row whose
    relative error is 1 or more promises nothing, and is not compared.
    """

    def __init__(self, run: Described) -> None:
        self._run = run
        self._stated = Bounded(
            "completeness gap",
            "_completeness_gap against sum(phi) - (_prediction - _baseline_prediction), up to rounding",
        )
        self._certified = Bounded(
            "gap within the error", "|_completeness_gap| against _relative_error * sum|phi|", UNDERSTATED_SHARE
        )

    def see(self, block: Block) -> None:
        """Add a block."""
        if not self._run.adds_up:
            return
        prediction, start = block.numbers(PREDICTION), block.numbers(BASELINE_PREDICTION)
        gap, error = block.numbers(COMPLETENESS_GAP), block.numbers(RELATIVE_ERROR)
        ends = np.abs(prediction) + np.abs(start)
        for some in block.sizes:
            at, size = some.place, np.abs(some.phi).sum(1)
            off = np.abs(some.phi.sum(1) - (prediction - start)[at] - gap[at])
            # phi was rounded to the run's dtype after the gap was taken
            stated = self._run.eps * size + ROUNDING * np.finfo(float).eps * (size + ends[at])
            self._stated.see(off, stated, block.names(at))
            telling = error[at] < 1
            allowed = error[at] * _scale(size, ends[at], self._run.eps)
            allowed += ENDS_ROUNDING * self._run.eps * (size + ends[at])
            self._certified.see(np.abs(gap[at])[telling], allowed[telling], block.names(at[telling]))

    def findings(self) -> Iterator[Finding]:
        """Return what came of it."""
        if not self._run.adds_up:
            yield not_checked("completeness gap", f"the values of {self._run.method} are not meant to add up")
            return
        yield self._stated.finding()
        known = self._run.has_error
        yield self._certified.finding() if known else not_checked("gap within the error", _no_error(self._run))


class Matrices:
    """Rows of Gamma sum to phi, up to the certified error of those very sums, and Gamma is symmetric to the bit."""

    def __init__(self, run: Described) -> None:
        self._run = run
        self._sums = Bounded("row sums", "||row sums of Gamma - phi||_1 against _relative_error * sum|phi|")
        self._symmetry = Faults("symmetry", "Gamma equals its transpose to the bit")

    def see(self, block: Block) -> None:
        """Add a block."""
        if block.interactions is None:
            return
        ends = np.abs(block.numbers(PREDICTION)) + np.abs(block.numbers(BASELINE_PREDICTION))
        error = block.numbers(RELATIVE_ERROR)
        for some in block.sizes:
            if some.gamma is not None:
                self._see(block, some, some.gamma, ends[some.place], error[some.place])

    def _see(self, block: Block, some: Sized, gamma: np.ndarray, ends: np.ndarray, error: np.ndarray) -> None:
        unequal = some.place[(gamma != gamma.transpose(0, 2, 1)).any(axis=(1, 2))]
        self._symmetry.checked += len(gamma)
        self._symmetry.add("matrices that are not symmetric", len(unequal), "".join(block.names(unequal[:1])))
        off = np.abs(gamma.sum(axis=2, dtype=np.float64) - some.phi).sum(1)
        size = np.abs(some.phi).sum(1)
        rounding = ENDS_ROUNDING * self._run.eps * (np.abs(gamma).sum(axis=(1, 2), dtype=np.float64) + size)
        telling = error < 1
        allowed = error * _scale(size, ends, self._run.eps) + rounding
        self._sums.see(off[telling], allowed[telling], block.names(some.place[telling]))

    def findings(self, run: Described) -> Iterator[Finding]:
        """Return what came of it."""
        if run.stores_matrices:
            known = run.adds_up and run.has_error
            yield self._sums.finding() if known else not_checked("row sums", _no_error(run))
            yield self._symmetry.finding()
        elif run.second_order:
            reason = f"the run stores no matrices (`interactions={run.info.arguments.interactions}`)"
            yield not_checked("row sums", reason)
            yield not_checked("symmetry", reason)


class Pairs:
    """The K largest pairs of every row: as many as there are, of its features, each once, the largest first.

    Error bars are figures of at least 0; ranks are certain from the first on, and only where bars let them be.
    """

    def __init__(self, run: Described) -> None:
        self._run = run
        self._faults = Faults(
            "largest pairs", "as many as asked for, of the row's features in order, the largest first"
        )

    def see(self, block: Block) -> None:
        """Add a block."""
        if not self._run.stores_pairs or block.interactions is None:
            return
        units = self._run.layout.names(block.entries)
        stored = block.interactions[INTERACTIONS].to_pylist()
        for place in np.flatnonzero(block.has_values).tolist():
            fault = self._fault(units[place], stored[place] or [])
            self._faults.add(fault or "", int(fault is not None), "".join(block.names(np.array([place]))))
        self._faults.checked += int(block.has_values.sum())

    def findings(self) -> Iterator[Finding]:
        """Return what came of it."""
        if self._run.stores_pairs:
            yield self._faults.finding()

    def _fault(self, units: tuple[str, ...], pairs: list[dict[str, Any]]) -> str | None:
        if len(pairs) != min(self._run.storage.top, len(units) * (len(units) - 1) // 2):
            return "rows with another number of pairs"
        names = [(pair["i"], pair["j"]) for pair in pairs]
        if not {name for pair in names for name in pair} <= set(units):
            return "rows with pairs of something else"
        if not self._run.layout.in_reading_order:
            place = {name: i for i, name in enumerate(units)}
            if len(set(names)) < len(names) or any(place[i] >= place[j] for i, j in names):
                return "rows with a pair twice or turned around"
        sizes = np.abs([pair["value"] for pair in pairs])
        if not (np.diff(sizes) <= 0).all():
            return "rows whose pairs are out of order"
        return self._fault_beside(sizes, pairs)

    def _fault_beside(self, sizes: np.ndarray, pairs: list[dict[str, Any]]) -> str | None:
        """Return what is wrong with the figures beside the values."""
        for name in self._run.beside_pairs:
            found = [pair[name] for pair in pairs]
            if name != CERTAIN and any(each is None or not each >= 0 for each in found):
                return f"rows with figures in {name} that none can be"
        if CERTAIN in self._run.beside_pairs:
            claimed = np.array([bool(pair[CERTAIN]) for pair in pairs], bool)
            certain = certain_ranks(sizes, np.array([pair[ERROR_BAR] for pair in pairs], float))
            if claimed[certain:].any() or (np.diff(claimed.astype(int)) > 0).any():
                return "rows with ranks called certain that are not"
        return None


def _no_error(run: Described) -> str:
    return f"{run.method} promises nothing of them"


def _scale(size: np.ndarray, ends: np.ndarray, eps: float) -> np.ndarray:
    """Return what relative errors are relative to; the certificate's own floor stands at the size of f."""
    return np.maximum(size, 64 * eps * ends)
