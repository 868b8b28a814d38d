"""All four methods give the exact answer where one is known, and keep their axioms where none is."""

import numpy as np
import pytest
import torch
from oracles import expected_double_integral
from problems import (
    MEMORY_BYTES,
    XOR,
    baselines_for,
    explain,
    network,
    normal,
    random_polynomial,
    soft_xor,
    softplus,
    straight_paths,
)
from torch import Tensor, nn

from ihcli.derivatives.chain import find_chain
from ihcli.derivatives.mlp import MlpEngine
from ihcli.derivatives.paths import Paths
from ihcli.integration.assembly import explain_rows
from ihcli.integration.effort import Effort
from ihcli.integration.spread import sampling_error
from ihcli.methods import METHODS, names_of
from ihcli.quality import Status

EXACT = 1e-10
"""Relative to the largest answer: some hundred float64 terms, a polynomial's cancellation included."""
TOLERANCE = 0.01
SHARP = Effort(1e-6)
SECOND_ORDER = names_of(order=2, integrals=True)
METHOD = pytest.mark.parametrize("method", names_of(integrals=True))


def assert_close(got: np.ndarray, expected: np.ndarray, tolerance: float = EXACT) -> None:
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * max(1.0, np.abs(expected).max()))


def random_groups(n_inputs: int, n_groups: int, seed: int) -> list[int]:
    """Put inputs into groups at random, none of them empty."""
    rng = np.random.default_rng(seed)
    return rng.permutation(
        np.concatenate([np.arange(n_groups), rng.integers(n_groups, size=n_inputs - n_groups)])
    ).tolist()


def summed(per_input: np.ndarray, group_of: list[int], axes: int) -> np.ndarray:
    """Sum the last axis, or the last two, of per-input answers over groups."""
    membership = np.eye(max(group_of) + 1)[group_of]
    return per_input @ membership if axes == 1 else membership.T @ per_input @ membership


def test_the_table_tells_four_integrals_apart():
    assert names_of(integrals=True) == ["ig", "eg", "ih", "eh"]
    assert set(SECOND_ORDER) == {"ih", "eh"}
    assert {name for name, method in METHODS.items() if method.many_baselines} == {"eg", "eh", "deeplift-shap"}
    assert all(method.name == name for name, method in METHODS.items())


@METHOD
@pytest.mark.parametrize("zero_baseline", [True, False])
@pytest.mark.parametrize(("n_inputs", "degree", "n_terms"), [(2, 3, 3), (3, 8, 6), (5, 4, 10), (8, 6, 12), (12, 5, 20)])
def test_polynomials_are_exact(method, n_inputs, degree, n_terms, zero_baseline):
    function = random_polynomial(n_inputs, degree, n_terms, seed=n_inputs)
    x = normal(4, n_inputs, seed=20)
    baselines = torch.zeros(1, n_inputs).double() if zero_baseline else baselines_for(method, n_inputs, seed=21)
    paths = straight_paths(x, baselines)
    explained = explain(function, paths, method)
    assert_close(explained.attributions, function.attributions(x, baselines))
    assert np.all(explained.certificate.status == Status.OK)
    if METHODS[method].second_order:
        assert_close(explained.interactions, function.interactions(x, baselines))


@METHOD
@pytest.mark.parametrize(("n_inputs", "n_groups"), [(3, 1), (5, 3), (12, 4)])
def test_polynomials_are_exact_in_groups(method, n_inputs, n_groups):
    function = random_polynomial(n_inputs, 6, 10, seed=30 + n_inputs)
    group_of = random_groups(n_inputs, n_groups, seed=31)
    x, baselines = normal(3, n_inputs, seed=32), baselines_for(method, n_inputs, seed=33)
    explained = explain(function, straight_paths(x, baselines, group_of), method)
    assert_close(explained.attributions, summed(function.attributions(x, baselines), group_of, 1))
    if METHODS[method].second_order:
        assert_close(explained.interactions, summed(function.interactions(x, baselines), group_of, 2))


