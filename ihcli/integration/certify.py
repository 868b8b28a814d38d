"""Certification: a work list of (row, baseline, panel), refined until each row's error estimate is within tolerance."""

from dataclasses import dataclass

import numpy as np

from ihcli.advance import Tell, unheard, within
from ihcli.derivatives import Along
from ihcli.integration.effort import NODES, Effort
from ihcli.integration.ledger import Ledger, Mesh, ledger_of_rows, settled_status, worst_panels
from ihcli.integration.longer import missed, worth_extending
from ihcli.integration.measuring import Extends, Measure
from ihcli.integration.panels import Panels, unmeasured, whole_paths
from ihcli.integration.quadrature import PanelRule, panel_rule

FIRST_SHARE = 0.25
"""Of certifying that measuring whole paths is taken for, and each bisection for half of what is left: nobody knows how
many will come. Networks whose ReLUs were smoothed take two, of 17 evaluations after 8."""
GUARDED = 32
"""Of so many rows one is measured by the longer rule too, where whole paths begin with few nodes."""
CANCELLED = 0.25
"""Row sums of which more than this may be rounding have cancelled, as where inputs that a model compares are equal:
their error is told relative to the matrix, where there is one."""


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

    panels  the mesh, each path's panels tiling [0, 1], or the spans between kinks where these were followed
    rule    nodes and weights to use on it under second order
    """

    panels: Mesh
    rule: PanelRule


class Refinement:
    """A mesh that is being refined: its panels, and the evaluations that each row has cost so far, (N,)."""

    def __init__(self, along: Along, second_order: bool, effort: Effort, tell: Tell = unheard) -> None:
        """Measure one panel for each path; see `ihcli.integration.longer` for what a short rule is held to."""
        self.along, self.effort, self._second_order = along, effort, second_order
        self.prediction, self.baseline_prediction = along.ends()
        self.evaluations = np.zeros(along.paths.n_rows, dtype=np.int64)
        self._begin(effort.first_nodes(along.paths.n_baselines), tell)
        if effort.is_short and self._misses():
            self._begin(NODES, tell)

    def whole_paths(self) -> Panels:
        """Return one panel for each path, unmeasured."""
        return whole_paths(self.along.paths, self.prediction, self.baseline_prediction, self._second_order)

    def _begin(self, nodes: int, tell: Tell) -> None:
        """Measure one panel for each path by that rule, and by its extensions where these are worth it."""
        self.rule = panel_rule(nodes)
        self._measure = self._measuring(self.rule)
        self.panels = self._measure(self.whole_paths(), tell, self._extends())
        self.evaluations = self.evaluations + self.panels.n_nodes.reshape(len(self.evaluations), -1).sum(1)

    def _measuring(self, rule: PanelRule) -> Measure:
        return Measure(self.along, rule, self._second_order, whole=self.along.has_few_groups)

    def _extends(self) -> Extends | None:
        """Return what says which paths are extended: of rows of many baselines, whose errors cancel, none are."""
        effort, n = self.effort, len(self.rule.nodes)
        if effort.steps is not None or self.along.paths.n_baselines > 1 or 2 * n + 1 > effort.budget(1):
            return None
        return lambda panels: worth_extending(panels, self.rule, effort.tolerance, self._second_order)

    def _misses(self) -> bool:
        """Measure some rows with NODES as well, those not extended; return whether the rule missed one."""
        some = np.arange(GUARDED // 2, len(self.panels), GUARDED)
        some = some[self.panels.n_nodes[some] == len(self.rule.nodes)]
        if not len(some):
            return False
        longer = panel_rule(NODES)
        seen = self._measuring(longer)(unmeasured(self.whole_paths(), some))
        self.evaluations[some] += NODES
        return bool(missed(self.panels.take(some), self.rule, seen, longer, self.effort.tolerance).any())

    @property
    def attributions(self) -> np.ndarray:
        """Return phi of each path, (N, B, G)."""
        paths = self.along.paths
        per_path = np.zeros((paths.n_rows * paths.n_baselines, paths.n_groups))
        np.add.at(per_path, self.panels.path, self.panels.integral)
        return per_path.reshape(paths.n_rows, paths.n_baselines, -1)

    def ledger(self) -> Ledger:
        """Return what the panels say of phi, or under second order of the row sums of Gamma."""
        return ledger_of_rows(self.panels, self.along.paths, self.attributions, self._second_order, self.effort)

    def ledger_beside(self, matrix: Ledger) -> Ledger:
        """Return the same once the matrix is known, to which errors of row sums are relative that have cancelled."""
        ledger = self.ledger()
        return ledger.at_least(np.where(ledger.relative_noise > CANCELLED, matrix.scale, 0.0))

    def worst(self, panels: Panels, ledger: Ledger) -> tuple[np.ndarray, np.ndarray]:
        """Return which panels to bisect, (M,) bool, and what that costs each row, (N,); none with a fixed rule."""
        cost = self._measure.cost_of_bisection
        chosen, costs = worst_panels(panels, ledger, self.along.paths, self.effort, self.evaluations, cost)
        return (chosen, costs) if self.effort.steps is None else (np.zeros_like(chosen), np.zeros_like(costs))

    def bisect(self, chosen: np.ndarray, costs: np.ndarray, tell: Tell = unheard) -> None:
        """Put both halves of the chosen panels behind the others."""
        self.evaluations = self.evaluations + costs
        halves = self._measure(self._measure.bisect(self.panels.take(chosen)), tell)
        self.panels = Panels.join([self.panels.take(~chosen), halves])

    def settle(self, tell: Tell = unheard) -> None:
        """Bisect the panels of unconverged rows, all rows in the same batches, until nothing more helps."""
        done = 0.0
        while True:
            chosen, costs = self.worst(self.panels, self.ledger())
            if not chosen.any():
                return
            self.bisect(chosen, costs, within(tell, done, (1 + done) / 2))
            done = (1 + done) / 2

    def certificate(self, matrix: Ledger | None = None) -> Certificate:
        """Return what is known now; errors of the matrix, where there is one, must be within the tolerance too."""
        ledger = self.ledger() if matrix is None else self.ledger_beside(matrix)
        return Certificate(
            panels=self.panels,
            rule=self.rule,
            attributions=self.attributions,
            relative_error=ledger.relative_error,
            evaluations=self.evaluations.astype(np.int32),
            status=settled_status([ledger] if matrix is None else [ledger, matrix]),
            prediction=self.prediction,
            baseline_prediction=self.baseline_prediction,
        )


def certify(along: Along, second_order: bool, effort: Effort, tell: Tell = unheard) -> Certificate:
    """Bisect the panels of unconverged rows, all rows in the same batches, until each row is settled.

    A row is settled when its relative error

        mean over baselines of (sum over panels of the estimate) / max(||phi||_1, noise)

    is within the tolerance, when another bisection would pass its budget, or where rounding stops progress. Errors of
    many baselines cancel: see `ihcli.integration.ledger`. Noise is the rounding of phi: where attributions cancel to
    nothing, the error is relative to that.
    Cost in evaluations: n a panel, and one more at each interior panel end under second order.
    """
    refinement = Refinement(along, second_order, effort, within(tell, 0, FIRST_SHARE))
    refinement.settle(within(tell, FIRST_SHARE, 1))
    return refinement.certificate()
