"""Certification stays cheap: evaluations for each row, on average, at a tolerance of 0.01."""

import numpy as np
import pytest
from problems import MEMORY_BYTES, network, normal, softplus, straight_paths
from torch import nn

from ihcli.derivatives.autograd import AutogradEngine
from ihcli.derivatives.paths import Paths
from ihcli.integration.certify import certify
from ihcli.integration.effort import NODES, Effort
from ihcli.quality import Status

SEEDS = pytest.mark.parametrize("seed", [0, 1, 2])


def mean_evaluations(module: nn.Module, paths: Paths, second_order: bool) -> float:
    certificate = certify(AutogradEngine(module, MEMORY_BYTES).along(paths), second_order, Effort(0.01))
    assert np.all(certificate.status == Status.OK)
    return certificate.evaluations.mean() / paths.n_baselines


@SEEDS
@pytest.mark.parametrize(("second_order", "most"), [(False, 25), (True, 30)])
def test_a_network_of_moderate_bends_takes_few_evaluations(second_order, most, seed):
    module = network([50] + [128] * 5, lambda: softplus(10), seed=seed)
    assert mean_evaluations(module, straight_paths(normal(40, 50, seed=100 + seed)), second_order) <= most


@SEEDS
def test_many_baselines_take_fewer_evaluations_each(seed):
    module = network([50] + [128] * 5, lambda: softplus(10), seed=seed)
    paths = straight_paths(normal(3, 50, seed=100 + seed), normal(200, 50, seed=200 + seed))
    assert mean_evaluations(module, paths, second_order=False) <= 16


@SEEDS
@pytest.mark.parametrize(("second_order", "most"), [(False, 50), (True, 60)])
def test_a_sharp_network_takes_some_dozens_of_evaluations(second_order, most, seed):
    module = network([20] + [40] * 3, lambda: softplus(50), seed=seed, scale=1.6)
    assert mean_evaluations(module, straight_paths(normal(100, 20, seed=100 + seed)), second_order) <= most


@SEEDS
@pytest.mark.parametrize("depth", [2, 5])
@pytest.mark.parametrize("second_order", [False, True])
def test_a_smooth_network_takes_one_panel(second_order, depth, seed):
    module = network([20] + [64] * depth, lambda: softplus(1), seed=seed)
    assert mean_evaluations(module, straight_paths(normal(100, 20, seed=100 + seed)), second_order) == NODES