@METHOD
@pytest.mark.parametrize("tolerance", [0.1, 0.01, 1e-6])
def test_polynomials_beyond_the_rule_are_within_the_tolerance(method, tolerance):
    function = random_polynomial(3, 24, 6, seed=40)
    x, baselines = normal(5, 3, seed=41).clamp(-1.2, 1.2), baselines_for(method, 3, seed=42).clamp(-1, 1)
    explained = explain(function, straight_paths(x, baselines), method, Effort(tolerance))
    truth = function.attributions(x, baselines)
    scale = np.abs(truth).sum(1)
    assert np.all(explained.certificate.status == Status.OK)
    assert np.all(np.abs(explained.attributions - truth).sum(1) <= tolerance * scale)
    if METHODS[method].second_order:
        sums = explained.interactions.sum(2)
        assert np.all(np.abs(sums - truth).sum(1) <= tolerance * scale)
        gamma = function.interactions(x, baselines)
        error = np.abs(explained.interactions - gamma).sum((1, 2)) / np.abs(gamma).sum((1, 2))
        assert np.all(error <= 2 * tolerance)


@METHOD
def test_a_product_gives_both_factors_half(method):
    x = normal(6, 2, seed=50)
    value = (x[:, 0] * x[:, 1]).numpy()
    explained = explain(lambda z: (z[:, 0] * z[:, 1])[:, None], straight_paths(x), method)
    assert_close(explained.attributions, np.outer(value, [0.5, 0.5]))
    if METHODS[method].second_order:
        assert_close(explained.interactions, np.multiply.outer(value, np.full((2, 2), 0.25)))


@METHOD
@pytest.mark.parametrize("group_of", [None, [0, 1, 1, 0, 2]])
def test_a_linear_model_has_main_effects_only(method, group_of):
    linear = nn.Linear(5, 1).double().requires_grad_(False)
    x, baselines = normal(4, 5, seed=51), baselines_for(method, 5, seed=52)
    explained = explain(linear, straight_paths(x, baselines, group_of), method)
    effects = ((x - baselines.mean(0)) * linear.weight[0]).numpy()
    effects = effects if group_of is None else summed(effects, group_of, 1)
    assert_close(explained.attributions, effects)
    if METHODS[method].second_order:
        assert_close(explained.interactions, effects[:, :, None] * np.eye(effects.shape[1]))


@METHOD
def test_a_row_at_its_baseline_is_exactly_zero(method):
    x = normal(3, 4, seed=53)
    explained = explain(network([4, 8], nn.Tanh, seed=54), straight_paths(x[:1].repeat(3, 1), x[:1]), method)
    assert not explained.attributions.any()
    assert explained.interactions is None or not explained.interactions.any()
    assert np.all(explained.certificate.status == Status.OK)
    assert not explained.certificate.relative_error.any()


@METHOD
def test_a_constant_model_is_exactly_zero(method):
    explained = explain(lambda z: 0 * z[:, :1], straight_paths(normal(3, 4, seed=55)), method)
    assert not explained.attributions.any()
    assert np.all(explained.certificate.status == Status.OK)


@pytest.mark.parametrize("method", SECOND_ORDER)
def test_xor_has_equal_attributions_and_different_interactions(method):
    """f = x1 + x2 - 2 x1 x2 is 0 at (0, 0) and at (1, 1): only interactions tell why (Janizek et al. 2021)."""
    x = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    explained = explain(XOR, straight_paths(x), method)
    assert_close(explained.attributions, np.zeros((2, 2)))
    assert_close(explained.interactions[0], np.zeros((2, 2)))
    assert_close(explained.interactions[1], np.array([[0.5, -0.5], [-0.5, 0.5]]))
    assert Status.NON_FINITE not in explained.certificate.status
    assert np.isfinite(explained.certificate.relative_error).all()


@pytest.mark.parametrize("method", SECOND_ORDER)
def test_a_xor_network_has_equal_attributions_and_different_interactions(method):
    x = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    explained = explain(soft_xor, straight_paths(x), method, Effort(1e-9))
    assert_close(explained.attributions, np.zeros((2, 2)), 1e-9)
    assert_close(explained.interactions[0], np.zeros((2, 2)))
    assert explained.interactions[1, 0, 1] < -0.2
    assert_close(explained.interactions[1], explained.interactions[1, 0, 0] * np.array([[1, -1], [-1, 1]]), 1e-9)


