"""Errors of a mean: those of baselines cancel, as far as they are seen to, and no further."""

import numpy as np
import pytest
import torch
from oracles import finer_attributions, relative_error
from problems import MEMORY_BYTES, network, normal, softplus, straight_paths
from torch import nn

from ihcli.derivatives.autograd import AutogradEngine
from ihcli.integration.certify import Refinement, certify
from ihcli.integration.effort import FINE, MANY_BASELINES, NODES, NODES_OF_MEANS, Effort
from ihcli.integration.ledger import Averaging, Ledger, settled_status

ORDERS = pytest.mark.parametrize("second_order", [False, True], ids=["first", "second"])


@ORDERS
def test_errors_that_are_alike_do_not_cancel(second_order: bool) -> None:
    averaging = Averaging.over(100, second_order)
    assert averaging.of(np.ones((1, 100))) == pytest.approx(averaging.safety)
    assert averaging.safety >= 1.1


@ORDERS
def test_errors_of_random_sign_cancel_by_the_root_of_their_number(second_order: bool) -> None:
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (2_000, 100))
    averaging = Averaging.over(100, second_order)
    found = averaging.of(signs)
    assert np.mean(found >= np.abs(signs.mean(1))) == 1
    assert found.max() < 6 / 100**0.5 * averaging.safety


@ORDERS
@pytest.mark.parametrize("beta", [3, 30])
def test_the_error_of_a_mean_is_at_least_the_true_one_and_less_than_the_sum(second_order: bool, beta: float) -> None:
    module = network([6, 24, 24], lambda: softplus(beta), seed=3)
    paths = straight_paths(2 * normal(12, 6, seed=4), normal(30, 6, seed=5))
    along = AutogradEngine(module, MEMORY_BYTES).along(paths)
    refinement = Refinement(along, second_order, Effort(0.01))
    ledger = refinement.ledger()
    assert (ledger.share < 0.7).all()
    if not second_order:
        truth = finer_attributions(module, paths, certify(along, False, Effort(1e-5)).panels)
        error = relative_error(refinement.attributions.mean(1), truth)
        assert (error <= ledger.relative_error).all()


def test_differences_are_scaled_by_what_scalar_residuals_say() -> None:
    module = network([6, 24, 24], lambda: softplus(3), seed=3)
    paths = straight_paths(normal(12, 6, seed=4), normal(30, 6, seed=5))
    refinement = Refinement(AutogradEngine(module, MEMORY_BYTES).along(paths), False, Effort(0.01))
    uncalibrated = np.abs(refinement.panels.signed.reshape(12, 30, 2, 6).mean(1)).sum(2).max(1)
    assert (refinement.ledger().relative_error * refinement.ledger().scale < uncalibrated).mean() > 0.8


@pytest.mark.parametrize(
    ("n_baselines", "tolerance", "nodes"),
    [
        (1, 0.01, NODES),
        (MANY_BASELINES - 1, 0.01, NODES),
        (MANY_BASELINES, FINE, NODES_OF_MEANS),
        (MANY_BASELINES, FINE / 2, NODES),
    ],
)
def test_a_mean_of_many_begins_with_fewer_nodes(n_baselines: int, tolerance: float, nodes: int) -> None:
    assert Effort(tolerance).first_nodes(n_baselines) == nodes
    assert Effort(tolerance, steps=20).first_nodes(n_baselines) == 20


def test_many_baselines_of_a_kinked_network_take_panels() -> None:
    module = network([5, 16, 16], nn.ReLU, seed=6)
    paths = straight_paths(normal(2, 5, seed=7), normal(MANY_BASELINES, 5, seed=8))
    found = certify(AutogradEngine(module, MEMORY_BYTES).along(paths), False, Effort(0.02))
    assert found.status.tolist() == ["ok", "ok"]
    truth = finer_attributions(module, paths, found.panels)
    assert (relative_error(found.attributions.mean(1), truth) <= found.relative_error).all()


def of(error: float, noise: float) -> Ledger:
    return Ledger.of(np.array([error]), np.array([noise]), np.ones(1), np.full(1, 0.01))


@pytest.mark.parametrize(
    ("errors", "status"),
    [
        (((0.005, 0), (0.005, 0)), "ok"),
        (((0.005, 0), (0.05, 0)), "not_converged"),
        (((0.05, 0), (0.005, 0)), "not_converged"),
        (((0.005, 0), (0.05, 0.04)), "rounding"),
        (((0.05, 0.04), (0.05, 0.001)), "not_converged"),
        (((0.005, 0), (np.nan, 0)), "non_finite"),
    ],
)
def test_a_row_is_ok_only_where_all_of_its_errors_are(errors: tuple[tuple[float, float], ...], status: str) -> None:
    assert settled_status([of(*error) for error in errors]).tolist() == [status]


def test_what_cancelled_is_judged_beside_something_larger() -> None:
    ledger = Ledger.of(np.array([2e-16]), np.array([1e-16]), np.array([1e-16]), np.full(1, 0.01))
    assert ledger.relative_error[0] == 2
    assert ledger.at_least(np.ones(1)).relative_error[0] == pytest.approx(2e-16)
    assert ledger.at_least(np.zeros(1)).relative_error[0] == 2


def test_rounding_of_float32_is_not_averaged_away() -> None:
    module = network([4, 8], lambda: softplus(1), seed=9).to(torch.float32)
    rows, baselines = normal(3, 4, seed=10).float(), normal(25, 4, seed=11).float()
    refinement = Refinement(AutogradEngine(module, MEMORY_BYTES).along(straight_paths(rows, baselines)), True, Effort())
    ledger = refinement.ledger()
    assert (ledger.relative_error >= ledger.relative_noise).all()
    assert (ledger.relative_noise > 1e-7).all()
