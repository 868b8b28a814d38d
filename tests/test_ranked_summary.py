"""Rankings are of rows whose errors are small enough, all rows are told beside, and how many there are more."""

import json
from collections.abc import Callable
from dataclasses import replace

import explanations
import numpy as np
import pyarrow as pa
import pytest

from ihcli.bars import pair_bars
from ihcli.explanation import AnyExplanation, Explanation, TextExplanation
from ihcli.layouts.choosing import summary_of_state
from ihcli.quality import Status
from ihcli.summaries.ranked import RankedSummary, most_error, that_rank
from ihcli.summaries.tables import Summary
from ihcli.summaries.texts import TextSummary

NAMES, TARGETS = ("a", "b", "c"), ("x", "y")
TOLERANCE, MOST = 0.01, 0.1
N = 60
SUMS = 1e-9  # of a few hundred float64 values in another order
SINGLE = 1e-5  # bars are summed in the precision of the matrices


def table(n: int = N, seed: int = 0, second_order: bool = True) -> Explanation:
    """Return rows of every status, some with errors of either kind beyond ten tolerances, whose values are huge."""
    rng = np.random.default_rng(seed)
    status = rng.choice(np.array([Status.OK, Status.NOT_CONVERGED, Status.ROUNDING, Status.MISSING_INPUT], object), n)
    errors = np.where(
        status == Status.OK, rng.uniform(0, TOLERANCE, (2, n)), rng.choice([0.02, 0.09, 0.2, 99.0], (2, n))
    )
    half = rng.normal(size=(n, len(NAMES), len(NAMES))) * np.where(errors.max(axis=0) > MOST, 1e4, 1)[:, None, None]
    gamma = half + half.transpose(0, 2, 1)
    gamma[status == Status.MISSING_INPUT] = np.nan
    errors[:, status == Status.MISSING_INPUT] = np.nan
    target = np.array(TARGETS, object)[np.arange(n) % 2]
    known = {"status": status, "relative_error": errors[0], "interaction_error": errors[1]}
    made_up = explanations.of_table(gamma, NAMES, target, **known)
    return made_up if second_order else replace(made_up, interactions=None, interaction_error=None)


def texts(n: int = N) -> TextExplanation:
    """Return the same as texts of three words each, of which two are common to all."""
    rows = table(n)
    units, gamma = np.empty(n, object), np.empty(n, object)
    for i in np.flatnonzero(rows.has_values):
        units[i], gamma[i] = ("good", "not", f"word {i % 7}"), rows.interactions[i]
    known = {name: getattr(rows, name) for name in ("status", "relative_error", "interaction_error")}
    return explanations.of_texts(units, gamma, rows.target, **known)


def only(explanation: AnyExplanation, mask: np.ndarray) -> AnyExplanation:
    changed = {name: values[mask] for name, values in vars(explanation).items() if isinstance(values, np.ndarray)}
    return replace(explanation, **changed)


def ranked(*parts: AnyExplanation, most: float | None = MOST) -> RankedSummary:
    summary = RankedSummary(TextSummary if isinstance(parts[0], TextExplanation) else Summary)
    for part in parts:
        summary.update(part, most)
    return summary


def plain(explanation: AnyExplanation) -> Summary | TextSummary:
    summary = TextSummary() if isinstance(explanation, TextExplanation) else Summary()
    summary.update(explanation)
    return summary


def assert_same(found: pa.Table, expected: pa.Table) -> None:
    keys = [name for name in found.column_names if name.startswith(("target", "feature"))]
    one, two = (part.to_pandas().set_index(keys).sort_index() for part in (found, expected))
    assert list(one.index) == list(two.index)
    for name in expected.column_names:
        if name not in keys:
            np.testing.assert_allclose(one[name].to_numpy(float), two[name].to_numpy(float), rtol=SINGLE, err_msg=name)


def masks(explanation: AnyExplanation) -> tuple[np.ndarray, np.ndarray]:
    """The rule of the issue, spelled out."""
    is_ok = explanation.status == Status.OK
    return (
        explanation.has_values & (is_ok | (explanation.relative_error <= MOST)),
        explanation.has_values
        & (is_ok | ((explanation.relative_error <= MOST) & (explanation.interaction_error <= MOST))),
    )