@METHOD
@pytest.mark.parametrize("group_of", [None, [0, 1, 1, 2, 0, 2]])
def test_everything_adds_up_to_the_prediction(method, group_of):
    module = network([6, 12, 12], lambda: softplus(10), seed=60, scale=1.5)
    paths = straight_paths(normal(8, 6, seed=61), baselines_for(method, 6, seed=62), group_of)
    explained = explain(module, paths, method, SHARP)
    difference = explained.certificate.prediction - explained.certificate.baseline_prediction.mean(1)
    slack = 1e-6 * np.abs(explained.attributions).sum(1).max()
    np.testing.assert_allclose(explained.certificate.prediction, module(paths.inputs)[:, 0], atol=1e-12)
    np.testing.assert_allclose(explained.attributions.sum(1), difference, atol=slack)
    if METHODS[method].second_order:
        np.testing.assert_allclose(explained.interactions.sum(2), explained.attributions, atol=slack)
        np.testing.assert_allclose(explained.interactions.sum((1, 2)), difference, atol=slack)
        np.testing.assert_array_equal(explained.interactions, explained.interactions.transpose(0, 2, 1))


@METHOD
def test_groups_are_the_sums_of_their_members(method):
    """On the same mesh, whatever its error."""
    module = network([7, 16, 16], lambda: softplus(10), seed=63)
    group_of = [2, 0, 1, 1, 0, 2, 2]
    x, baselines = normal(5, 7, seed=64), baselines_for(method, 7, seed=65)
    alone, grouped = (
        explain(module, straight_paths(x, baselines, g), method, Effort(steps=16)) for g in (None, group_of)
    )
    assert_close(grouped.attributions, summed(alone.attributions, group_of, 1))
    if METHODS[method].second_order:
        assert_close(grouped.interactions, summed(alone.interactions, group_of, 2))


@METHOD
def test_features_that_do_not_change_get_nothing(method):
    x, baselines = normal(4, 5, seed=66), baselines_for(method, 5, seed=67)
    x[:, 2] = baselines[:, 2] = 0.7
    explained = explain(network([5, 10, 10], nn.Tanh, seed=68), straight_paths(x, baselines), method)
    assert not explained.attributions[:, 2].any()
    if METHODS[method].second_order:
        assert not explained.interactions[:, 2].any()
        assert not explained.interactions[:, :, 2].any()


@METHOD
def test_methods_are_linear_in_the_model(method):
    first, second = (network([4, 10], nn.Tanh, seed=seed) for seed in (69, 70))
    paths = straight_paths(normal(4, 4, seed=71), baselines_for(method, 4, seed=72))
    models = (first, second, lambda z: 2 * first(z) - 3 * second(z))
    a, b, both = (explain(model, paths, method, Effort(steps=12)) for model in models)
    assert_close(both.attributions, 2 * a.attributions - 3 * b.attributions)
    if METHODS[method].second_order:
        assert_close(both.interactions, 2 * a.interactions - 3 * b.interactions)


@METHOD
def test_the_same_function_in_another_form_gets_the_same_answer(method):
    module = network([4, 6], lambda: softplus(5), seed=73)
    order = torch.tensor([5, 3, 1, 0, 2, 4])
    hidden, head = module[0], module[2]

    def another(z: Tensor) -> Tensor:
        """softplus(h) = h + softplus(-h), the units in another order and one of them in two halves."""
        h = z @ hidden.weight[order].T + hidden.bias[order]
        h = h + torch.nn.functional.softplus(-h, 5, 40)
        return 0.5 * h @ head.weight[:, order].T + 0.5 * h @ head.weight[:, order].T + head.bias

    paths = straight_paths(normal(4, 4, seed=74), baselines_for(method, 4, seed=75))
    one, other = (explain(model, paths, method) for model in (module, another))
    assert_close(other.attributions, one.attributions)
    if METHODS[method].second_order:
        assert_close(other.interactions, one.interactions)


