"""Statistics over a corpus are those of all occurrences, whatever the chunks, merges and states between."""

from collections import defaultdict
from dataclasses import replace

import explanations
import numpy as np
import pandas as pd
import pytest

from ihcli.explanation import TextExplanation
from ihcli.quality import Status
from ihcli.summaries import occurrences as moments
from ihcli.summaries import texts as text_summary
from ihcli.summaries.occurrences import Occurrences
from ihcli.summaries.texts import PAIR_KEYS, TextSummary

WORDS = ("not", "bad", "good", "Good", "é", "a\0b", "a\0c", "nan", "", "[CLS]", "\N{GRINNING FACE}", "None", "the")
FREQUENCIES = 0.6 ** np.arange(len(WORDS)) / (0.6 ** np.arange(len(WORDS))).sum()
TARGETS = ("POSITIVE", "NEGATIVE", "nan")
SUMS = 1e-12  # sums of a few hundred float64 figures in another order
SEED = 3


def made_up(n_texts: int = 60, second_order: bool = True, longest: int = 9, seed: int = SEED) -> TextExplanation:
    """Return texts of units that repeat, within a text too; some without values."""
    rng = np.random.default_rng(seed)
    units, gamma = (np.empty(n_texts, object) for _ in range(2))
    status = rng.choice(
        np.array(
            [Status.OK, Status.OK, Status.OK, Status.NOT_CONVERGED, Status.MISSING_INPUT, Status.NON_FINITE], object
        ),
        n_texts,
    )
    for i in range(n_texts):
        if status[i] == Status.MISSING_INPUT:
            continue
        units[i] = tuple(rng.choice(np.array(WORDS, object), rng.integers(1, longest + 1), p=FREQUENCIES))
        half = rng.normal(size=(len(units[i]),) * 2)
        gamma[i] = half + half.T if status[i] != Status.NON_FINITE else np.full_like(half, np.nan)
    explanation = explanations.of_texts(units, gamma, rng.choice(np.array(TARGETS, object), n_texts), status=status)
    return explanation if second_order else replace(explanation, interactions=None)


def part_of(explanation: TextExplanation, some: slice) -> TextExplanation:
    return replace(
        explanation, **{name: values[some] for name, values in vars(explanation).items() if values is not None}
    )


def summary_of(*explanations: TextExplanation) -> TextSummary:
    summary = TextSummary()
    for explanation in explanations:
        summary.update(explanation)
    return summary


def occurrences(explanation: TextExplanation) -> tuple[dict, dict, dict]:
    """Return all values of every unit, its main effects, and those of every pair, by target: the naive way."""
    units, mains, pairs = (defaultdict(list) for _ in range(3))
    for i, names in enumerate(explanation.units):
        if explanation.status[i] in (Status.MISSING_INPUT, Status.NON_FINITE):
            continue
        target, gamma = str(explanation.target[i]), explanation.interactions[i]
        for g, name in enumerate(names):
            units[target, name].append(explanation.attributions[i][g])
            mains[target, name].append(gamma[g, g])
            for h in range(g):
                pairs[target, *sorted((name, names[h]))].append(gamma[g, h] + gamma[h, g])
    return units, mains, pairs


def assert_figures(entry: dict, values: list[float], prefix: str = "") -> None:
    found = np.array(values)
    wanted = {"mean_abs": np.abs(found).mean(), "mean": found.mean(), "std": found.std()}
    for name, figure in wanted.items():
        assert entry[prefix + name] == pytest.approx(figure, rel=SUMS, abs=SUMS), name


def assert_equal(one: TextSummary, other: TextSummary, rtol: float = SUMS) -> None:
    for mine, others in ((one.attributions(), other.attributions()), (one.interactions(), other.interactions())):
        assert mine.schema.equals(others.schema, check_metadata=True)
        columns = zip(mine.to_pydict().items(), others.to_pydict().values(), strict=True)
        for (name, values), expected in columns:
            if values and isinstance(values[0], float):
                np.testing.assert_allclose(values, expected, rtol=rtol, atol=rtol, err_msg=name)
            else:
                assert values == expected, name


def test_units_have_the_figures_of_all_their_occurrences() -> None:
    explanation = made_up()
    units, mains, _ = occurrences(explanation)
    entries = summary_of(explanation).attributions().to_pylist()
    assert {(entry["target"], entry["feature"]) for entry in entries} == set(units)
    assert len(entries) == len(units)
    for entry in entries:
        key = entry["target"], entry["feature"]
        assert_figures(entry, units[key])
        assert_figures(entry, mains[key], "main_")
        assert (entry["min"], entry["max"], entry["rows"]) == (min(units[key]), max(units[key]), len(units[key]))


def test_pairs_have_the_figures_of_all_their_occurrences() -> None:
    explanation = made_up()
    _, _, pairs = occurrences(explanation)
    entries = summary_of(explanation).interactions().to_pylist()
    assert {(entry["target"], entry["feature_i"], entry["feature_j"]) for entry in entries} == set(pairs)
    assert len(entries) == len(pairs)
    for entry in entries:
        key = entry["target"], entry["feature_i"], entry["feature_j"]
        assert key[1] <= key[2]
        assert_figures(entry, pairs[key])
        assert entry["rows"] == len(pairs[key])


