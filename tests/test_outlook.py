"""What is said before a run that takes minutes: how long, and only what really helps; seconds are made up."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from test_forecasting import make

from ihcli.cli import main
from ihcli.cli.showing.spelling import spelled
from ihcli.cli.showing.words import outlook_in_words
from ihcli.execution import outlook
from ihcli.execution.outlook import FEW_ROWS, LEAST_ROWS, MOST_SHARE, look_ahead
from ihcli.execution.preparation import PreparedRun, prepare_run
from ihcli.execution.refusals import parse
from ihcli.runs.totals import Outlook, Remedy

Cost = Callable[[Any, int], float]
TIMED = """
import sys
from dataclasses import replace
from ihcli.derivatives.autograd import AutogradEngine
from ihcli.execution import outlook
from ihcli.execution.preparation import prepare_run
from ihcli.execution.refusals import parse
from ihcli.runs.request import RunRequest
def seconds_of(*_):
    print("begun" if "sympy" in sys.modules else "not begun")
    return 1e-3
outlook.seconds_of = seconds_of
prepared = prepare_run(parse({request}))
engine = AutogradEngine(prepared.explainer.model.outputs, 1 << 26)
prepared = replace(prepared, explainer=replace(prepared.explainer, engine=engine))
assert "sympy" not in sys.modules
outlook.look_ahead(prepared, 300, 1)
"""


class Timed:
    """Seconds that explaining would take, by a made-up rule, and how many were spent on trials."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cost: Cost) -> None:
        self.spent_s, self._cost = 0.0, cost
        self.threads = 4
        monkeypatch.setattr(outlook, "seconds_of", self.seconds_of)
        monkeypatch.setattr(torch, "get_num_threads", lambda: self.threads)
        monkeypatch.setattr(torch, "set_num_threads", self.set_threads)
        monkeypatch.setattr(outlook.os, "sched_getaffinity", lambda _: set(range(4)))

    def set_threads(self, threads: int) -> None:
        self.threads = threads

    def seconds_of(self, explainer: Any, inputs: np.ndarray, labels: np.ndarray | None) -> float:
        seconds = self._cost(explainer, len(inputs))
        self.spent_s += seconds
        return seconds


def per_row(row_s: float) -> Cost:
    """Second order 10 times first, a small tolerance twice a large one, and threads of no use."""

    def cost(explainer: Any, rows: int) -> float:
        order = 10 if explainer.method.second_order else 1
        effort = 3 / 16 if explainer.effort.steps else 1 if explainer.effort.tolerance < 0.1 else 0.5
        return rows * explainer.reader.n_baselines * order * effort * row_s

    return cost


def prepared(folder: Path, n_rows: int, **options: object) -> PreparedRun:
    return prepare_run(parse(make(folder, 4, n_rows, **options)))


def options_of(found: Outlook | None) -> dict[str, str]:
    assert found is not None
    return {remedy.option: remedy.gain for remedy in found.remedies}


def test_a_short_run_costs_a_row_or_two_and_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timed = Timed(monkeypatch, per_row(1e-3))
    assert look_ahead(prepared(tmp_path, 3000), 3000, 1) is None
    assert timed.spent_s <= 2 * 0.01


def test_a_long_run_says_what_helps_and_by_how_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timed = Timed(monkeypatch, per_row(1e-3))
    found = look_ahead(prepared(tmp_path, 3000, method="eh", baseline_rows=50), 3000, 1)
    assert found is not None
    assert found.wall_s == pytest.approx(1500, rel=0.01)
    assert timed.spent_s < MOST_SHARE * found.wall_s
    assert timed.threads == 4
    assert options_of(found) == {
        "method=ih": "one baseline: 50 times less",
        "baseline_rows=5": "10 times less",
        "method=eg": "no interactions: 10 times less",
        "tolerance=0.1": "about 2 times less",
        "workers=4": "about 4 times less",
        "limit=110": "about a minute",
    }


def test_of_as_many_baselines_as_are_enough_a_larger_tolerance_is_proposed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Timed(monkeypatch, per_row(1e-3))
    asked = {"method": "eh", "baseline_rows": "auto", "sampling_tolerance": 0.25}
    ready = prepared(tmp_path, 3000, **asked)
    found = options_of(outlook_of := look_ahead(ready, 3000, 1))
    assert ready.reader.n_baselines > 50
    assert found["method=ih"].startswith("one baseline, and no `baseline_rows=auto`: ")
    assert "times less" in found["sampling_tolerance=0.5"]
    assert not any(option.startswith("baseline_rows") for option in found)
    with click.Context(main.commands["explain"]):
        assert "and no --baseline-rows auto: " in spelled(outlook_in_words(outlook_of))
    again = prepared(tmp_path, 3000, **{**asked, "sampling_tolerance": 0.5})
    assert again.reader.n_baselines < ready.reader.n_baselines


def test_only_what_helps_is_proposed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Timed(monkeypatch, lambda explainer, rows: rows / outlook.torch.get_num_threads())  # nothing but threads matters
    found = look_ahead(prepared(tmp_path, 900, method="ig", tolerance=0.2), 900, 1)
    assert options_of(found) == {"limit=240": "about a minute"}
    Timed(monkeypatch, per_row(1.0))
    assert "workers=4" not in options_of(look_ahead(prepared(tmp_path, 900, method="ig"), 900, 2))


