"""Good runs pass; every way to damage one turns the check red that is for it; memory does not grow with a run."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from forgeries import CHUNK_ROWS, TABLES, TEXTS, Folder, change, edit, part, tell, value
from model_files import quietly

from ihcli.errors import RunError
from ihcli.execution.pipeline import run
from ihcli.runs.info import RunInfo
from ihcli.runs.seals import question_sha256
from ihcli.runs.totals import Observer
from ihcli.verification import FAILED, NOT_CHECKED, PASSED, Finding, checking, stored, verify_run
from ihcli.verification.figures import Gaps
from ihcli.verification.findings import GROSS, Bounded
from ihcli.verification.rows import Counts

MOST_HELD_BYTES = 2 << 20  # some row groups of 0.4 MB
SEALED = {"seal", "question", "SHA-256"}
ALWAYS = {"run.json", "parts", "columns", "rows", "targets", "totals", "statuses", "nulls", "completeness gap"} | SEALED
WITH_MATRICES = {"row sums", "symmetry", "pairing", "summary of interactions", "ranks of interactions"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return Folder(tmp_path_factory.mktemp("verified"))


def outcomes(path: Path) -> dict[str, str]:
    return {finding.check: finding.outcome for finding in verify_run(path)}


def failed(path: Path) -> dict[str, str]:
    return {finding.check: finding.detail for finding in verify_run(path) if finding.outcome == FAILED}


@pytest.mark.parametrize("kind", [*TABLES, *TEXTS])
def test_good_runs_pass(folder: Folder, kind: str) -> None:
    found = {finding.check: finding for finding in verify_run(folder.run(kind))}
    assert {check: finding.detail for check, finding in found.items() if finding.outcome == FAILED} == {}
    passed = {check for check, finding in found.items() if finding.outcome == PASSED}
    assert passed >= {*ALWAYS, "summary of attributions", "ranks of attributions", "model file", "data files"}
    storage = folder.request(kind).interactions
    if folder.request(kind).method in ("ih", "eh") and storage == "full":
        assert passed >= (WITH_MATRICES if "kinks" not in kind else WITH_MATRICES - {"row sums"})
    if storage.startswith("top"):
        assert passed >= {"pairing", "largest pairs", "ranks of interactions"}
    if storage != "full":
        left_out = {check for check, finding in found.items() if finding.outcome == NOT_CHECKED}
        assert left_out >= {"row sums", "symmetry", "summary of interactions"}
    assert ("lengths" in found) == (kind in TEXTS)


def test_figures_stand_beside_their_bounds(folder: Folder) -> None:
    found = {finding.check: finding for finding in verify_run(folder.run("ih"))}
    for check, rows in {"completeness gap": 14, "gap within the error": 14, "row sums": 14, "tolerance": 28}.items():
        assert 0 <= found[check].worst <= found[check].bound
        assert found[check].checked == rows  # of a tolerance, both errors of a row


def _swapped(table: pa.Table) -> pa.Table:
    names = table.schema.names
    first, second = names.index("a"), names.index("b")
    a, b = table["a"], table["b"]
    return table.set_column(first, table.schema.field("a"), b).set_column(second, table.schema.field("b"), a)


def _out_of_place(table: pa.Table) -> pa.Table:
    names = [{"a": "b", "b": "a"}.get(name, name) for name in table.schema.names]
    return table.select(names)


def _with_row_twice(table: pa.Table) -> pa.Table:
    return table.take([0, 1, 1, *range(2, len(table))])


def _with_row_in_place_of_another(table: pa.Table) -> pa.Table:
    return table.take([0, 0, *range(2, len(table))])


def _turned(table: pa.Table) -> pa.Table:
    return table.take(list(reversed(range(len(table)))))


def _set(column: str, new: object, place: int = 0) -> Callable[[pa.Table], pa.Table]:
    def alter(table: pa.Table) -> pa.Table:
        position = table.schema.get_field_index(column)
        values = table[column].to_pylist()
        values[place] = new
        return table.set_column(position, table.schema.field(position), pa.array(values, table[column].type))

    return alter


def _without_metadata(table: pa.Table) -> pa.Table:
    return table.replace_schema_metadata(None).cast(pa.schema([field.remove_metadata() for field in table.schema]))


def _in_float64(table: pa.Table) -> pa.Table:
    return table.set_column(table.schema.get_field_index("a"), "a", table["a"].cast(pa.float64()))


TABLE_DAMAGES: dict[str, tuple[str, str, Callable[[pa.Table], pa.Table], str]] = {
    "a value of attributions": ("ih", "attributions", value("c"), "completeness gap"),
    "a value of ig": ("ig", "attributions", value("c"), "completeness gap"),
    "a value of eg": ("eg", "attributions", value("e", 2), "completeness gap"),
    "a value in float64": ("ih in float64", "attributions", value("c", 1, 1 + 1e-9), "completeness gap"),
    "a prediction": ("eh", "attributions", value("_prediction"), "completeness gap"),
    "a baseline prediction": ("ih", "attributions", value("_baseline_prediction"), "completeness gap"),
    "a gap": ("ih", "attributions", _set("_completeness_gap", 0.3), "gap within the error"),
    "a relative error": ("ih", "attributions", _set("_relative_error", 0.02), "statuses"),
    "a relative error below 0": ("ih", "attributions", _set("_relative_error", -1e-9), "statuses"),
    "a status": ("ih", "attributions", _set("_status", "not_converged"), "statuses"),
    "an unknown status": ("ih", "attributions", _set("_status", "good"), "statuses"),
    "a status without figures": ("ih", "attributions", _set("_status", "missing_input"), "nulls"),
    "a null": ("ih", "attributions", _set("a", None), "nulls"),
    "a NaN": ("ig", "attributions", _set("a", float("nan")), "nulls"),
    "an infinity": ("eg", "attributions", _set("_sampling_error", float("inf")), "nulls"),
    "evaluations": ("ih", "attributions", _set("_evaluations", 9), "totals"),
    "a row's index": ("ih", "attributions", _set("_row", 3), "rows"),
    "a target": ("ih", "attributions", _set("_target", "2000"), "targets"),
    "a key": ("ih", "attributions", _set("id", "P99"), "pairing"),
    "a row twice": ("ih", "attributions", _with_row_twice, "rows"),
    "a row twice under ig": ("ig", "attributions", _with_row_twice, "rows"),
    "a row in place of another": ("ig", "attributions", _with_row_in_place_of_another, "rows"),
    "rows out of order": ("ig", "attributions", _turned, "rows"),
    "swapped columns": ("ih", "attributions", _swapped, "row sums"),
    "swapped columns under eg": ("eg", "attributions", _swapped, "summary of attributions"),
    "columns out of place": ("ih", "attributions", _out_of_place, "columns"),
    "a column less": ("ih", "attributions", lambda table: table.drop_columns("a"), "columns"),
    "another type": ("ih", "attributions", _in_float64, "columns"),
    "no metadata": ("ih", "attributions", _without_metadata, "columns"),
    "a value of interactions": ("ih", "interactions", value("interactions"), "symmetry"),
    "a value of interactions of many": ("eh", "interactions", value("interactions", 2, 1.5), "row sums"),
    "a value of grouped ones": ("eh of all targets, grouped", "interactions", value("interactions"), "symmetry"),
    "a key of interactions": ("ih", "interactions", _set("id", "P99"), "pairing"),
    "interactions out of order": ("ih", "interactions", _turned, "pairing"),
    "an interaction less": ("ih", "interactions", lambda table: table.slice(1), "parts"),
    "pairs out of order": ("largest pairs", "interactions", lambda table: _reversed_pairs(table), "largest pairs"),
    "a target of all": ("eh of all targets, grouped", "attributions", _set("_target", "1"), "rows"),
}


def _reversed_pairs(table: pa.Table) -> pa.Table:
    return _set("interactions", table["interactions"][0].as_py()[::-1])(table)


def failed_also_part_by_part(path: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the names of the checks that fail, which tell the same of small parts together as one by one."""
    found = list(verify_run(path))
    with monkeypatch.context() as patched:
        patched.setattr(checking, "together", iter)
        assert str(list(verify_run(path))) == str(found)  # figures may be NaN
    return {finding.check for finding in found if finding.outcome == FAILED}


