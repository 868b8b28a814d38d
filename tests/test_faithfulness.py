"""Curves of a ranking: closed forms of linear models, slow definitions, and the published areas."""

from collections.abc import Callable

import erion
import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import train_test_split

import ihcli
from ihcli.verification.faithfulness import METRICS, Curve, curves
from ihcli.verification.faithfulness.curves import Block, curve_forwards, fills_of
from ihcli.verification.faithfulness.filling import RIDGE, Imputed, Resampled
from ihcli.verification.faithfulness.masking import Units, first_units, points_of
from ihcli.verification.faithfulness.metrics import Metric
from ihcli.verification.faithfulness.pairs import Pairs, RowPairs
from ihcli.verification.faithfulness.scoring import Truth

ROUNDING = 1e-9
PRINTED = {
    "keep-positive-mean": 3.731,
    "keep-positive-resample": 3.800,
    "keep-positive-impute": 3.973,
    "keep-negative-mean": 3.615,
    "keep-absolute-mean": 0.906,
    "keep-absolute-impute": 0.919,
    "remove-positive-mean": 3.612,
    "remove-positive-impute": 3.525,
    "remove-negative-impute": 3.683,
    "remove-absolute-mean": 0.897,
    "remove-absolute-impute": 0.880,
}
"""Areas of eg on correlated groups, of ten splits (Erion et al. 2021, Table 1)."""
Outputs = Callable[[np.ndarray], np.ndarray]


