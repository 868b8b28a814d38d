"""Certification: a work list of (row, baseline, panel), refined until each row's error estimate is within tolerance."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ihcli.advance import Tell, unheard, within
from ihcli.derivatives import Along
from ihcli.derivatives.paths import Paths
from ihcli.integration.panels import Measure, Panels, whole_paths
from ihcli.integration.quadrature import PanelRule, panel_rule
from ihcli.quality import Status

NODES = 8
"""Of the Gauss-Legendre rule on a panel, exact up to degree 15; the rule embedded in it leaves out one."""
EVALUATIONS_PER_BASELINE = 1000
"""Budget of a row where `max_evaluations` gives none: 125 panels a path."""
SPARE = 0.97
"""Panels are bisected until the rest adds up to this share of the tolerance; the remainder is for their halves."""
MAX_LEVEL = 40
"""Panels of 2^-40 of a path are not bisected: 12 bits of t are left in float64, and its own error shows."""
STEPS = range(3, 513)
"""Sizes that a single rule may have: below there is no error estimate, above its table is not exact."""
FIRST_SHARE = 0.25
"""Of certifying that measuring whole paths is taken for, and each bisection for half of what is left: nobody knows how
many will come. Networks whose ReLUs were smoothed take two, of 17 evaluations after 8."""


@dataclass(frozen=True)
class Effort:
    """How hard to try.

    tolerance        relative error at which a row is done
    max_evaluations  most evaluations a row may take over all its baselines; None: EVALUATIONS_PER_BASELINE for each
    steps            use this many nodes on [0, 1] instead, and only report the error
    follows_kinks    without steps, follow kinks: of first order, where f is piecewise linear along the paths
    """

    tolerance: float = 0.01
    max_evaluations: int | None = None
    steps: int | None = None
    follows_kinks: bool = False

    def budget(self, n_baselines: int) -> int:
        """Return the most evaluations that a row may take."""
        return EVALUATIONS_PER_BASELINE * n_baselines if self.max_evaluations is None else self.max_evaluations


@dataclass(frozen=True, kw_only=True)
class Settled:
    """What is known of N rows over B baselines that are done.

    attributions    (N, B, G): phi of each path
    relative_error  (N,); NaN where none is known
    evaluations     (N,) int32
    status          (N,) one of ok, not_converged, rounding, uncertified, non_finite
    prediction      (N,) f(x);  baseline_prediction (N, B) f(x')
    """

    attributions: np.ndarray
    relative_error: np.ndarray
    evaluations: np.ndarray
    status: np.ndarray
    prediction: np.ndarray
    baseline_prediction: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Certificate(Settled):
    """The accepted mesh and what it proves.

    panels  the mesh, each path's panels tiling [0, 1]; without integrals where kinks were followed
    rule    nodes and weights to use on it under second order
    """

    panels: Panels
    rule: PanelRule


def certify(along: Along, second_order: bool, effort: Effort, tell: Tell = unheard) -> Certificate:
    """Bisect the panels of unconverged rows, all rows in the same batches, until each row is settled.

    A row is settled when its relative error

        mean over baselines of (sum over panels of the estimate) / max(||phi||_1, noise, 64 eps max(|f(x)|, |f(x')|))

    is within the tolerance, when another bisection would pass its budget, or where rounding stops progress. Noise is
    the rounding of phi: where attributions cancel to nothing, the error is relative to that.
    Cost in evaluations: n a panel, and one more at each interior panel end under second order.
    """
    rule = panel_rule(effort.steps or NODES)
    measure, paths = Measure(along, rule, second_order), along.paths
    prediction, baseline_prediction = along.ends()
    done = FIRST_SHARE
    mesh = measure(whole_paths(paths, prediction, baseline_prediction, second_order), within(tell, 0, done))
    evaluations = np.full(paths.n_rows, paths.n_baselines * len(rule.nodes))
    floor = 64 * along.carried(np.maximum(np.abs(prediction), np.abs(baseline_prediction).max(1)))
    while True:
        ledger = Ledger.of(_attributions(mesh, paths), mesh, floor)
        chosen, cost = worst_panels(mesh, ledger, paths, effort, evaluations, measure.cost_of_bisection)
        if effort.steps is not None or not chosen.any():
            break
        evaluations = evaluations + cost
        halves = measure(measure.bisect(mesh.take(chosen)), within(tell, done, (1 + done) / 2))
        mesh, done = Panels.join([mesh.take(~chosen), halves]), (1 + done) / 2
    return Certificate(
        panels=mesh,
        rule=rule,
        attributions=ledger.attributions,
        relative_error=ledger.relative_error,
        evaluations=evaluations.astype(np.int32),
        status=settled_status(ledger, effort),
        prediction=prediction,
        baseline_prediction=baseline_prediction,
    )


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
    """What the mesh amounts to, row by row: phi of each path, relative error and its rounding part, and their scale."""

    attributions: np.ndarray
    relative_error: np.ndarray
    relative_noise: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, attributions: np.ndarray, mesh: Mesh, floor: np.ndarray) -> "Ledger":
        """Sum up a mesh whose attributions are (N, B, G); `floor` (N,) bounds the scale of the errors from below."""
        n, b, _ = attributions.shape
        row = mesh.path // b
        error = np.bincount(row, mesh.error, n) / b
        noise = np.bincount(row, mesh.noise, n) / b
        scale = np.maximum(np.abs(attributions.mean(1)).sum(1), np.maximum(floor, noise))
        with np.errstate(divide="ignore", invalid="ignore"):  # 0 / 0 where the model is 0 on the whole path: exact
            relative = np.where((error == 0) & (scale == 0), 0.0, error / scale)
            relative_noise = np.where((noise == 0) & (scale == 0), 0.0, noise / scale)
        return cls(attributions, relative, relative_noise, scale)


def _attributions(mesh: Panels, paths: Paths) -> np.ndarray:
    per_path = np.zeros((paths.n_rows * paths.n_baselines, paths.n_groups))
    np.add.at(per_path, mesh.path, mesh.integral)
    return per_path.reshape(paths.n_rows, paths.n_baselines, -1)


def worst_panels(
    mesh: Mesh, ledger: Ledger, paths: Paths, effort: Effort, evaluations: np.ndarray, cost: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return a mask of the panels to split, at `cost` evaluations each, and what that costs each row.

    Of an unconverged row, the largest estimates are taken until the rest fits into SPARE of the tolerance, as far as
    the budget goes; panels whose estimate is only rounding are left alone.
    """
    row = mesh.path // paths.n_baselines
    open_rows = np.isfinite(ledger.relative_error) & (ledger.relative_error > effort.tolerance)
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
    allowed = SPARE * effort.tolerance * ledger.scale[owner] * paths.n_baselines
    rank = np.arange(len(order)) - start
    affordable = evaluations[owner] + (rank + 1) * cost <= effort.budget(paths.n_baselines)
    keep = (total - before > allowed) & affordable
    chosen[order[keep]] = True
    return chosen, np.bincount(owner[keep], minlength=paths.n_rows) * cost


def settled_status(ledger: Ledger, effort: Effort) -> np.ndarray:
    """Return the status of rows that are refined no further, (N,)."""
    status = np.full(len(ledger.relative_error), Status.OK.value, dtype=object)
    missed = ~(ledger.relative_error <= effort.tolerance)
    status[missed] = Status.NOT_CONVERGED.value
    status[missed & (2 * ledger.relative_noise > ledger.relative_error)] = Status.ROUNDING.value
    status[~np.isfinite(ledger.relative_error)] = Status.NON_FINITE.value
    return status
