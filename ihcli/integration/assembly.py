"""Rows explained: a mesh certified for each, and second derivatives assembled on it."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ihcli.advance import Tell, unheard, within
from ihcli.derivatives import Along
from ihcli.integration.certify import Certificate, Effort, Settled, certify
from ihcli.integration.kinks import certify_piecewise
from ihcli.methods import Method
from ihcli.quality import Status

AUTOGRAD_GROUPS, CLOSED_FORM_GROUPS = 10, 120
"""Groups for which assembling takes as long as certifying; for fewer it takes about as long too. Measured on networks
of 30 to 500 inputs; only what is heard of progress depends on it."""


@dataclass(frozen=True)
class ExplainedRows:
    """What is known of the rows, and their values over all baselines.

    certificate   that of the mesh on which they were integrated, as far as the method has one
    attributions  (N, G) float64
    interactions  (N, G, G) in the model's dtype, symmetric; None under first order
    interaction_error  (N,) relative L1 error of all entries of the interactions; None under first order
    interaction_sampling_error, interaction_spread  relative standard error over drawn baselines, (N,), and that of
                  every entry, (N, G, G); None where there is none
    """

    certificate: Settled
    attributions: np.ndarray
    interactions: np.ndarray | None
    interaction_error: np.ndarray | None = None
    interaction_sampling_error: np.ndarray | None = None
    interaction_spread: np.ndarray | None = None

    @classmethod
    def uncertified(
        cls, attributions: np.ndarray, prediction: np.ndarray, baseline_prediction: np.ndarray, evaluations: int
    ) -> "ExplainedRows":
        """Return rows of a first-order method that knows no error, after so many evaluations each.

        attributions  (N, B, G);  prediction (N,) f(x);  baseline_prediction (N, B) f(x')
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
        return cls(settled, mean, None)


def explain_rows(along: Along, method: Method, effort: Effort, tell: Tell = unheard) -> ExplainedRows:
    """Certify a mesh for every row, then assemble second derivatives on it, once.

    Cost: the certificate's evaluations, and under second order G Hessian-vector products at each node of the mesh.
    """
    certifying = _share_of_certifying(along) if method.second_order else 1.0
    if effort.follows_kinks and not method.second_order and effort.steps is None:
        certificate = certify_piecewise(along, effort, tell)
    else:
        certificate = certify(along, method.second_order, effort, within(tell, 0, certifying))
    attributions, assembled = certificate.attributions.mean(1), None
    if method.second_order:
        assembled = _assemble(along, certificate, within(tell, certifying, 1))
    for figures in (attributions, assembled):
        if figures is not None:
            figures[certificate.status == Status.NON_FINITE] = np.nan
    error = None
    if assembled is not None:
        size = np.abs(assembled).sum((1, 2), dtype=np.float64)
        error = 1.5 * certificate.relative_error * np.abs(attributions).sum(1) / np.maximum(size, 1e-300)
    return ExplainedRows(certificate, attributions, assembled, error)


def sampling_error(attributions: np.ndarray, population: int) -> np.ndarray:
    """Return the relative L1 standard error of phi over B baselines drawn from `population` without replacement, (N,).

    sum_g s_g / sqrt(B) * sqrt(1 - B / population) / ||phi||_1, with s_g the sample standard deviation of phi_g over
    baselines (Cochran 1977, 2.6). `attributions` is (N, B, G). NaN for B = 1, which says nothing about its spread.
    """
    b = attributions.shape[1]
    if b == 1:
        return np.full(len(attributions), np.nan)
    spread = attributions.std(1, ddof=1) * np.sqrt((1 - b / population) / b)
    scale = np.abs(attributions.mean(1)).sum(1)
    return np.divide(spread.sum(1), scale, out=np.zeros_like(scale), where=scale > 0)


def _share_of_certifying(along: Along) -> float:
    alike = AUTOGRAD_GROUPS if along.engine.name == "autograd" else CLOSED_FORM_GROUPS
    return 1 / (1 + max(1.0, along.paths.n_groups / alike))


def _assemble(along: Along, certificate: Certificate, tell: Tell = unheard) -> np.ndarray:
    """Sum -t ln t H over the mesh into each row's matrix, add the diagonal, average over baselines.

    Each sum is taken with half its weight and added to its transpose, so that rounding leaves matrices symmetric.
    """
    paths = along.paths
    n, b, g = paths.n_rows, paths.n_baselines, paths.n_groups
    mesh = certificate.panels.take(np.argsort(certificate.panels.path, kind="stable"))
    nodes = certificate.rule.on(mesh.a, mesh.b)
    weights = nodes.log_weights * nodes.t / (2 * b)
    n_nodes = nodes.t.shape[1]
    total = paths.inputs.new_empty(n, g, g)
    done = 0  # rows begun; every row has panels and they come in order, so a batch's rows have no gap

    def assembled(some: slice) -> tuple[Tensor, Tensor]:
        return along.assemble(np.repeat(mesh.path[some], n_nodes), nodes.t[some].ravel(), weights[some].ravel())

    for rows, sums in along.in_batches(len(mesh), n_nodes, g, assembled):
        first, last = int(rows[0]), int(rows[-1])
        known = done - first
        for row in range(first, done):
            total[row] += sums[row - first] + sums[row - first].T
        torch.add(sums[known:], sums[known:].transpose(1, 2), out=total[done : last + 1])
        done = last + 1
        tell(done / n)
    diagonal = np.zeros((n, g))
    np.add.at(diagonal, mesh.path // b, mesh.log_integral / b)
    total.diagonal(dim1=1, dim2=2).add_(torch.as_tensor(diagonal, device=total.device))
    return total.cpu().numpy()
