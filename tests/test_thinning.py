"""Baselines that stand for a table: unbiased, nearer to the whole than uniform ones, the same on every machine."""

import numpy as np
import pytest
import torch
from torch import nn

import ihcli
from ihcli.data import drawing
from ihcli.data.drawing import Drawing, Pool
from ihcli.data.survey import RandomRows
from ihcli.data.thinning import MOST_SUMS, Balance, thinned
from ihcli.integration.spread import sampling_error

DRAWS = 3000
SCALES = np.array([1e-300, 1.0, 1e12, 1.0])


def skewed(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_exponential((n, d)) ** 2


def pool(values: np.ndarray, size: int, seed: int = 0) -> Pool:
    ranks = np.random.default_rng(seed).random(len(values))
    return Pool(RandomRows(values, ranks), len(values), "x", Drawing.thinned(size, seed, values.shape[1]))


@pytest.mark.parametrize(("n", "size"), [(24, 6), (17, 9), (23, 4), (16, 1), (5, 5)])
def test_so_many_different_rows_are_kept(n: int, size: int) -> None:
    places = thinned(skewed(n, 3), size, seed=0)
    assert len(set(places.tolist())) == size
    assert set(places.tolist()) <= set(range(n))


@pytest.mark.parametrize(("n", "size"), [(24, 6), (29, 9)])
def test_every_row_is_as_likely_to_be_kept(n: int, size: int) -> None:
    """Outliers too, which leave the others out of balance: counts are off as those of a fair draw, and by no size."""
    values = skewed(n, 2)
    counts = np.zeros(n)
    for seed in range(DRAWS):
        counts[thinned(values, size, seed)] += 1
    expected = DRAWS * size / n
    z = (counts - expected) / np.sqrt(expected * (1 - size / n))
    assert np.abs(z).max() < 4.5
    assert abs(np.corrcoef(z, (values**2).sum(1))[0, 1]) < 3.5 / np.sqrt(n)


@pytest.mark.parametrize("d", [1, 3, 12, 40])
def test_means_are_nearer_to_those_of_the_whole(d: int) -> None:
    values, size = np.random.default_rng(1).normal(size=(1200, d)), 150
    off = [np.abs(values[thinned(values, size, seed)].mean(0) - values.mean(0)).mean() for seed in range(12)]
    uniform = np.sqrt(2 / np.pi * (1 / size - 1 / 1200))
    assert np.mean(off) < uniform / (8 if d < 12 else 2)


def test_squares_and_products_are_kept_where_they_are_few() -> None:
    values, size = np.random.default_rng(2).normal(size=(1200, 3)), 150

    def seconds(x: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.einsum("ni,nj->ij", x, x)[np.triu_indices(3)] / len(x)
        return found

    off = [np.abs(seconds(values[thinned(values, size, s)]) - seconds(values)).mean() for s in range(12)]
    assert np.mean(off) < np.sqrt(2 / np.pi * 1.5 * (1 / size - 1 / 1200)) / 3


def test_units_and_columns_that_do_not_move_change_nothing() -> None:
    values = np.random.default_rng(3).normal(size=(400, 4))
    expected = thinned(values, 50, seed=1)
    np.testing.assert_array_equal(thinned(values * SCALES, 50, seed=1), expected)
    still = np.concatenate([values, np.full((400, 2), [7.0, 0.0])], axis=1)
    np.testing.assert_array_equal(thinned(still, 50, seed=1), expected)


@pytest.mark.parametrize("values", [np.zeros((60, 3)), np.repeat(np.eye(3), 20, axis=0), np.full((60, 1), 1e308)])
def test_rows_that_are_alike_can_be_thinned(values: np.ndarray) -> None:
    assert len(set(thinned(values, 7, seed=0).tolist())) == 7


def test_what_many_columns_share_is_balanced_in_wide_tables() -> None:
    random = np.random.default_rng(4)
    shared, size = random.normal(size=800), 100
    values = shared[:, None] * random.choice([-1, 1], 4 * MOST_SUMS) + random.normal(size=(800, 4 * MOST_SUMS))
    off = [abs(shared[thinned(values, size, seed)].mean() - shared.mean()) for seed in range(8)]
    assert np.mean(off) < np.sqrt(2 / np.pi * (1 / size - 1 / 800)) / 2


def test_the_same_rows_are_kept_everywhere() -> None:
    values = np.round(np.random.default_rng(5).normal(size=(90, 4)), 3)
    assert thinned(values, 8, seed=0).tolist() == [1, 7, 36, 42, 56, 63, 71, 80]


def test_baselines_are_the_same_whatever_more_may_be_drawn() -> None:
    values = np.random.default_rng(6).normal(size=(2000, 5))
    few, many = pool(values, 60).draw(60), pool(values, 240).draw(60)
    np.testing.assert_array_equal(few.values, many.values)
    assert few.balance is not None
    assert few.balance.rows == drawing.DRAWN * 60


def test_nothing_is_thinned_where_there_is_nothing_to_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(7).normal(size=(50, 4))
    whole = pool(values, 50).draw(50)
    np.testing.assert_array_equal(whole.values, values)
    assert whole.balance is None
    monkeypatch.setattr(drawing, "DRAWN_VALUES", 0)
    assert pool(values, 20).draw(20).balance is None
    np.testing.assert_array_equal(pool(values, 20).draw(20).values, pool(values, 20).sample.first(20))


SMOOTH = {
    "softplus": lambda d: nn.Sequential(nn.Linear(d, 16), nn.Softplus(), nn.Linear(16, 1)),
    "tanh": lambda d: nn.Sequential(nn.Linear(d, 16), nn.Tanh(), nn.Linear(16, 1)),
    "saturated": lambda d: nn.Sequential(nn.Linear(d, 16), nn.Tanh(), nn.Linear(16, 1), nn.Sigmoid()),
}


@pytest.mark.parametrize("d", [3, 20])
@pytest.mark.parametrize("kind", SMOOTH)
def test_expected_gradients_are_nearer_and_their_error_covers_it(
    kind: str, d: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of ten draws of 50 of 1,200 baselines: against all of these, and against as many drawn uniformly."""
    torch.manual_seed(0)
    net = SMOOTH[kind](d).double()
    with torch.no_grad():
        net[0].weight *= 3
    random = np.random.default_rng(8)
    table, some = random.normal(size=(1200, d)), random.normal(size=(6, d))

    def explained(seed: int, rows: int = 50) -> ihcli.Explanation:
        asked = {"method": "eg", "baseline": table, "baseline_rows": rows, "seed": seed, "tolerance": 1e-3}
        return ihcli.explain(net, some, **asked)

    whole = explained(0, rows=1200).attributions

    def off(of: ihcli.Explanation) -> np.ndarray:
        found: np.ndarray = np.abs(of.attributions - whole).sum(1) / np.abs(whole).sum(1)
        return found

    draws = [explained(seed) for seed in range(10)]
    covered = [2 * draw.sampling_error >= off(draw) for draw in draws]
    monkeypatch.setattr(drawing, "DRAWN_VALUES", 0)
    uniform = [explained(seed) for seed in range(10)]
    told = np.mean([d.sampling_error for d in draws]), np.mean([u.sampling_error for u in uniform])
    gain = np.mean([off(u) for u in uniform]) / np.mean([off(d) for d in draws])
    usual = np.mean([off(draw) / draw.sampling_error for draw in draws])  # 0.8 where it is told exactly
    words = f"{gain:.2f} times nearer, told {told[1] / told[0]:.2f} times, {usual:.2f}, covered {np.mean(covered):.3f}"
    assert np.mean(covered) >= 0.97, words
    assert gain > 1.25, words
    assert told[0] < told[1] / 1.2, words
    assert 0.35 < usual < 0.95, words


def test_what_is_linear_in_the_columns_is_known_to_be_as_far_off_as_it_is() -> None:
    """Of all of 300 rows thinned to 60: with more directions than columns nothing is left to chance."""
    values = skewed(300, 3)
    places = thinned(values, 60, seed=0)
    phi = values @ np.array([[1.0, 0.0], [-2.0, 1e-3], [0.5, 7.0]])
    told = sampling_error(phi[places][None], 300, Balance.of(values, places))
    off = np.abs(phi[places].mean(0) - phi.mean(0)).sum() / np.abs(phi[places].mean(0)).sum()
    np.testing.assert_allclose(told, [off], rtol=1e-9)


@pytest.mark.parametrize("b", [2, 3, 7])
def test_few_baselines_are_taken_as_drawn_at_random(b: int) -> None:
    """Fewer than four rows have no direction, and what a mean lacks along one is told for one of seven."""
    values = np.random.default_rng(9).normal(size=(40, 2))
    balance = Balance.of(values, thinned(values, b, seed=0))
    assert balance.basis.shape == (b, b // 4)
    phi = np.random.default_rng(10).normal(size=(2, b, 5))
    told = sampling_error(phi, 40, balance)
    if b < 4:
        np.testing.assert_allclose(told, sampling_error(phi, 40), rtol=1e-12)
    assert np.isfinite(told).all()
