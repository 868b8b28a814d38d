"""Ranked features and pairs against plain numpy over all rows."""

from dataclasses import replace

import explanations
import numpy as np
import pyarrow as pa
import pytest

from ihcli.explanation import Explanation
from ihcli.summaries.ranking import largest_first
from ihcli.summaries.tables import Summary

NAMES = ("a", "b", "c", "d")
ROUNDING = 1e-12  # sums of at most a few thousand float64 values, merged in different orders
FIRST, SECOND = np.triu_indices(len(NAMES), 1)


def explained(n_rows: int, seed: int = 0, offset: float = 0.0, targets: tuple[str, ...] = ("x",)) -> Explanation:
    rng = np.random.default_rng(seed)
    interactions = rng.standard_normal((n_rows, len(NAMES), len(NAMES))) * [1, 2, 3, 4] + offset
    interactions += interactions.transpose(0, 2, 1)
    return explanations.of_table(interactions, NAMES, np.array(targets)[np.arange(n_rows) % len(targets)])


def rows_of(explanation: Explanation, chosen: np.ndarray | slice) -> Explanation:
    names = ("row", "target", "attributions", "interactions", "status")
    return replace(explanation, **{name: getattr(explanation, name)[chosen] for name in names})


def summed(*explanations: Explanation) -> Summary:
    summary = Summary()
    for explanation in explanations:
        summary.update(explanation)
    return summary


def by_feature(table: pa.Table, column: str) -> np.ndarray:
    found = dict(zip(table["feature"].to_pylist(), table[column].to_pylist(), strict=True))
    return np.array([found[name] for name in NAMES])


def by_pair(table: pa.Table, column: str) -> np.ndarray:
    pairs = zip(table["feature_i"].to_pylist(), table["feature_j"].to_pylist(), strict=True)
    found = dict(zip(pairs, table[column].to_pylist(), strict=True))
    return np.array([found[NAMES[i], NAMES[j]] for i, j in zip(FIRST, SECOND, strict=True)])


def test_attributions_equal_numpy_on_all_rows():
    explanation = explained(1001, offset=100.0)
    table = summed(*(rows_of(explanation, slice(start, start + 64)) for start in range(0, 1001, 64))).attributions()
    phi, main = explanation.attributions, np.diagonal(explanation.interactions, axis1=1, axis2=2)
    expected = {
        "mean_abs": np.abs(phi).mean(axis=0),
        "mean": phi.mean(axis=0),
        "std": phi.std(axis=0),
        "min": phi.min(axis=0),
        "max": phi.max(axis=0),
        "share": np.abs(phi).mean(axis=0) / np.abs(phi).mean(axis=0).sum(),
        "main_mean_abs": np.abs(main).mean(axis=0),
        "main_mean": main.mean(axis=0),
        "main_std": main.std(axis=0),
    }
    for column, values in expected.items():
        np.testing.assert_allclose(by_feature(table, column), values, rtol=ROUNDING, err_msg=column)
    assert table["rows"].to_pylist() == [1001] * 4


def test_interactions_equal_numpy_on_all_rows(monkeypatch):
    monkeypatch.setattr("ihcli.summaries.effects.BLOCK_VALUES", 1)
    explanation = explained(1001, offset=100.0)
    table = summed(*(rows_of(explanation, slice(start, start + 64)) for start in range(0, 1001, 64))).interactions()
    effects = explanation.interactions[:, FIRST, SECOND] + explanation.interactions[:, SECOND, FIRST]
    expected = {
        "mean_abs": np.abs(effects).mean(axis=0),
        "mean": effects.mean(axis=0),
        "std": effects.std(axis=0),
        "share": np.abs(effects).mean(axis=0) / np.abs(effects).mean(axis=0).sum(),
    }
    for column, values in expected.items():
        np.testing.assert_allclose(by_pair(table, column), values, rtol=ROUNDING, err_msg=column)
    assert table["rows"].to_pylist() == [1001] * 6


@pytest.mark.parametrize("block_values", [1, 40, 100, 1 << 16])
def test_blocks_of_pairs_join_in_order(monkeypatch, block_values):
    monkeypatch.setattr("ihcli.summaries.effects.BLOCK_VALUES", block_values)  # of 190 pairs
    n_features = 20
    gamma = np.arange(n_features**2, dtype=np.float64).reshape(1, n_features, n_features)
    gamma += gamma.transpose(0, 2, 1)
    names = tuple(f"f{i}" for i in range(n_features))
    explanation = replace(explained(1), feature_names=names, attributions=gamma.sum(2), interactions=gamma)
    table = summed(explanation).interactions()
    assert table.num_rows == 190
    for row in table.to_pylist():
        i, j = int(row["feature_i"][1:]), int(row["feature_j"][1:])
        assert row["mean"] == gamma[0, i, j] + gamma[0, j, i]


def test_float32_matrices_are_accumulated_in_float64():
    explanation = explained(4000, offset=1e3)
    single = replace(explanation, interactions=explanation.interactions.astype(np.float32))
    effects = 2 * single.interactions[:, FIRST, SECOND].astype(np.float64)
    table = summed(single).interactions()
    np.testing.assert_allclose(by_pair(table, "std"), effects.std(axis=0), rtol=1e-9)
    np.testing.assert_allclose(by_pair(table, "mean_abs"), np.abs(effects).mean(axis=0), rtol=ROUNDING)


def test_one_feature_has_no_pairs():
    explanation = explained(3)
    one = replace(
        explanation,
        feature_names=("a",),
        attributions=explanation.attributions[:, :1],
        interactions=explanation.interactions[:, :1, :1],
    )
    assert summed(one).interactions().num_rows == 0