@pytest.mark.parametrize(("kind", "files", "alter", "check"), TABLE_DAMAGES.values(), ids=TABLE_DAMAGES)
def test_a_damaged_part_fails(
    folder: Folder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    files: str,
    alter: Callable[[pa.Table], pa.Table],
    check: str,
) -> None:
    path = folder.copy(kind, tmp_path / "run")
    change(part(path, files), alter)
    assert check in failed_also_part_by_part(path, monkeypatch)


def test_an_unknown_status_is_named(folder: Folder, tmp_path: Path) -> None:
    path = folder.copy("ih", tmp_path / "run")
    change(part(path), _set("_status", "good"))
    assert "1 unknown statuses, first row 4" in failed(path)["statuses"]


TEXT_DAMAGES = {
    "a value of attributions": ("texts under ig", "attributions", value("attributions"), "completeness gap"),
    "a value of interactions": ("texts", "interactions", value("interactions"), "symmetry"),
    "a unit": ("texts", "interactions", _set("units", ["good"]), "pairing"),
    "a list too short": ("texts", "attributions", _set("attributions", [0.1, 0.2]), "lengths"),
    "an empty text's figures": ("texts", "attributions", _set("_status", "missing_input"), "nulls"),
    "a cut text": ("texts", "attributions", _set("_truncated", True), "totals"),
}


