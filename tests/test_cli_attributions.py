"""`ihcli attributions`: ranked features of every run."""

import csv
import io
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from runs import FEATURES, write_run

from ihcli.cli import main


def ask(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["attributions", *map(str, arguments)])


def test_features_are_ranked_by_mean_size(tmp_path: Path) -> None:
    explanation = write_run(tmp_path / "run")
    sizes = np.abs(explanation.attributions).mean(axis=0)
    found = list(csv.DictReader(io.StringIO(ask(tmp_path / "run").stdout)))
    assert [record["feature"] for record in found] == [FEATURES[i] for i in np.argsort(-sizes)]
    np.testing.assert_allclose([float(record["mean_abs"]) for record in found], np.sort(sizes)[::-1], rtol=1e-12)


@pytest.mark.parametrize(("second_order", "expected"), [(True, True), (False, False)])
def test_runs_of_both_orders_are_ranked(tmp_path: Path, second_order: bool, expected: bool) -> None:
    write_run(tmp_path / "run", second_order=second_order)
    done = ask(tmp_path / "run", "--format", "table")
    assert done.exit_code == 0
    assert ("main_mean_abs" in done.stdout) is expected


def test_top_k_limits_the_features(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    assert len(ask(tmp_path / "run", "--top-k", 2).stdout.splitlines()) == 3


def test_top_k_is_at_least_one(tmp_path: Path) -> None:
    done = ask(tmp_path, "--top-k", 0)
    assert done.exit_code == 2
    assert "'--top-k': Expected a whole number of at least 1, got '0'." in done.stderr


def test_features_are_ranked_by_any_statistic_and_chosen(tmp_path: Path) -> None:
    explanation = write_run(tmp_path / "run")
    spread = explanation.attributions.std(axis=0)
    found = list(csv.DictReader(io.StringIO(ask(tmp_path / "run", "--by", "std").stdout)))
    assert [record["feature"] for record in found] == [FEATURES[i] for i in np.argsort(-spread)]
    chosen = ask(tmp_path / "run", "--feature", "age", "--feature", "pressure").stdout
    assert {record["feature"] for record in csv.DictReader(io.StringIO(chosen))} == {"age", "pressure"}


def test_one_row_shows_its_signed_attributions(tmp_path: Path) -> None:
    explanation = write_run(tmp_path / "run")
    for arguments in (["--row", 4], ["--key", "patient=P4"]):
        found = list(csv.DictReader(io.StringIO(ask(tmp_path / "run", *arguments).stdout)))
        phi = {record["feature"]: float(record["attribution"]) for record in found}
        assert phi == dict(zip(FEATURES, explanation.attributions[4].tolist(), strict=True))
        assert [abs(value) for value in phi.values()] == sorted(map(abs, phi.values()), reverse=True)


def test_main_effects_are_for_pairs_only(tmp_path: Path) -> None:
    done = ask(tmp_path, "--main-effects")
    assert done.exit_code == 2
    assert "No such option" in done.stderr
    assert "--main-effects" in done.stderr


@pytest.mark.parametrize(
    ("name", "written"),
    [
        *(("x.xlsx", "x.csv"), ("x.JSON", "x.jsonl"), ("x.feather", "x.arrow"), ("a b.pq", "'a b.parquet'")),
        *(("x.tsv", "x.csv"), ("x.csv.gz", "x.csv"), ("x.parquet.zst", "x.parquet"), ("x.zip", "x.csv")),
    ],
)
def test_no_file_is_named_for_a_format_that_it_is_not_in(name: str, written: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "run")
    for more in ((), ("--long",)):
        refused = ask("run", "-o", name, *more)
        assert f"-o {name}: " in refused.stderr
        assert refused.stderr.strip().endswith(f"or --format. Try -o {written}.")
    assert not (tmp_path / name).exists()
    assert ask("run", "-o", *shlex.split(written)).exit_code == 0
    assert ask("run", "-o", name, "--format", "csv").exit_code == 0
