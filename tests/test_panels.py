"""Panels measured: integrals, both identities, the estimates made of them, and what bisection reuses."""

import numpy as np
import pytest
import torch
from oracles import finer_attributions
from problems import MEMORY_BYTES, Polynomial, SpyEngine, network, normal, softplus, straight_paths
from torch import Tensor, nn

from ihcli.derivatives.autograd import AutogradEngine
from ihcli.derivatives.paths import Paths
from ihcli.integration.measuring import Measure
from ihcli.integration.panels import Panels, whole_paths
from ihcli.integration.quadrature import panel_rule

EXACT = 1e-12
"""Sums of a few float64 products of size about 1."""
N_INPUTS = 4


def whole(function, paths: Paths, second_order: bool) -> tuple[Measure, Panels]:
    """Return a measure, and one measured panel [0, 1] for every path."""
    engine = AutogradEngine(function, MEMORY_BYTES)
    measure = Measure(engine.along(paths), panel_rule(8), second_order)
    return measure, measure(whole_paths(paths, *engine.along(paths).ends(), second_order))


def sharp_network(seed: int = 1) -> nn.Module:
    return network([N_INPUTS, 8, 8], lambda: softplus(20), seed=seed, scale=1.6)


def steep_paths(n_rows: int = 5) -> Paths:
    return straight_paths(2 * normal(n_rows, N_INPUTS, seed=2), normal(2, N_INPUTS, seed=3))


def row_sums(measure: Measure, panels: Panels, function, paths: Paths) -> np.ndarray:
    """Return int (-t ln t F' - ln t F) dt of every panel, (M, G)."""
    nodes = panel_rule(8).on(panels.a, panels.b)
    path = np.repeat(panels.path, 8)
    curvature = AutogradEngine(function, MEMORY_BYTES).curvatures(paths, path, torch.tensor(nodes.t.ravel()))[2]
    weighted = (nodes.log_weights * nodes.t)[..., None] * curvature.numpy().reshape(*nodes.t.shape, -1)
    return weighted.sum(1) + panels.log_integral


@pytest.mark.parametrize("second_order", [False, True])
def test_integrals_of_a_polynomial_are_exact(second_order):
    """F_0 = 2 f t^2 and F_1 = f t^2 for f = x0^2 x1; against -ln t, t^2 gives 1/9."""
    function = Polynomial({(2, 1, 0, 0): 1.0})
    paths = straight_paths(normal(3, N_INPUTS, seed=4))
    _, panels = whole(function, paths, second_order)
    value = function(paths.inputs).numpy()
    np.testing.assert_allclose(panels.integral, value * [2 / 3, 1 / 3, 0, 0], atol=EXACT)
    if second_order:
        np.testing.assert_allclose(panels.log_integral, value * [2 / 9, 1 / 9, 0, 0], atol=EXACT)
    else:
        assert panels.log_integral.shape == (3, 0)
    assert np.all(panels.error <= 2 * panels.noise)


def test_end_values_are_the_outputs_at_both_ends():
    module = network([N_INPUTS, 8], nn.Tanh, seed=5, n_outputs=3)
    x, baselines, outputs = normal(4, N_INPUTS, seed=6), normal(2, N_INPUTS, seed=7), torch.tensor([2, 0, 0, 1])
    prediction, baseline = (
        AutogradEngine(module, MEMORY_BYTES).along(straight_paths(x, baselines, outputs=outputs)).ends()
    )
    np.testing.assert_allclose(prediction, module(x)[torch.arange(4), outputs], atol=EXACT)
    np.testing.assert_allclose(baseline, module(baselines)[:, outputs].T, atol=EXACT)


def test_each_baseline_is_evaluated_once_for_each_explained_output():
    module = network([N_INPUTS, 8], nn.Tanh, seed=5, n_outputs=3)
    spy = SpyEngine(module)
    outputs = torch.tensor([2, 0, 0, 2, 2])
    paths = straight_paths(normal(5, N_INPUTS, seed=6), normal(3, N_INPUTS, seed=7), outputs=outputs)
    spy.along(paths).ends()
    assert sorted(spy.asked["values"]) == sorted(
        [(3 * row, 1.0) for row in range(5)] + [(3 * row + b, 0.0) for row in (0, 1) for b in range(3)]
    )