@METHOD
def test_symmetric_features_get_equal_values(method):
    inner = network([3, 10], lambda: softplus(10), seed=76)

    def symmetric(z: Tensor) -> Tensor:
        return inner(torch.stack([z[:, 0] + z[:, 1], z[:, 0] * z[:, 1], z[:, 2]], 1))

    x, baselines = normal(5, 3, seed=77), baselines_for(method, 3, seed=78)
    x[:, 1], baselines[:, 1] = x[:, 0], baselines[:, 0]
    explained = explain(symmetric, straight_paths(x, baselines), method)
    assert_close(explained.attributions[:, 0], explained.attributions[:, 1])
    if METHODS[method].second_order:
        assert_close(explained.interactions[:, 0, 0], explained.interactions[:, 1, 1])
        assert_close(explained.interactions[:, 0, 2], explained.interactions[:, 1, 2])


@pytest.mark.parametrize(("one", "many"), [("ig", "eg"), ("ih", "eh")])
def test_many_baselines_are_the_mean_over_each_alone(one, many):
    module = network([4, 10], nn.Tanh, seed=79)
    x, baselines = normal(3, 4, seed=80), normal(3, 4, seed=81)
    effort = Effort(steps=16)
    together = explain(module, straight_paths(x, baselines), many, effort)
    alone = [explain(module, straight_paths(x, baselines[b : b + 1]), one, effort) for b in range(3)]
    assert_close(together.attributions, np.mean([part.attributions for part in alone], 0))
    if METHODS[many].second_order:
        assert_close(together.interactions, np.mean([part.interactions for part in alone], 0))


@pytest.mark.parametrize(("first", "second"), [("ig", "ih"), ("eg", "eh")])
def test_both_orders_agree_on_attributions(first, second):
    module = network([4, 10, 10], lambda: softplus(10), seed=82)
    paths = straight_paths(normal(3, 4, seed=83), baselines_for(first, 4, seed=84))
    one, two = (explain(module, paths, method, SHARP) for method in (first, second))
    np.testing.assert_allclose(two.attributions, one.attributions, atol=2e-6 * np.abs(one.attributions).sum(1).max())


@METHOD
def test_each_row_explains_its_own_output(method):
    module = network([4, 10], nn.Tanh, seed=85, n_outputs=3)
    x, baselines = normal(3, 4, seed=86), baselines_for(method, 4, seed=87)
    together = explain(module, straight_paths(x, baselines, outputs=torch.tensor([2, 0, 1])), method)
    for row, output in enumerate((2, 0, 1)):
        single = explain(
            lambda z, k=output: module(z)[:, k : k + 1], straight_paths(x[row : row + 1], baselines), method
        )
        assert_close(together.attributions[row], single.attributions[0])
        if METHODS[method].second_order:
            assert_close(together.interactions[row], single.interactions[0])


@METHOD
def test_rows_with_their_own_groups_and_baselines_are_explained_as_if_alone(method):
    module = network([6, 8, 7], lambda: softplus(3), seed=61)
    x, baselines = normal(4, 6, seed=62), torch.stack([baselines_for(method, 6, seed=63 + row) for row in range(4)])
    groups = [random_groups(6, n_groups, seed=64) for n_groups in (3, 4, 2, 4)]
    own = Paths(x, baselines, torch.zeros(4, dtype=torch.int64), n_groups=4, group_of=torch.tensor(groups))
    together = explain(module, own, method, Effort(1e-4))
    closed = explain_rows(MlpEngine(find_chain(module, x), MEMORY_BYTES).along(own), METHODS[method], Effort(1e-4))
    for row, group_of in enumerate(groups):
        alone = explain(module, straight_paths(x[row : row + 1], baselines[row], group_of), method, Effort(1e-4))
        g = max(group_of) + 1
        for found in (together, closed):
            assert_close(found.attributions[row, :g], alone.attributions[0])
            assert np.all(found.attributions[row, g:] == 0)
            if METHODS[method].second_order:
                assert_close(found.interactions[row, :g, :g], alone.interactions[0])


