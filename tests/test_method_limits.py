"""What docs/method.md warns of is so: where a certificate can be wrong, and what it says nothing about."""

import numpy as np
import pytest
import torch
from oracles import relative_error
from problems import explain, network, normal, softplus, straight_paths
from torch import Tensor

from ihcli.certify import NODES, Effort
from ihcli.explanation import OK
from ihcli.methods import METHODS, ExplainedRows
from ihcli.quadrature import panel_rule

UNSEEN = 1e-9
WIDEST_GAP = 0.18
TRUTH = Effort(1e-8, max_evaluations=20_000)
STEPS = 128
MOSTLY = 0.98
FACTOR = 1.25
ROWS = 100
FAMILIES = {
    "SoftPlus beta=10 depth=2": (10, 2, 1.0),
    "SoftPlus beta=10 depth=10": (10, 10, 1.0),
    "sharp SoftPlus beta=10 depth=5": (10, 5, 1.6),
    "sharp SoftPlus beta=50 depth=3": (50, 3, 1.6),
}


def ones() -> Tensor:
    return torch.ones(1, 3, dtype=torch.float64)


def hides_between_nodes(z: Tensor) -> Tensor:
    """Return the third input, and steps at 0.49 along the others, one up and one down, which f does not show."""
    return opposite_steps(z, 400, 0.49)


def opposite_steps(z: Tensor, steepness: float, place: float) -> Tensor:
    steps = torch.sigmoid(steepness * (z - place))
    return z[:, 2:] + steps[:, :1] - steps[:, 1:2]


def cancels_in_rows(z: Tensor) -> Tensor:
    """Multiply a step by the square of what is 0 on the path, so that H is it times [[2, -2], [-2, 2]]."""
    return z[:, 2:] + torch.sigmoid(60 * (z[:, 2:] - 0.4)) * (z[:, :1] - z[:, 1:2]) ** 2


def test_the_nodes_of_a_panel_leave_gaps() -> None:
    nodes = panel_rule(NODES).on(np.zeros(1), np.ones(1)).t[0]
    assert np.diff(nodes).max() == pytest.approx(WIDEST_GAP, abs=0.005)


@pytest.mark.parametrize("tolerance", [0.01, 1e-6])
@pytest.mark.parametrize("method", METHODS)
def test_a_narrow_antisymmetric_feature_certifies_wrongly(method: str, tolerance: float) -> None:
    explained = explain(hides_between_nodes, straight_paths(ones()), method, Effort(tolerance))
    certificate = explained.certificate
    assert certificate.status.tolist() == [OK]
    assert certificate.relative_error[0] < UNSEEN
    assert certificate.evaluations.tolist() == [NODES]
    np.testing.assert_allclose(explained.attributions[0], [0, 0, 1], atol=UNSEEN)  # the truth is [1, -1, 1]


@pytest.mark.parametrize("method", METHODS)
def test_many_steps_show_the_narrow_feature(method: str) -> None:
    explained = explain(hides_between_nodes, straight_paths(ones()), method, Effort(steps=STEPS))
    assert explained.attributions[0, 0] > 0.5
    assert explained.certificate.relative_error[0] > 0.01


@pytest.mark.parametrize(("method", "status_is_earned"), [("ig", False), ("ih", True)])
def test_an_error_of_even_degree_alone_is_not_seen_by_first_order(method: str, status_is_earned: bool) -> None:
    """F is symmetric around the middle; the embedded rule differs by a coefficient of degree 7, which is 0 then."""
    explained = explain(lambda z: opposite_steps(z, 30, 0.5), straight_paths(ones()), method, Effort(0.01))
    error = relative_error(explained.attributions, np.array([[1.0, -1.0, 1.0]]))[0]
    assert explained.certificate.status.tolist() == [OK]
    assert (error <= 0.01) == status_is_earned
    assert (error <= explained.certificate.relative_error[0]) == status_is_earned


def test_errors_that_cancel_in_rows_of_interactions_are_not_seen() -> None:
    found, truth = (explain(cancels_in_rows, straight_paths(ones()), "ih", Effort(steps=n)) for n in (NODES, 400))
    assert whole_error(found, truth)[0] > 0.01
    assert found.certificate.status.tolist() == [OK]
    assert found.certificate.relative_error[0] < UNSEEN


@pytest.mark.parametrize("tolerance", [0.01, 0.001])
def test_whole_matrices_are_mostly_within_the_reported_error(tolerance: float) -> None:
    ratios = []
    for beta, depth, scale in FAMILIES.values():
        module = network([10] + [32] * depth, lambda beta=beta: softplus(beta), seed=depth, scale=scale)
        paths = straight_paths(normal(ROWS, 10, seed=100 + depth))
        found, truth = explain(module, paths, "ih", Effort(tolerance)), explain(module, paths, "ih", TRUTH)
        ratios.append(whole_error(found, truth) / found.certificate.relative_error)
    ratio = np.concatenate(ratios)
    print(f"\ntolerance {tolerance:g}: covered {np.mean(ratio <= 1):.4f} of {len(ratio)}, at most {ratio.max():.2f}")
    assert np.mean(ratio <= 1) >= MOSTLY
    assert ratio.max() <= FACTOR


def test_a_sum_has_interactions_as_a_probability() -> None:
    x = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    plain = explain(lambda z: z.sum(1, keepdim=True), straight_paths(x))
    bent = explain(lambda z: torch.sigmoid(z.sum(1, keepdim=True)), straight_paths(x))
    assert abs(plain.interactions[0, 0, 1]) < UNSEEN
    assert abs(bent.interactions[0, 0, 1]) > 0.01


def whole_error(found: ExplainedRows, truth: ExplainedRows) -> np.ndarray:
    """Return the relative L1 error of all entries of each row's matrix, (N,)."""
    n = len(found.interactions)
    return relative_error(found.interactions.reshape(n, -1), truth.interactions.reshape(n, -1))