@pytest.mark.parametrize(("kind", "files", "alter", "check"), TEXT_DAMAGES.values(), ids=TEXT_DAMAGES)
def test_a_damaged_part_of_texts_fails(
    folder: Folder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    files: str,
    alter: Callable[[pa.Table], pa.Table],
    check: str,
) -> None:
    path = folder.copy(kind, tmp_path / "run")
    change(part(path, files), alter)
    assert check in failed_also_part_by_part(path, monkeypatch)


@pytest.mark.parametrize("column", ["mean_abs", "mean", "std", "min", "max", "main_mean_abs", "main_mean", "main_std"])
@pytest.mark.parametrize("kind", ["ih", "texts"])
def test_an_altered_statistic_fails(folder: Folder, tmp_path: Path, kind: str, column: str) -> None:
    path = folder.copy(kind, tmp_path / "run")
    change(path / "summary" / "attributions.parquet", value(column, 2, 1 + 1e-6))
    assert "summary of attributions" in failed(path)


SUMMARY_DAMAGES = {
    "a statistic of pairs": ("interactions", value("mean", 3, 1 + 1e-6), "summary of interactions"),
    "rows": ("attributions", _set("rows", 13), "summary of attributions"),
    "a share": ("interactions", value("share"), "ranks of interactions"),
    "a rank": ("attributions", _set("rank", 2), "ranks of attributions"),
    "lines out of order": ("attributions", _turned, "ranks of attributions"),
    "a name": ("attributions", _set("feature", "z"), "summary of attributions"),
    "a line less": ("interactions", lambda table: table.slice(0, 2), "summary of interactions"),
    "a column less": ("interactions", lambda table: table.drop_columns("std"), "summary of interactions"),
}


@pytest.mark.parametrize(("kind", "alter", "check"), SUMMARY_DAMAGES.values(), ids=SUMMARY_DAMAGES)
def test_a_damaged_summary_fails(
    folder: Folder, tmp_path: Path, kind: str, alter: Callable[[pa.Table], pa.Table], check: str
) -> None:
    path = folder.copy("ih", tmp_path / "run")
    file = path / "summary" / f"{kind}.parquet"
    change(file, alter)
    assert check in failed(path)
    file.unlink()
    assert f"summary of {kind}" in failed(path)