@pytest.mark.parametrize("second_order", [False, True])
def test_halves_share_their_middle_and_keep_their_ends(second_order):
    spy = SpyEngine(sharp_network())
    paths = steep_paths()
    measure = Measure(spy.along(paths), panel_rule(8), second_order)
    panels = measure(whole_paths(paths, *spy.along(paths).ends(), second_order))
    for kind in spy.asked:
        spy.asked[kind].clear()
    halves = measure.bisect(panels)
    m = len(panels)
    assert spy.asked["gradients" if second_order else "values"] == [(p, 0.5) for p in range(m)]
    halves = measure(halves)
    left, right = halves.take(np.arange(m)), halves.take(np.arange(m, 2 * m))
    np.testing.assert_array_equal(left.b, right.a)
    np.testing.assert_array_equal((left.a, right.b), (panels.a, panels.b))
    np.testing.assert_array_equal(left.value[:, 1], right.value[:, 0])
    np.testing.assert_array_equal((left.value[:, 0], right.value[:, 1]), panels.value.T)
    np.testing.assert_array_equal(left.edge[:, 1], right.edge[:, 0])
    np.testing.assert_array_equal((left.edge[:, 0], right.edge[:, 1]), panels.edge.transpose(1, 0, 2))


def test_the_vector_residual_is_the_error_of_the_row_sums():
    """Per panel, int (-t ln t F' - ln t F) dt = [-t ln t F] + int F dt; the rest is the quadrature's error."""
    function, paths = sharp_network(), steep_paths()
    measure, panels = whole(function, paths, second_order=True)
    got = row_sums(measure, panels, function, paths)
    fine = panels
    for _ in range(6):
        fine = measure(measure.bisect(fine))
    exact = np.zeros_like(got)
    np.add.at(exact, fine.path, row_sums(measure, fine, function, paths))
    true_error = np.abs(got - exact).sum(1)
    assert np.all(panels.error >= true_error)
    assert np.median(panels.error / true_error) < 5


@pytest.mark.parametrize("second_order", [False, True])
def test_estimates_vanish_where_panels_become_small(second_order):
    measure, panels = whole(sharp_network(), steep_paths(), second_order)
    first = panels.error.sum()
    for _ in range(6):
        panels = measure(measure.bisect(panels))
    assert panels.error.sum() < 1e-6 * first
    assert np.all(panels.error >= panels.noise)


def test_a_kink_between_the_last_node_and_the_end_is_caught():
    t_last = panel_rule(8).on(np.zeros(1), np.ones(1)).t[0, -1]
    kink = (1 + t_last) / 2

    def function(z: Tensor) -> Tensor:
        return z[:, :1] + 20 * torch.relu(z[:, :1] - kink)

    paths = straight_paths(torch.ones(1, 1, dtype=torch.float64))
    _, panels = whole(function, paths, second_order=False)
    true_error = abs(panels.integral.sum() - float(function(paths.inputs)))
    assert true_error > 0.1
    assert panels.error[0] >= true_error


def test_panels_are_taken_and_joined_whole():
    _, panels = whole(sharp_network(), steep_paths(), second_order=True)
    order = np.array([3, 0])
    picked = panels.take(order)
    assert len(picked) == 2
    joined = Panels.join([picked, panels.take(np.arange(len(panels)) == 1)])
    np.testing.assert_array_equal(joined.path, [3, 0, 1])
    np.testing.assert_array_equal(joined.integral, panels.integral[[3, 0, 1]])
    np.testing.assert_array_equal(joined.edge, panels.edge[[3, 0, 1]])


@pytest.mark.parametrize("second_order", [False, True])
def test_small_batches_measure_the_same(second_order):
    paths = steep_paths(7)
    large, small = (AutogradEngine(sharp_network(), memory) for memory in (MEMORY_BYTES, 20_000))
    assert small.batch_points(paths, 1) < 50
    found = []
    for engine in (large, small):
        measure = Measure(engine.along(paths), panel_rule(8), second_order)
        panels = measure(whole_paths(paths, *engine.along(paths).ends(), second_order))
        found.append(measure(measure.bisect(panels)))
    for name in ("path", "a", "b", "value", "edge", "integral", "log_integral", "error", "noise"):
        np.testing.assert_allclose(getattr(found[1], name), getattr(found[0], name), atol=EXACT, err_msg=name)


def test_integrals_add_up_over_halves():
    function, paths = sharp_network(), steep_paths()
    measure, panels = whole(function, paths, second_order=True)
    for _ in range(4):
        panels = measure(measure.bisect(panels))
    total = np.zeros((paths.n_rows, N_INPUTS))
    np.add.at(total, panels.path // 2, panels.integral / 2)
    np.testing.assert_allclose(total, finer_attributions(function, paths, panels), atol=1e-9)