def test_tables_have_the_specified_columns():
    summary = summed(explained(5))
    assert summary.attributions().column_names == [
        *("target", "feature", "rank", "mean_abs", "mean", "std", "min", "max", "share", "rows"),
        *("main_mean_abs", "main_mean", "main_std", "main_rows", "main_opposed", "main_error_bar"),
    ]
    expected = ["target", "feature_i", "feature_j", "rank", "mean_abs", "mean", "std", "share", "rows", "error_bar"]
    assert summary.interactions().column_names == expected
    first_order = summed(replace(explained(5), interactions=None))
    assert first_order.attributions().column_names[-1] == "rows"
    assert first_order.interactions() is None


def test_halves_merged_equal_the_whole():
    explanation = explained(500, offset=1e3, targets=("x", "y", "z"))
    whole = summed(explanation)
    half = summed(rows_of(explanation, slice(0, 123)))
    half.merge(summed(rows_of(explanation, slice(123, 300)), rows_of(explanation, slice(300, 500))))
    for one, two in ((whole.attributions(), half.attributions()), (whole.interactions(), half.interactions())):
        for name in one.column_names:
            if pa.types.is_floating(one[name].type):
                np.testing.assert_allclose(one[name].to_numpy(), two[name].to_numpy(), rtol=1e-10, err_msg=name)
            else:
                assert one[name].to_pylist() == two[name].to_pylist(), name


def test_an_empty_summary_merges_as_nothing():
    summary = Summary()
    summary.merge(summed(explained(7)))
    summary.merge(Summary())
    assert summary.attributions().equals(summed(explained(7)).attributions())


def test_targets_are_kept_apart():
    explanation = explained(90, targets=("x", "y", "z"))
    table = summed(explanation).attributions()
    assert table["target"].to_pylist() == ["x"] * 4 + ["y"] * 4 + ["z"] * 4
    for start, target in enumerate("xyz"):
        rows = explanation.attributions[start::3]
        found = table.filter(pa.compute.equal(table["target"], target))
        np.testing.assert_allclose(by_feature(found, "mean"), rows.mean(axis=0), rtol=ROUNDING)
        assert found["rank"].to_pylist() == [1, 2, 3, 4]
        assert found["rows"].to_pylist() == [30] * 4
        assert sum(found["share"].to_pylist()) == pytest.approx(1)


@pytest.mark.parametrize("status", ["missing_input", "non_finite"])
def test_rows_without_values_are_left_out(status):
    explanation = explained(30)
    statuses, attributions, gamma = (
        explanation.status.copy(),
        explanation.attributions.copy(),
        explanation.interactions.copy(),
    )
    statuses[:10], attributions[:10], gamma[:10] = status, np.nan, np.nan
    found = summed(replace(explanation, status=statuses, attributions=attributions, interactions=gamma))
    rest = summed(rows_of(explanation, slice(10, 30)))
    assert found.attributions().equals(rest.attributions())
    assert found.interactions().equals(rest.interactions())


@pytest.mark.parametrize("status", ["not_converged", "rounding"])
def test_rows_that_missed_the_tolerance_count(status):
    explanation = explained(30)
    assert summed(replace(explanation, status=np.full(30, status))).attributions()["rows"][0].as_py() == 30


def test_a_run_without_values_gives_empty_tables():
    summary = summed(replace(explained(3), status=np.full(3, "missing_input")))
    assert (summary.attributions().num_rows, summary.interactions().num_rows) == (0, 0)
    assert "main_mean" in summary.attributions().column_names


def test_ties_rank_in_feature_order_and_zeros_have_no_share():
    explanation = explained(3)
    flat = replace(explanation, attributions=np.zeros((3, 4)), interactions=np.zeros((3, 4, 4)))
    table = summed(flat).attributions()
    assert table["feature"].to_pylist() == list(NAMES)
    assert table["rank"].to_pylist() == [1, 2, 3, 4]
    assert table["share"].to_pylist() == [0.0] * 4
    pairs = summed(flat).interactions()
    assert list(zip(pairs["feature_i"].to_pylist(), pairs["feature_j"].to_pylist(), strict=True))[:4] == [
        *(("a", "b"), ("a", "c"), ("a", "d")),
        ("b", "c"),
    ]


def test_float32_rows_are_accumulated_in_float64():
    explanation = explained(4000, offset=1e4)
    single = replace(explanation, attributions=explanation.attributions.astype(np.float32))
    table = summed(single).attributions()
    exact = single.attributions.astype(np.float64)
    np.testing.assert_allclose(by_feature(table, "std"), exact.std(axis=0), rtol=1e-9)


def test_no_row_is_held():
    summary = summed(explained(5))
    held = [name for name, value in vars(summary).items() if isinstance(value, np.ndarray | list)]
    assert held == []
    moments = summary._targets["x"].pairs
    assert {array.shape for array in (moments.mean, moments.mean_abs, moments.squares)} == {(6,)}


def test_summaries_of_different_features_do_not_merge():
    other = replace(explained(2), feature_names=("a", "b", "c", "e"))
    with pytest.raises(ValueError, match="different features"):
        summed(explained(2), other)


@pytest.mark.parametrize("kind", ["none", "one", "all tied", "few values", "no ties", "infinities"])
def test_the_largest_come_first_and_ties_keep_their_order(kind: str):
    random = np.random.default_rng(0)
    values = {
        "none": np.zeros(0),
        "one": np.ones(1),
        "all tied": np.zeros(50),
        "few values": random.integers(0, 5, 1000).astype(float),
        "no ties": random.standard_normal(1000),
        "infinities": np.array([0.0, np.inf, 3.0, np.inf, -0.0, 0.0]),
    }[kind]
    np.testing.assert_array_equal(largest_first(values), np.argsort(-values, kind="stable"))