CUT_SHORT_DAMAGES = {
    "a statistic of all rows": ("attributions_all_rows", value("mean", 2, 1 + 1e-6), "summary of all attributions"),
    "pairs of all rows": ("interactions_all_rows", value("mean_abs", 3, 1 + 1e-6), "summary of all interactions"),
    "ranks of all rows": ("interactions_all_rows", _turned, "ranks of all interactions"),
    "a bar": ("interactions", value("error_bar", 1, 1 + 1e-3), "summary of interactions"),
    "a bar of a main effect": ("attributions", value("main_error_bar", 1, 1 + 1e-3), "summary of attributions"),
    "rows left out": ("attributions", _set("left_out", 0), "summary of attributions"),
    "rows left out of pairs": ("interactions", _set("left_out", 0), "summary of interactions"),
    "rows of main effects": ("attributions", _set("main_rows", 1), "summary of attributions"),
    "no bars": ("interactions", lambda table: table.drop_columns("error_bar"), "summary of interactions"),
    "no bars at all": ("interactions", lambda table: table.drop_columns("error_bar"), "ranks of interactions"),
    "a negative bar": ("interactions", _set("error_bar", -1.0), "ranks of interactions"),
}


@pytest.mark.parametrize(
    ("kind", "column"), [("interactions", "standard_error"), ("attributions", "main_standard_error")]
)
def test_standard_errors_that_are_missing_or_none_can_be_fail(
    folder: Folder, tmp_path: Path, kind: str, column: str
) -> None:
    path = folder.copy("eh", tmp_path / "run")
    change(path / "summary" / f"{kind}.parquet", _set(column, -1.0))
    assert f"1 figures in {column} that none can be" in failed(path)[f"ranks of {kind}"]
    change(path / "summary" / f"{kind}.parquet", lambda table: table.drop_columns(column))
    assert "columns missing" in failed(path)[f"ranks of {kind}"]


@pytest.mark.parametrize(("file", "alter", "check"), CUT_SHORT_DAMAGES.values(), ids=CUT_SHORT_DAMAGES)
def test_a_damaged_summary_of_a_run_that_was_cut_short_fails(
    folder: Folder, tmp_path: Path, file: str, alter: Callable[[pa.Table], pa.Table], check: str
) -> None:
    path = folder.copy("ih cut short", tmp_path / "run")
    change(path / "summary" / f"{file}.parquet", alter)
    found = failed(path)
    assert check in found
    assert "SHA-256" in found


def test_rows_that_are_left_out_must_stand_in_summaries_of_all_rows(folder: Folder, tmp_path: Path) -> None:
    path = folder.copy("ih cut short", tmp_path / "run")
    for name in ("attributions", "interactions"):
        (path / "summary" / f"{name}_all_rows.parquet").unlink()
    assert "2 that are missing" in failed(path)["summaries of all rows"]
    path = folder.copy("ih", tmp_path / "whole")
    shutil.copy(path / "summary" / "attributions.parquet", path / "summary" / "attributions_all_rows.parquet")
    assert "1 where all rows rank" in failed(path)["summaries of all rows"]


def test_a_summary_over_rows_that_should_not_rank_fails(folder: Folder, tmp_path: Path) -> None:
    path = folder.copy("ih cut short", tmp_path / "run")
    for name in ("attributions", "interactions"):
        shutil.copy(path / "summary" / f"{name}_all_rows.parquet", path / "summary" / f"{name}.parquet")
    assert {"summary of attributions", "summary of interactions"} <= failed(path).keys()


def _beside(name: str, new: Any) -> Callable[[pa.Table], pa.Table]:
    """Set a figure beside the second pair of every row."""

    def alter(table: pa.Table) -> pa.Table:
        column = table["interactions"]
        pairs = column.to_pylist()
        for listed in pairs:
            if listed:
                listed[1][name] = new
        place = table.schema.get_field_index("interactions")
        return table.set_column(place, table.schema.field("interactions"), pa.array(pairs, column.type))

    return alter


BESIDE_DAMAGES = {
    "a negative bar": ("error_bar", -1.0, "figures in error_bar that none can be"),
    "no bar": ("error_bar", None, "figures in error_bar that none can be"),
    "a rank after others": ("certain", True, "ranks called certain that are not"),
}


