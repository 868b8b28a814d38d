"""What a mesh amounts to, row by row: values, how wrong they may be, and which panels to split next.

Errors of a row's panels add up. Over many baselines that is far too much: an answer is a mean, the identities that the
estimates come from are linear, so that its error is the mean of the signed errors, which largely cancel. Of estimates
delta_b of B paths, sums over their panels,

    safety * sum_g sqrt(mean_b(delta_bg)^2 + (z^2 / B) var_b(delta_bg))

takes nothing for granted but that they are no more alike than they look; the same of the scalar residual where that is
larger. Residuals under second order are errors, with their signs. Differences to embedded rules are only as large as
errors, or much larger; by how much is seen in the scalar residuals, which are errors, against what the differences make
of them: twice that ratio, of root mean squares over baselines, scales them. It is never more than the sum of the
panels' own. tests/test_certify_honesty.py holds it to its promise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ihcli.integration.spread import sampling_error
from ihcli.quality import Status

if TYPE_CHECKING:
    from ihcli.derivatives.paths import Paths
    from ihcli.integration.effort import Effort
    from ihcli.integration.panels import Panels

SPARE = 0.97
"""Panels are bisected until the rest adds up to this share of the tolerance; the remainder is for their halves."""
FIRST_ORDER_SAFETY_OF_MEAN = 2.0
CALIBRATION, LEAST_CALIBRATED = 2.0, 0.1
"""Times that scalar residuals exceed what differences make of them; differences are not scaled further down."""
MAX_LEVEL = 40
"""Panels of 2^-40 of a path are not bisected: 12 bits of t are left in float64, and its own error shows."""
MOST_ERROR = 1e9
"""Relative to figures that are all 0 where f moves, as of a model that steps, any error is infinite."""


class Mesh(Protocol):
    """M intervals [a, b] of paths, with the L1 error of phi or Gamma on each, and its rounding part."""

    @property
    def path(self) -> np.ndarray:
        """(M,)."""
        ...

    @property
    def a(self) -> np.ndarray:
        """(M,)."""
        ...

    @property
    def b(self) -> np.ndarray:
        """(M,)."""
        ...

    @property
    def error(self) -> np.ndarray:
        """(M,)."""
        ...

    @property
    def noise(self) -> np.ndarray:
        """(M,)."""
        ...


@dataclass(frozen=True)
class Ledger:
    """What a mesh amounts to, (N,).

    relative_error, relative_noise  the error, and its rounding part
    scale  what they are relative to: the L1 norm of phi or Gamma, but for rounding
    share  the row's error by that of its panels, added up: below 1 where errors of baselines cancel
    tolerance  the relative error at which the row is done
    """

    relative_error: np.ndarray
    relative_noise: np.ndarray
    scale: np.ndarray
    share: np.ndarray
    tolerance: np.ndarray

    @classmethod
    def of(
        cls,
        error: np.ndarray,
        noise: np.ndarray,
        scale: np.ndarray,
        tolerance: np.ndarray,
        added_up: np.ndarray | None = None,
    ) -> "Ledger":
        """Relate errors (N,) and their rounding parts to scales; `added_up` is what panels' errors add up to."""
        with np.errstate(divide="ignore", invalid="ignore"):  # 0 / 0 where all is 0 on the whole path: exact
            relative = np.where((error == 0) & (scale == 0), 0.0, error / scale)
            relative = np.where(np.isfinite(error), np.minimum(relative, MOST_ERROR), relative)
            relative_noise = np.where((noise == 0) & (scale == 0), 0.0, noise / scale)
            share = np.ones(len(error)) if added_up is None else np.where(added_up > 0, error / added_up, 1.0)
        return cls(relative, relative_noise, scale, share, tolerance)

    def at_least(self, scale: np.ndarray) -> "Ledger":
        """Return the same errors relative to no less than these scales, (N,)."""
        larger = np.maximum(self.scale, scale)
        with np.errstate(invalid="ignore"):  # infinity by infinity where f is not finite, nor is the row then
            by = np.divide(self.scale, larger, out=np.ones_like(larger), where=larger > 0)
        return Ledger(self.relative_error * by, self.relative_noise * by, larger, self.share, self.tolerance)


@dataclass(frozen=True)
class Averaging:
    """How errors of baselines become that of their mean: see the top of this module."""

    safety: float
    z: float

    @classmethod
    def over(cls, n_baselines: int, second_order: bool) -> "Averaging":
        """Return how errors are averaged that are estimates, under first order, or known, under second.

        What is known of one path's may still miss what it does to phi; of a mean less so. A spread of a few is not well
        known itself.
        """
        if second_order:
            return cls(1.1 + 0.9 / n_baselines**0.5, 1.0)
        return cls(FIRST_ORDER_SAFETY_OF_MEAN, 1 + 5 / n_baselines)

    def of(self, deviations: np.ndarray) -> np.ndarray:
        """Return the error of the mean of (N, B, ...) deviations, (N, ...)."""
        spread = self.z**2 * deviations.var(1, ddof=1) / deviations.shape[1]
        return self.safety * np.sqrt(deviations.mean(1) ** 2 + spread)


