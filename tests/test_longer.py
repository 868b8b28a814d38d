"""Longer rules on whole paths: which paths take one before they are halved, and what a short rule is held to."""

from collections import Counter

import numpy as np
import pytest
import torch
from problems import MEMORY_BYTES, SpyEngine, network, normal, softplus, straight_paths
from torch import Tensor, nn

from ihcli.derivatives.autograd import AutogradEngine
from ihcli.derivatives.paths import Paths
from ihcli.integration.certify import GUARDED, Refinement, certify
from ihcli.integration.effort import NODES, Effort
from ihcli.integration.longer import missed
from ihcli.integration.matrix import LEAST_LEFT, MatrixErrors
from ihcli.integration.measuring import Measure
from ihcli.integration.panels import Panels, whole_paths
from ihcli.integration.quadrature import panel_rule

ORDERS = pytest.mark.parametrize("second_order", [False, True], ids=["first order", "second order"])


def bending(n_inputs: int = 3) -> nn.Module:
    return network([n_inputs, 16, 16], lambda: softplus(5), seed=1)


def measured(function, paths: Paths, nodes: int, second_order: bool, extends=None) -> Panels:
    along = AutogradEngine(function, MEMORY_BYTES).along(paths)
    measure = Measure(along, panel_rule(nodes), second_order, whole=along.has_few_groups)
    return measure(whole_paths(paths, *along.ends(), second_order), extends=extends)


class Bump(nn.Module):
    """A line, and where x1 + x2 passes a narrow band, x1 - x2: with x1 = x2 the output does not tell of it."""

    def __init__(self, at: float, width: float) -> None:
        super().__init__()
        self.at, self.width = at, width

    def forward(self, x: Tensor) -> Tensor:
        band = torch.exp(-(((x[:, 0] + x[:, 1] - self.at) / self.width) ** 2))
        return (x.sum(1) + 3 * (x[:, 0] - x[:, 1]) * band)[:, None]


def rows(n: int, ends: np.ndarray | float = 1.0) -> Paths:
    """Return paths to (e, e, 1) for these ends e."""
    x = np.ones((n, 3))
    x[:, :2] = np.broadcast_to(ends, n)[:, None]
    return straight_paths(torch.tensor(x))


@ORDERS
@pytest.mark.parametrize("n_inputs", [3, 12])
def test_what_is_extended_is_what_the_extension_alone_would_find(second_order: bool, n_inputs: int) -> None:
    """Of few groups, whose matrices come with panels, and of many; the others stay as they were."""
    function, paths = bending(n_inputs), straight_paths(2 * normal(7, n_inputs, seed=2))
    every = np.arange(7)
    some = measured(function, paths, 5, second_order, lambda panels: panels.path % 3 == 1)
    whole = measured(function, paths, 5, second_order, lambda panels: np.ones(len(panels), bool))
    plain = measured(function, paths, 5, second_order)
    np.testing.assert_array_equal(some.path, every)
    is_extended = every % 3 == 1
    np.testing.assert_array_equal(some.n_nodes, np.where(is_extended, 11, 5))
    for name in ("integral", "log_integral", "error", "residual", "matrix", "norms"):
        for which, expected in ((is_extended, whole), (~is_extended, plain)):
            got = getattr(some, name)[which]
            np.testing.assert_allclose(got, getattr(expected, name)[which], rtol=1e-9, atol=1e-12)
    exact = measured(function, paths, 40, second_order).integral
    assert np.abs(whole.integral - exact).sum() <= 1e-2 * np.abs(plain.integral - exact).sum()


@ORDERS
@pytest.mark.parametrize("n_inputs", [3, 12])
def test_nodes_that_a_path_has_are_not_evaluated_again(second_order: bool, n_inputs: int) -> None:
    spy = SpyEngine(bending(n_inputs))
    paths = straight_paths(2 * normal(6, n_inputs, seed=3))
    refinement = Refinement(spy.along(paths), second_order, Effort(1e-4))
    assert (refinement.panels.n_nodes == 2 * NODES + 1).any()
    asked = Counter(at for kind in ("gradients", "curvatures", "hessians") for at in spy.asked[kind])
    assert max(asked.values()) == 1
    assert sum(asked.values()) == refinement.evaluations.sum()
    np.testing.assert_array_equal(refinement.evaluations, refinement.panels.n_nodes)