@pytest.mark.parametrize(("name", "new", "fault"), BESIDE_DAMAGES.values(), ids=BESIDE_DAMAGES)
def test_damaged_figures_beside_the_largest_pairs_fail(
    folder: Folder, tmp_path: Path, name: str, new: Any, fault: str
) -> None:
    path = folder.copy("largest pairs cut short", tmp_path / "run")
    change(part(path, "interactions"), _beside(name, new))
    assert fault in failed(path)["largest pairs"]


def test_largest_pairs_without_bars_fail(folder: Folder, tmp_path: Path) -> None:
    path = folder.copy("largest pairs", tmp_path / "run")

    def bare(table: pa.Table) -> pa.Table:
        kept = pa.list_(pa.struct([("i", pa.string()), ("j", pa.string()), ("value", pa.float32())]))
        field = table.schema.field("interactions")
        pairs = pa.array(table["interactions"].to_pylist(), kept)
        return table.set_column(table.schema.get_field_index("interactions"), field.with_type(kept), pairs)

    change(part(path, "interactions"), bare)
    assert "column 'interactions' of list" in failed(path)["columns"]


@pytest.mark.parametrize("column", ["_relative_error", "_interaction_error"])
def test_a_row_that_is_ok_has_both_errors_within_the_tolerance(folder: Folder, tmp_path: Path, column: str) -> None:
    path = folder.copy("ih", tmp_path / "run")
    change(part(path), _set(column, 0.5))
    assert "ok beyond the tolerance" in failed(path)["statuses"]
    change(part(path), _set(column, -0.5))
    assert f"negative figures in {column}" in failed(path)["statuses"]


@pytest.mark.parametrize("files", ["attributions", "interactions"])
def test_a_missing_part_fails(folder: Folder, tmp_path: Path, files: str) -> None:
    path = folder.copy("ih", tmp_path / "run")
    part(path, files).unlink()
    found = failed(path)
    assert found["parts"] == f"1 parts missing, first {files}/part-000001.parquet"
    assert outcomes(path)["summary of attributions"] == NOT_CHECKED
    if files == "attributions":
        assert found["rows"] == f"{CHUNK_ROWS} of 14 entries missing"


