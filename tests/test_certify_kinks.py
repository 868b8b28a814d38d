"""Kinks: where second derivatives are not functions, certification says so and find_kinks tells why."""

import numpy as np
import pytest
import torch
from problems import MEMORY_BYTES, Function, network, normal, random_polynomial, softplus, straight_paths
from torch import nn

from ihcli.derivatives.autograd import AutogradEngine
from ihcli.derivatives.paths import Paths
from ihcli.integration.certify import Certificate, certify
from ihcli.integration.diagnoses import find_kinks
from ihcli.integration.effort import EVALUATIONS_PER_BASELINE, NODES, Effort
from ihcli.quality import Status

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])


def certified(function: Function, paths: Paths, second_order: bool, effort: Effort) -> Certificate:
    return certify(AutogradEngine(function, MEMORY_BYTES).along(paths), second_order, effort)


def kinked_functions() -> dict[str, Function]:
    return {
        "ReLU": lambda z: torch.relu(z[:, :1] - 0.3) + z[:, 1:],
        "abs": lambda z: torch.abs(z[:, :1] - 0.3) + z[:, 1:],
        "max": lambda z: torch.maximum(z[:, :1], 0.3 + 0 * z[:, 1:]) + z[:, 1:],
        "small": lambda z: 0.01 * torch.relu(z[:, :1] - 0.3) + z[:, 1:],
        "among squares": lambda z: torch.relu(z[:, :1] - 0.3) + z[:, 1:] ** 2 + z[:, :1] ** 3,
    }


@DTYPES
@pytest.mark.parametrize("name", kinked_functions())
def test_kinks_are_found_on_the_paths_that_cross_them(name, dtype):
    x = torch.tensor([[1.0, 0.5], [0.25, 0.5], [0.4, -2.0], [-1.0, 1.0]], dtype=dtype)
    baselines = torch.tensor([[0.0, 0.0], [0.7, 0.1]], dtype=dtype)
    found = find_kinks(AutogradEngine(kinked_functions()[name], MEMORY_BYTES).along(straight_paths(x, baselines)))
    crosses = (x[:, None, 0] > 0.3) != (baselines[None, :, 0] > 0.3)
    np.testing.assert_array_equal(found, crosses)


@DTYPES
@pytest.mark.parametrize("depth", [1, 3, 6])
def test_a_relu_network_has_kinks_on_nearly_every_path(depth, dtype):
    module = network([8] + [16] * depth, nn.ReLU, seed=2).to(dtype)
    found = find_kinks(AutogradEngine(module, MEMORY_BYTES).along(straight_paths(normal(50, 8, seed=1, dtype=dtype))))
    assert found.mean() > 0.95


@DTYPES
@pytest.mark.parametrize("offset", [0.0, 100.0])
@pytest.mark.parametrize("depth", [1, 3, 6])
@pytest.mark.parametrize("beta", [1, 10, 100, 1000])
def test_a_softplus_network_has_no_kinks(beta, depth, offset, dtype):
    module = network([8] + [16] * depth, lambda: softplus(beta), seed=2).to(dtype)
    engine = AutogradEngine(lambda z: module(z) + offset, MEMORY_BYTES)
    found = find_kinks(engine.along(straight_paths(normal(50, 8, seed=1, dtype=dtype))))
    assert found.mean() == 0


@DTYPES
def test_polynomials_have_no_kinks(dtype):
    x, baselines = normal(20, 4, seed=10, dtype=dtype), normal(2, 4, seed=11, dtype=dtype)
    for seed in range(3):
        engine = AutogradEngine(random_polynomial(4, 6, 6, seed), MEMORY_BYTES)
        found = find_kinks(engine.along(straight_paths(x, baselines)))
        assert found.mean() == 0


def test_second_order_never_converges_across_a_kink():
    x = torch.tensor([[1.0, 0.5], [0.25, 0.5], [0.4, 2.0], [-1.0, 1.0], [3.0, 1.0]], dtype=torch.float64)
    certificate = certified(kinked_functions()["ReLU"], straight_paths(x), True, Effort(0.001))
    crosses = (x[:, 0] > 0.3).numpy()
    np.testing.assert_array_equal(certificate.status, np.where(crosses, Status.NOT_CONVERGED, Status.OK))
    assert np.all(certificate.evaluations[~crosses] == NODES)
    assert certificate.evaluations.max() <= EVALUATIONS_PER_BASELINE


def test_first_order_converges_across_a_kink():
    x = torch.tensor([[1.0, 0.5], [0.4, 2.0], [3.0, 1.0]], dtype=torch.float64)
    certificate = certified(kinked_functions()["ReLU"], straight_paths(x), False, Effort(0.001))
    assert np.all(certificate.status == Status.OK)


def test_every_row_of_an_unsmoothed_relu_network_is_flagged_under_second_order():
    module = network([6, 16, 16], nn.ReLU, seed=12)
    certificate = certified(module, straight_paths(normal(20, 6, seed=2)), True, Effort(0.01, max_evaluations=200))
    assert set(certificate.status) == {Status.NOT_CONVERGED}
