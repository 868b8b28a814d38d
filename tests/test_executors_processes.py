"""Worker processes: the run of one process, also when workers are killed, stumble, or are interrupted."""

import json
import os
import signal
import subprocess
import time
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import checkpoints
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from executor_contract import ExecutorContract
from runs import begun
from small_runs import MEMORY_BYTES, Hearing, assert_same_run, content, request_of
from stumbling import Stumbling, Waiting

from ihcli.errors import RunError
from ihcli.execution.dealing import WAITING
from ihcli.execution.pipeline import run
from ihcli.execution.processes import ProcessCrew
from ihcli.execution.tasks import FailedChunksError
from ihcli.runs.progress import Progress
from ihcli.runs.request import RunRequest, Workforce
from ihcli.runs.totals import Observer

TWO = Workforce(workers=2)
STOPS_WITHIN_S = 60  # a few on an idle machine; tests share theirs
SAMPLE = Path(__file__).parents[1] / "sample_data"


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Compute as workers do, where sums are rounded as one thread does."""
    torch.set_num_threads(1)


class TestProcesses(ExecutorContract):
    workforce = TWO


def test_texts_are_explained_by_workers_too(tmp_path: Path) -> None:
    checkpoints.save(tmp_path / "bert", "bert")
    words = ["a good film", "a bad film", "bad", None, "the film was not good at all", "good"]
    pd.DataFrame({"text": words * 2}).to_parquet(tmp_path / "texts.parquet")
    asked = RunRequest(str(tmp_path / "bert"), str(tmp_path / "texts.parquet"), text="text", chunk_rows=3)
    asked = replace(asked, device="cpu", tolerance=0.1, max_evaluations=32)
    run(replace(asked, memory_bytes=MEMORY_BYTES), tmp_path / "alone", Observer())
    run(replace(asked, memory_bytes=2 * MEMORY_BYTES), tmp_path / "run", Observer(), workforce=TWO)
    assert len(content(tmp_path / "run")) == 11
    assert content(tmp_path / "run") == content(tmp_path / "alone")


class Killing(Observer):
    """Kills a worker after some chunks, once; where a run on a disk is named, it leaves a part half written."""

    def __init__(self, after: int, out: Path | None = None) -> None:
        self.left = after
        self.out = out
        self.crews: list[ProcessCrew] = []
        self.killed = 0

    def chunk_done(self, done: Progress) -> None:
        self.left -= 1
        if self.left == 0:
            process = list(self.crews[0]._processes.values())[-1]
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            if self.out is not None:
                (self.out / "attributions" / f".part-000020.parquet.{'0' * 32}").write_bytes(b"PAR1")
            self.killed += 1


@pytest.mark.parametrize("after", [1, 6])
def test_a_killed_worker_loses_and_doubles_nothing(
    small_inputs: Path, run_alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    killing, hire = Killing(after, tmp_path / "run"), ProcessCrew.hire

    def noted(self: ProcessCrew) -> int:
        killing.crews.append(self)
        return hire(self)

    monkeypatch.setattr(ProcessCrew, "hire", noted)
    run(request_of(small_inputs, 2), tmp_path / "run", killing, workforce=TWO)
    assert killing.killed == 1
    assert_same_run(tmp_path / "run", run_alone)


def test_a_run_of_one_process_goes_on_with_workers(small_inputs: Path, run_alone: Path, tmp_path: Path) -> None:
    class Stopping(Observer):
        def chunk_done(self, done: Progress) -> None:
            if 5 in done.parts[0]:
                raise KeyboardInterrupt

    out, observer = tmp_path / "run", Hearing()
    with pytest.raises(KeyboardInterrupt):
        run(request_of(small_inputs), out, Stopping())
    run(request_of(small_inputs, 2), out, observer, existing="resume", workforce=TWO)
    assert observer.before >= 12
    assert_same_run(out, run_alone)


@pytest.mark.parametrize(
    ("kills", "words"),
    [(False, "these rows are too much"), (True, "its process was killed by SIGKILL")],
)
def test_rows_that_fail_again_and_again_are_reported_and_the_rest_is_done(
    small_inputs: Path, tmp_path: Path, kills: bool, words: str
) -> None:
    out = tmp_path / "run"
    first = np.float32(pd.read_parquet(small_inputs / "table.parquet")["a"][14])
    torch.save(Stumbling(float(first), tmp_path / "mended", kills).eval(), tmp_path / "net.pt")
    asked = request_of(small_inputs, 2, model=str(tmp_path / "net.pt"), trust=True, engine_derivatives="autograd")
    with pytest.raises(FailedChunksError) as caught:
        run(asked, out, Observer(), workforce=TWO)
    assert f"2 rows could not be explained, each chunk tried 3 times: rows 14 to 15 ({words})." in str(caught.value)
    info = json.loads((out / "run.json").read_text())
    assert (info["status"], info["failed_chunks"]) == (
        "failed",
        [{"part": 7, "first_row": 14, "rows": 2, "error": words}],
    )
    assert len(list((out / "attributions").iterdir())) == 20
    assert not (out / "summary").exists()
    (tmp_path / "mended").touch()
    observer = Hearing()
    run(asked, out, observer, existing="resume", workforce=TWO)
    assert observer.before == 39
    assert pq.read_table(out / "attributions")["_row"].to_pylist() == list(range(41))
    assert "failed_chunks" not in json.loads((out / "run.json").read_text())


def test_a_full_disk_ends_the_run_and_leaves_nothing_half_written(small_inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"

    class InTheWay(Observer):
        """Blocks the parts that no worker can have before the first one is told of, however late that is."""

        def chunk_done(self, done: Progress) -> None:
            for part in range(2 * WAITING, 21):
                (out / "interactions" / f"part-{part:06d}.parquet" / "x").mkdir(parents=True, exist_ok=True)

    with pytest.raises(RunError, match=r"part-0000\d\d\.parquet: cannot be written: "):
        run(request_of(small_inputs, 2), out, InTheWay(), workforce=TWO)
    assert not list(out.rglob(".part-*"))
    assert json.loads((out / "run.json").read_text())["status"] == "failed"


def test_parts_that_come_before_the_first_are_no_lost_run(
    small_inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted while the first chunk is still under way: others are written, and none is counted yet."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    first = np.float32(pd.read_parquet(small_inputs / "table.parquet")["a"][0])
    torch.save(Waiting(float(first), tmp_path / "go on").eval(), tmp_path / "net.pt")
    out = tmp_path / "run"
    command = ("explain", tmp_path / "net.pt", small_inputs / "table.parquet", "-o", out, "--trust", "--workers", "2")
    roles = ("--key", "id", "--label", "label", "--chunk-rows", "2", "--engine-derivatives", "autograd")
    with begun(*command, *roles, until=(out / "attributions" / "part-000002.parquet").exists) as process:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=STOPS_WITHIN_S)
    assert process.returncode == 143, errors
    told = f"Interrupted before the first part of {out} was done. Try the same command with --resume to continue."
    assert errors.splitlines()[-1] == told
    (tmp_path / "go on").touch()
    with begun(*command, *roles, "--resume", until=lambda: True) as process:
        _, errors = process.communicate(timeout=2 * STOPS_WITHIN_S)
    assert process.returncode == 0, errors
    assert pq.read_table(out / "attributions")["_row"].to_pylist() == list(range(41))


# The whole command


def started(out: Path) -> AbstractContextManager[subprocess.Popen[str]]:
    """Begin a run of two workers, and give it when it has written some parts."""
    model, data = SAMPLE / "breast_cancer_relu.pt", SAMPLE / "breast_cancer.parquet"
    command = ("explain", model, data, "-o", out, "--chunk-rows", "1", "--workers", "2")
    return begun(*command, until=(out / "attributions" / "part-000004.parquet").exists)


def members_of(group: int) -> list[int]:
    """Return the processes of a group that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it ended meanwhile
            continue
        if int(its_group) == group and state != "Z":
            found.append(int(stat.parent.name))
    return found


def assert_all_end(group: int) -> None:
    until = time.monotonic() + STOPS_WITHIN_S
    while members_of(group) and time.monotonic() < until:
        time.sleep(0.05)
    assert members_of(group) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_all_of_them_stops_all_in_seconds(tmp_path: Path, number: signal.Signals, code: int) -> None:
    with started(tmp_path / "run") as process:
        assert len(members_of(process.pid)) >= 3
        os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
        _, errors = process.communicate(timeout=STOPS_WITHIN_S)
        assert process.returncode == code, errors
        assert "Try the same command with --resume to continue." in errors
        assert "Traceback" not in errors
        assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "interrupted"
        assert_all_end(process.pid)


def test_workers_end_when_the_driver_is_killed(tmp_path: Path) -> None:
    with started(tmp_path / "run") as process:
        process.kill()
        process.wait()
        assert_all_end(process.pid)