@pytest.mark.parametrize("files", ["attributions", "interactions"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_part_fails(folder: Folder, tmp_path: Path, files: str, share: float) -> None:
    path = folder.copy("ih", tmp_path / "run")
    file = part(path, files)
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    assert "parts that cannot be read" in failed(path)["parts"]


def test_a_part_too_many_fails(folder: Folder, tmp_path: Path) -> None:
    path = folder.copy("ih", tmp_path / "run")
    part(path, number=9).write_bytes(part(path).read_bytes())
    assert failed(path) == {
        "parts": "1 files that are not part of the run, first attributions/part-000009.parquet",
        "SHA-256": "1 parts without a SHA-256, first attributions",
    }


def test_parts_in_each_other_s_place_fail(folder: Folder, tmp_path: Path) -> None:
    path = folder.copy("ig", tmp_path / "run")
    first, second = part(path, number=0), part(path, number=1)
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    assert "8 entries in a part that is not theirs" in failed(path)["rows"]


@pytest.mark.parametrize(
    ("name", "other"), [("rows", 15), ("entries", 13), ("evaluations", 1), ("statuses", {"ok": 13, "rounding": 1})]
)
def test_other_totals_fail(folder: Folder, tmp_path: Path, name: str, other: object) -> None:
    path = folder.copy("ih", tmp_path / "run")
    totals = json.loads((path / "run.json").read_text())["totals"]
    tell(path, totals={**totals, name: other})
    assert name in failed(path)["totals"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"status": "interrupted"}, "status 'interrupted'. Expected 'done'"),
        ({"method": {"name": "shap"}}, "cannot be understood"),
        ({"totals": {}}, "lacks 'totals.rows'"),
        ({"features": None}, "features and units"),
        ({"dtype": "float16"}, "dtype float16"),
    ],
)
def test_a_run_json_that_does_not_tell_fails_alone(
    folder: Folder, tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    path = folder.copy("ih", tmp_path / "run")
    tell(path, **changes)
    (finding,) = verify_run(path)
    assert (finding.check, finding.outcome) == ("run.json", FAILED)
    assert words in finding.detail


EDITS: dict[str, tuple[tuple[str, ...], object]] = {
    "the tolerance": (("arguments", "tolerance"), 10),
    "the tolerance by a little": (("arguments", "tolerance"), 0.010000001),
    "the seed": (("arguments", "seed"), 7),
    "the method": (("method", "name"), "eh"),
    "the method in the arguments": (("arguments", "method"), "ig"),
    "the title": (("method", "title"), "Exact Hessians"),
    "another warning": (("warnings",), ["all is well"]),
    "a version": (("versions", "torch"), "9.9"),
    "the seconds": (("totals", "wall_s"), -5),
    "the beginning": (("started",), "\x1b[2J\x1b]0;owned\x07"),
    "the place of the model": (("model", "path"), "/dev/zero"),
    "the place of the data": (("data", "path"), "elsewhere.csv"),
    "the target": (("target",), "predicted"),
    "the target in the arguments": (("arguments", "target"), "1"),
    "the baseline": (("baseline", "source"), "mean of the data"),
    "the baseline in the arguments": (("arguments", "baseline"), "mean"),
    "the evaluations": (("arguments", "max_evaluations"), 1000),
    "the smoothing": (("smoothing", "drift"), 0.0),
    "the kinks": (("smoothing", "kinks"), ["abs"]),
    "the engine": (("engine", "reason"), "exact"),
    "the device": (("device",), "cuda"),
    "an unknown key": (("certified",), True),
    "a SHA-256 of a part": (("sha256", "attributions"), ["0" * 64] * 4),
    "no SHA-256": (("sha256",), {}),
}


@pytest.mark.parametrize(("keys", "new"), EDITS.values(), ids=EDITS)
def test_an_edited_run_json_fails(folder: Folder, tmp_path: Path, keys: tuple[str, ...], new: object) -> None:
    path = folder.copy("ih smoothed", tmp_path / "run")
    edit(path, *keys, new=new)
    assert "seal" in failed(path)


def test_warnings_that_were_removed_fail(folder: Folder, tmp_path: Path) -> None:
    path = folder.copy("ih of kinks", tmp_path / "run")
    edit(path, "warnings", new=[])
    assert set(failed(path)) == {"seal"}


@pytest.mark.parametrize("keys", [("arguments", "tolerance"), ("arguments", "seed"), ("arguments", "steps")])
def test_what_was_asked_stands_in_every_part_and_fails_when_run_json_is_sealed_anew(
    folder: Folder, tmp_path: Path, keys: tuple[str, str]
) -> None:
    path = folder.copy("ih", tmp_path / "run")
    edit(path, *keys, new=3)
    tell(path)
    assert set(failed(path)) == {"question"}
    info = json.loads((path / "run.json").read_text())
    tell(path, sha256={**info["sha256"], "question": question_sha256(RunInfo.of(info))})
    assert failed(path)["question"] == "8 parts of another question, first attributions/part-000000.parquet"


def _smaller_errors(table: pa.Table) -> pa.Table:
    place, field = table.schema.get_field_index("_relative_error"), table.schema.field("_relative_error")
    return table.set_column(place, field, pa.array([1e-9] * len(table), field.type))


def _other_keys(table: pa.Table) -> pa.Table:
    place, field = table.schema.get_field_index("id"), table.schema.field("id")
    return table.set_column(place, field, table["id"].take([1, 0, *range(2, len(table))]))


UNSEEN = {
    "all relative errors": ("ih in float64", ("attributions",), _smaller_errors),
    "keys in both kinds of parts": ("ih", ("attributions", "interactions"), _other_keys),
    "drift": ("ih smoothed", ("attributions",), value("_drift", 0, 0.5)),
    "the same table, written again": ("ih", ("interactions",), lambda table: table),
}


@pytest.mark.parametrize(("kind", "files", "alter"), UNSEEN.values(), ids=UNSEEN)
def test_what_nothing_else_depends_on_fails_by_its_bytes(
    folder: Folder, tmp_path: Path, kind: str, files: tuple[str, ...], alter: Callable[[pa.Table], pa.Table]
) -> None:
    path = folder.copy(kind, tmp_path / "run")
    for each in files:
        change(part(path, each), alter)
    assert f"{len(files)} files that changed" in failed(path)["SHA-256"]


def test_a_summary_that_was_written_again_fails_by_its_bytes(folder: Folder, tmp_path: Path) -> None:
    path = folder.copy("ih", tmp_path / "run")
    change(path / "summary" / "attributions.parquet", lambda table: table)
    assert failed(path) == {"SHA-256": "1 files that changed, first summary/attributions.parquet"}


def test_parts_and_summaries_of_another_run_fail(folder: Folder, tmp_path: Path) -> None:
    path = folder.copy("ih", tmp_path / "run")
    other = quietly(run, replace(folder.request("ih"), tolerance=0.5), tmp_path / "other", Observer())
    for name in ("attributions", "interactions", "summary"):
        shutil.rmtree(path / name)
        shutil.copytree(tmp_path / "other" / name, path / name)
    assert other.rows == 14
    assert set(failed(path)) >= {"question", "SHA-256"}


def test_a_run_of_an_older_ihcli_has_no_seals_and_passes(folder: Folder, tmp_path: Path) -> None:
    path = folder.copy("ih", tmp_path / "run")
    for file in [*path.glob("attributions/*"), *path.glob("interactions/*")]:
        change(file, _without_question)
    info = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({name: told for name, told in info.items() if name != "sha256"}))
    found = {finding.check: finding for finding in verify_run(path)}
    assert failed(path) == {}
    for check in SEALED:
        assert found[check].outcome == NOT_CHECKED
        assert "kept no SHA-256" in found[check].detail


