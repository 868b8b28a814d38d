"""The trained networks are what they are said to be, and truth about them is right to many digits."""

from copy import deepcopy

import numpy as np
import prepared
import pytest
import torch
from oracles import expected_double_integral, true_integrals
from problems import Function, Polynomial, normal, random_polynomial, straight_paths
from zoo import DECEIVING, FAMILIES, Trained, built

import ihcli
from ihcli.derivatives.paths import Paths

EXACT = 1e-11
"""Truth on polynomials: the grading at 0 leaves 1e-12."""
AGREEMENT = 1e-9
"""Of truth with itself at more nodes: far below the 1e-5 that errors reported at a tolerance of 0.001 come down to."""
MIDPOINTS = 24
ROUGH = 2e-3
"""Of so many midpoints in alpha and beta."""


def double(trained: Trained, n_rows: int) -> tuple[Function, Paths]:
    module, rows = deepcopy(trained.module).double(), trained.rows[:n_rows].double()
    outputs = module(rows).argmax(1)
    group_of = None if trained.group_of is None else list(trained.group_of)
    return module, straight_paths(rows, group_of=group_of, outputs=outputs)


def apart(got: np.ndarray, truth: np.ndarray) -> float:
    return np.abs(got - truth).sum() / np.abs(truth).sum()


@pytest.mark.parametrize("degree", [1, 2, 5])
def test_truth_of_polynomials_is_their_closed_form(degree: int) -> None:
    polynomial: Polynomial = random_polynomial(4, degree, 12, seed=degree)
    rows, baselines = normal(3, 4, seed=1), normal(2, 4, seed=2)
    truth = true_integrals(polynomial, straight_paths(rows, baselines), second_order=True)
    assert apart(truth.attributions.mean(1), polynomial.attributions(rows, baselines)) < EXACT
    assert apart(truth.interactions.mean(1), polynomial.interactions(rows, baselines)) < EXACT


def test_truth_of_a_network_is_the_double_integral_of_the_papers() -> None:
    function, paths = double(built("radial basis"), 1)
    truth = true_integrals(function, paths, second_order=True)
    slow = [expected_double_integral(function, x, paths.baselines, MIDPOINTS) for x in paths.inputs]
    assert apart(truth.interactions.mean(1), np.stack(slow)) < ROUGH


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FAMILIES, *DECEIVING])
def test_networks_tell_rows_apart_and_truth_of_them_does_not_change_with_more_nodes(name: str) -> None:
    trained = built(name)
    outputs = trained.module(trained.rows)
    assert trained.rows.dtype == outputs.dtype == torch.float32
    assert torch.isfinite(outputs).all()
    assert "itself" in name or outputs.std() > 0.01
    function, paths = double(trained, 4)
    once, again = (true_integrals(function, paths, trained.second_order, n_nodes=n) for n in (10, 13))
    if trained.second_order:
        assert apart(once.interactions, again.interactions) < AGREEMENT
    if np.abs(again.attributions).max() > EXACT:  # a record beside itself: f does not change along its path
        assert apart(once.attributions, again.attributions) < AGREEMENT


def test_networks_are_trained_the_same_each_time_and_kept_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(5)  # of others, which training neither uses nor changes
    drawn = torch.random.get_rng_state()
    kept, taken = (FAMILIES["mixture density"]() for _ in range(2))
    monkeypatch.delenv(prepared.PLACE)
    once, again = (FAMILIES["mixture density"]() for _ in range(2))
    for other in (kept, taken, again):
        assert torch.equal(once.module(once.rows), other.module(other.rows))
    assert torch.equal(drawn, torch.random.get_rng_state())


def test_columns_are_grouped_by_the_names_that_an_array_gives_them() -> None:
    trained = built("embedded categories")
    assert trained.group_of is not None
    explanation = ihcli.explain(trained.module, trained.rows[:3].numpy(), groups=trained.groups, method="ig")
    assert explanation.attributions.shape == (3, max(trained.group_of) + 1)
