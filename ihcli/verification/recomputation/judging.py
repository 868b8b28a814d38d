"""True errors beside reported ones: how many rows may miss, and which cannot be judged."""

import math
from dataclasses import dataclass

import numpy as np

from ihcli.results.records import Record
from ihcli.verification.findings import FAILED, GROSS, PASSED, Finding, not_checked

UNDERSTATED_SHARE = 0.01
"""Rows whose reported error may be too small, by its contract."""
MATRIX_FACTOR = 4.0
"""The reported error is certified for the row sums of Gamma. Errors of the matrix may cancel there: they are larger in
up to 10 % of rows, at most twice as large (3 to 8 nodes on SoftPlus networks of beta 5 to 50), but more where a row
happens to be resolved far better than asked. There the tolerance is what was asked for."""


@dataclass(frozen=True)
class Truth:
    """What a row reports of itself, and what its true error is measured with.

    reported   its relative error;  tolerance is that of the run
    floor      smallest norm that errors are relative to, in output units: the rounding of f
    rounding   relative error that rounding to the run's dtype may add
    """

    reported: float
    floor: float
    rounding: float
    tolerance: float
    name: str


class Judge:
    """Compares true relative L1 errors with what rows promise of them.

    is_certified  whether the reported error is; else MATRIX_FACTOR times of it, or the tolerance, is the promise
    """

    def __init__(self, check: str, meaning: str, is_certified: bool = True) -> None:
        self._check = check
        self._meaning = meaning
        self._is_certified = is_certified
        self._judged: list[tuple[float, float, str]] = []
        self._unjudged = 0

    def see(self, truth: Truth, off: float, size: float, uncertainty: float) -> None:
        """Add a row: L1 distance from truth, L1 norm of truth, and the relative error that truth itself may have.

        A row is judged where truth is known better than the tolerance, or than what the row reports.
        """
        if not uncertainty <= max(truth.tolerance, truth.reported):
            self._unjudged += 1
            return
        scale = max(size, truth.floor)
        error = float(off / scale) if scale > 0 else (0.0 if off == 0 else math.inf)
        self._judged.append((error, self._promise(truth) + truth.rounding + uncertainty, truth.name))

    def finding(self) -> Finding:
        """Return what came of it."""
        without = f"; {self._unjudged} rows not judged, truth is not known well enough" if self._unjudged else ""
        if not self._judged:
            return not_checked(self._check, f"no row has values{without}")
        ratios = [error / bound if error == error else math.inf for error, bound, _ in self._judged]
        allowed = math.ceil(UNDERSTATED_SHARE * len(self._judged))
        missed = sum(ratio > 1 for ratio in ratios)
        worst = int(np.argmax(ratios))
        error, bound, name = self._judged[worst]
        promise = "the reported error" if self._is_certified else f"tolerance and {MATRIX_FACTOR:g} times that reported"
        told = f"{missed} of {len(self._judged)} rows beyond {promise}, {allowed} may be"
        if missed > allowed or ratios[worst] > GROSS:
            detail = f"{told}; the worst {name}: {self._meaning}{without}"
            return Finding(self._check, FAILED, detail, len(self._judged), error, bound)
        return Finding(self._check, PASSED, f"{self._meaning}; {told}{without}", len(self._judged), error, bound)

    def _promise(self, truth: Truth) -> float:
        return truth.reported if self._is_certified else max(MATRIX_FACTOR * truth.reported, truth.tolerance)


def gamma_error(record: Record, truth: np.ndarray) -> float:
    """Return the L1 distance of what is stored of Gamma from truth (G, G), where that is not NaN.

    Of the largest pairs, the distance of their effects; of pairs of equal names, as texts have them, the nearest one.
    """
    if record.interactions is not None:
        return float(np.nansum(np.abs(np.where(np.isnan(truth), 0.0, record.interactions - truth))))
    places: dict[str, list[int]] = {}
    for place, name in enumerate(record.names):
        places.setdefault(name, []).append(place)
    total = 0.0
    for first, second, value in record.top_pairs or ():
        effects = [truth[i, j] + truth[j, i] for i in places[first] for j in places[second] if i < j]
        known = [abs(value - effect) for effect in effects if not math.isnan(effect)]
        total += min(known) if len(known) == len(effects) and known else 0.0
    return total