EACH = pytest.mark.parametrize("made_up", [table, texts])
Made = Callable[[], AnyExplanation]


@EACH
def test_attributions_and_pairs_rank_over_the_rows_whose_errors_of_each_are_small(made_up: Made) -> None:
    explanation = made_up()
    attributions, pairs = masks(explanation)
    assert explanation.has_values.sum() > attributions.sum() > pairs.sum() > 10
    summary = ranked(explanation)
    expected = plain(only(explanation, attributions)).attributions()
    mains = [name for name in expected.column_names if name.startswith("main_")]
    assert_same(summary.attributions(), expected.drop_columns(mains))
    assert_same(summary.interactions(), plain(only(explanation, pairs)).interactions())
    of_mains = plain(only(explanation, pairs)).attributions()
    found = summary.attributions().filter(pa.compute.greater(summary.attributions()["main_rows"], 0))
    assert_same(found.select(["target", "feature", *mains]), of_mains.select(["target", "feature", *mains]))


@EACH
def test_how_many_rows_are_left_out_stands_beside(made_up: Made) -> None:
    explanation = made_up()
    summary = ranked(explanation)
    for found, mask in zip((summary.attributions(), summary.interactions()), masks(explanation), strict=True):
        for target in TARGETS:
            missing = (explanation.has_values & ~mask & (explanation.target == target)).sum()
            lines = found.filter(pa.compute.equal(found["target"], target))
            assert set(lines["left_out"].to_pylist()) == {missing}


@EACH
def test_all_rows_are_those_that_rank_and_those_left_out(made_up: Made) -> None:
    explanation = made_up()
    found = ranked(explanation).all_rows()
    assert found is not None
    expected = plain(explanation)
    assert_same(found[0], expected.attributions())
    assert_same(found[1], expected.interactions())
    assert {*found[0]["left_out"].to_pylist(), *found[1]["left_out"].to_pylist()} == {0}


@EACH
def test_where_all_rows_rank_there_is_nothing_beside(made_up: Made) -> None:
    explanation = made_up()
    for most in (None, 100.0):
        summary = ranked(explanation, most=most)
        assert summary.all_rows() is None
        assert_same(summary.interactions(), plain(explanation).interactions())
        assert set(summary.attributions()["left_out"].to_pylist()) == {0}