def test_under_second_order_two_nodes_come_first_and_mostly_suffice() -> None:
    along = AutogradEngine(bending(5), MEMORY_BYTES).along(straight_paths(normal(60, 5, seed=4)))
    pair, longest = NODES + 2, 2 * NODES + 1
    counts = Counter(Refinement(along, True, Effort(1e-4)).panels.n_nodes.tolist())
    assert set(counts) == {NODES, pair, longest}
    assert counts[pair] > counts[longest]
    assert set(Refinement(along, False, Effort(1e-6)).panels.n_nodes) == {NODES, longest}


@pytest.mark.parametrize("n_inputs", [3, 12])
def test_of_an_error_a_quarter_at_least_is_left_by_two_more_nodes(n_inputs: int) -> None:
    function, paths, rule = bending(n_inputs), straight_paths(normal(20, n_inputs, seed=9)), panel_rule(NODES)
    short = measured(function, paths, NODES, True)
    pair = measured(function, paths, NODES, True, lambda panels: panels.n_nodes == NODES)
    assert (pair.n_nodes == NODES + 2).all()
    assert (pair.error >= LEAST_LEFT * short.error).all()
    assert (pair.residual >= LEAST_LEFT * short.residual).all()
    if n_inputs == 3:
        before, after = (MatrixErrors.of(panels, rule, panels.norms, 1).panels.error for panels in (short, pair))
        assert (after >= LEAST_LEFT * before).all()
    every = measured(function, paths, NODES, True, lambda panels: np.ones(len(panels), bool))
    assert (every.error < LEAST_LEFT * short.error).all()


@ORDERS
def test_extending_takes_fewer_evaluations_than_halving(second_order: bool) -> None:
    paths = straight_paths(normal(60, 5, seed=4))
    certificate = certify(AutogradEngine(bending(5), MEMORY_BYTES).along(paths), second_order, Effort(1e-4))
    assert (certificate.status == "ok").all()
    assert certificate.evaluations.max() == 2 * NODES + 1
    assert certificate.evaluations.min() >= NODES


@ORDERS
def test_a_path_that_no_longer_rule_resolves_is_halved_at_once(second_order: bool) -> None:
    """Coefficients of a sharp bend do not shrink: nine more nodes would be wasted."""
    sharp = network([3, 16, 16], lambda: softplus(1000), seed=5, scale=2.0)
    along = AutogradEngine(sharp, MEMORY_BYTES).along(straight_paths(3 * normal(20, 3, seed=6)))
    refinement = Refinement(along, second_order, Effort(1e-3))
    assert (refinement.panels.n_nodes > NODES).mean() < 0.5


@pytest.mark.parametrize(
    ("effort", "n_baselines"), [(Effort(1e-6, steps=8), 1), (Effort(1e-6, 16), 1), (Effort(1e-6), 2)]
)
def test_no_path_is_extended_by_a_fixed_rule_beyond_the_budget_or_over_baselines(effort, n_baselines) -> None:
    paths = straight_paths(normal(6, 3, seed=7), normal(n_baselines, 3, seed=8))
    refinement = Refinement(AutogradEngine(bending(), MEMORY_BYTES).along(paths), True, effort)
    assert (refinement.panels.n_nodes == len(refinement.rule.nodes)).all()


@ORDERS
def test_a_bump_between_its_nodes_is_missed_by_a_short_rule_and_seen_by_a_longer_one(second_order: bool) -> None:
    function, paths, rule = Bump(at=1.0, width=0.12), rows(3), panel_rule(4)
    short = measured(function, paths, 4, second_order)
    longer = measured(function, paths, NODES, second_order)
    assert missed(short, rule, longer, panel_rule(NODES), 0.01).all()
    assert not missed(longer, panel_rule(NODES), longer, panel_rule(NODES), 0.01).any()


@ORDERS
def test_all_rows_begin_with_more_nodes_where_one_of_those_guarded_is_missed(second_order: bool) -> None:
    """Of 640 rows 20 are guarded, and a tenth of all cross a band that 4 nodes do not see."""
    ends = np.where(np.random.default_rng(0).random(640) < 0.1, 1.0, 0.2)
    along = AutogradEngine(Bump(at=1.0, width=0.12), MEMORY_BYTES).along(rows(640, ends))
    refinement = Refinement(along, second_order, Effort(0.01, start=4))
    assert len(refinement.rule.nodes) == NODES
    assert refinement.evaluations.min() >= 4 + NODES
    harmless = AutogradEngine(Bump(at=50.0, width=0.12), MEMORY_BYTES).along(rows(640, ends))
    refinement = Refinement(harmless, second_order, Effort(0.01, start=4))
    assert len(refinement.rule.nodes) == 4
    assert sorted(set(refinement.evaluations)) == [4, 4 + NODES]
    assert np.count_nonzero(refinement.evaluations > 4) == 640 // GUARDED
