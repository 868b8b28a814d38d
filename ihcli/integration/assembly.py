"""Rows explained: a mesh certified for each, and second derivatives assembled on it."""

from dataclasses import dataclass

import numpy as np

from ihcli.advance import Tell, unheard, within
from ihcli.derivatives import Along
from ihcli.explanation.factors import Factored, Matrices
from ihcli.integration.certify import FIRST_SHARE, Refinement, Settled, certify
from ihcli.integration.effort import MANY_BASELINES, Effort
from ihcli.integration.kinks import certify_piecewise
from ihcli.integration.ledger import Ledger
from ihcli.integration.matrices import Matrices as Assembled
from ihcli.integration.matrices import matrices_of
from ihcli.integration.matrix import MatrixErrors
from ihcli.methods import Method
from ihcli.quality import Status

AUTOGRAD_GROUPS, CLOSED_FORM_GROUPS = 10, 120
"""Groups for which assembling takes as long as certifying; for fewer it takes about as long too. Measured on networks
of 30 to 500 inputs; what is heard of progress depends on it, and with how many nodes paths begin."""


@dataclass(frozen=True)
class ExplainedRows:
    """What is known of the rows, and their values over all baselines.

    certificate   that of the mesh on which they were integrated, as far as the method has one
    attributions  (N, G) float64
    interactions  (N, G, G) in the model's dtype, symmetric; None under first order. Products of smaller ones, where
                  these will do and G is far larger than what the model's first layer gives
    interaction_error  (N,) relative L1 error of all entries of the interactions; None under first order
    interaction_sampling_error, interaction_spread  relative standard error over drawn baselines, (N,), and that of
                  every entry, (N, G, G); None where there is none
    """

    certificate: Settled
    attributions: np.ndarray
    interactions: Matrices | None
    interaction_error: np.ndarray | None = None
    interaction_sampling_error: np.ndarray | None = None
    interaction_spread: np.ndarray | None = None

    @classmethod
    def uncertified(
        cls,
        attributions: np.ndarray,
        prediction: np.ndarray,
        baseline_prediction: np.ndarray,
        evaluations: int | np.ndarray,
        interactions: np.ndarray | None = None,
    ) -> "ExplainedRows":
        """Return rows of a method that knows no error, after so many evaluations each, or (N,).

        attributions  (N, B, G);  prediction (N,) f(x);  baseline_prediction (N, B) f(x');  interactions (N, G, G)
        """
        n = len(attributions)
        mean = attributions.mean(1, dtype=np.float64)
        is_finite = np.isfinite(mean).all(1) & np.isfinite(prediction)
        mean[~is_finite] = np.nan
        settled = Settled(
            attributions=attributions,
            relative_error=np.full(n, np.nan),
            evaluations=np.full(n, evaluations, np.int32),
            status=np.where(is_finite, Status.UNCERTIFIED.value, Status.NON_FINITE.value).astype(object),
            prediction=prediction,
            baseline_prediction=baseline_prediction,
        )
        unknown = None if interactions is None else np.full(n, np.nan)
        return cls(settled, mean, interactions, unknown)


def explain_rows(along: Along, method: Method, effort: Effort, tell: Tell = unheard) -> ExplainedRows:
    """Certify a mesh for every row, then assemble second derivatives on it, once.

    Cost: the certificate's evaluations, and under second order G Hessian-vector products at each node of the mesh.
    """
    if method.second_order:
        return _explain_pairs(along, effort, tell)
    if effort.follows_kinks and effort.steps is None and along.paths.n_baselines < MANY_BASELINES:
        certificate = certify_piecewise(along, effort, tell)
    else:
        certificate = certify(along, False, effort, tell)
    attributions = certificate.attributions.mean(1)
    attributions[certificate.status == Status.NON_FINITE] = np.nan
    return ExplainedRows(certificate, attributions, None)


def _explain_pairs(along: Along, effort: Effort, tell: Tell) -> ExplainedRows:
    """Certify row sums, assemble, and refine where the matrix needs it: those paths are assembled again."""
    certifying = 1 / (1 + assembling(along))
    refinement = Refinement(along, True, effort, within(tell, 0, FIRST_SHARE * certifying))
    refinement.settle(within(tell, FIRST_SHARE * certifying, certifying))
    matrices, ledger, sampling = settle_matrices(refinement, within(tell, certifying, 1))
    certificate = refinement.certificate(ledger)
    mean = matrices.mean()
    spread = None if isinstance(mean, Factored) else matrices.spread(mean)
    attributions = certificate.attributions.mean(1)
    for figures in (attributions, mean, spread, sampling):
        if figures is not None:
            figures[certificate.status == Status.NON_FINITE] = np.nan
    of_mean = None if spread is None else sampling
    return ExplainedRows(certificate, attributions, mean, ledger.relative_error, of_mean, spread)


def settle_matrices(refinement: Refinement, tell: Tell = unheard) -> tuple[Assembled, Ledger, np.ndarray]:
    """Assemble, and refine until matrices are settled too; return them, what is known of them, and sampling errors."""
    along, effort, b = refinement.along, refinement.effort, refinement.along.paths.n_baselines
    matrices = matrices_of(along, refinement.rule, effort.population)
    done, changed = 0.0, np.ones(along.paths.n_rows * b, bool)
    while True:
        matrices.add(refinement.panels, changed, within(tell, done, (1 + done) / 2))
        errors = MatrixErrors.of(refinement.panels, refinement.rule, matrices.norms, b)
        sampling = matrices.sampling_error()
        ledger = errors.ledger(refinement.ledger(), matrices.size(), b, effort.tolerances(sampling))
        chosen, costs = _worst_of_either(refinement, errors, ledger)
        if not chosen.any():
            return matrices, ledger, sampling
        changed = np.isin(np.arange(len(changed)), refinement.panels.path[chosen])
        matrices.remove(refinement.panels, changed)
        refinement.bisect(chosen, costs)
        matrices.forget(chosen)
        done = (1 + done) / 2


def _worst_of_either(refinement: Refinement, errors: MatrixErrors, matrix: Ledger) -> tuple[np.ndarray, np.ndarray]:
    """Return which panels to bisect, and what that costs: the row sums' where a row's matrix has none, or no more.

    Bisecting for the matrix may raise what is known of the row sums: errors of baselines that cancelled do so less.
    """
    chosen, costs = refinement.worst(errors.panels, matrix)
    others, their_costs = refinement.worst(refinement.panels, refinement.ledger_beside(matrix))
    is_done = costs == 0
    others &= is_done[refinement.panels.path // refinement.along.paths.n_baselines]
    return chosen | others, costs + np.where(is_done, their_costs, 0)


def assembling(along: Along) -> float:
    """Return how long assembling at a node takes, beside certifying there."""
    alike = AUTOGRAD_GROUPS if along.engine.name == "autograd" else CLOSED_FORM_GROUPS
    return max(1.0, along.paths.n_groups / alike)
