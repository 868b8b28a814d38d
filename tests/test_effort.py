"""How hard to try: what is asked of integrals where baselines are drawn, and where they are not."""

import numpy as np
import pytest
from problems import MEMORY_BYTES, network, normal, softplus, straight_paths
from torch import nn

import ihcli
from ihcli.data.sampling import SAMPLING_SHARE, TOLERANCE
from ihcli.derivatives.autograd import AutogradEngine
from ihcli.integration.assembly import explain_rows
from ihcli.integration.effort import (
    MANY_BASELINES,
    MOST_TOLERANCES,
    NODES,
    NODES_OF_DRAWN,
    NODES_OF_MEANS,
    Effort,
    tolerances,
)
from ihcli.methods import METHODS

MANY = pytest.mark.parametrize("method", ["eg", "eh"])
POPULATION = 400
DRAWN = 24
"""Baselines drawn of these, whose sampling error is some 20 to 40 %."""


def net() -> nn.Module:
    return network([4, 24, 24, 1], lambda: softplus(10), seed=1)


def explained(method: str, tolerance: float | None, baseline_rows: int = DRAWN) -> ihcli.Explanation:
    baselines = 2 * normal(POPULATION, 4, seed=3).numpy()
    found = ihcli.explain(
        net(),
        2 * normal(12, 4, seed=2).numpy(),
        method=method,
        baseline=baselines,
        baseline_rows=baseline_rows,
        tolerance=tolerance,
    )
    assert isinstance(found, ihcli.Explanation)
    return found


def test_a_row_is_held_to_a_share_of_its_sampling_error_within_bounds() -> None:
    sampling_error = np.array([0.0, 0.04, 0.1, 0.4, 3.0, np.inf, np.nan])
    expected = [0.01, 0.01, 0.02, 0.08, 0.1, 0.1, 0.01]
    assert tolerances(0.01, 0.2, sampling_error) == pytest.approx(expected)
    assert max(expected) == pytest.approx(MOST_TOLERANCES * 0.01)
    assert tolerances(0.01, 0.0, sampling_error).tolist() == [0.01] * 7


@pytest.mark.parametrize(
    ("tolerance", "population", "steps", "share"),
    [
        (None, 400, None, SAMPLING_SHARE),
        (None, None, None, 0.0),
        (None, 400, 20, 0.0),
        (0.01, 400, None, 0.0),
    ],
    ids=["drawn", "all there are", "of a fixed rule", "asked for"],
)
def test_the_sampling_error_counts_where_nobody_asks_for_a_tolerance(
    tolerance: float | None, population: int | None, steps: int | None, share: float
) -> None:
    asked = Effort.asked(tolerance, None, steps)
    effort = Effort(asked.tolerance, None, steps, population=population, sampling_share=asked.sampling_share)
    assert effort.tolerance == TOLERANCE
    assert effort.share_that_counts == share
    if steps is None:
        assert effort.first_nodes(MANY_BASELINES) == (NODES_OF_DRAWN if share else NODES_OF_MEANS)
        assert effort.first_nodes(MANY_BASELINES - 1) == NODES


@MANY
def test_errors_of_ok_rows_are_a_share_of_their_sampling_errors(method: str) -> None:
    found = explained(method, None)
    errors = {"relative_error": found.sampling_error}
    if found.interaction_error is not None:
        errors["interaction_error"] = found.interaction_sampling_error
    within = [getattr(found, name) <= tolerances(TOLERANCE, SAMPLING_SHARE, of) for name, of in errors.items()]
    np.testing.assert_array_equal(found.status == "ok", np.all(within, axis=0))
    assert (found.status == "ok").all()
    assert (found.relative_error > TOLERANCE).any()


@MANY
def test_it_takes_fewer_evaluations_than_a_tolerance_that_was_asked_for(method: str) -> None:
    assert explained(method, None).evaluations.mean() < 0.9 * explained(method, TOLERANCE).evaluations.mean()


@MANY
def test_a_tolerance_that_was_asked_for_is_kept_to(method: str) -> None:
    found = explained(method, TOLERANCE)
    assert (found.status == "ok").all()
    assert (found.relative_error <= TOLERANCE).all()
    assert (found.interaction_error is None) or (found.interaction_error <= TOLERANCE).all()


@MANY
def test_over_all_baselines_the_default_is_the_tolerance(method: str) -> None:
    whole, asked = (explained(method, tolerance, POPULATION) for tolerance in (None, TOLERANCE))
    assert whole.sampling_error is None
    np.testing.assert_array_equal(whole.attributions, asked.attributions)
    assert whole.evaluations.tolist() == asked.evaluations.tolist()


def test_rows_are_judged_by_their_own_sampling_error_alone() -> None:
    """A row is refined as far beside others as on its own, so that chunks do not matter."""
    rows, baselines = 2 * normal(6, 4, seed=2), 2 * normal(DRAWN, 4, seed=3)
    effort = Effort(TOLERANCE, population=POPULATION, sampling_share=SAMPLING_SHARE)

    def evaluations(first: int, last: int) -> list[int]:
        along = AutogradEngine(net(), MEMORY_BYTES).along(straight_paths(rows[first:last], baselines))
        found: list[int] = explain_rows(along, METHODS["eh"], effort).certificate.evaluations.tolist()
        return found

    assert evaluations(0, 6) == [*evaluations(0, 2), *evaluations(2, 6)]
