"""Error bars against the equation as plain loops, and certain ranks against the worst that bars admit."""

from itertools import product

import numpy as np

from ihcli.bars import certain_ranks, pair_bars, within_chance

SUMS = 1e-12  # of a few hundred float64 values in another order
SINGLE = 1e-5  # means are summed in the precision of the matrices


def matrices(n: int, g: int, seed: int = 0) -> np.ndarray:
    half = np.random.default_rng(seed).normal(size=(n, g, g)) ** 3
    return half + half.transpose(0, 2, 1)


def by_loops(gamma: np.ndarray, error: float) -> np.ndarray:
    """The equation of `ihcli.bars`, entry by entry."""
    g = len(gamma)
    total = sum(abs(gamma[i, j]) for i, j in product(range(g), repeat=2))
    margins = [sum(abs(gamma[i, j]) for j in range(g)) for i in range(g)]
    roots = sum((margins[i] * margins[j]) ** 0.5 for i, j in product(range(g), repeat=2))
    bars = np.zeros((g, g))
    for i, j in product(range(g), repeat=2):
        shares = 0.25 * abs(gamma[i, j]) / total + 0.5 * (margins[i] * margins[j]) ** 0.5 / roots + 0.25 / g**2
        bars[i, j] = 3 * error * total * shares
    return bars


def test_bars_are_those_of_the_equation():
    gammas, errors = matrices(5, 4), np.array([0.1, 0.01, 0.5, 0.0, 3.0])
    expected = np.stack([by_loops(gamma, error) for gamma, error in zip(gammas, errors, strict=True)])
    np.testing.assert_allclose(pair_bars(gammas, errors), expected, rtol=SUMS)
    np.testing.assert_allclose(pair_bars(gammas[1], errors[1]), expected[1], rtol=SUMS)


def test_bars_of_a_row_add_up_to_three_times_its_error():
    gammas, errors = matrices(20, 7), np.linspace(0, 1, 20)
    sizes = np.abs(gammas).sum(axis=(1, 2))
    np.testing.assert_allclose(pair_bars(gammas, errors).sum(axis=(1, 2)), 3 * errors * sizes, rtol=SUMS)


def test_a_matrix_of_nothing_without_an_error_has_bars_of_nothing():
    nothing = np.zeros((2, 3, 3))
    assert not pair_bars(nothing, np.zeros(2)).any()
    assert not pair_bars(np.zeros((2, 0, 0)), np.zeros(2)).size


def test_an_unknown_error_gives_unknown_bars():
    gamma = matrices(1, 3)[0]
    assert np.isnan(pair_bars(gamma, np.nan)).all()
    assert np.isinf(pair_bars(gamma, np.inf)).all()


def test_claimed_ranks_stay_whatever_the_errors_within_the_bars():
    rng, claims = np.random.default_rng(3), []
    for _ in range(300):
        values = rng.normal(size=6) ** 3
        values = values[np.argsort(-np.abs(values))]
        bars = rng.uniform(0, 0.4, 6) * np.abs(values).mean()
        claimed = certain_ranks(values, bars)
        claims.append(claimed)
        for ends in product((-1, 1), repeat=6):  # every error at an end of its bar
            moved = np.abs(np.abs(values) + np.array(ends) * bars)
            assert np.argsort(-moved, kind="stable")[:claimed].tolist() == list(range(claimed))
    assert {0, 1, 2, 6} <= set(claims)


def test_a_rank_that_another_value_reaches_is_not_claimed():
    assert certain_ranks(np.array([5.0, -3.0, 1.0]), np.array([0.9, 0.9, 0.9])) == 3
    assert certain_ranks(np.array([5.0, -3.0, 1.0]), np.array([0.9, 1.0, 1.0])) == 1
    assert certain_ranks(np.array([5.0, -3.0, 1.0]), np.array([0.9, 0.1, 3.2])) == 0
    assert certain_ranks(np.array([2.0, 2.0]), np.zeros(2)) == 0
    assert certain_ranks(np.array([2.0, 1.0]), np.array([0.1, np.nan])) == 0
    assert certain_ranks(np.zeros(0), np.zeros(0)) == 0


def test_values_within_two_standard_errors_of_zero_may_be_chance():
    values, errors = np.array([2.0, -2.0, 2.1, -2.1, 0.0]), np.array([1.0, 1.0, 1.0, 1.0, 0.0])
    assert within_chance(values, errors).tolist() == [True, True, False, False, True]
