"""`ihcli attributions`: ranked features of every run."""

import csv
import io
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