def _without_question(table: pa.Table) -> pa.Table:
    return table.replace_schema_metadata({b"feature_names": table.schema.metadata[b"feature_names"]})


def test_other_features_than_told_fail(folder: Folder, tmp_path: Path) -> None:
    path = folder.copy("ih", tmp_path / "run")
    tell(path, features=["b", "a", "c", "d", "e"])
    assert "column 'a' at place 10 instead of 'b'" in failed(path)["columns"]


def test_what_is_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a run"):
        list(verify_run(tmp_path))


def test_files_of_model_data_and_groups_are_compared_where_they_are(tmp_path: Path) -> None:
    own = Folder(tmp_path)
    path = own.run("eh of all targets, grouped")
    for name, check in (("net.pt", "model file"), ("table.parquet", "data files"), ("groups.toml", "groups file")):
        file = tmp_path / name
        content = file.read_bytes()
        assert outcomes(path)[check] == PASSED
        file.write_bytes(content[:-1])
        assert check in failed(path)
        file.unlink()
        assert outcomes(path)[check] == NOT_CHECKED
        file.write_bytes(content)


def test_a_run_json_of_somebody_is_not_followed_anywhere(folder: Folder, tmp_path: Path) -> None:
    path = folder.copy("ih", tmp_path / "run")
    info = json.loads((path / "run.json").read_text())
    for place in ("/dev/zero", "/"):
        tell(path, origins={}, model={**info["model"], "path": place}, data={**info["data"], "path": place})
        found = outcomes(path)
        assert (found["model file"], found["data files"]) == (NOT_CHECKED, NOT_CHECKED if place != "/" else FAILED)
    tell(path, totals={**info["totals"], "rows": 10**15}, chunk_rows=1)
    assert f"{2 * (10**15 - 4)} parts missing, first attributions/part-000004.parquet" in failed(path)["parts"]


@pytest.mark.parametrize("n_rows", [2_000, 8_000])
def test_memory_does_not_grow_with_a_part(tmp_path: Path, n_rows: int) -> None:
    table = pa.table({"a": np.zeros(n_rows), "b": pa.array(np.zeros((n_rows, 256)).tolist())})
    pq.write_table(table, tmp_path / "part.parquet", row_group_size=200)
    del table
    part = tmp_path / "part.parquet"
    before, peak = pa.total_allocated_bytes(), 0
    for _ in stored._tables(stored.PartFile.of(part), 100):
        peak = max(peak, pa.total_allocated_bytes() - before)
    assert peak < MOST_HELD_BYTES


