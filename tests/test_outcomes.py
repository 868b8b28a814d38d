"""What the page tells of the model beside the label: the class it chooses, its probability, and who is wrong."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from judged_runs import MISSING_ROW, N_ROWS, Tail, explained, explained_texts, outputs_of, table_of
from pages import write_table_run
from torch import nn

from ihcli.report.outcomes import Outcomes, outcomes_of
from ihcli.report.trust import trust_of
from ihcli.results.result import read

LABEL = ("--label", "truth")
FLOAT32 = 1e-5
CLASSES = ("low", "mid", "high")
NAMED = ("--output-names", ",".join(CLASSES))


def outcomes(run: Path, data: Path | None = None) -> Outcomes:
    result = read(run)
    return outcomes_of(result, trust_of(result)[1], None if data is None else str(data))


def softmax(outputs: np.ndarray) -> np.ndarray:
    shares = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("scale", ["model", "logit", "probability", "log-probability", "margin"])
@pytest.mark.parametrize("tail", [None, nn.Softmax(dim=1), nn.LogSoftmax(dim=1)])
@pytest.mark.parametrize("target", [(), ("--target", "all")])
def test_classes_are_those_of_the_model_whatever_is_explained(
    tmp_path: Path, tail: nn.Module | None, scale: str, target: tuple[str, ...]
) -> None:
    module, table = Tail(3, tail), table_of(3)
    raw = Tail(3)
    shares = softmax(outputs_of(raw, table))
    found = outcomes(explained(tmp_path, module, table, "-m", "ig", *LABEL, *NAMED, "--scale", scale, *target))
    assert found.classes == CLASSES
    np.testing.assert_array_equal(found.predicted, shares.argmax(axis=1))
    np.testing.assert_array_equal(found.is_wrong, np.array(CLASSES)[shares.argmax(axis=1)] != table["truth"])
    known = np.isfinite(found.probability)
    np.testing.assert_allclose(found.probability[known], shares.max(axis=1)[known], atol=FLOAT32)
    of_own = {None: "logit", nn.Softmax: "probability", nn.LogSoftmax: "log-probability"}[tail and type(tail)]
    told = of_own if scale == "model" else scale
    one_of_softmax_tells = told in ("probability", "log-probability")
    assert known.all() == (one_of_softmax_tells or (bool(target) and told == "logit"))


@pytest.mark.parametrize("scale", ["model", "logit", "probability", "margin"])
@pytest.mark.parametrize("tail", [None, nn.Sigmoid()])
def test_a_single_output_decides_between_two(tmp_path: Path, tail: nn.Module | None, scale: str) -> None:
    module, table = Tail(1, tail), table_of(2)
    p = 1 / (1 + np.exp(-outputs_of(Tail(1), table)[:, 0]))
    found = outcomes(explained(tmp_path, module, table, "-m", "ig", *LABEL, "--scale", scale))
    np.testing.assert_array_equal(found.predicted, p > 0.5)
    np.testing.assert_array_equal(found.is_wrong, (p > 0.5) != table["truth"])
    np.testing.assert_allclose(found.probability, np.maximum(p, 1 - p), atol=FLOAT32)
    assert np.argmin(found.margin) == np.argmin(np.abs(p - 0.5))


@pytest.mark.parametrize(("scale", "is_told"), [("probability", True), ("margin", True), ("logit", False)])
def test_one_of_two_outputs_tells_who_is_chosen_where_its_scale_does(tmp_path: Path, scale: str, is_told: bool) -> None:
    table = table_of(2)
    shares = softmax(outputs_of(Tail(2), table))
    options = (*LABEL, "--output-names", "no,yes", "--target", "yes", "--scale", scale)
    found = outcomes(explained(tmp_path, Tail(2), table, "-m", "ig", *options))
    if is_told:
        np.testing.assert_array_equal(found.predicted, shares.argmax(axis=1))
        np.testing.assert_allclose(found.probability, shares.max(axis=1), atol=FLOAT32)
        assert found.why_no_classes is None
    else:
        assert (found.predicted == -1).all()
        assert f"known of 0 of {N_ROWS} rows" in str(found.why_no_classes)
    np.testing.assert_array_equal(found.true, table["truth"])


def test_one_probability_of_several_tells_of_the_rows_where_it_is_more_than_half(tmp_path: Path) -> None:
    table, options = table_of(3), ("-m", "ig", *LABEL, *NAMED)
    shares = softmax(outputs_of(Tail(3), table))
    run = explained(tmp_path, Tail(3, nn.Softmax(dim=1)), table, *options, "--target", "high")
    found, is_sure = outcomes(run), shares[:, 2] > 0.5
    np.testing.assert_array_equal(found.predicted, np.where(is_sure, 2, -1))
    assert f"known of {is_sure.sum()} of {N_ROWS} rows" in str(found.why_no_classes)
    assert "Try ihcli explain with no target named." in str(found.why_no_classes)
    followed = outcomes(explained(tmp_path, Tail(3, nn.Softmax(dim=1)), table, *options))
    assert ((followed.predicted >= 0).all(), followed.why_no_classes) == (True, None)


def test_numbers_are_held_against_predictions(tmp_path: Path) -> None:
    table = table_of(None)
    found = outcomes(explained(tmp_path, Tail(1), table, "-m", "ig", *LABEL))
    assert found.classes == ()
    np.testing.assert_allclose(found.off, outputs_of(Tail(1), table)[:, 0] - table["truth"], atol=FLOAT32)
    assert not found.is_wrong.any()


def test_a_smoothed_model_is_judged_as_it_came(tmp_path: Path) -> None:
    module, table = Tail(3), table_of(3)
    module.body[1] = nn.ReLU()
    options = (*LABEL, *NAMED, "--target", "all", "--smooth", "1", "--smooth-tolerance", "9")
    found = outcomes(explained(tmp_path, module, table, *options))
    np.testing.assert_array_equal(found.predicted, outputs_of(module, table).argmax(axis=1))


def test_rows_without_input_or_label_are_neither_right_nor_wrong(tmp_path: Path) -> None:
    table = table_of(3)
    table.loc[MISSING_ROW, "age"] = np.nan
    table.loc[3, "truth"] = None
    table.loc[4, "truth"] = "enormous"
    found = outcomes(explained(tmp_path, Tail(3), table, "-m", "ig", *LABEL, *NAMED, "--missing", "flag"))
    assert found.predicted[MISSING_ROW] == -1
    assert np.flatnonzero(np.isnan(found.true)).tolist() == [3, 4]
    assert np.flatnonzero(~found.is_known).tolist() == [3, 4, MISSING_ROW]


def test_without_labels_the_class_is_known_and_nothing_is_wrong(tmp_path: Path) -> None:
    found = outcomes(explained(tmp_path, Tail(3), table_of(3), "-m", "ig", *NAMED))
    assert (found.predicted >= 0).all()
    assert (found.label, found.why_no_labels) == (None, None)
    assert not found.is_known.any()


def test_labels_that_are_gone_are_told_of_and_found_in_a_copy(tmp_path: Path) -> None:
    run = explained(tmp_path, Tail(3), table_of(3), "-m", "ig", *LABEL, *NAMED)
    before = outcomes(run)
    (tmp_path / "table.csv").rename(tmp_path / "moved.csv")
    reason = str(outcomes(run).why_no_labels)
    assert "table.csv: no such file" in reason
    assert reason.endswith("Try ihcli report with data that have the column 'truth'.")
    np.testing.assert_array_equal(outcomes(run, tmp_path / "moved.csv").true, before.true)
    pd.read_csv(tmp_path / "moved.csv").drop(columns="truth").to_csv(tmp_path / "bare.csv", index=False)
    assert "'truth'" in str(outcomes(run, tmp_path / "bare.csv").why_no_labels)


def test_labels_that_are_explained_are_the_true_ones(tmp_path: Path) -> None:
    table = table_of(3)
    run = explained(tmp_path, Tail(3), table, "-m", "ig", *LABEL, *NAMED, "--target", "label")
    (tmp_path / "table.csv").unlink()
    found = outcomes(run)
    assert [CLASSES[int(place)] for place in found.true] == table["truth"].tolist()


def test_texts_have_labels(tmp_path: Path) -> None:
    found = outcomes(explained_texts(tmp_path, "-m", "ig", *LABEL))
    assert found.true.tolist() == [0, 1, 0, 1, 1]
    assert (found.predicted >= 0).all()


def test_a_run_that_tells_no_classes_has_none(tmp_path: Path) -> None:
    found = outcomes(write_table_run(tmp_path / "made")[0].path)
    assert (found.classes, found.label, len(found.rows)) == ((), None, 30)
    assert not found.is_known.any()


def test_outcomes_of_some_rows_are_those_rows(tmp_path: Path) -> None:
    found = outcomes(explained(tmp_path, Tail(3), table_of(3), "-m", "ig", *LABEL, *NAMED))
    some = found.at([2, 5, N_ROWS - 1])
    assert some.rows.tolist() == [2, 5, N_ROWS - 1]
    np.testing.assert_array_equal(some.true, found.true[[2, 5, N_ROWS - 1]])
