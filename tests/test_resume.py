"""Runs that are killed, interrupted or meet a full disk go on to the same bytes; and what must not go on is refused."""

import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from crashes import ON_CONTENT, FullDisk, count_operations, forked, killed_at, struck
from torch import nn

from ihcli.errors import OptionError, RunError
from ihcli.execution import preparation
from ihcli.execution.pipeline import run
from ihcli.explainers import settling
from ihcli.explainers.explainer import Explainer
from ihcli.explanation import Explanation
from ihcli.files.lock import LOCK
from ihcli.runs import keeping
from ihcli.runs.names import STATES
from ihcli.runs.progress import Progress
from ihcli.runs.request import RunRequest
from ihcli.runs.run import open_run
from ihcli.runs.totals import Observer, RunTotals

N_PARTS = 20
KINDS = {
    "attributions": {"method": "ig"},
    "matrices, some cut short": {"method": "ih", "max_evaluations": 8, "tolerance": 5e-11, "dtype": "float64"},
    "largest pairs": {"method": "ih", "interactions": "top:2"},
    "summaries": {"method": "eh", "interactions": "none", "target": "all", "baseline_rows": 5},
}
KILLS_OF_A_KIND = 4
RANDOM_KILLS = 30


@pytest.fixture(scope="module", autouse=True)
def without_waiting() -> Iterator[None]:
    """Let nothing wait for the disk: what a process wrote outlives it unsynced, only a power loss would tell.

    States follow every part, as where parts take seconds: so runs go on from the middle.
    """
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda _: None)
        patched.setattr(keeping, "STATE_S", 0)
        patched.setattr(keeping, "STATE_TIMES", 0)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network, a table, and the files of baselines and groups that options name."""
    folder = tmp_path_factory.mktemp("resume")
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 12), nn.Softplus(), nn.Linear(12, 2)).eval()
    torch.save(net, folder / "net.pt")
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.standard_normal((2 * N_PARTS, 4)), columns=["a", "b", "c", "d"])
    table.insert(0, "id", [f"{i:03d}" for i in range(len(table))])
    table.to_parquet(folder / "table.parquet")
    table[["a", "b", "c", "d"]][:1].to_csv(folder / "baseline.csv", index=False)
    (folder / "groups.toml").write_text('[groups]\n"a and c" = ["a", "c"]\n')
    return folder


def request_of(folder: Path, **options: object) -> RunRequest:
    base = RunRequest(str(folder / "net.pt"), str(folder / "table.parquet"), key=("id",), chunk_rows=2)
    return replace(base, **{"memory_bytes": 1 << 26, **options})


@pytest.fixture(scope="module", params=KINDS)
def undisturbed(request: pytest.FixtureRequest, folder: Path) -> tuple[RunRequest, Path, int]:
    """A run of each kind that nothing stopped: what was asked, where it is, and how many operations it took."""
    asked = request_of(folder, **KINDS[request.param])
    out = folder / request.param
    return asked, out, count_operations(asked, out)


def content(run_path: Path) -> dict[str, bytes]:
    """Return every file of a run but run.json, which holds times."""
    files = (file for file in run_path.rglob("*") if file.is_file())
    return {str(file.relative_to(run_path)): file.read_bytes() for file in files if file.name != "run.json"}


def assert_same_run(out: Path, expected: Path) -> None:
    assert content(out) == content(expected)
    info, model = (json.loads((path / "run.json").read_text()) for path in (out, expected))
    assert info["status"] == "done"
    for totals in (info["totals"], model["totals"]):
        del totals["wall_s"]
    assert info["totals"] == model["totals"]
    rows = pq.read_table(out / "attributions", columns=["_row", "_target"]).to_pylist()
    assert len({tuple(row.values()) for row in rows}) == len(rows) == info["totals"]["entries"]
    assert {row["_row"] for row in rows} == set(range(2 * N_PARTS))


# Killed


def test_a_run_killed_at_any_operation_goes_on_to_the_same_bytes(
    undisturbed: tuple[RunRequest, Path, int], tmp_path: Path
) -> None:
    asked, expected, operations = undisturbed
    assert len(list((expected / "attributions").iterdir())) == N_PARTS
    drawn = random.Random(operations).sample(range(operations), KILLS_OF_A_KIND)
    for point in {*drawn, operations - 1}:
        assert killed_at(point, asked, tmp_path / str(point))
        run(asked, tmp_path / str(point), Observer(), existing="resume")
        assert_same_run(tmp_path / str(point), expected)


def test_a_run_killed_at_random_moments_goes_on_to_the_same_bytes(
    undisturbed: tuple[RunRequest, Path, int], tmp_path: Path
) -> None:
    asked, expected, _ = undisturbed
    wall_s = open_run(expected).info.totals.wall_s  # so that kills find it at all of its stages
    moments, kills = random.Random(0), 0
    while kills < RANDOM_KILLS / len(KINDS):
        out = tmp_path / str(kills)
        for _ in range(4):
            with forked(asked, out) as pid:
                time.sleep(moments.uniform(0, wall_s))
                os.kill(pid, signal.SIGKILL)
                _, status = os.waitpid(pid, 0)
            kills += os.WIFSIGNALED(status)
        run(asked, out, Observer(), existing="resume")
        assert_same_run(out, expected)


def test_a_run_killed_in_its_first_steps_is_no_obstacle(folder: Path, tmp_path: Path) -> None:
    asked = request_of(folder, limit=2)
    for point in range(12):
        out = tmp_path / str(point)
        assert killed_at(point, asked, out)
        run(asked, out, Observer(), existing="resume")
        assert open_run(out).status == "done"


# Full disks


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_full_disk_is_named_and_the_run_goes_on_when_there_is_room(
    folder: Path, tmp_path: Path, share: float
) -> None:
    asked, out = request_of(folder, limit=12), tmp_path / "run"
    full = FullDisk(int(share * count_operations(asked, tmp_path / "whole", ON_CONTENT)))
    with pytest.raises(RunError) as caught, struck(full, ON_CONTENT):
        run(asked, out, Observer())
    assert "cannot be written: No space left on device." in str(caught.value)
    assert "the same command with `resume`" in str(caught.value)
    for file in out.rglob("*.parquet"):
        assert pq.read_table(file).num_rows > 0
    run(asked, out, Observer(), existing="resume")
    assert content(out) == content(tmp_path / "whole")


def test_a_last_file_that_does_not_fit_leaves_a_run_that_only_lacks_its_summary(folder: Path, tmp_path: Path) -> None:
    asked, out = request_of(folder), tmp_path / "run"
    operations = count_operations(asked, tmp_path / "whole")
    assert killed_at(operations - 20, asked, out)
    assert len(list((out / "attributions").iterdir())) == N_PARTS
    with pytest.raises(RunError) as caught:
        open_run(out).summary_interactions()
    assert str(caught.value) == (
        f"{out}: the run did not finish (status running), so it has no summary. "
        "Try the same ihcli explain with `resume`, which keeps the finished parts."
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Explainer, "explain", forbidden)
        run(asked, out, Observer(), existing="resume")
    assert content(out) == content(tmp_path / "whole")


def forbidden(*_: object) -> Explanation:
    raise AssertionError("nothing was left to explain")


# What is taken over, and what is kept


class Stopping(Observer):
    """Stops a run after some parts, and remembers what it was told."""

    def __init__(self, after: int = -1) -> None:
        self._left = after
        self.parts, self.rows_before, self.warnings = 0, -1, list[str]()

    def resumed(self, rows: int) -> None:
        self.rows_before = rows

    def warned(self, text: str) -> None:
        self.warnings.append(text)

    def chunk_done(self, done: Progress) -> None:
        self.parts += 1
        if self.parts == self._left:
            raise KeyboardInterrupt


def stopped(asked: RunRequest, out: Path, after: int = 5) -> Path:
    with pytest.raises(KeyboardInterrupt):
        run(asked, out, Stopping(after))
    return out


def test_finished_parts_are_kept_and_the_rest_is_explained(folder: Path, tmp_path: Path) -> None:
    out, observer = stopped(request_of(folder), tmp_path / "run"), Stopping()
    written = {file: file.stat().st_mtime_ns for file in out.rglob("part-*.parquet")}
    totals = run(request_of(folder), out, observer, existing="resume")
    kept = len([file for file in written if file.parent.name == "attributions"])
    assert 5 <= kept <= 6  # one more can be under way when the fifth is told
    assert (observer.rows_before, observer.parts) == (2 * kept, N_PARTS - kept)
    assert {file: file.stat().st_mtime_ns for file in written} == written
    assert (totals.rows, totals.statuses) == (2 * N_PARTS, {"ok": 2 * N_PARTS})
    info = json.loads((out / "run.json").read_text())
    assert len(info["resumed"]) == 1
    assert "error" not in info


def test_chunks_and_memory_are_those_of_the_first_session(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request_of(folder, chunk_rows=None, memory_bytes=None)
    monkeypatch.setattr(preparation, "CHUNK_BYTES", 3000)
    monkeypatch.setattr(settling, "default_memory_bytes", lambda _: 40_000)
    run(asked, tmp_path / "whole", Observer())
    out = stopped(asked, tmp_path / "run", after=1)
    monkeypatch.setattr(preparation, "CHUNK_BYTES", 5000)
    monkeypatch.setattr(settling, "default_memory_bytes", lambda _: 1 << 30)
    run(asked, out, Observer(), existing="resume")
    assert len(content(out)) > 4
    assert content(out) == content(tmp_path / "whole")
    assert json.loads((out / "run.json").read_text())["memory_bytes"] == 40_000


def test_memory_trust_and_places_may_differ(folder: Path, tmp_path: Path) -> None:
    out = stopped(request_of(folder), tmp_path / "run")
    (tmp_path / "moved").mkdir()
    for name in ("net.pt", "table.parquet"):
        (tmp_path / "moved" / name).write_bytes((folder / name).read_bytes())
    moved = request_of(tmp_path / "moved", memory_bytes=1 << 28, trust=True, device="cpu", chunk_rows=None)
    assert run(moved, out, Observer(), existing="resume").rows == 2 * N_PARTS


def test_a_finished_run_is_left_as_it_is(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, out = request_of(folder), tmp_path / "run"
    first = run(asked, out, Observer())
    before = content(out) | {"run.json": (out / "run.json").read_bytes()}
    monkeypatch.setattr(Explainer, "explain", forbidden)
    again = run(asked, out, Observer(), existing="resume")
    assert again == replace(first, was_done=True, wall_s=again.wall_s)
    assert content(out) | {"run.json": (out / "run.json").read_bytes()} == before


def test_resuming_begins_a_run_where_there_is_none(folder: Path, tmp_path: Path) -> None:
    observer = Stopping()
    totals = run(request_of(folder), tmp_path / "deep" / "run", observer, existing="resume")
    assert (totals.rows, totals.was_done, observer.rows_before) == (2 * N_PARTS, False, -1)


def test_what_a_killed_process_left_half_written_is_removed_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    out = stopped(request_of(folder), tmp_path / "run")
    torn = [out / f".run.json.{'0' * 32}", out / "attributions" / f".part-000009.parquet.{'a' * 32}"]
    mine = [out / ".notes", out / "attributions" / ".part-of-mine"]
    for file in (*torn, *mine):
        file.write_text("x")
    run(request_of(folder), out, Observer(), existing="resume")
    assert [file.exists() for file in (*torn, *mine)] == [False, False, True, True]


def test_parts_whose_state_is_damaged_are_explained_again(folder: Path, tmp_path: Path) -> None:
    run(request_of(folder), tmp_path / "whole", Observer())
    out = stopped(request_of(folder), tmp_path / "run")
    for file in (out / STATES).iterdir():
        file.write_bytes(file.read_bytes()[:100])
    run(request_of(folder), out, Observer(), existing="resume")
    assert content(out) == content(tmp_path / "whole")


# What is refused


def change_model(folder: Path) -> None:
    torch.save(nn.Sequential(nn.Linear(4, 2), nn.Softplus()), folder / "net.pt")


def change_data(folder: Path) -> None:
    table = pd.read_parquet(folder / "table.parquet")
    table.loc[39, "a"] += 1e-9
    table.to_parquet(folder / "table.parquet")


def change_baseline(folder: Path) -> None:
    (folder / "baseline.csv").write_text("a,b,c,d\n0,0,0,0\n")


def change_groups(folder: Path) -> None:
    (folder / "groups.toml").write_text('[groups]\n"a and c" = ["a", "b"]\n')


OTHER_CONTENT = {
    "model": (change_model, "Expected the model {folder}/net.pt as it was, got other content in {folder}/net.pt."),
    "data": (change_data, "Expected the data {folder}/table.parquet as they were, got other content in {folder}/table"),
    "baseline": (change_baseline, "Expected baselines of SHA-256 "),
    "groups": (
        change_groups,
        "Expected the groups of {folder}/groups.toml as they were, got other content in ",
    ),
}


@pytest.mark.parametrize(("change", "words"), OTHER_CONTENT.values(), ids=OTHER_CONTENT)
def test_other_content_is_refused_and_named(
    folder: Path, tmp_path: Path, change: Callable[[Path], None], words: str
) -> None:
    for file in ("net.pt", "table.parquet", "baseline.csv", "groups.toml"):
        (tmp_path / file).write_bytes((folder / file).read_bytes())
    files = {"baseline": str(tmp_path / "baseline.csv"), "groups": str(tmp_path / "groups.toml")}
    asked, out = request_of(tmp_path, **files), tmp_path / "run"
    stopped(asked, out)
    before = content(out) | {"run.json": (out / "run.json").read_bytes()}
    change(tmp_path)
    with pytest.raises(RunError) as caught:
        run(asked, out, Observer(), existing="resume")
    assert f"{out}: `resume` continues a run with its original settings, but 1 differs. " in str(caught.value)
    assert words.format(folder=tmp_path) in str(caught.value)
    assert content(out) | {"run.json": (out / "run.json").read_bytes()} == before


def test_other_options_are_refused_in_one_message(folder: Path, tmp_path: Path) -> None:
    out = stopped(request_of(folder), tmp_path / "run")
    asked = request_of(folder, tolerance=0.001, max_evaluations=500, key=(), chunk_rows=3)
    with pytest.raises(RunError) as caught:
        run(asked, out, Observer(), existing="resume")
    assert str(caught.value) == (
        f"{out}: `resume` continues a run with its original settings, but 4 differ. "
        "Expected no `tolerance`, got `tolerance=0.001`; Expected `key=id`, got no `key`; "
        "Expected no `max_evaluations`, got `max_evaluations=500`; Expected `chunk_rows=2`, got `chunk_rows=3`. "
        "Try the original command, or `overwrite` to start over."
    )
    assert open_run(out).status == "interrupted"


@pytest.mark.parametrize("name", ["ihcli", "torch"])
def test_another_version_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    out = stopped(request_of(folder), tmp_path / "run")
    info = json.loads((out / "run.json").read_text())
    info["versions"][name] = "0.0.1"
    (out / "run.json").write_text(json.dumps(info))
    with pytest.raises(RunError, match=rf"1 differs\. Expected {name} 0\.0\.1, got "):
        run(request_of(folder), out, Observer(), existing="resume")


def test_a_finished_run_of_something_else_is_refused_too(folder: Path, tmp_path: Path) -> None:
    run(request_of(folder), tmp_path / "run", Observer())
    with pytest.raises(RunError, match=r"Expected `seed=0`, got `seed=1`\."):
        run(request_of(folder, seed=1), tmp_path / "run", Observer(), existing="resume")


def test_an_unfinished_run_is_replaced_only_when_asked(folder: Path, tmp_path: Path) -> None:
    out = stopped(request_of(folder), tmp_path / "run")
    with pytest.raises(RunError) as caught:
        run(request_of(folder), out, Observer())
    assert str(caught.value) == (
        f"{out}: holds a run that did not finish (status interrupted). Try `resume` to continue it, "
        "`overwrite` to start over, or another `out`."
    )
    run(request_of(folder, seed=1), out, Observer(), existing="replace")
    assert not (out / STATES).exists()


@pytest.mark.parametrize("info", ['{"status": "done"}', '{"name": "mine"}'])
def test_a_run_json_that_tells_too_little_is_left_alone(folder: Path, tmp_path: Path, info: str) -> None:
    (tmp_path / "run.json").write_text(info)
    with pytest.raises(RunError, match=r"run\.json: does not say how the run was started\."):
        run(request_of(folder), tmp_path, Observer(), existing="resume")
    assert (tmp_path / "run.json").read_text() == info


@pytest.mark.parametrize("existing", ["overwrite", "", "Resume", True])
def test_what_becomes_of_a_run_that_is_there_is_one_of_three(folder: Path, tmp_path: Path, existing: Any) -> None:
    with pytest.raises(OptionError) as caught:
        run(request_of(folder), tmp_path / "run", Observer(), existing=existing)
    assert str(caught.value) == f"`existing={existing}`: is not understood. Expected refuse, replace or resume."
    assert not (tmp_path / "run").exists()


# Two processes


class Rival(Observer):
    """Starts a second run on the directory while the first is at work."""

    def __init__(self, asked: RunRequest, out: Path, **how: Any) -> None:
        self._start: Callable[[], RunTotals] = lambda: run(asked, out, Observer(), **how)
        self.errors: list[str] = []

    def chunk_done(self, done: Progress) -> None:
        with pytest.raises(RunError) as caught:
            self._start()
        self.errors.append(str(caught.value))


@pytest.mark.parametrize("how", [{}, {"existing": "replace"}, {"existing": "resume"}])
def test_a_second_process_is_refused(folder: Path, tmp_path: Path, how: dict[str, Any]) -> None:
    asked, out = request_of(folder, limit=4), tmp_path / "run"
    rival = Rival(asked, out, **how)
    assert run(asked, out, rival).rows == 4
    assert len(rival.errors) == 2
    assert rival.errors[0] == (
        f"{out}: process {os.getpid()} on {os.uname().nodename} is writing it now. Expected one process for one run. "
        "Try again when that is done, or another `out`."
    )
    assert open_run(out).status == "done"
    assert not (out / LOCK).exists()


def test_a_run_under_way_says_so_to_readers(folder: Path, tmp_path: Path) -> None:
    class Reading(Observer):
        def chunk_done(self, done: Progress) -> None:
            with pytest.raises(RunError, match="the run is still running, so it has no summary yet"):
                open_run(tmp_path / "run").summary_attributions()

    assert run(request_of(folder, limit=4), tmp_path / "run", Reading()).rows == 4
