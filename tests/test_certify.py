"""Certification: refined where it must be, no further than asked, counted right, and frank about what it cannot do."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from oracles import finer_attributions, relative_error, row_sums
from problems import (
    MEMORY_BYTES,
    Function,
    Polynomial,
    SpyEngine,
    network,
    normal,
    softplus,
    straight_paths,
)
from torch import Tensor, nn

from ihcli.derivatives.autograd import AutogradEngine
from ihcli.derivatives.paths import Paths
from ihcli.integration.certify import Certificate, certify
from ihcli.integration.effort import EVALUATIONS_PER_BASELINE, NODES, Effort
from ihcli.integration.panels import Panels
from ihcli.quality import Status

ROUNDED = 1e-9
"""Relative to the largest answer: float64 sums in another order, through a sharp network."""
ORDERS = pytest.mark.parametrize("second_order", [False, True], ids=["first order", "second order"])
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
N_INPUTS = 6


def certified(function: Function, paths: Paths, second_order: bool, effort: Effort | None = None) -> Certificate:
    return certify(AutogradEngine(function, MEMORY_BYTES).along(paths), second_order, effort or Effort())


def sharp_network() -> nn.Module:
    return network([N_INPUTS, 16, 16], lambda: softplus(30), seed=1, scale=1.6)


def steep_paths(n_rows: int = 6, n_baselines: int = 1, seed: int = 2) -> Paths:
    return straight_paths(normal(n_rows, N_INPUTS, seed=seed), normal(n_baselines, N_INPUTS, seed=seed + 1))


def assert_panels_tile(mesh: Panels, n_paths: int) -> None:
    for path in range(n_paths):
        mine = mesh.take(mesh.path == path)
        mine = mine.take(np.argsort(mine.a))
        assert mine.a[0] == 0
        assert mine.b[-1] == 1
        np.testing.assert_array_equal(mine.a[1:], mine.b[:-1])


@ORDERS
@pytest.mark.parametrize("n_baselines", [1, 3])
@pytest.mark.parametrize("tolerance", [0.1, 0.001])
def test_evaluations_are_the_points_at_which_a_gradient_was_taken(second_order, n_baselines, tolerance):
    spy, paths = SpyEngine(sharp_network()), steep_paths(n_baselines=n_baselines)
    certificate = certify(spy.along(paths), second_order, Effort(tolerance))
    np.testing.assert_array_equal(certificate.evaluations, spy.evaluations(paths))
    assert certificate.evaluations.dtype == np.int32
    assert certificate.evaluations.max() > NODES * n_baselines


@ORDERS
@pytest.mark.parametrize("n_baselines", [1, 3])
@pytest.mark.parametrize("budget", [10, 40, 77])
def test_no_row_passes_its_budget(second_order, n_baselines, budget):
    effort = Effort(1e-8, max_evaluations=budget * n_baselines)
    certificate = certified(sharp_network(), steep_paths(n_baselines=n_baselines), second_order, effort)
    assert certificate.evaluations.max() <= budget * n_baselines
    assert certificate.evaluations.min() > (budget - 2 * NODES - 1) * n_baselines
    assert set(certificate.status) == {Status.NOT_CONVERGED}
    assert np.all(certificate.relative_error > 1e-8)


def test_the_budget_grows_with_the_baselines():
    assert Effort().budget(7) == 7 * EVALUATIONS_PER_BASELINE
    assert Effort(max_evaluations=50).budget(7) == 50


@ORDERS
@pytest.mark.parametrize("steps", [4, 8, 33])
def test_steps_take_one_rule_and_no_more(second_order, steps):
    spy, paths = SpyEngine(sharp_network()), steep_paths(n_baselines=2)
    certificate = certify(spy.along(paths), second_order, Effort(1e-9, steps=steps))
    np.testing.assert_array_equal(certificate.evaluations, 2 * steps)
    np.testing.assert_array_equal(spy.evaluations(paths), 2 * steps)
    assert len(certificate.panels) == 2 * paths.n_rows
    assert len(certificate.rule.nodes) == steps
    assert set(certificate.status) == {Status.NOT_CONVERGED}


@ORDERS
def test_more_steps_report_and_make_smaller_errors(second_order):
    function, paths = network([N_INPUTS, 16], nn.Tanh, seed=3), steep_paths()
    truth = certified(function, paths, second_order, Effort(1e-10)).attributions
    reported, true = [], []
    for steps in (4, 8, 16):
        certificate = certified(function, paths, second_order, Effort(steps=steps))
        reported.append(certificate.relative_error.max())
        true.append(np.abs(certificate.attributions - truth).max())
    assert reported == sorted(reported, reverse=True)
    assert true == sorted(true, reverse=True)
    assert reported[-1] < 1e-3 * reported[0]


@ORDERS
def test_panels_tile_every_path(second_order):
    paths = steep_paths(n_baselines=3)
    certificate = certified(sharp_network(), paths, second_order, Effort(0.001))
    assert len(certificate.panels) > 3 * paths.n_rows
    assert_panels_tile(certificate.panels, 3 * paths.n_rows)


@ORDERS
def test_only_rows_that_need_it_are_refined(second_order):
    def function(z: Tensor) -> Tensor:
        return torch.sigmoid(100 * (z[:, :1] - 0.3)) + z[:, 1:2]

    x = torch.tensor([[0.05, 1.0], [1.0, 1.0], [0.04, 2.0]], dtype=torch.float64)
    certificate = certified(function, straight_paths(x), second_order)
    assert certificate.evaluations[[0, 2]].tolist() == [NODES, NODES]
    assert certificate.evaluations[1] > 3 * NODES
    assert set(certificate.status) == {Status.OK}


@ORDERS
def test_end_points_are_evaluated_once(second_order):
    spy, paths = SpyEngine(sharp_network()), steep_paths(n_baselines=2)
    certificate = certify(spy.along(paths), second_order, Effort())
    ends = [(path, t) for path, t in spy.asked["values"] if t in (0.0, 1.0)]
    assert sorted(ends) == [(0, 0.0), (0, 1.0), (1, 0.0), *((2 * row, 1.0) for row in range(1, paths.n_rows))]
    module = sharp_network()
    np.testing.assert_allclose(certificate.prediction, module(paths.inputs)[:, 0], rtol=ROUNDED)
    expected = module(paths.baselines)[:, 0].expand(paths.n_rows, 2)
    np.testing.assert_allclose(certificate.baseline_prediction, expected, rtol=ROUNDED)


@ORDERS
def test_no_point_is_asked_twice(second_order):
    spy = SpyEngine(sharp_network())
    certify(spy.along(steep_paths(n_baselines=2)), second_order, Effort(0.001))
    asked = [point for kind in ("gradients", "curvatures", "hessians") for point in spy.asked[kind]]
    assert len(set(asked)) == len(asked)


@ORDERS
def test_memory_does_not_change_the_answer(second_order):
    function, paths = sharp_network(), steep_paths(n_baselines=2)
    large, small = (AutogradEngine(function, memory) for memory in (MEMORY_BYTES, 20_000))
    assert small.batch_points(paths, 0) < 100
    one, other = (certify(engine.along(paths), second_order, Effort()) for engine in (large, small))
    scale = np.abs(one.attributions).max()
    np.testing.assert_allclose(other.attributions, one.attributions, atol=ROUNDED * scale)
    np.testing.assert_allclose(other.relative_error, one.relative_error, atol=ROUNDED)
    np.testing.assert_array_equal(other.evaluations, one.evaluations)
    np.testing.assert_array_equal(other.status, one.status)


@ORDERS
def test_a_row_is_certified_alone_as_among_others(second_order):
    function, paths = sharp_network(), steep_paths(n_baselines=2)
    together = certified(function, paths, second_order)
    for row in range(paths.n_rows):
        only = replace(paths, inputs=paths.inputs[row : row + 1], outputs=paths.outputs[row : row + 1])
        alone = certified(function, only, second_order)
        np.testing.assert_allclose(together.attributions[row], alone.attributions[0], atol=ROUNDED)
        assert together.evaluations[row] == alone.evaluations[0]
        assert together.relative_error[row] == pytest.approx(alone.relative_error[0], rel=1e-6)


@ORDERS
def test_equal_baselines_count_as_one(second_order):
    function, paths = sharp_network(), steep_paths()
    one = certified(function, paths, second_order)
    many = certified(function, replace(paths, baselines=paths.baselines.repeat(3, 1)), second_order)
    assert np.all(relative_error(many.attributions.mean(1), one.attributions.mean(1)) <= 0.02)
    assert np.all(many.status == Status.OK)
    assert np.all(many.evaluations >= 3 * NODES)


@ORDERS
def test_a_converged_row_is_within_the_tolerance_and_no_other(second_order):
    certificate = certified(sharp_network(), steep_paths(30), second_order, Effort(0.001, max_evaluations=45))
    within = certificate.relative_error <= 0.001
    assert 0 < within.sum() < 30
    np.testing.assert_array_equal(certificate.status == Status.OK, within)


@ORDERS
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_rows_that_are_not_finite_are_flagged_and_the_others_unmoved(second_order, value):
    module = sharp_network()

    def function(z: Tensor) -> Tensor:
        return module(z) * torch.where(z[:, :1] > 5, value, 1.0)

    paths = steep_paths(5)
    spoilt = replace(paths, inputs=paths.inputs.clone())
    spoilt.inputs[[1, 3], 0] = 10.0
    certificate, clean = certified(function, spoilt, second_order), certified(function, paths, second_order)
    assert certificate.status.tolist() == [Status.OK, Status.NON_FINITE, Status.OK, Status.NON_FINITE, Status.OK]
    kept = [0, 2, 4]
    np.testing.assert_allclose(certificate.attributions[kept], clean.attributions[kept], atol=ROUNDED)
    np.testing.assert_array_equal(certificate.evaluations[kept], clean.evaluations[kept])
    assert np.all(certificate.evaluations[[1, 3]] == NODES)


@ORDERS
def test_one_baseline_that_is_not_finite_flags_the_row(second_order):
    def function(z: Tensor) -> Tensor:
        return torch.log(z[:, :1] + z[:, 1:])

    baselines = torch.tensor([[1.0, 1.0], [-5.0, 1.0]], dtype=torch.float64)
    x = torch.tensor([[2.0, 3.0]], dtype=torch.float64)
    certificate = certified(function, straight_paths(x, baselines), second_order)
    assert certificate.status.tolist() == [Status.NON_FINITE]


@ORDERS
@pytest.mark.parametrize("beta", [1, 10])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_rounding_ends_the_work_and_is_said(second_order, beta, offset):
    """float32 cannot reach 1e-9, however the rounding of f compares with ||phi||_1: here by 100 to 100,000."""
    module = network([10] + [32] * 5, lambda: softplus(beta), seed=5).float()
    paths = straight_paths(normal(20, 10, seed=6, dtype=torch.float32))
    certificate = certified(lambda z: module(z) + offset, paths, second_order, Effort(1e-9))
    share = np.mean(certificate.status == Status.ROUNDING)
    assert share >= 0.8
    assert certificate.evaluations.mean() < EVALUATIONS_PER_BASELINE / 3


@ORDERS
@DTYPES
def test_an_offset_of_the_output_costs_no_evaluations(second_order, dtype):
    """A large f(x') says nothing about how hard the path is, though its rounding swamps f(x) - f(x')."""
    module = network([10] + [32] * 3, lambda: softplus(1), seed=7).to(dtype)
    paths = straight_paths(normal(20, 10, seed=8, dtype=dtype))
    plain = certified(module, paths, second_order, Effort(0.001))
    moved = certified(lambda z: module(z) + 100, paths, second_order, Effort(0.001))
    np.testing.assert_array_equal(moved.evaluations, plain.evaluations)
    assert np.all(moved.status == Status.OK)


@ORDERS
@DTYPES
def test_a_row_at_its_baseline_is_converged_at_once(second_order, dtype):
    x = normal(2, N_INPUTS, seed=9, dtype=dtype)
    certificate = certified(sharp_network().to(dtype), straight_paths(x[:1], x[:1]), second_order, Effort(1e-12))
    assert certificate.status.tolist() == [Status.OK]
    assert certificate.relative_error.tolist() == [0.0]
    assert certificate.evaluations.tolist() == [NODES]


@ORDERS
def test_a_path_whose_attributions_cancel_to_zero_is_not_called_non_finite(second_order):
    """x1 - x1^2 at 1 and 0: f and phi are 0 at both ends, F is not; nothing is wrong but the relative scale."""
    function = Polynomial({(1,): 1.0, (2,): -1.0})
    certificate = certified(function, straight_paths(torch.ones(1, 1, dtype=torch.float64)), second_order)
    assert certificate.status[0] in (Status.OK, Status.ROUNDING)
    assert np.isfinite(certificate.relative_error).all()
    assert abs(certificate.attributions).max() < 1e-15


@ORDERS
@pytest.mark.parametrize("steps", [4, 6, 8])
def test_wrong_attributions_with_no_gap_are_reported_as_wrong(second_order, steps):
    """s(x1) - s(x2) along the diagonal: the errors of a steep sigmoid s cancel in the sum, and only there."""

    def function(z: Tensor) -> Tensor:
        steep = torch.sigmoid(15 * (z - 0.4))
        return (steep[:, :1] - steep[:, 1:]) * 3

    paths = straight_paths(torch.ones(1, 2, dtype=torch.float64))
    certificate = certified(function, paths, second_order, Effort(steps=steps))
    rise = 3 * float(torch.sigmoid(torch.tensor(9.0)) - torch.sigmoid(torch.tensor(-6.0)))
    truth = np.array([[rise, -rise]])
    found = row_sums(function, paths, certificate) if second_order else certificate.attributions.mean(1)
    gap = certificate.attributions.sum() - (certificate.prediction - certificate.baseline_prediction[:, 0])
    true_error = relative_error(found, truth)
    assert abs(gap) < 1e-14
    assert true_error > 0.005
    assert certificate.relative_error >= true_error


@ORDERS
def test_refinement_corrects_what_the_gap_does_not_show(second_order):
    def function(z: Tensor) -> Tensor:
        steep = torch.sigmoid(40 * (z - 0.4))
        return steep[:, :1] - steep[:, 1:]

    certificate = certified(function, straight_paths(torch.ones(1, 2, dtype=torch.float64)), second_order)
    np.testing.assert_allclose(certificate.attributions[0, 0], [1, -1], atol=0.01)
    assert certificate.status.tolist() == [Status.OK]


def test_tighter_tolerances_cost_more_and_are_met():
    function, paths = sharp_network(), steep_paths(10)
    costs = []
    for tolerance in (0.1, 0.01, 0.001):
        certificate = certified(function, paths, False, Effort(tolerance))
        truth = finer_attributions(function, paths, certificate.panels)
        assert np.all(relative_error(certificate.attributions.mean(1), truth) <= tolerance)
        costs.append(certificate.evaluations.mean())
    assert costs == sorted(costs)