def ledger_of_rows(
    panels: "Panels", paths: "Paths", attributions: np.ndarray, second: bool, effort: "Effort"
) -> Ledger:
    """Sum up panels whose attributions are (N, B, G): errors of phi, or under second order of the row sums of Gamma."""
    n, b = paths.n_rows, paths.n_baselines
    row = panels.path // b
    noise = np.bincount(row, panels.noise, n) / b
    added_up = error = np.bincount(row, panels.error, n) / b
    if b > 1:
        error = np.minimum(error, _of_mean(panels, n, b, second) + noise)
    scale = np.maximum(np.abs(attributions.mean(1)).sum(1), noise)
    return Ledger.of(error, noise, scale, tolerances_of(attributions, effort), added_up)


def tolerances_of(attributions: np.ndarray, effort: "Effort") -> np.ndarray:
    """Return the relative error at which rows are done whose attributions are (N, B, G), (N,)."""
    return effort.tolerances(sampling_error(attributions, effort.population, effort.balance))


def _of_mean(panels: "Panels", n: int, b: int, second_order: bool) -> np.ndarray:
    """Return the error of the mean over baselines, (N,)."""
    averaging = Averaging.over(b, second_order)
    signed = np.zeros((n * b, *panels.signed.shape[1:]))
    np.add.at(signed, panels.path, panels.signed)
    signed = signed.reshape(n, b, *signed.shape[1:])
    gap = np.bincount(panels.path, panels.gap, n * b).reshape(n, b)
    with np.errstate(invalid="ignore", over="ignore"):  # where f is not finite, nor is the row
        by_group = averaging.of(signed).sum(2).max(1)
        if not second_order:
            by_group *= _calibration(signed, gap)
        return np.maximum(by_group, averaging.of(gap))


def _calibration(signed: np.ndarray, gap: np.ndarray) -> np.ndarray:
    """Return by what differences (N, B, R, G) are too large, at most 1, going by scalar residuals (N, B)."""
    seen = np.sqrt((signed.sum(3) ** 2).mean(1)).max(1)
    known = CALIBRATION * np.sqrt((gap**2).mean(1))
    return np.clip(np.divide(known, seen, out=np.ones(len(seen)), where=seen > 0), LEAST_CALIBRATED, 1.0)


def worst_panels(
    mesh: Mesh, ledger: Ledger, paths: "Paths", effort: "Effort", evaluations: np.ndarray, cost: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return a mask of the panels to split, at `cost` evaluations each, and what that costs each row.

    Of an unconverged row, the largest estimates are taken until the rest fits into SPARE of the tolerance, as far as
    the budget goes; panels whose estimate is only rounding are left alone.
    """
    row = mesh.path // paths.n_baselines
    open_rows = np.isfinite(ledger.relative_error) & (ledger.relative_error > ledger.tolerance)
    improvable = open_rows[row] & (mesh.error > 2 * mesh.noise) & (mesh.b - mesh.a > 2.0**-MAX_LEVEL)
    order = np.lexsort((-mesh.error, row))
    order = order[improvable[order]]
    chosen = np.zeros(len(mesh.path), dtype=bool)
    if not len(order):
        return chosen, np.zeros(paths.n_rows, dtype=np.int64)
    owner = row[order]
    start = np.searchsorted(owner, owner)  # position at which a panel's row begins
    running = np.concatenate([[0.0], np.cumsum(mesh.error[order])])
    before = running[:-1] - running[start]  # estimates of the row's worse panels
    total = np.bincount(row, mesh.error, paths.n_rows)[owner]
    allowed = SPARE * (ledger.tolerance * ledger.scale / ledger.share)[owner] * paths.n_baselines
    rank = np.arange(len(order)) - start
    affordable = evaluations[owner] + (rank + 1) * cost <= effort.budget(paths.n_baselines)
    keep = (total - before > allowed) & affordable
    chosen[order[keep]] = True
    return chosen, np.bincount(owner[keep], minlength=paths.n_rows) * cost


def settled_status(ledgers: Sequence[Ledger]) -> np.ndarray:
    """Return the status of rows that are refined no further, of which all errors must be within tolerance, (N,)."""
    missed = np.stack([~(ledger.relative_error <= ledger.tolerance) for ledger in ledgers])
    rounding = np.stack([2 * ledger.relative_noise > ledger.relative_error for ledger in ledgers])
    status = np.full(missed.shape[1], Status.OK.value, dtype=object)
    status[missed.any(0)] = Status.NOT_CONVERGED.value
    status[missed.any(0) & (rounding | ~missed).all(0)] = Status.ROUNDING.value
    status[~np.isfinite([ledger.relative_error for ledger in ledgers]).all(0)] = Status.NON_FINITE.value
    return status