@pytest.mark.parametrize("method", SECOND_ORDER)
def test_the_double_integral_over_alpha_and_beta_approaches_ours_as_its_grid_grows(method):
    module = network([3, 6, 6], lambda: softplus(3), seed=90)
    x, baselines = normal(1, 3, seed=91), baselines_for(method, 3, seed=92)
    ours = explain(module, straight_paths(x, baselines), method, Effort(1e-9)).interactions[0]
    errors = np.array([np.abs(expected_double_integral(module, x[0], baselines, n) - ours).max() for n in (2, 4, 8)])
    assert errors[-1] < 0.02 * np.abs(ours).max()
    assert np.all(np.log2(errors[:-1] / errors[1:]) > 1.5)


@METHOD
def test_interactions_come_with_second_order_only(method):
    explained = explain(network([3, 6], nn.Tanh, seed=93), straight_paths(normal(2, 3, seed=94)), method)
    assert (explained.interactions is not None) == METHODS[method].second_order


def test_a_row_that_is_not_finite_has_no_interactions_and_spoils_no_other():
    def function(z: Tensor) -> Tensor:
        return torch.sqrt(z[:, :1] + 1) + z[:, 1:] ** 2

    x = torch.tensor([[1.0, 2.0], [-3.0, 1.0], [0.5, -1.0]], dtype=torch.float64)
    explained, alone = explain(function, straight_paths(x)), explain(function, straight_paths(x[[0, 2]]))
    assert explained.certificate.status.tolist() == [Status.OK, Status.NON_FINITE, Status.OK]
    assert np.isnan(explained.interactions[1]).all()
    assert_close(explained.interactions[[0, 2]], alone.interactions)
    assert_close(explained.attributions[[0, 2]], alone.attributions)


@METHOD
def test_float32_agrees_with_float64(method):
    module = network([5, 12], nn.Tanh, seed=95)
    x, baselines = normal(4, 5, seed=96), baselines_for(method, 5, seed=97)
    exact = explain(module, straight_paths(x, baselines), method, Effort(1e-4))
    rough = explain(module.float(), straight_paths(x.float(), baselines.float()), method, Effort(1e-4))
    assert_close(rough.attributions, exact.attributions, 1e-4)
    if METHODS[method].second_order:
        assert_close(rough.interactions, exact.interactions, 1e-4)


def test_the_sampling_error_is_the_relative_standard_error_of_the_mean():
    attributions = np.random.default_rng(98).normal(1.0, 2.0, size=(3, 10, 4))
    for row, got in enumerate(sampling_error(attributions, population=40)):
        total = 0.0
        for g in range(4):
            phi = attributions[row, :, g]
            variance = sum((value - phi.mean()) ** 2 for value in phi) / 9
            total += np.sqrt(variance / 10 * (1 - 10 / 40))
        assert got == pytest.approx(total / np.abs(attributions[row].mean(0)).sum(), rel=1e-12)


def test_the_sampling_error_is_zero_when_every_baseline_was_used():
    attributions = np.random.default_rng(99).normal(size=(3, 10, 4))
    assert not sampling_error(attributions, population=10).any()


def test_the_sampling_error_of_one_baseline_is_not_known():
    assert np.isnan(sampling_error(np.ones((2, 1, 3)), population=5)).all()


def test_the_sampling_error_covers_the_spread_over_samples():
    """Of 400 samples of 20 from 60 baselines, the mean error is what the formula says, within a fifth."""
    rng = np.random.default_rng(100)
    everything = rng.normal(1.0, 1.0, size=(60, 1))
    draws = [everything[rng.choice(60, 20, replace=False)] for _ in range(400)]
    errors = np.array([draw.mean() - everything.mean() for draw in draws])
    stated = np.array([sampling_error(draw[None], 60)[0] * abs(draw.mean()) for draw in draws])
    assert stated.mean() == pytest.approx(np.sqrt(np.mean(errors**2)), rel=0.2)
