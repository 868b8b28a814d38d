"""The sentence that a page begins with: facts of the run, and none that it does not know."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pytest
from runs import write_cut_short, write_run, write_text_run

from ihcli.quality import Status
from ihcli.report import contents_of
from ihcli.report.headline import Known, headline_of, percent
from ihcli.results.model_quality import ModelQuality
from ihcli.results.result import read
from ihcli.summaries.figures import Line

NO_LABELS = ModelQuality((), {})
FEATURES = pa.table({"feature": ["a", "b", "c", "d"], "share": [0.4, 0.2, 0.15, 0.25 / 2]})
PAIRS = pa.table({"feature_i": ["a", "a"], "feature_j": ["b", "c"], "mean_abs": [2.0, 1.0]})


def said(
    features: pa.Table | None = FEATURES,
    pairs: pa.Table | None = PAIRS,
    certain: int | None = 1,
    statuses: Mapping[str, int] | None = None,
    method: str = "ih",
    quality: ModelQuality = NO_LABELS,
    others: int = 0,
) -> str:
    known = Known(features, pairs, certain, statuses or {Status.OK: 4}, method, "features", others)
    return headline_of(known, quality)


def test_a_sentence_is_of_features_pairs_rows_and_the_model() -> None:
    accuracy = ModelQuality((Line("model", "accuracy", 0.972, 4),), {})
    assert said(quality=accuracy) == (
        "Three features carry 75 % of the attribution; the strongest pair is a × b; 100 % of rows are certified; "
        "accuracy 0.972."
    )
    assert said(quality=ModelQuality((Line("model", "r2", 0.5, 4),), {})).endswith("; R2 0.5.")


def test_what_a_run_does_not_know_is_left_out() -> None:
    assert said(pairs=None) == "Three features carry 75 % of the attribution; 100 % of rows are certified."
    assert said(features=None, pairs=None) == "100 % of rows are certified."
    assert said(features=None, pairs=None, method="gradient", statuses={Status.UNCERTIFIED: 4}) == ""
    nothing = pa.table({"feature_i": ["a"], "feature_j": ["b"], "mean_abs": [0.0]})
    assert "pair" not in said(pairs=nothing)
    assert "carry" not in said(features=FEATURES.set_column(1, "share", pa.array([None] * 4, pa.float64())))


def test_rows_without_values_are_not_among_the_certified_ones() -> None:
    assert "; 100 % of rows with values are certified." in said(others=2)


def test_names_from_right_to_left_do_not_turn_the_sentence() -> None:
    hebrew = "\u05e9\u05dc\u05d5\u05dd"
    pairs = pa.table({"feature_i": [hebrew], "feature_j": ["-b"], "mean_abs": [1.0]})
    assert f"the strongest pair is \u2068{hebrew}\u2069 × -b;" in said(pairs=pairs)


def test_few_features_leave_one_to_name() -> None:
    assert said(features=FEATURES.slice(0, 3)).startswith("One feature, a, carries 40 % of the attribution;")
    assert "carries" not in said(features=FEATURES.slice(0, 1))


def test_a_strongest_pair_that_is_not_certain_is_told_so() -> None:
    assert "a × b, within error of the next;" in said(certain=0)
    assert "a × b;" in said(certain=None)
    assert "a × b;" in said(certain=0, pairs=PAIRS.slice(0, 1))


def test_only_integrals_are_certified() -> None:
    assert "rows are certified" in said(method="eg")
    assert "rows are within tolerance" in said(method="sii")
    for method in ("gradient", "not a method"):
        assert "rows" not in said(method=method)


@pytest.mark.parametrize(
    ("share", "words"),
    [(1.0, "100 %"), (0.99996, "99.9 %"), (0.995, "99.5 %"), (0.42, "42 %"), (0.0031, "0.3 %"), (0.0, "0 %")],
)
def test_a_share_is_never_rounded_up_to_all(share: float, words: str) -> None:
    assert percent(share) == words


@pytest.mark.parametrize(("value", "words"), [(0.9999, "0.999"), (1.0, "1"), (0.9994, "0.999"), (-0.25, "-0.25")])
def test_a_model_that_errs_is_not_told_to_be_perfect(value: float, words: str) -> None:
    assert said(quality=ModelQuality((Line("model", "r2", value, 9_999),), {})).endswith(f"; R2 {words}.")


def test_each_target_has_its_sentence(tmp_path: Path) -> None:
    write_run(tmp_path / "run", targets=("good", "bad"))
    found = contents_of(read(tmp_path / "run"))
    features, pairs = read(tmp_path / "run").summary_attributions(), read(tmp_path / "run").summary_interactions()
    for target, sentence in zip(found.targets, found.headlines, strict=True):
        (first, *_) = [row for row in features.to_pylist() if row["target"] == target.name]
        (pair, *_) = [row for row in pairs.to_pylist() if row["target"] == target.name]
        assert f", {first['feature']}, carries {percent(first['share'])}" in sentence
        assert f"{pair['feature_i']} × {pair['feature_j']}" in sentence


def test_rows_that_missed_the_tolerance_are_not_certified(tmp_path: Path) -> None:
    write_cut_short(tmp_path / "run")
    assert "; 67 % of rows are certified" in contents_of(read(tmp_path / "run")).headlines[0]


def test_texts_have_words(tmp_path: Path) -> None:
    write_text_run(tmp_path / "run")
    assert (
        "the strongest pair is bad × not; 67 % of rows are certified."
        in contents_of(read(tmp_path / "run")).headlines[0]
    )