def test_trials_are_made_only_as_long_as_they_are_a_hundredth_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed = Timed(monkeypatch, per_row(0.3))
    found = look_ahead(prepared(tmp_path, FEW_ROWS, method="ih"), FEW_ROWS, 1)
    assert list(options_of(found)) == ["limit=19"]
    assert timed.spent_s <= 3.0


def test_of_few_rows_none_is_explained_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timed = Timed(monkeypatch, per_row(0.5))
    found = look_ahead(prepared(tmp_path, 90, method="eh", baseline_rows=20), 40, 1)
    assert found is not None
    assert found.is_least
    assert found.wall_s == pytest.approx(40 * 20 * 10 * 0.5 / 2)
    assert timed.spent_s < MOST_SHARE * found.wall_s
    assert look_ahead(prepared(tmp_path, 90, method="eh"), LEAST_ROWS - 1, 1) is None


def test_rounds_that_rows_share_are_not_counted_for_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timed = Timed(monkeypatch, lambda explainer, rows: 0.2 + 1e-3 * rows)
    assert look_ahead(prepared(tmp_path, 3000), 3000, 1) is None
    assert timed.spent_s < 1


@pytest.mark.parametrize("rows", [12, 90])
def test_starting_up_is_not_counted_for_each_of_few_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    calls = iter([4.0])
    Timed(monkeypatch, lambda explainer, rows: next(calls, 0.01 * rows))
    assert look_ahead(prepared(tmp_path, 90), rows, 1) is None


def test_imports_of_directions_are_not_counted_for_each_row(tmp_path: Path) -> None:
    make(tmp_path, 4, 300)
    request = f"RunRequest({str(tmp_path / 'm.pt')!r}, {str(tmp_path / 'd.parquet')!r}, key=('id',))"
    done = subprocess.run(
        [sys.executable, "-c", TIMED.format(request=request)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["begun", "begun"]


def test_the_import_of_a_package_is_not_counted_for_each_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def row_s(explainer: Any, rows: int) -> float:
        done.append("row")
        return 1e-3

    monkeypatch.setattr(outlook, "captum", lambda: done.append("import"))
    Timed(monkeypatch, row_s)
    assert look_ahead(prepared(tmp_path, 300, method="lime"), 300, 1) is None
    assert done[:2] == ["import", "row"]


def test_pairs_that_are_ranked_and_written_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Timed(monkeypatch, per_row(0.0))
    assert look_ahead(prepared(tmp_path, 300), 300, 1) is None
    monkeypatch.setattr(outlook, "RANK_S", 10.0)
    found = look_ahead(prepared(tmp_path, 300), 300, 1)
    assert found is not None
    assert found.wall_s == pytest.approx(80, rel=0.01)


def test_a_model_that_fails_is_left_to_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> float:
        raise RuntimeError("no")

    monkeypatch.setattr(outlook, "seconds_of", fail)
    assert look_ahead(prepared(tmp_path, 300), 300, 1) is None


def test_it_is_put_in_words_without_options_that_a_command_lacks() -> None:
    remedies = (Remedy("method=ig", "no interactions: 12 times less"), Remedy("limit=900", "about a minute"))
    found = Outlook(12000, 800.0, remedies)
    with click.Context(main):
        assert outlook_in_words(found) == (
            "12,000 rows are expected to take about 13 min 20 s. Shorter: -m ig (no interactions: 12 times less), or "
            "--limit 900 (about a minute)."
        )
        assert outlook_in_words(found, ("method=ig", "workers")).endswith(" Shorter: --limit 900 (about a minute).")
    assert "take at least 13 min" in outlook_in_words(Outlook(20, 800.0, remedies, is_least=True))


@pytest.mark.parametrize("quiet", [False, True])
@pytest.mark.parametrize("command", ["explain", "interactions", "attributions"])
def test_commands_say_it_before_they_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, quiet: bool
) -> None:
    request = make(tmp_path, 4, 120)
    timed = Timed(monkeypatch, per_row(0.1))
    out = ["-o", str(tmp_path / "run")] if command == "explain" else []
    words = [command, request.model, request.data, "--key", "id", *out, *(["--quiet"] if quiet else [])]
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert done.exit_code == 0
    first = (done.stderr.splitlines() or [""])[0]
    assert first.startswith("120 rows are expected to take about 2 min 0 s. Shorter: ") is not quiet
    assert ("--workers" in first) is (command == "explain" and not quiet and "--workers 4" in first)
    assert (timed.spent_s == 0) is quiet


def test_every_option_that_is_proposed_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = make(tmp_path, 4, 3000, method="eh", baseline_rows=50)
    cost = per_row(1e-3)
    Timed(monkeypatch, cost)
    for option in options_of(look_ahead(prepare_run(parse(request)), 3000, 1)):
        with click.Context(main):
            shown = spelled(f"`{option}`", short=True)
        words = ["explain", request.model, request.data, "--key", "id", "-m", "eh", "--baseline-rows", "50"]
        done = CliRunner().invoke(main, [*words, *shown.split(), "--dry-run", "--quiet"], catch_exceptions=False)
        assert done.exit_code == 0, option
