"""Results of a run as a notebook sees them: tables, single records, arrays, and other packages' layouts."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from runs import FEATURES, TEXTS, made_up_explanation, write_run, write_text_run

import ihcli
from ihcli.bars import pair_bars
from ihcli.errors import OptionError, RunError
from ihcli.results.result import Result
from ihcli.runs.info import RunInfo
from ihcli.runs.storage import InteractionStorage
from ihcli.runs.writer import create_run

BOTH = ("benign", "malignant")
KEYS = pa.table({"patient": [f"P{row}" for row in range(6)]})
SINGLE = 1e-6  # texts are stored in float32
UPPER = np.triu_indices(len(FEATURES), 1)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "run"


def with_a_missing_row(run: Path, row: int) -> Result:
    explanation = made_up_explanation()
    changed = {name: getattr(explanation, name).copy() for name in ("attributions", "interactions", "prediction")}
    for values in changed.values():
        values[row] = np.nan
    status = explanation.status.copy()
    status[row] = "missing_input"
    write_run(run)
    writer = create_run(run, overwrite=True)
    writer.write_part(0, replace(explanation, **changed, status=status), KEYS)
    writer.write_info(
        RunInfo.of({"status": "failed", "features": list(FEATURES), "keys": ["patient"], "method": {"name": "ih"}})
    )
    return ihcli.read(run)


def test_a_run_says_what_it_is(run: Path) -> None:
    write_run(run, targets=BOTH)
    result = ihcli.read(run)
    assert (result.path, result.method, result.is_text) == (run, "ih", False)
    assert (result.feature_names, result.targets, result.keys, result.n_rows) == (FEATURES, BOTH, ("patient",), 6)
    assert result.info["status"] == "done"


def test_tables_are_data_frames(run: Path) -> None:
    explanation = write_run(run, targets=BOTH)
    result = ihcli.read(run)
    np.testing.assert_array_equal(result.attributions[list(FEATURES)].to_numpy(), explanation.attributions)
    assert result.attributions["patient"].tolist() == [f"P{row}" for row in explanation.row]
    assert len(result.attribution_summary) == 2 * len(FEATURES)
    assert list(result.interaction_summary["rank"]) == [1, 2, 3, 1, 2, 3]
    assert isinstance(result.interaction_summary, pd.DataFrame)


def test_a_record_holds_one_entry(run: Path) -> None:
    explanation = write_run(run, targets=BOTH)
    record = ihcli.read(run).record(2, target="malignant")
    assert (record.row, record.keys, record.target, record.names) == (2, {"patient": "P2"}, "malignant", FEATURES)
    np.testing.assert_array_equal(record.attributions, explanation.attributions[5])
    np.testing.assert_array_equal(record.interactions, explanation.interactions[5])
    assert record.quality == {
        "prediction": explanation.prediction[5],
        "baseline_prediction": 0.5,
        "completeness_gap": 0.0,
        "relative_error": 1e-3,
        "interaction_error": 2e-3,
        "evaluations": 8,
        "status": "ok",
    }


def test_a_record_is_found_by_its_key(run: Path) -> None:
    write_run(run)
    assert ihcli.read(run).record(key={"patient": "P4"}).row == 4


def test_drift_and_sampling_error_are_told_where_the_run_has_them(run: Path) -> None:
    write_run(run)
    writer = create_run(run, overwrite=True)
    measured = replace(made_up_explanation(), drift=np.full(6, 0.25), sampling_error=np.full(6, 0.125))
    writer.write_part(0, measured, KEYS)
    writer.write_info(RunInfo.of({"features": list(FEATURES), "keys": ["patient"]}))
    quality = ihcli.read(run).record(0).quality
    assert (quality["drift"], quality["sampling_error"]) == (0.25, 0.125)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (
            lambda result: result.record(2),
            "`target`: row 2 has 2 targets. Expected one of 'benign', 'malignant'. Try `target=benign`.",
        ),
        (lambda result: result.record(2, target="x"), "`target`: row 2 has no target 'x'. Expected benign, malignant."),
        (lambda result: result.record(6), "`row=6`: there is no such row. Expected 0 to 5."),
        (lambda result: result.record(), "`row`, `key`: exactly one of both selects the row. Try `row=0`."),
        (lambda result: result.record(key={"patient": "P9"}), "`key=patient=P9`: no row of RUN has it."),
        (
            lambda result: result.record(key={"name": "x"}),
            "`key=name`: RUN has no such key column. Expected one of patient.",
        ),
        (
            lambda result: result.interaction_array(),
            "`target`: rows have several targets. Expected one of 'benign', 'malignant'. Try `target=benign`.",
        ),
        (
            lambda result: result.interaction_array(target="x"),
            "`target`: RUN has no target 'x'. Expected one of 'benign', 'malignant'.",
        ),
        (
            lambda result: result.interaction_array([0, 7], target="benign"),
            "rows: RUN has no row 7. Expected 0 to 5.",
        ),
    ],
)
def test_what_is_not_there_is_named(run: Path, ask: Callable[[Result], Any], message: str) -> None:
    write_run(run, targets=BOTH)
    with pytest.raises(OptionError) as caught:
        ask(ihcli.read(run))
    assert str(caught.value) == message.replace("RUN", str(run))


def test_a_key_that_several_rows_share_lists_them(run: Path) -> None:
    writer = create_run(run)
    writer.write_part(0, made_up_explanation(), pa.table({"ward": ["A", "B", "A", "A", "B", "B"]}))
    writer.write_info(RunInfo.of({"features": list(FEATURES), "keys": ["ward"]}))
    with pytest.raises(OptionError) as caught:
        ihcli.read(run).record(key={"ward": "A"})
    assert str(caught.value) == f"`key=ward=A`: 3 rows of {run} have it: 0, 2, 3. Expected one. Try `row=0`."


def test_arrays_hold_the_rows_that_were_asked_in_their_order(run: Path) -> None:
    explanation = write_run(run, targets=BOTH)
    result, of_one = ihcli.read(run), explanation.interactions[1::2]
    np.testing.assert_array_equal(result.interactions(4, "malignant"), of_one[4])
    np.testing.assert_array_equal(result.interaction_array(target="malignant"), of_one)
    np.testing.assert_array_equal(result.interaction_array([4, 1], "malignant"), of_one[[4, 1]])


def test_an_array_of_float32_stays_one_and_parts_are_joined(run: Path) -> None:
    explanation = made_up_explanation()
    single = replace(explanation, interactions=explanation.interactions.astype(np.float32))
    writer = create_run(run)
    for part in range(2):
        writer.write_part(part, replace(single, row=single.row + 6 * part), KEYS)
    writer.write_info(RunInfo.of({"features": list(FEATURES), "keys": ["patient"]}))
    array = ihcli.read(run).interaction_array([11, 0])
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, single.interactions[[5, 0]])


def test_rows_without_values_are_nan(run: Path) -> None:
    result = with_a_missing_row(run, 3)
    array = result.interaction_array()
    assert np.isnan(array[3]).all()
    np.testing.assert_array_equal(np.delete(array, 3, axis=0), np.delete(made_up_explanation().interactions, 3, axis=0))
    record = result.record(3)
    assert (record.interactions, record.has_values, record.quality["prediction"]) == (None, False, None)
    assert np.isnan(record.attributions).all()
    with pytest.raises(RunError, match=r"row 3 has no values, its status is missing_input\."):
        result.interactions(3)


def test_finished_parts_of_a_run_that_failed_can_be_read(run: Path) -> None:
    result = with_a_missing_row(run, 3)
    assert (len(result.attributions), result.n_rows, result.targets) == (6, 6, ("risk",))
    with pytest.raises(RunError, match=r"the run did not finish \(status failed\), so it has no summary\."):
        _ = result.attribution_summary


@pytest.mark.parametrize("kind", ["top:2", "none"])
def test_runs_that_store_less_say_so(run: Path, kind: str) -> None:
    explanation = made_up_explanation()
    writer = create_run(run, InteractionStorage.parse(kind))
    writer.write_part(0, explanation, KEYS)
    writer.write_info(RunInfo.of({"features": list(FEATURES), "keys": ["patient"]}))
    result = ihcli.read(run)
    record = result.record(1)
    assert record.interactions is None
    with pytest.raises(RunError, match="stores" if kind == "top:2" else "has no interactions"):
        result.interactions(1)
    if kind == "none":
        assert record.top_pairs is None
        return
    effects = {(FEATURES[i], FEATURES[j]): 2 * explanation.interactions[1, i, j] for i, j in ((0, 1), (0, 2), (1, 2))}
    largest = sorted(effects, key=lambda pair: -abs(effects[pair]))[:2]
    assert record.top_pairs == tuple((*pair, effects[pair]) for pair in largest)


@pytest.mark.parametrize("kind", ["full", "top:2"])
def test_pairs_of_a_record_have_error_bars_whatever_is_stored(run: Path, kind: str) -> None:
    gamma, error = made_up_explanation().interactions, np.array([0.001, 0.2, 0.001, 0.5, 0.001, 0.001])
    assert gamma is not None
    writer = create_run(run, InteractionStorage.parse(kind))
    writer.write_part(0, replace(made_up_explanation(), interaction_error=error), KEYS)
    writer.write_info(RunInfo.of({"features": list(FEATURES), "keys": ["patient"]}))
    bars, certain = pair_bars(gamma, error), []
    for row in range(6):
        record = ihcli.read(run).record(row)
        assert record.pairs is not None
        sizes = sorted(np.abs(2 * gamma[row][UPPER]), reverse=True)
        assert [abs(pair.effect) for pair in record.pairs] == sizes[: 3 if kind == "full" else 2]
        for pair in record.pairs:
            i, j = FEATURES.index(pair.i), FEATURES.index(pair.j)
            assert pair.error_bar == pytest.approx(2 * bars[row, i, j], rel=1e-9)
            assert pair.standard_error is None
        certain.append([pair.certain for pair in record.pairs])
    assert certain[0] == [True] * len(certain[0])
    assert not all(certain[3])
    found = ihcli.read(run).record(2).error_bars
    assert (found is None) == (kind != "full")
    if found is not None:
        np.testing.assert_allclose(found, bars[2], rtol=1e-9)


def test_standard_errors_of_the_largest_pairs_come_back(run: Path) -> None:
    explanation = made_up_explanation()
    writer = create_run(run, InteractionStorage.parse("top:3"))
    writer.write_part(0, replace(explanation, interaction_spread=np.abs(explanation.interactions) / 7), KEYS)
    writer.write_info(RunInfo.of({"features": list(FEATURES), "keys": ["patient"]}))
    pairs = ihcli.read(run).record(4).pairs
    assert pairs is not None
    assert [pair.standard_error for pair in pairs] == pytest.approx([abs(pair.effect) / 7 for pair in pairs])


@pytest.mark.parametrize("kind", ["full", "top:2"])
def test_pairs_of_a_run_of_before_have_no_bars(run: Path, kind: str) -> None:
    writer = create_run(run, InteractionStorage.parse(kind))
    writer.write_part(0, replace(made_up_explanation(), interaction_error=None), KEYS)
    writer.write_info(RunInfo.of({"features": list(FEATURES), "keys": ["patient"]}))
    record = ihcli.read(run).record(0)
    assert record.error_bars is None
    assert record.pairs is not None
    assert {(pair.error_bar, pair.standard_error, pair.certain) for pair in record.pairs} == {(None, None, None)}


def test_a_run_of_ig_has_records_without_interactions(run: Path) -> None:
    write_run(run, second_order=False)
    result = ihcli.read(run)
    assert (result.method, result.record(0).interactions, result.record(0).top_pairs) == ("ig", None, None)
    with pytest.raises(RunError, match=r"has no interactions, only attributions\. .* `method=ih`"):
        result.interaction_array()


def test_texts_have_units_of_their_own(run: Path) -> None:
    gammas = write_text_run(run)
    result = ihcli.read(run)
    assert (result.is_text, result.feature_names, result.n_rows) == (True, (), 3)
    assert result.attributions["units"].tolist() == [None if units is None else list(units) for units in TEXTS]
    for row, gamma in enumerate(gammas[:2]):
        record = result.record(row)
        assert record.names == TEXTS[row]
        np.testing.assert_allclose(record.attributions, gamma.sum(axis=1), rtol=SINGLE)
        np.testing.assert_allclose(result.interactions(row), gamma, rtol=SINGLE)
    assert (result.record(2).names, result.record(2).interactions) == ((), None)
    with pytest.raises(RunError, match=r"explains texts, which differ in size\. Try interactions\(row\)\."):
        result.interaction_array()


def test_a_run_that_was_only_begun_says_what_it_does_not_tell(run: Path) -> None:
    create_run(run)
    with pytest.raises(RunError, match=r"run\.json: lacks 'features'\. Expected what ihcli explain writes\."):
        _ = ihcli.read(run).feature_names


def test_reading_imports_neither_torch_nor_pandas(run: Path) -> None:
    write_run(run)
    code = "import sys, ihcli; ihcli.read(sys.argv[1]).targets; sys.exit(any(m in sys.modules for m in "
    code += "('torch', 'pandas')))"
    assert subprocess.run([sys.executable, "-c", code, str(run)], check=False).returncode == 0