def normal(*shape: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def named(*names: str) -> list[Metric]:
    return [metric for metric in METRICS if metric.name in names]


def by_name(found: tuple[Curve, ...], by: str) -> dict[str, Curve]:
    return {curve.metric.name: curve for curve in found if curve.by == by}


def linear(weights: np.ndarray) -> Outputs:
    return lambda points: points @ weights + 0.5


def bent(points: np.ndarray) -> np.ndarray:
    """A function with interactions, of any number of inputs."""
    values: np.ndarray = np.tanh(points).sum(1) + points[:, 0] * points[:, 1] - np.abs(points[:, -1])
    return values


def test_there_are_18_metrics_with_names_of_their_own() -> None:
    assert len({metric.name for metric in METRICS}) == 18


def test_curves_are_taken_where_the_published_ones_are() -> None:
    shares, counts = points_of(np.array([60, 60]))
    assert counts[0].tolist() == [0, 2, 4, 7, 10, 14, 20, 27, 35, 46, 60]
    np.testing.assert_array_equal(shares * 60, counts[1])


def test_rows_with_units_of_their_own_share_the_shares() -> None:
    shares, counts = points_of(np.array([3, 60]))
    assert len(shares) == counts.shape[1] == 11
    assert counts[:, [0, -1]].tolist() == [[0, 3], [0, 60]]


@pytest.mark.parametrize("sign", ["positive", "negative"])
def test_curves_of_a_linear_model_have_a_closed_form(sign: str) -> None:
    x, background, weights = normal(30, 12, seed=1), normal(50, 12, seed=2) + 1, normal(12, seed=3)
    parts = weights * (x - background.mean(0))
    found = by_name(curves(linear(weights), x, {"it": parts}, background), "it")
    up = 1 if sign == "positive" else -1
    kept, removed = found[f"keep-{sign}-mean"], found[f"remove-{sign}-mean"]
    for place, count in enumerate(np.rint(kept.shares * 12).astype(int)):
        first = np.sort(np.maximum(up * parts, 0), axis=1)[:, ::-1][:, :count].sum(1)
        start, end = background.mean(0) @ weights + 0.5, x @ weights + 0.5
        np.testing.assert_allclose(kept.scores[place], (up * start + first).mean(), rtol=ROUNDING)
        np.testing.assert_allclose(removed.scores[place], (first - up * end).mean(), rtol=ROUNDING)
    assert kept.area == pytest.approx(np.trapezoid(kept.scores, kept.shares))


def test_the_parts_of_a_linear_model_rank_best() -> None:
    x, background, weights = normal(40, 12, seed=1), normal(50, 12, seed=2), normal(12, seed=3)
    parts = weights * (x - background.mean(0))
    others = {str(seed): normal(40, 12, seed=seed) for seed in range(10, 40)}
    found = curves(linear(weights), x, {"parts": parts, **others}, background)
    best = by_name(found, "parts")
    for metric in (metric for metric in METRICS if metric.sign != "absolute" and metric.fill != "impute"):
        assert all(by_name(found, other)[metric.name].area < best[metric.name].area for other in others)


def test_a_shuffled_ranking_is_as_good_as_a_random_one() -> None:
    x, background, weights = normal(150, 20, seed=1), normal(80, 20, seed=2), normal(20, seed=3)
    parts = weights * (x - background.mean(0))
    shuffled = np.random.default_rng(4).permuted(parts, axis=1)
    random = {str(seed): normal(150, 20, seed=seed) for seed in range(10, 30)}
    found = curves(linear(weights), x, {"parts": parts, "shuffled": shuffled, **random}, background, draws=20)
    true, mixed = by_name(found, "parts"), by_name(found, "shuffled")
    for metric in METRICS:
        areas = np.array([by_name(found, name)[metric.name].area for name in random])
        spread = 5 * areas.std()
        assert abs(mixed[metric.name].area - areas.mean()) < spread, metric.name
        assert true[metric.name].area > areas.mean() + spread, metric.name


def slow_expectation(background: np.ndarray, row: np.ndarray, masked: np.ndarray) -> np.ndarray:
    """Return the row with m_I + C_IO inverse(C_OO) (x_O - m_O) in place of what is masked."""
    m, c = background.mean(0), np.cov(background.T)
    c = c + RIDGE * np.diag(np.diag(c))
    i, o = np.flatnonzero(masked), np.flatnonzero(~masked)
    filled = row.copy()
    filled[i] = m[i]
    if len(o):
        filled[i] += c[np.ix_(i, o)] @ np.linalg.inv(c[np.ix_(o, o)]) @ (row[o] - m[o])
    return filled


def test_imputing_gives_the_conditional_mean() -> None:
    background = normal(200, 7, seed=1) @ normal(7, 7, seed=2) * 10.0 ** np.arange(-3, 4)
    rows, masked = background[:40] + 1, np.random.default_rng(3).random((40, 7)) < np.linspace(0, 1, 40)[:, None]
    masked[-1] = True
    filled = Imputed(background).points(np.arange(40), rows, masked)
    expected = [slow_expectation(background, *pair) for pair in zip(rows, masked, strict=True)]
    np.testing.assert_allclose(filled, expected, rtol=1e-7)


def test_imputing_restores_what_other_columns_tell() -> None:
    x = normal(100, 3, seed=1)
    x = np.column_stack([x, 1000 * x[:, 0], np.full(100, 2.0)])
    masked = np.array([[True, False, False, False, True]])
    filled = Imputed(x).points(np.array([0]), x[:1], masked)
    np.testing.assert_allclose(filled, x[:1], rtol=1e-4)


def slow_curve(f: Outputs, x: np.ndarray, values: np.ndarray, metric: Metric, background: np.ndarray) -> list[float]:
    """Return the mean outputs along a curve, row by row, whose background rows to resample are drawn with seed 4."""
    drawn = background[np.random.default_rng(4).integers(len(background), size=5)]
    scores = []
    for count in points_of(np.full(len(x), x.shape[1]))[1][0]:
        total = 0.0
        for row, ranked in zip(x, metric.ranked(values), strict=True):
            order = [unit for unit in np.argsort(-ranked) if ranked[unit] >= 0][:count]
            masked = np.array([(unit not in order) == metric.keeps for unit in range(x.shape[1])])
            points = {
                "mean": np.where(masked, background.mean(0), row)[None],
                "resample": np.where(masked, drawn, row),
                "impute": slow_expectation(background, row, masked)[None],
            }
            total += f(points[metric.fill]).mean() / len(x)
        scores.append(float(metric.better(np.array(total))))
    return scores


SIGNED = [metric for metric in METRICS if metric.sign != "absolute"]


@pytest.mark.parametrize("metric", SIGNED, ids=lambda one: one.name)
def test_curves_are_what_their_definition_says(metric: Metric) -> None:
    x, background, values = normal(9, 6, seed=1), normal(30, 6, seed=2), normal(9, 6, seed=3)
    (found,) = curves(bent, x, {"it": values}, background, metrics=[metric], draws=5, seed=4)
    np.testing.assert_allclose(found.scores, slow_curve(bent, x, values, metric, background), rtol=1e-7)


def test_zeros_are_among_the_first_and_what_is_below_is_not() -> None:
    values = np.array([[3.0, 0.0, -1.0, 2.0], [-1.0, -2.0, -3.0, -4.0]])
    first = first_units(values, np.array([[0, 1, 2, 3, 4]] * 2), seed=0)
    assert first[0].tolist()[1:] == [
        [True, False, False, False],
        [True, False, False, True],
        [True, True, False, True],
        [True, True, False, True],
    ]
    assert not first[1].any()


def test_equals_come_in_one_drawn_order_whatever_their_size() -> None:
    values = np.outer([1.0, 1e-30, 1e30], np.ones(8))
    first = first_units(values, np.array([[3]] * 3), seed=5)
    assert (first == first[0]).all()
    others = [first_units(values, np.array([[3]] * 3), seed=seed)[0, 0].tolist() for seed in range(20)]
    assert len({tuple(one) for one in others}) > 5
    near = np.array([[1e-12, 2e-12, 3e-12]])
    assert first_units(near, np.array([[1]]), seed=0)[0, 0].tolist() == [False, False, True]


def test_a_group_is_masked_whole() -> None:
    seen: list[np.ndarray] = []

    def f(points: np.ndarray) -> np.ndarray:
        seen.append(points)
        values: np.ndarray = points.sum(1)
        return values

    owner = np.array([0, 1, 0, 1, 2])
    curves(f, np.ones((4, 5)), {"it": normal(4, 3, seed=1)}, np.zeros((3, 5)), owner=owner, metrics=METRICS[:1])
    points = np.concatenate(seen)
    assert (points[:, 0] == points[:, 2]).all()
    assert (points[:, 1] == points[:, 3]).all()
    assert 0 < points[:, 4].mean() < 1


@pytest.mark.parametrize("kind", ["R2", "ROC AUC"])
def test_agreement_is_that_of_scikit_learn(kind: str) -> None:
    y, outputs = normal(40, seed=1), np.round(normal(40, 3, seed=2), 1)
    weights = np.random.default_rng(3).multinomial(40, np.full(40, 1 / 40), 4).astype(float)
    truth = Truth(y if kind == "R2" else y > 0)
    assert truth.name == kind
    judge = r2_score if kind == "R2" else roc_auc_score
    expected = [[judge(truth.values, column, sample_weight=row) for column in outputs.T] for row in weights]
    np.testing.assert_allclose(truth.scores(outputs, weights), expected, rtol=ROUNDING)


def test_where_nothing_can_be_told_apart_there_is_no_score() -> None:
    weights = np.ones((1, 5))
    assert np.isnan(Truth(np.ones(5)).scores(normal(5, 2, seed=1), weights)).all()
    assert np.isnan(Truth(np.ones(5, bool)).scores(normal(5, 2, seed=1), weights)).all()


def test_a_perfect_prediction_is_1_where_nothing_is_removed() -> None:
    x, weights = normal(50, 6, seed=1), normal(6, seed=2)
    metrics = named("keep-absolute-mean", "remove-absolute-mean")
    kept, removed = curves(linear(weights), x, {"it": x * weights}, x, metrics=metrics)
    assert kept.scores[-1] == pytest.approx(1)
    assert removed.scores[0] == pytest.approx(0)


def test_intervals_hold_the_area_of_other_rows_as_often_as_they_say() -> None:
    weights, held = normal(8, seed=1), 0
    metrics = named("keep-positive-mean")
    many = normal(20_000, 8, seed=2)
    (true,) = curves(linear(weights), many, {"it": many * weights}, np.zeros((1, 8)), metrics=metrics)
    for seed in range(100):
        x = normal(60, 8, seed=100 + seed)
        (found,) = curves(linear(weights), x, {"it": x * weights}, np.zeros((1, 8)), metrics=metrics)
        held += found.low < true.area < found.high
    assert 86 <= held <= 100


def test_the_cost_told_before_is_not_exceeded_and_near() -> None:
    calls = 0

    def f(points: np.ndarray) -> np.ndarray:
        nonlocal calls
        calls += len(points)
        return bent(points)

    x, background = normal(30, 15, seed=1), normal(40, 15, seed=2)
    rankings = {name: normal(30, 15, seed=seed) for seed, name in enumerate(("a", "b"))}
    fills = fills_of(background, ["mean", "resample", "impute"], 7, 0)
    told = curve_forwards([Block(f, Units(x, None, np.full(30, 15)), fills, rankings)], METRICS)
    curves(f, x, rankings, background, draws=7)
    assert 0.7 * told < calls - len(x) <= told


def test_the_published_sets_are_drawn_as_published() -> None:
    x, y = erion.correlated_groups()
    np.testing.assert_allclose(x[0, :4], [1.52284195, 1.62761582, 1.71866086, 2.54648131], atol=1e-8)
    np.testing.assert_allclose([x[999, 59], y.std()], [-0.25087552, 3.16226192], atol=1e-8)
    np.testing.assert_allclose(y[:3], [8.7750275, -1.20351451, 5.91283097], atol=1e-8)
    x, y = erion.independent_linear()
    np.testing.assert_allclose(x[0, :4], [1.7577368, 0.41596659, 0.98854236, 2.2402179], atol=1e-8)
    np.testing.assert_allclose([x[999, 59], y.std()], [-0.23776685, 3.23113277], atol=1e-8)
    np.testing.assert_allclose(y[:3], [9.48389663, -1.64815538, 5.99527338], atol=1e-8)


def test_published_areas_are_met_by_one_split() -> None:
    x, y = (values.astype(np.float32) for values in erion.correlated_groups())
    train, test, y_train, y_test = train_test_split(x, y, test_size=100, random_state=0)
    network = erion.trained(train, y_train, seed=0)
    settings = {"baseline": train, "baseline_rows": 200, "steps": 8}
    rankings = {
        "eg": ihcli.explain(network, test, method="eg", **settings).attributions,
        "ig": ihcli.explain(network, test, method="ig").attributions,
        "gradient": ihcli.explain(network, test, method="gradient").attributions,
        "random": normal(100, 60, seed=0),
    }

    def f(points: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            values: np.ndarray = network(torch.as_tensor(points))[:, 0].double().numpy()
        return values

    found = curves(f, test, rankings, train, truth=y_test)
    areas = {by: {name: curve.area for name, curve in by_name(found, by).items()} for by in rankings}
    off = {name: abs(areas["eg"][name] / printed - 1) for name, printed in PRINTED.items()}
    assert sum(share < 0.03 for share in off.values()) >= 10, off
    assert max(off.values()) < 0.07, off
    first = [max(rankings, key=lambda by: areas[by][metric.name]) for metric in METRICS]
    assert first.count("eg") >= 15
    assert all(areas["random"][metric.name] < areas["ig"][metric.name] for metric in METRICS)


def test_second_differences_are_means_over_baselines() -> None:
    x, baselines = normal(3, 5, seed=1), normal(4, 5, seed=2)
    first, second = np.triu_indices(5, 1)
    rng = np.random.default_rng(0)
    pairs = Pairs.of([RowPairs(first, second, normal(10, seed=row)).some(rng) for row in range(3)])
    found, rounding = pairs.differences(bent, Units(x, None, np.full(3, 5)), Resampled(baselines))
    for row, i, j, difference in zip(pairs.row, pairs.first, pairs.second, found, strict=True):
        expected = 0.0
        for sign, opened in ((1, [i, j]), (-1, [i]), (-1, [j]), (1, [])):
            points = baselines.copy()
            points[:, opened] = x[row, opened]
            expected += sign * bent(points).mean()
        assert difference == pytest.approx(expected, abs=1e-12)
    assert (rounding < 1e-12).all()
    assert pairs.forwards(4) == 4 * (30 + 15 + 3)


def test_of_many_pairs_the_largest_and_some_others_are_taken() -> None:
    first, second = np.triu_indices(30, 1)
    some = RowPairs(first, second, np.arange(len(first), 0.0, -1)).some(np.random.default_rng(0))
    assert some.effects[:20].tolist() == np.arange(len(first), len(first) - 20, -1).tolist()
    assert len(set(some.effects.tolist())) == 40
