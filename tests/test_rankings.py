"""Rankings of a run and of single records against plain Python over all entries."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import explanations
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from runs import FEATURES, made_up_explanation, write_run, write_text_run

from ihcli.errors import OptionError, RunError
from ihcli.explanation import Explanation
from ihcli.layouts.tables import TableLayout
from ihcli.layouts.texts import TextLayout
from ihcli.results.rankings import (
    Choice,
    by_target,
    features_of_records,
    pairs_of_records,
    ranked_features,
    ranked_pairs,
)
from ihcli.results.result import read
from ihcli.runs.info import RunInfo
from ihcli.runs.run import Run, open_run
from ihcli.runs.storage import InteractionStorage
from ihcli.runs.writer import create_run
from ihcli.summaries.texts import TextSummary

BOTH = ("benign", "malignant")
ALL = 1000
TABLE, TEXT = TableLayout(FEATURES), TextLayout("word")
PAIRS = ((0, 1), (0, 2), (1, 2))
ROUNDING = 1e-12


@pytest.fixture
def written(tmp_path: Path) -> tuple[Run, Explanation]:
    explanation = write_run(tmp_path / "run", targets=BOTH)
    return open_run(tmp_path / "run"), explanation


def effects_of(explanation: Explanation, target: str) -> dict[tuple[str, str], np.ndarray]:
    """Return the pair effects and main effects of a target, one value a row."""
    gamma = explanation.interactions[explanation.target == target]
    pairs = {(FEATURES[i], FEATURES[j]): 2 * gamma[:, i, j] for i, j in PAIRS}
    return pairs | {(name, name): gamma[:, i, i] for i, name in enumerate(FEATURES)}


SIZES = {
    "mean_abs": lambda values: np.abs(values).mean(),
    "mean": lambda values: abs(values.mean()),
    "std": lambda values: values.std(),
    "share": lambda values: np.abs(values).mean(),
}


@pytest.mark.parametrize("by", SIZES)
@pytest.mark.parametrize("main_effects", [False, True])
def test_pairs_are_in_the_order_of_any_statistic(written: tuple[Run, Explanation], by: str, main_effects: bool) -> None:
    run, explanation = written
    table = ranked_pairs(run, Choice(ALL, by, main_effects=main_effects))
    for target in BOTH:
        effects = effects_of(explanation, target)
        wanted = {pair: SIZES[by](values) for pair, values in effects.items() if main_effects or pair[0] != pair[1]}
        found = by_target(table)[target].to_pylist()
        order = [(entry["feature_i"], entry["feature_j"]) for entry in found]
        assert order == sorted(wanted, key=lambda pair: -wanted[pair])
        assert [entry["rank"] for entry in found] == list(range(1, len(wanted) + 1))
        means = [effects[pair].mean() for pair in order]
        np.testing.assert_allclose([entry["mean"] for entry in found], means, rtol=ROUNDING)


def test_main_effects_share_the_whole_with_pairs(written: tuple[Run, Explanation]) -> None:
    run, explanation = written
    found = ranked_pairs(run, Choice(ALL, main_effects=True)).to_pylist()[:6]
    sizes = {pair: np.abs(values).mean() for pair, values in effects_of(explanation, "benign").items()}
    for entry in found:
        pair = entry["feature_i"], entry["feature_j"]
        assert entry["share"] == pytest.approx(sizes[pair] / sum(sizes.values()), rel=ROUNDING)
        assert entry["kind"] == ("main" if pair[0] == pair[1] else "pair")
    stds = {entry["feature_i"]: entry["std"] for entry in found if entry["kind"] == "main"}
    for name in FEATURES:
        assert stds[name] == pytest.approx(effects_of(explanation, "benign")[name, name].std(), rel=ROUNDING)


def test_features_keep_their_rank_among_all(written: tuple[Run, Explanation]) -> None:
    run, _ = written
    every = ranked_pairs(run, Choice(ALL)).to_pylist()
    of_age = ranked_pairs(run, Choice(ALL, features=("age",))).to_pylist()
    assert of_age == [entry for entry in every if "age" in (entry["feature_i"], entry["feature_j"])]
    assert len(of_age) == 4
    assert ranked_pairs(run, Choice(1, features=("age",)))["target"].to_pylist() == list(BOTH)
    features = ranked_features(run, Choice(ALL, "std", features=("age", "pressure")))
    assert set(features["feature"].to_pylist()) == {"age", "pressure"}


def test_a_rank_says_what_it_is_by(written: tuple[Run, Explanation]) -> None:
    run, _ = written
    for by, words in ((None, b"by mean_abs within"), ("std", b"by the size of std within")):
        assert words in ranked_features(run, Choice(1, by)).schema.field("rank").metadata[b"definition"]


# Units of texts, seen more or less often


def write_counted_run(path: Path) -> Run:
    """Write the summaries of a run over texts with two targets, in which pairs were seen 1 to 4 times."""
    rng = np.random.default_rng(0)
    units, gammas = np.empty(4, object), np.empty(4, object)
    for i in range(4):
        units[i] = ("a", "b", "c", "d", "e")[: i + 2]
        half = rng.normal(size=(i + 2, i + 2))
        gammas[i] = half + half.T
    entries = np.repeat(np.arange(4), 2)
    explanation = explanations.of_texts(units[entries], gammas[entries], BOTH * 4, row=entries)
    summary = TextSummary()
    summary.update(explanation)
    writer = create_run(path)
    writer.write_summary(summary.attributions(), summary.interactions())
    writer.write_info(RunInfo.of({"units": "word", "totals": {"rows": 4}}))
    return open_run(path)


@pytest.mark.parametrize("by", [None, "std", "share"])
@pytest.mark.parametrize("rank", [ranked_features, ranked_pairs])
def test_entries_seen_less_often_are_left_out_and_the_rest_ranked_anew(
    tmp_path: Path, by: str | None, rank: Callable[[Run, Choice], pa.Table]
) -> None:
    run = write_counted_run(tmp_path / "run")
    every = rank(run, Choice(ALL, by)).to_pylist()
    found = rank(run, Choice(ALL, by, min_count=3)).to_pylist()
    wanted = [entry for entry in every if entry["rows"] >= 3]
    assert 0 < len(found) < len(every)
    assert [entry | {"rank": None} for entry in found] == [entry | {"rank": None} for entry in wanted]
    assert [entry["rank"] for entry in found] == [*range(1, len(found) // 2 + 1)] * 2
    assert rank(run, Choice(ALL, by, min_count=1)).to_pylist() == every
    assert rank(run, Choice(1, by, min_count=3)).to_pylist() == [found[0], found[len(found) // 2]]


def test_a_feature_that_was_seen_too_seldom_is_no_unknown_one(tmp_path: Path) -> None:
    run = write_counted_run(tmp_path / "run")
    assert ranked_pairs(run, Choice(ALL, features=("e",), min_count=3)).num_rows == 0
    with pytest.raises(OptionError, match="`feature`: there is no 'f'"):
        ranked_pairs(run, Choice(ALL, features=("f",), min_count=3))


def test_a_count_that_nothing_reaches_proposes_another(tmp_path: Path) -> None:
    with pytest.raises(OptionError) as caught:
        ranked_pairs(write_counted_run(tmp_path / "run"), Choice(ALL, min_count=5))
    assert str(caught.value) == ("`min_count`: nothing was seen 5 times. Expected at most 4, got 5. Try `min_count=2`.")


def test_shares_beside_main_effects_count_every_occurrence(tmp_path: Path) -> None:
    found = ranked_pairs(write_counted_run(tmp_path / "run"), Choice(ALL, main_effects=True))
    entries = by_target(found)["benign"].to_pylist()
    sums = [entry["mean_abs"] * entry["rows"] for entry in entries]
    np.testing.assert_allclose([entry["share"] for entry in entries], np.divide(sums, sum(sums)), rtol=ROUNDING)


def test_an_unknown_feature_proposes_the_nearest(written: tuple[Run, Explanation]) -> None:
    run, _ = written
    for rank in (ranked_features, ranked_pairs):
        with pytest.raises(OptionError) as caught:
            rank(run, Choice(ALL, features=("presure",)))
        assert str(caught.value) == (
            "`feature`: there is no 'presure'. Expected one of 3 names, got presure. Try pressure."
        )


def test_a_summary_of_an_older_version_has_no_main_effects_to_rank(written: tuple[Run, Explanation]) -> None:
    run, _ = written
    file = run.path / "summary" / "attributions.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["main_std"]), file)
    with pytest.raises(RunError, match=r"its summary has no column main_std, as an older ihcli wrote it\."):
        ranked_pairs(run, Choice(ALL, main_effects=True))


@pytest.mark.parametrize("main_effects", [False, True])
def test_the_effects_of_a_record_are_signed_and_the_largest_come_first(
    written: tuple[Run, Explanation], main_effects: bool
) -> None:
    run, explanation = written
    records = read(run.path).records(4)
    table = pairs_of_records(records, Choice(ALL, main_effects=main_effects), TABLE)
    assert table.column_names[:3] == ["_row", "patient", "target"]
    for entry, target in enumerate(BOTH):
        effects = effects_of(explanation, target)
        wanted = {pair: values[4] for pair, values in effects.items() if main_effects or pair[0] != pair[1]}
        found = by_target(table)[target].to_pylist()
        order = [(line["feature_i"], line["feature_j"]) for line in found]
        assert order == sorted(wanted, key=lambda pair: -abs(wanted[pair]))
        assert [line["effect"] for line in found] == [wanted[pair] for pair in order]
        assert sum(line["share"] for line in found) == pytest.approx(1)
        assert {(line["_row"], line["patient"]) for line in found} == {(4, "P4")}
        phi = features_of_records(records[entry : entry + 1], Choice(2), TABLE)
        largest = np.argsort(-np.abs(explanation.attributions[8 + entry]))[:2]
        assert phi["feature"].to_pylist() == [FEATURES[i] for i in largest]
        assert phi["attribution"].to_pylist() == explanation.attributions[8 + entry][largest].tolist()


def test_features_of_a_record_keep_their_rank(written: tuple[Run, Explanation]) -> None:
    run, _ = written
    record = read(run.path).record(0, target="benign")
    every = pairs_of_records([record], Choice(ALL), TABLE).to_pylist()
    found = pairs_of_records([record], Choice(ALL, features=("age",)), TABLE).to_pylist()
    assert found == [entry for entry in every if "age" in (entry["feature_i"], entry["feature_j"])]


def test_units_of_a_text_come_with_their_positions(tmp_path: Path) -> None:
    gamma = write_text_run(tmp_path / "run")[0]
    record = read(tmp_path / "run").record(0)
    found = pairs_of_records([record], Choice(ALL, main_effects=True), TEXT).to_pylist()
    assert len(found) == 10
    for entry in found:
        i, j = entry["position_i"], entry["position_j"]
        assert (entry["feature_i"], entry["feature_j"]) == (record.names[i], record.names[j])
        assert entry["kind"] == ("main" if i == j else "pair")
        assert entry["effect"] == pytest.approx(gamma[i, j] * (1 if i == j else 2), rel=1e-6)
    repeated = features_of_records([record], Choice(ALL, features=("not",)), TEXT)
    assert sorted(repeated["position"].to_pylist()) == [0, 2]


def test_the_largest_pairs_that_a_run_stores_are_ranked(tmp_path: Path) -> None:
    writer = create_run(tmp_path / "run", InteractionStorage.parse("top:2"))
    writer.write_part(0, made_up_explanation(), pa.table({"patient": list("abcdef")}))
    writer.write_info(RunInfo.of({"features": list(FEATURES), "keys": ["patient"]}))
    record = read(tmp_path / "run").record(3)
    found = pairs_of_records([record], Choice(ALL), TABLE).to_pylist()
    assert [(e["feature_i"], e["feature_j"], e["effect"]) for e in found] == list(record.top_pairs)
    with pytest.raises(RunError, match=r"`main_effects`: the run stores the largest pairs of every row only\."):
        pairs_of_records([record], Choice(ALL, main_effects=True), TABLE)


def test_a_key_named_like_a_column_of_the_ranking_is_kept_apart(tmp_path: Path) -> None:
    writer = create_run(tmp_path / "run")
    writer.write_part(0, made_up_explanation(), pa.table({"rank": list("abcdef")}))
    writer.write_info(RunInfo.of({"features": list(FEATURES), "keys": ["rank"]}))
    found = features_of_records([read(tmp_path / "run").record(3)], Choice(1), TABLE)
    assert (found["key_rank"].to_pylist(), found["rank"].to_pylist()) == (["d"], [1])


def test_a_record_without_values_or_interactions_says_so(tmp_path: Path) -> None:
    write_text_run(tmp_path / "run")
    empty = read(tmp_path / "run").record(2)
    for show in (features_of_records, pairs_of_records):
        with pytest.raises(RunError, match=r"`row=2`: has no values, its status is missing_input\."):
            show([empty], Choice(ALL), True)
    bare = replace(read(tmp_path / "run").record(0), interactions=None)
    with pytest.raises(RunError, match=r"stores no interactions of single rows\. Try ihcli explain with"):
        pairs_of_records([bare], Choice(ALL), TEXT)
