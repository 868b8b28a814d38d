"""What docs/method.md warns of is so: where a certificate can be wrong, and what it says nothing about."""

import numpy as np
import pytest
import torch
from oracles import relative_error
from problems import explain, network, normal, softplus, straight_paths
from torch import Tensor, nn

from ihcli.derivatives.paths import Paths
from ihcli.integration.assembly import ExplainedRows
from ihcli.integration.effort import NODES, Effort
from ihcli.integration.quadrature import panel_rule
from ihcli.methods import names_of
from ihcli.quality import Status

UNSEEN = 1e-9
WIDEST_GAP = 0.18
TRUTH = Effort(1e-8, max_evaluations=20_000)
STEPS = 128
HONEST = 0.995
ODD_SHARE = 0.98
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
@pytest.mark.parametrize("method", names_of(integrals=True))
def test_a_narrow_antisymmetric_feature_certifies_wrongly(method: str, tolerance: float) -> None:
    explained = explain(hides_between_nodes, straight_paths(ones()), method, Effort(tolerance))
    certificate = explained.certificate
    assert certificate.status.tolist() == [Status.OK]
    assert certificate.relative_error[0] < UNSEEN
    assert certificate.evaluations.tolist() == [NODES]
    np.testing.assert_allclose(explained.attributions[0], [0, 0, 1], atol=UNSEEN)  # the truth is [1, -1, 1]


@pytest.mark.parametrize("method", names_of(integrals=True))
def test_many_steps_show_the_narrow_feature(method: str) -> None:
    explained = explain(hides_between_nodes, straight_paths(ones()), method, Effort(steps=STEPS))
    assert explained.attributions[0, 0] > 0.5
    assert explained.certificate.relative_error[0] > 0.01


@pytest.mark.parametrize("method", ["ig", "ih"])
def test_an_error_of_even_degree_alone_is_seen(method: str) -> None:
    """F is symmetric around the middle, where the last Legendre coefficient, of odd degree, is 0 whatever the error."""
    explained = explain(lambda z: opposite_steps(z, 30, 0.5), straight_paths(ones()), method, Effort(0.01))
    error = relative_error(explained.attributions, np.array([[1.0, -1.0, 1.0]]))[0]
    assert explained.certificate.status.tolist() == [Status.OK]
    assert error <= explained.certificate.relative_error[0] <= 0.01


def test_odd_networks_on_symmetric_paths_are_mostly_covered() -> None:
    ratios = []
    for seed in range(4):
        module = odd_network(seed)
        x = normal(60, 6, seed=100 + seed)
        paths = Paths(x, -x[:, None], torch.zeros(60, dtype=torch.int64), n_groups=6, group_of=None)
        found, truth = (explain(module, paths, "ig", effort) for effort in (Effort(0.01), TRUTH))
        error = relative_error(found.attributions, truth.attributions)
        ratios.append(error / found.certificate.relative_error)
    ratio = np.concatenate(ratios)
    print(f"\ncovered {np.mean(ratio <= 1):.4f} of {len(ratio)}, at most {ratio.max():.2f}")
    assert np.mean(ratio <= 1) >= ODD_SHARE


def odd_network(seed: int) -> nn.Module:
    """Return a sharp tanh network without biases, so that f(-z) = -f(z)."""
    module = network([6, 24, 24], nn.Tanh, seed=seed)
    for i, layer in enumerate(layer for layer in module if isinstance(layer, nn.Linear)):
        layer.weight.data = 3 * normal(*layer.weight.shape, seed=10 * seed + i) / layer.in_features**0.5
        layer.bias.data.zero_()
    return module


def test_errors_that_cancel_in_rows_are_seen_in_the_matrix_alone() -> None:
    found, truth = (explain(cancels_in_rows, straight_paths(ones()), "ih", Effort(steps=n)) for n in (NODES, 400))
    assert whole_error(found, truth)[0] > 0.01
    assert found.certificate.relative_error[0] < UNSEEN
    assert found.interaction_error[0] > whole_error(found, truth)[0]
    assert found.certificate.status.tolist() == [Status.NOT_CONVERGED]


@pytest.mark.parametrize("tolerance", [0.01, 0.001])
def test_whole_matrices_are_within_the_reported_error(tolerance: float) -> None:
    ratios = []
    for beta, depth, scale in FAMILIES.values():
        module = network([10] + [32] * depth, lambda beta=beta: softplus(beta), seed=depth, scale=scale)
        paths = straight_paths(normal(ROWS, 10, seed=100 + depth))
        found, truth = explain(module, paths, "ih", Effort(tolerance)), explain(module, paths, "ih", TRUTH)
        ratios.append(whole_error(found, truth) / found.interaction_error)
    ratio = np.concatenate(ratios)
    print(f"\ntolerance {tolerance:g}: covered {np.mean(ratio <= 1):.4f} of {len(ratio)}, at most {ratio.max():.2f}")
    assert np.mean(ratio <= 1) >= HONEST


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