@EACH
def test_parts_merge_and_go_on_from_their_state_to_the_last_bit(made_up: Made) -> None:
    explanation = made_up()
    parts = [only(explanation, np.arange(N) // 10 == part) for part in range(6)]
    straight, resumed = ranked(parts[0]), ranked(parts[0])
    for part in parts[1:]:
        straight.merge(ranked(part))
        state = resumed.state()
        assert not [name for name, values in state.items() if values.dtype.hasobject]
        resumed = RankedSummary.of_state(state, summary_of_state)
        resumed.merge(ranked(part))
    tables = [(one.attributions(), one.interactions(), *one.all_rows()) for one in (straight, resumed)]
    for mine, theirs in zip(*tables, strict=True):
        assert mine.equals(theirs)
    whole = ranked(explanation)
    for mine, theirs in zip(tables[0], (whole.attributions(), whole.interactions(), *whole.all_rows()), strict=True):
        assert_same(mine, theirs)


@EACH
def test_a_state_of_before_is_of_rows_that_all_rank(made_up: Made) -> None:
    before = {name: values for name, values in plain(made_up()).state().items() if "bar" not in name}
    if "summary" in before:
        told = {name: value for name, value in json.loads(before["summary"].tobytes()).items() if name != "bars"}
        before["summary"] = np.frombuffer(json.dumps(told).encode(), np.uint8)
    summary = RankedSummary.of_state(before, summary_of_state)
    assert summary.all_rows() is None
    found, expected = summary.interactions(), plain(made_up()).interactions().drop_columns(["error_bar"])
    assert "error_bar" not in found.column_names
    assert_same(found, expected)
    summary.merge(ranked(made_up()))
    assert summary.all_rows() is not None
    assert "error_bar" not in summary.interactions().column_names


@EACH
@pytest.mark.parametrize("column", ["relative_error", "interaction_error"])
def test_tables_keep_their_columns_where_nothing_ranks(made_up: Made, column: str) -> None:
    explanation = made_up()
    status = np.where(explanation.has_values, Status.NOT_CONVERGED, explanation.status).astype(object)
    unfinished = replace(explanation, status=status, **{column: np.full(N, 5.0)})
    summary = ranked(unfinished)
    assert summary.interactions().num_rows == 0
    assert (summary.attributions().num_rows == 0) == (column == "relative_error")
    assert summary.attributions().schema.equals(ranked(explanation).attributions().schema)
    assert summary.interactions().schema.equals(ranked(explanation).interactions().schema)
    whole = summary.all_rows()
    assert whole is not None
    assert_same(whole[1], plain(unfinished).interactions())


def test_first_order_ranks_by_the_error_of_attributions() -> None:
    explanation = table(second_order=False)
    summary = ranked(explanation)
    mask = explanation.has_values & ~(explanation.relative_error > MOST)
    assert_same(summary.attributions(), plain(only(explanation, mask)).attributions())
    assert summary.interactions() is None
    whole = summary.all_rows()
    assert whole is not None
    assert whole[1] is None


def test_rows_without_an_error_rank_and_all_do_of_fixed_steps() -> None:
    explanation = table()
    unknown = replace(
        explanation,
        status=np.full(N, Status.UNCERTIFIED, object),
        relative_error=np.full(N, np.nan),
        interaction_error=None,
    )
    assert all(mask.all() for mask in that_rank(unknown, MOST))
    assert most_error(0.02, None) == pytest.approx(0.2)
    assert most_error(0.02, 16) is None
    assert all(mask.all() for mask in that_rank(explanation, most_error(TOLERANCE, 16)))


def test_bars_and_standard_errors_of_means_are_the_means_of_those_of_rows() -> None:
    explanation = table()
    spread = np.random.default_rng(1).uniform(size=explanation.interactions.shape)
    spread += spread.transpose(0, 2, 1)
    summary = ranked(
        *(only(replace(explanation, interaction_spread=spread), np.arange(N) % 3 == part) for part in range(3))
    )
    found = {
        (line["target"], line["feature_i"], line["feature_j"]): line for line in summary.interactions().to_pylist()
    }
    mains = {(line["target"], line["feature"]): line for line in summary.attributions().to_pylist()}
    for target in TARGETS:
        rows = masks(explanation)[1] & (explanation.target == target)
        bars = pair_bars(explanation.interactions[rows], explanation.interaction_error[rows]).mean(axis=0)
        errors = spread[rows].mean(axis=0)
        for i, j in ((0, 1), (0, 2), (1, 2)):
            line = found[target, NAMES[i], NAMES[j]]
            assert line["error_bar"] == pytest.approx(2 * bars[i, j], rel=SINGLE)
            assert line["standard_error"] == pytest.approx(2 * errors[i, j], rel=SUMS)
        for i, name in enumerate(NAMES):
            line = mains[target, name]
            assert line["main_error_bar"] == pytest.approx(bars[i, i], rel=SINGLE)
            assert line["main_standard_error"] == pytest.approx(errors[i, i], rel=SUMS)


def test_bars_of_texts_are_the_means_over_occurrences() -> None:
    explanation = texts()
    rows = np.flatnonzero(masks(explanation)[1] & (explanation.target == "x"))
    bars = [2 * pair_bars(explanation.interactions[i], explanation.interaction_error[i])[0, 1] for i in rows]
    lines = ranked(explanation).interactions().to_pylist()
    (line,) = (line for line in lines if (line["target"], line["feature_i"], line["feature_j"]) == ("x", "good", "not"))
    assert line["error_bar"] == pytest.approx(np.mean(bars), rel=SUMS)
