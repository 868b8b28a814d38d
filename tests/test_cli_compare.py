"""`ihcli compare`: tables of runs, features, pairs and rows."""

import csv
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from written_runs import random_gammas, write_table_run

from ihcli.cli import main

N_ROWS = 30
KEYS = [f"P{row}" for row in range(N_ROWS)]


def ask(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["compare", *map(str, arguments)])


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    return [
        write_table_run(tmp_path / f"run{seed}", random_gammas(N_ROWS, seed=seed), keys=KEYS, part_rows=7)
        for seed in range(3)
    ]


def test_a_file_has_lines_of_rows_runs_features_and_pairs(runs: list[Path], tmp_path: Path) -> None:
    done = ask(*runs[:2], "-o", tmp_path / "out.parquet")
    assert done.exit_code == 0, done.output
    table = pq.read_table(tmp_path / "out.parquet")
    counts = {each["values"]: each["counts"] for each in table["of"].value_counts().to_pylist()}
    assert counts == {"row": 2 * N_ROWS, "runs": 2, "feature": 4, "pair": 6}
    assert table["id"].to_pylist()[:N_ROWS] != [None] * N_ROWS
    assert b"rank correlation" in table.schema.field("spearman").metadata[b"definition"]


def test_all_formats_hold_the_same_lines(runs: list[Path], tmp_path: Path) -> None:
    lines = list(csv.DictReader(io.StringIO(ask(*runs).stdout)))
    records = [json.loads(line) for line in ask(*runs, "--format", "jsonl").stdout.splitlines()]
    assert [line["spearman"] for line in lines] == [
        "" if r["spearman"] is None else str(r["spearman"]) for r in records
    ]
    assert {line["of"] for line in lines} == {"row", "runs", "feature", "pair"}


def test_lines_of_one_kind_can_be_asked_for(runs: list[Path]) -> None:
    lines = list(csv.DictReader(io.StringIO(ask(*runs, "--of", "feature", "--of", "runs").stdout)))
    assert [line["of"] for line in lines] == ["runs"] * 6 + ["feature"] * 4


def test_a_table_begins_with_how_far_runs_agree(runs: list[Path]) -> None:
    text = ask(*runs[:2], "--format", "table").stdout
    assert (
        text.index("joined on id") < text.index("features, the largest first") < text.index("pairs, the largest first")
    )
    assert "The runs have the same settings" in text
    assert "rows that agree least" not in text
    rows = ask(*runs[:2], "--format", "table", "--of", "row").stdout
    assert "the 20 rows that agree least" in rows


def test_the_rows_that_agree_least_are_shown(tmp_path: Path) -> None:
    gammas = random_gammas(N_ROWS)
    other = gammas.copy()
    other[17] *= -1
    runs = [write_table_run(tmp_path / name, each, keys=KEYS) for name, each in (("a", gammas), ("b", other))]
    lines = ask(*runs, "--format", "table", "--of", "row").stdout.splitlines()
    assert lines[4].split()[0] == "17"


def test_top_k_says_how_many_are_the_top(runs: list[Path]) -> None:
    lines = list(csv.DictReader(io.StringIO(ask(*runs, "--top-k", 1, "--of", "feature").stdout)))
    assert sum(int(line["in_top"]) for line in lines) == 3


def test_two_runs_are_needed(runs: list[Path]) -> None:
    for given in ([], runs[:1]):
        done = ask(*given)
        assert done.exit_code == 2
        assert "Missing argument 'RUN" in done.stderr
        assert "Try ihcli compare RUN RUN." in done.stderr


def test_runs_that_do_not_fit_leave_no_file(runs: list[Path], tmp_path: Path) -> None:
    write_table_run(tmp_path / "other", random_gammas(N_ROWS), keys=["X", *KEYS[1:]])
    done = ask(runs[0], tmp_path / "other", "-o", tmp_path / "out.csv")
    assert done.exit_code == 1
    assert "the first is id=X" in done.stderr
    assert "--key" in done.stderr
    assert not (tmp_path / "out.csv").exists()


def test_what_is_no_run_is_said(runs: list[Path], tmp_path: Path) -> None:
    done = ask(runs[0], tmp_path / "none")
    assert done.exit_code == 1
    assert f"{tmp_path / 'none'}: no such run" in done.stderr


@pytest.mark.parametrize("given", ["--draws 3", "--limit 5", "--seed 1", "--trust", "--code net.py:Net"])
def test_options_of_random_weights_are_refused_without_them(runs: list[Path], given: str) -> None:
    option = given.split()[0]
    done = ask(*runs, *given.split())
    assert done.exit_code == 2
    assert f"{option}: means something only with --random-weights." in done.stderr
    assert "Try --random-weights MODEL DATA" in done.stderr