def test_ranks_and_shares_are_of_each_target() -> None:
    summary = summary_of(made_up())
    for table in (summary.attributions(), summary.interactions()):
        frame = table.to_pandas()
        assert list(dict.fromkeys(frame["target"])) == [key for key, _ in frame.groupby("target", sort=False)]
        for _, ranking in frame.groupby("target", sort=False):
            assert ranking["rank"].tolist() == list(range(1, len(ranking) + 1))
            assert (ranking["mean_abs"].diff().dropna() <= 0).all()
            totals = ranking["mean_abs"] * ranking["rows"]
            np.testing.assert_allclose(ranking["share"], totals / totals.sum(), rtol=SUMS)


def test_first_order_has_no_pairs_and_no_main_effects() -> None:
    summary = summary_of(made_up(second_order=False))
    assert summary.interactions() is None
    assert not [name for name in summary.attributions().column_names if name.startswith("main_")]


@pytest.mark.parametrize("size", [1, 7, 59])
def test_chunks_give_what_the_whole_gives(size: int) -> None:
    explanation = made_up()
    parts = [part_of(explanation, slice(i, i + size)) for i in range(0, len(explanation), size)]
    assert_equal(summary_of(*parts), summary_of(explanation))


def test_blocks_of_few_pairs_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    explanation = made_up()
    whole, spelled = summary_of(explanation), []
    monkeypatch.setattr(text_summary, "BLOCK_PAIRS", 50)
    keys = text_summary._pair_keys

    def counted(*arguments):
        found = keys(*arguments)
        spelled.append(len(found["target"]))
        return found

    monkeypatch.setattr(text_summary, "_pair_keys", counted)
    assert_equal(summary_of(explanation), whole)
    assert len(spelled) > 5
    assert max(spelled) <= 50 + 9 * 9 // 2


def test_halves_merge_to_the_whole() -> None:
    explanation = made_up()
    one, other = (summary_of(part_of(explanation, some)) for some in (slice(0, 30), slice(30, 60)))
    one.merge(other)
    one.merge(TextSummary())
    assert_equal(one, summary_of(explanation))
    nothing = TextSummary()
    nothing.merge(one)
    assert_equal(nothing, one, rtol=0)


def test_texts_without_values_leave_no_trace() -> None:
    explanation = made_up()
    empty = replace(explanation, status=np.full(len(explanation), Status.MISSING_INPUT, object))
    assert summary_of(empty).attributions().num_rows == summary_of(empty).interactions().num_rows == 0
    assert_equal(summary_of(empty, explanation), summary_of(explanation))


def test_texts_of_one_unit_have_no_pairs() -> None:
    summary = summary_of(made_up(longest=1))
    assert summary.attributions().num_rows
    assert summary.interactions().num_rows == 0


def through_state(summary: TextSummary) -> TextSummary:
    return TextSummary.of_state({"counts": np.zeros(1), **summary.state()})


def test_a_state_has_all_of_it() -> None:
    summary = summary_of(made_up(), made_up(seed=4))
    assert_equal(through_state(summary), summary, rtol=0)
    assert through_state(TextSummary()).attributions().equals(TextSummary().attributions())
    first_order = summary_of(made_up(second_order=False))
    assert through_state(first_order).interactions() is None
    assert through_state(first_order).attributions().equals(first_order.attributions())


def test_a_summary_goes_on_from_its_state_to_the_last_bit() -> None:
    explanation = made_up(40)
    parts = [summary_of(part_of(explanation, slice(i, i + 2))) for i in range(0, 40, 2)]
    for stop in (1, 5, 19):
        straight, resumed = TextSummary(), TextSummary()
        for i, part in enumerate(parts):
            straight.merge(part)
            resumed.merge(part)
            if i == stop:
                resumed = through_state(resumed)
        assert_equal(resumed, straight, rtol=0)


def test_states_hold_no_objects() -> None:
    assert not [name for name, values in summary_of(made_up()).state().items() if values.dtype.hasobject]


def test_what_is_dropped_is_rare_and_counts_are_off_by_no_more_than_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "MOST_KEPT", 120)
    monkeypatch.setattr(moments, "LEAST_PENDING", 300)
    explanation = made_up(400)
    _, _, pairs = occurrences(explanation)
    summary = TextSummary()
    for i in range(0, 400, 10):
        summary.merge(summary_of(part_of(explanation, slice(i, i + 10))))
    dropped = summary._pairs.settled().dropped
    found = {(e["target"], e["feature_i"], e["feature_j"]): e["rows"] for e in summary.interactions().to_pylist()}
    assert 0 < dropped < max(map(len, pairs.values()))
    assert 0 < len(found) <= 120 < len(pairs)
    for key, values in pairs.items():
        assert len(values) - dropped <= found.get(key, 0) <= len(values), key
    assert f"those seen {dropped} times or less may be missing" in summary.note
    assert summary_of(made_up(5, longest=2)).note is None


def test_dropping_is_told_by_the_state_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "MOST_KEPT", 60)
    summary = summary_of(made_up(400))
    assert through_state(summary).note == summary.note is not None


def test_many_parts_are_merged_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "LEAST_PENDING", 100)
    parts = [made_up(10, seed=seed) for seed in range(30)]
    summary = TextSummary()
    for part in parts:
        summary.merge(summary_of(part))
        held = sum(map(len, summary._pairs.pending))
        assert held <= max(len(summary._pairs.frame), 100)
    monkeypatch.undo()
    assert_equal(summary, summary_of(*parts))


def test_no_occurrences_are_an_empty_table() -> None:
    nothing = Occurrences.none(PAIR_KEYS)
    assert len(nothing.merge(nothing).settled().frame) == 0
    assert nothing.settled().frame.dtypes["count"] == np.int64
    assert isinstance(nothing.frame, pd.DataFrame)