def test_blocks_of_any_size_give_the_same_findings(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def noted(*arguments: Any) -> Iterator[stored.Block]:
        for block in stored.blocks(*arguments):
            sizes.append(len(block))
            yield block

    for kind in ("ih", "texts", "eh of all targets, grouped"):
        whole = list(verify_run(folder.run(kind)))
        with monkeypatch.context() as patched:
            patched.setattr(stored, "BLOCK_VALUES", 60)
            patched.setattr(checking, "blocks", noted)
            assert list(verify_run(folder.run(kind))) == whole
    assert max(sizes) <= 3


def test_small_parts_are_looked_at_together(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []

    def noted(self: Counts, block: stored.Block) -> None:
        seen.append(sorted(set(block.part.tolist())))

    monkeypatch.setattr(Counts, "see", noted)
    all_together, apart = [[0, 1, 2, 3]], [[0], [1], [2], [3]]
    for most, pieces, expected in ((1 << 20, 64, all_together), (1 << 20, 2, all_together), (120, 64, apart)):
        monkeypatch.setattr(stored, "BLOCK_VALUES", most)
        monkeypatch.setattr(stored, "MOST_PIECES", pieces)
        assert FAILED not in {finding.outcome for finding in verify_run(folder.run("ih")) if finding.check == "pairing"}
        assert list(dict.fromkeys(map(tuple, seen))) == list(map(tuple, expected))
        seen.clear()


def test_a_part_that_cannot_be_looked_at_is_named_and_the_others_are_looked_at(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    see = Gaps.see

    def failing(self: Gaps, block: stored.Block) -> None:
        if 1 in block.part:
            raise ValueError("no such figures")
        see(self, block)

    monkeypatch.setattr(Gaps, "see", failing)
    path = folder.run("ih")
    found = {finding.check: finding for finding in verify_run(path)}
    told = f"first {part(path, number=1)}: cannot be read together with its interactions (ValueError: no such figures)"
    assert told in found["parts"].detail
    assert found["totals"].outcome == PASSED
    assert found["completeness gap"].checked == found["totals"].checked - CHUNK_ROWS


def test_a_figure_that_is_no_number_is_beyond_any_bound() -> None:
    bounded = Bounded("sums", "sums")
    bounded.see(np.array([0.0, np.nan]), np.array([0.0, 1.0]), ["first", "second"])
    assert bounded.finding().outcome == FAILED
    assert "second" in bounded.finding().detail


def test_a_share_of_rows_may_be_beyond_its_bound() -> None:
    few, many = Bounded("gap", "gaps", 0.01), Bounded("gap", "gaps", 0.01)
    few.see(np.r_[2.0, np.zeros(99)], np.ones(100), [str(i) for i in range(100)])
    many.see(np.r_[2.0, 2.0, np.zeros(98)], np.ones(100), [str(i) for i in range(100)])
    assert (few.finding().outcome, many.finding().outcome) == (PASSED, FAILED)


@pytest.mark.parametrize(
    ("checked", "beyond", "outcome"),
    [
        (18, [1.1], PASSED),
        (18, [1.1, 1.1], FAILED),
        (18, [1.1 * GROSS], FAILED),
        (1, [1.1], PASSED),
        (40, [50.0], PASSED),
    ],
)
def test_of_few_entries_one_may_be_beyond_its_bound_but_not_by_far(
    checked: int, beyond: list[float], outcome: str
) -> None:
    bounded = Bounded("pairs", "true error of each pair", 0.05)
    bounded.see(np.r_[beyond, np.zeros(checked - len(beyond))], np.ones(checked), [str(i) for i in range(checked)])
    assert bounded.finding().outcome == outcome


def test_nothing_to_compare_is_not_passed() -> None:
    assert Bounded("gap", "gaps").finding() == Finding("gap", NOT_CHECKED, "no row has values")
