"""`ihcli explain --text` from end to end: what a run over texts holds, goes on with, shows, and refuses."""

import json
import pickle
import re
from pathlib import Path

import checkpoints
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner, Result
from runs import write_run

from ihcli import read
from ihcli.cli import main, ranking
from ihcli.execution import pipeline
from ihcli.layouts import texts as text_layouts
from ihcli.runs.request import RunRequest
from ihcli.runs.totals import Observer

TEXTS = (
    "this movie was not bad",
    None,
    "good",
    "  ",
    "a bad, terrible, awful movie",
    "good " * 60,
    "not a boring film",
    "films are good not bad",
)
MISSING = (1, 3)
WITHIN = 1e-5  # float32 sums


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint, a table of texts, and a network that takes numbers."""
    folder = tmp_path_factory.mktemp("texts")
    checkpoints.save(folder / "bert", "bert")
    n_rows = len(TEXTS)
    columns = {
        "id": [f"T{i}" for i in range(n_rows)],
        "n": range(n_rows),
        "sentence": TEXTS,
        "other": ["good"] * n_rows,
    }
    table = pd.DataFrame({**columns, "class": ["NEGATIVE", "POSITIVE"] * (n_rows // 2)})
    table.to_parquet(folder / "d.parquet")
    table.to_csv(folder / "d.csv", index=False)
    net = torch.nn.Sequential(torch.nn.Linear(1, 2), torch.nn.Softplus(), torch.nn.Linear(2, 1)).eval()
    (folder / "net.pkl").write_bytes(pickle.dumps(net))
    (folder / "numbers.csv").write_text("a\n1\n2\n")
    (folder / "g.toml").write_text('[groups]\nboth = ["a"]\n')
    return folder


@pytest.fixture(autouse=True)
def entered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def ask(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def explain(out: Path | str, *arguments: object, data: str = "d.parquet") -> Result:
    done = ask("explain", "bert", data, "--text", "sentence", "-o", out, *arguments)
    assert done.exit_code == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def whole(folder: Path) -> tuple[Path, Result]:
    """A run with all outputs, in chunks of three."""
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        done = explain("whole", "--key", "id", "--target", "all", "--chunk-rows", 3)
    return folder / "whole", done


# A run


def test_a_run_holds_a_list_of_units_and_figures_for_every_text(whole: tuple[Path, Result]) -> None:
    out, _ = whole
    table = pq.read_table(out / "attributions")
    assert table.column_names == [
        *("_row", "id", "_target", "_prediction", "_baseline_prediction", "_completeness_gap", "_relative_error"),
        "_interaction_error",
        *("_evaluations", "_truncated", "_status", "units", "attributions"),
    ]
    assert table.schema.field("units").type == pa.list_(pa.string())
    assert table.schema.field("attributions").type == pa.list_(pa.float32())
    entries = table.to_pylist()
    assert [(entry["_row"], entry["_target"]) for entry in entries] == [
        (row, target) for row in range(len(TEXTS)) for target in ("NEGATIVE", "POSITIVE")
    ]
    for entry in entries:
        if entry["_row"] in MISSING:
            assert (entry["_status"], entry["units"], entry["attributions"]) == ("missing_input", None, None)
            assert (entry["_prediction"], entry["_relative_error"], entry["_evaluations"]) == (None, None, 0)
            continue
        assert len(entry["units"]) == len(entry["attributions"])
        assert (entry["units"][0], entry["units"][-1]) == ("[CLS]", "[SEP]")
        change = entry["_prediction"] - entry["_baseline_prediction"]
        assert sum(entry["attributions"]) == pytest.approx(change + entry["_completeness_gap"], abs=WITHIN)
        assert entry["_truncated"] == (entry["_row"] == 5)
    assert entries[0]["units"] == ["[CLS]", "this", "movie", "was", "not", "bad", "[SEP]"]


def test_interactions_are_row_major_matrices(whole: tuple[Path, Result]) -> None:
    out, _ = whole
    attributions, interactions = (pq.read_table(out / kind).to_pylist() for kind in ("attributions", "interactions"))
    assert list(interactions[0]) == ["_row", "id", "_target", "units", "interactions"]
    for phi, gamma in zip(attributions, interactions, strict=True):
        assert [phi[name] for name in ("_row", "id", "_target", "units")] == list(gamma.values())[:4]
        if phi["units"] is None:
            assert gamma["interactions"] is None
            continue
        matrix = np.reshape(gamma["interactions"], (len(phi["units"]),) * 2)
        np.testing.assert_array_equal(matrix, matrix.T)
        error = np.abs(matrix.sum(axis=1) - phi["attributions"]).sum()
        assert error <= phi["_relative_error"] * np.abs(phi["attributions"]).sum() + WITHIN


def test_run_json_says_what_was_explained(whole: tuple[Path, Result]) -> None:
    out, done = whole
    info = json.loads((out / "run.json").read_text())
    assert (info["status"], info["units"], info["features"], info["keys"]) == ("done", "word", None, ["id"])
    assert info["baseline"] == {"source": "the zero embedding in place of every token", "rows": 1, "population": 1}
    assert info["arguments"]["text"] == "sentence"
    assert info["model"]["outputs"] == ["NEGATIVE", "POSITIVE"]
    totals = info["totals"]
    assert (totals["rows"], totals["entries"], totals["truncated"]) == (8, 16, 2)
    assert totals["statuses"] == {"ok": 12, "missing_input": 4}
    assert "2 of 8 texts are empty or null: they are flagged missing_input." in info["warnings"]
    assert "2 of 16 row-target pairs are longer than the model takes; their end was left out." in done.stderr
    assert "4 of 16 row-target pairs have no values (missing_input 4)" in done.stderr
    assert not (out / "states").exists()


def test_summaries_are_of_all_occurrences(whole: tuple[Path, Result]) -> None:
    out, _ = whole
    entries = [entry for entry in pq.read_table(out / "attributions").to_pylist() if entry["_target"] == "POSITIVE"]
    seen = [
        value
        for entry in entries
        for name, value in zip(entry["units"] or (), entry["attributions"] or (), strict=True)
        if name == "good"
    ]
    summary = pq.read_table(out / "summary" / "attributions.parquet").to_pylist()
    (good,) = [line for line in summary if (line["target"], line["feature"]) == ("POSITIVE", "good")]
    assert good["rows"] == len(seen) == 40
    assert good["mean"] == pytest.approx(np.mean(seen), rel=WITHIN)
    pairs = pq.read_table(out / "summary" / "interactions.parquet").to_pylist()
    counts = {(line["feature_i"], line["feature_j"]): line["rows"] for line in pairs if line["target"] == "POSITIVE"}
    assert counts["bad", "not"] == 2
    assert counts["good", "good"] == 38 * 37 // 2
    assert all(one <= other for one, other in counts)


def test_a_csv_file_gives_what_a_parquet_file_gives(tmp_path: Path, whole: tuple[Path, Result]) -> None:
    explain(tmp_path / "run", "--key", "id", "--target", "all", "--chunk-rows", 3, data="d.csv")
    for kind in ("attributions", "interactions"):
        found, expected = (pq.read_table(out / kind).to_pylist() for out in (tmp_path / "run", whole[0]))
        assert found == expected


@pytest.mark.parametrize("stored", ["top:3", "none"])
def test_less_of_the_interactions_may_be_stored(tmp_path: Path, stored: str, whole: tuple[Path, Result]) -> None:
    explain(tmp_path / "run", "--key", "id", "--target", "all", "--chunk-rows", 3, "--interactions", stored)
    for kind in ("attributions", "interactions"):
        summary = Path("summary") / f"{kind}.parquet"
        assert pq.read_table(tmp_path / "run" / summary).equals(pq.read_table(whole[0] / summary))
    if stored == "none":
        assert not (tmp_path / "run" / "interactions").exists()
        return
    full = pq.read_table(whole[0] / "interactions").to_pylist()
    for top, entry in zip(pq.read_table(tmp_path / "run" / "interactions").to_pylist(), full, strict=True):
        assert (top["interactions"] is None) == (entry["units"] is None)
        if entry["units"] is None:
            continue
        n = len(entry["units"])
        gamma = np.reshape(entry["interactions"], (n, n))
        first, second = np.triu_indices(n, 1)
        effects = 2 * gamma[first, second]
        best = np.argsort(-np.abs(effects), kind="stable")[:3]
        assert [pair["value"] for pair in top["interactions"]] == effects[best].tolist()
        named = [(entry["units"][first[k]], entry["units"][second[k]]) for k in best]
        assert [(pair["i"], pair["j"]) for pair in top["interactions"]] == named


def test_tokens_and_pairs_and_other_baselines(tmp_path: Path) -> None:
    explain(
        *(tmp_path / "run", "--text-pair", "other", "--units", "token", "--baseline", "mask", "-m", "ig"),
        *("--limit", 3, "--label", "class", "--target", "label"),
    )
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (info["units"], info["method"]["name"]) == ("token", "ig")
    assert "the mask token" in info["baseline"]["source"]
    entries = pq.read_table(tmp_path / "run" / "attributions").to_pylist()
    assert [entry["_target"] for entry in entries] == ["NEGATIVE", "POSITIVE", "NEGATIVE"]
    assert entries[2]["units"] == ["[CLS]", "good", "[SEP]", "good", "[SEP]"]
    assert [entries[2]["attributions"][place] for place in (0, 2, 4)] == [0, 0, 0]
    assert not (tmp_path / "run" / "interactions").exists()


def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(tmp_path: Path, whole: tuple[Path, Result]) -> None:
    class Stop(Observer):
        def __init__(self, parts: int) -> None:
            self.parts = parts

        def chunk_done(self, done: object) -> None:
            self.parts -= 1
            if not self.parts:
                raise KeyboardInterrupt

    options = ("--key", "id", "--target", "all", "--chunk-rows", 1)
    request = RunRequest("bert", "d.parquet", key=("id",), target="all", chunk_rows=1, text="sentence")
    explain(tmp_path / "straight", *options)
    files = [file.relative_to(tmp_path / "straight") for file in (tmp_path / "straight").rglob("*.parquet")]
    assert len(files) == 2 * len(TEXTS) + 3
    for n_parts in (1, 4, 7):
        out = tmp_path / str(n_parts)
        with pytest.raises(KeyboardInterrupt):
            pipeline.run(request, out, Stop(n_parts))
        assert explain(out, *options, "--resume").exit_code == 0
        assert [
            file for file in files if (out / file).read_bytes() != (tmp_path / "straight" / file).read_bytes()
        ] == []
        totals = [json.loads((path / "run.json").read_text())["totals"] for path in (out, tmp_path / "straight")]
        assert [total | {"wall_s": 0} for total in totals] == [totals[1] | {"wall_s": 0}] * 2


def test_going_on_with_other_texts_is_refused(tmp_path: Path) -> None:
    explain(tmp_path / "run", "--limit", 1)
    done = ask("explain", "bert", "d.parquet", "--text", "other", "-o", tmp_path / "run", "--limit", 1, "--resume")
    assert done.exit_code == 1
    assert "Expected --text sentence, got --text other" in done.stderr


def test_a_dry_run_says_what_all_would_cost(tmp_path: Path) -> None:
    done = ask("explain", "bert", "d.parquet", "--text", "sentence", "--dry-run")
    assert done.exit_code == 0, done.stderr
    lines = [line.split("  ", 1)[0] for line in done.stdout.splitlines()]
    assert lines[0] == "From a pilot of 6 rows:"
    assert "Features" not in lines
    assert re.search(r"Rows +8\n", done.stdout)
    assert "baseline: the zero embedding in place of every token" in done.stdout
    labelled = ask(
        *("explain", "bert", "d.parquet", "--text", "sentence", "--label", "class", "--target", "label", "--dry-run")
    )
    assert labelled.exit_code == 0, labelled.stderr


# What is read of it


def test_one_text_is_shown_with_its_pairs(whole: tuple[Path, Result]) -> None:
    done = ask("interactions", whole[0], "--row", 0, "--target", "POSITIVE", "--format", "jsonl")
    assert done.exit_code == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 20
    assert [line["rank"] for line in lines] == list(range(1, 21))
    units = ["[CLS]", "this", "movie", "was", "not", "bad", "[SEP]"]
    for line in lines:
        assert (units[line["position_i"]], units[line["position_j"]]) == (line["feature_i"], line["feature_j"])
    keyed = ask("interactions", whole[0], "--key", "id=T0", "--target", "POSITIVE", "--format", "jsonl")
    assert keyed.stdout == done.stdout
    missing = ask("interactions", whole[0], "--row", 1)
    assert (missing.exit_code, missing.stderr) == (
        1,
        "Error: --row 1: has no values, its status is missing_input.\n",
    )


def test_a_result_reads_back_what_was_explained(whole: tuple[Path, Result]) -> None:
    record = read(whole[0]).record(4, target="POSITIVE")
    assert record.names == ("[CLS]", "a", "bad", ",", "terrible", ",", "awful", "movie", "[SEP]")
    assert record.interactions.shape == (9, 9)


def test_texts_are_ranked_without_keeping_a_run() -> None:
    done = ask("interactions", "bert", "d.parquet", "--text", "sentence", "--limit", 1, "--top-k", 2)
    assert done.exit_code == 0, done.stderr
    assert (
        done.stdout.splitlines()[0]
        == "target,feature_i,feature_j,rank,mean_abs,mean,std,share,rows,error_bar,left_out,certain"
    )
    assert len(done.stdout.splitlines()) == 3


@pytest.mark.parametrize("command", ["attributions", "interactions"])
def test_what_is_seen_seldom_can_be_left_out(
    command: str, whole: tuple[Path, Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def counts(*more: object) -> list[int]:
        done = ask(command, whole[0], "--top-k", 1000, "--format", "jsonl", *more)
        assert done.exit_code == 0, done.stderr
        return [json.loads(line)["rows"] for line in done.stdout.splitlines()]

    every = counts()
    assert min(every) == 1
    assert sorted(counts("--min-count", 3)) == sorted(count for count in every if count >= 3)
    shown = ask(command, whole[0], "--min-count", 3, "--format", "table").stdout
    assert "target POSITIVE, rows: occurrences in texts, at least 3" in shown
    monkeypatch.setattr(ranking, "MANY_TEXTS", len(TEXTS))
    assert sorted(counts()) == sorted(count for count in every if count >= 5)
    assert "at least 5" in ask(command, whole[0], "--format", "table").stdout
    assert counts("--min-count", 1) == every
    too_many = ask(command, whole[0], "--min-count", 10_000)
    assert (too_many.exit_code, too_many.stdout) == (1, "")
    assert too_many.stderr.startswith("Error: --min-count: nothing was seen 10000 times. Expected at most ")


def test_counts_are_for_all_of_many_texts(tmp_path: Path, whole: tuple[Path, Result]) -> None:
    write_run(tmp_path / "run")
    of_table = "--min-count: is for texts; every row of a table has all of its features. Try again without it."
    of_row = "--min-count: counts over all texts, so it cannot be used with --row or --key. Try again without it."
    for arguments, message in (
        ((tmp_path / "run",), of_table),
        (("net.pkl", "numbers.csv"), of_table),
        ((whole[0], "--row", 0), of_row),
    ):
        done = ask("interactions", *arguments, "--min-count", 2)
        assert (done.exit_code, done.stdout) == (2, "")
        assert message in done.stderr


# Mistakes

BERT, NET = ("bert", "d.parquet"), ("net.pkl", "numbers.csv")
SENTENCE = ("--text", "sentence")
MISTAKES = {
    (*BERT,): "bert: reads texts. Expected the column they are in. Try --text COLUMN.",
    (
        *BERT,
        "--text-pair",
        "other",
    ): "--text-pair: is the second text next to --text. Expected both. Try --text COLUMN.",
    (*NET, "--text-pair", "a"): "--text-pair: is the second text next to --text. Expected both. Try --text COLUMN.",
    (*NET, "--text", "a"): (
        "net.pkl: a pickled torch module, which takes numbers. Expected a Hugging Face checkpoint of a text "
        "classifier. Try without --text."
    ),
    (*NET, "--units", "token"): "--units token: is for texts, and --text is not given. Try --text COLUMN.",
    (*BERT, *SENTENCE, "--groups", "g.toml"): (
        "--groups: is for tables of numbers, and --text explains texts. Try without --groups."
    ),
    (*BERT, *SENTENCE, "--groups-by", "_"): (
        "--groups-by: is for tables of numbers, and --text explains texts. Try without --groups-by."
    ),
    (*BERT, *SENTENCE, "--features", "n"): (
        "--features: is for tables of numbers, and --text explains texts. Try without --features."
    ),
    (*BERT, *SENTENCE, "--exclude", "n"): (
        "--exclude: is for tables of numbers, and --text explains texts. Try without --exclude."
    ),
    (*BERT, *SENTENCE, "-m", "eg"): ("--method eg: averages over many baselines, and a text has one. Try --method ig."),
    (*BERT, *SENTENCE, "-m", "eh"): ("--method eh: averages over many baselines, and a text has one. Try --method ih."),
    (*BERT, "--text", "sentense"): (
        "--text sentense: d.parquet has no such column. Expected one of its 5 columns: 'id', 'n', 'sentence', 'other', "
        "'class'. Did you mean 'sentence'?"
    ),
    (*BERT, "--text", "n"): (
        "--text n: holds int64 values in d.parquet. Expected text. Try one of the columns of text: 'id', 'sentence', "
        "'other', 'class'."
    ),
    (*BERT, *SENTENCE, "--baseline", "mean"): (
        "--baseline: 'mean' is not a baseline for texts. Expected zeros, pad or mask."
    ),
    (*BERT, *SENTENCE, "--target", "good"): (
        "--target: 'good' is not an output of the model. Expected one of 'NEGATIVE', 'POSITIVE', an index from 0 to 1, "
        "predicted, all or label."
    ),
    (*BERT, *SENTENCE, "--target", "label"): "--target label: the data has no label column. Try --label COLUMN.",
    (*BERT, *SENTENCE, "--engine-derivatives", "mlp"): (
        "--engine-derivatives mlp: cannot serve this model: the model reads texts. Expected a chain of affine layers "
        "and element-wise activations. Try auto."
    ),
    ("bert", "numbers.csv", "--text", "a"): (
        "--text a: holds int64 values in numbers.csv. Expected text, and no column holds any."
    ),
    ("bert", "nothing.parquet", *SENTENCE): (
        "nothing.parquet: no such file or directory. Expected a Parquet or CSV file, a directory of them, or a glob. "
        "Did you mean 'd.parquet'?"
    ),
}


@pytest.mark.parametrize("arguments", MISTAKES, ids=" ".join)
def test_a_mistake_is_one_message_and_leaves_nothing(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = ask("explain", *arguments, "-o", tmp_path / "run")
    assert (done.exit_code, done.stdout) == (1, "")
    errors = [line for line in done.stderr.splitlines() if not line.startswith("Warning: ")]
    assert errors == [f"Error: {MISTAKES[arguments]}"]
    assert not (tmp_path / "run").exists()


def test_nothing_but_empty_texts_is_said(tmp_path: Path) -> None:
    pd.DataFrame({"sentence": [None, " "]}).to_parquet(tmp_path / "empty.parquet")
    done = ask("explain", "bert", tmp_path / "empty.parquet", *SENTENCE, "-o", tmp_path / "run")
    assert (done.exit_code, done.stderr) == (
        1,
        f"Error: {tmp_path}/empty.parquet: every text in column 'sentence' is empty or null. Expected one at least.\n",
    )


def test_unknown_units_are_a_usage_error(tmp_path: Path) -> None:
    done = ask("explain", *BERT, *SENTENCE, "--units", "char", "-o", tmp_path / "run")
    assert done.exit_code == 2
    assert "Invalid value for '--units': Expected word or token of a text; step, " in done.stderr
    assert "got 'char'. Try word, or step." in done.stderr


def test_strict_runs_count_empty_texts(tmp_path: Path) -> None:
    done = ask("explain", *BERT, *SENTENCE, "--limit", 2, "--strict", "-o", tmp_path / "run")
    assert done.exit_code == 3


def test_a_part_of_too_many_values_proposes_smaller_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_layouts, "MOST_LISTED", 100)
    done = ask("explain", *BERT, *SENTENCE, "-o", tmp_path / "run")
    assert done.exit_code == 1
    assert re.search(r"Error: interactions: one part would hold \d+ values\. Expected at most 100\. ", done.stderr)
    assert done.stderr.endswith("Try a smaller --chunk-rows, or --interactions top:K.\n")
    assert not (tmp_path / "run").exists()
