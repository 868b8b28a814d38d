"""A command's own process: ended by a signal whatever a model does, and confined before a stranger's model is read."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import model_files
import numpy as np
import pandas as pd
import pytest
import torch
from prepared import python
from test_confinement import IS_OFFERED
from torch import nn

from ihcli.cli import process
from ihcli.cli.watcher import SAVES, watch

AT_MOST_S = 60  # on a busy machine; without the watcher they never end
STUCK = {
    "the interpreter is held": "sum(range(1 << 60))",
    "interruptions are swallowed": (
        "while True:\n    try:\n        time.sleep(1000)\n    except BaseException:\n        pass"
    ),
}
PROLOGUE = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from ihcli.cli import process
from ihcli.cli.showing.stopping import stopping_once
process.own()
process.ENDED_AFTER_S = 1.0
with process.ended_when_stuck("Parts are kept."), stopping_once():
    print("began", flush=True)
"""


def signalled(code: str, *numbers: int) -> subprocess.CompletedProcess[str]:
    """Run code inside the guard, and send its process signals once it has begun."""
    inside = "".join(f"    {line}\n" for line in code.splitlines())
    command = [sys.executable, "-c", PROLOGUE + inside]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as begun:
        try:
            assert begun.stdout is not None
            assert begun.stdout.readline() == "began\n"
            time.sleep(0.2)  # so that it is inside of what it does
            for number in numbers:
                begun.send_signal(number)
                time.sleep(0.1)
            told = begun.communicate(timeout=AT_MOST_S)
        finally:
            begun.kill()
    return subprocess.CompletedProcess(command, begun.returncode, *told)


COLLECTIONS = """
import gc, sys
from ihcli.cli import process
if sys.argv[1] == "own":
    process.own()
collected = []
with process.importing():
    gc.callbacks.append(lambda phase, information: collected.append(phase))
    held = [[] for _ in range(100_000)]
    gc.callbacks.clear()
print(len(collected) > 0, gc.isenabled(), gc.get_freeze_count() >= len(held))
"""


@pytest.mark.parametrize(("whose", "printed"), [("own", "False True True"), ("another's", "True True False")])
def test_a_command_looks_for_no_garbage_while_it_imports(whose: str, printed: str) -> None:
    done = subprocess.run([sys.executable, "-c", COLLECTIONS, whose], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == printed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("how", STUCK)
def test_a_process_that_is_stuck_is_killed_and_says_so(how: str, number: int) -> None:
    done = signalled(STUCK[how], number)
    assert done.returncode == -signal.SIGKILL
    assert done.stderr == "Interrupted. The model did not stop within 1 s, so the process was killed. Parts are kept.\n"


def test_a_process_that_saves_may_take_its_time() -> None:
    saves = "process.saving()\n    time.sleep(2)\n    print('saved')"
    code = f"try:\n    time.sleep(1000)\nexcept KeyboardInterrupt:\n    {saves}"
    done = signalled(code, signal.SIGINT)
    assert (done.returncode, done.stdout) == (0, "saved\n")


def test_more_signals_give_no_more_time() -> None:
    done = signalled(STUCK["interruptions are swallowed"], *[signal.SIGINT] * 5)
    assert done.returncode == -signal.SIGKILL


def test_a_process_that_ends_is_left_alone() -> None:
    done = signalled("time.sleep(1000)", signal.SIGINT)
    assert done.returncode not in (0, -signal.SIGKILL)
    assert done.stderr.rstrip().endswith("KeyboardInterrupt")


def test_who_only_imports_ihcli_is_neither_watched_nor_confined(tmp_path: Path) -> None:
    code = (
        "from ihcli.cli import process\nimport signal, subprocess\n"
        "subprocess.Popen = None\n"
        "with process.ended_when_stuck():\n    process.saving()\n"
        "process.give_up_writing(False)\nopen('a', 'w').close()\nassert signal.set_wakeup_fd(-1) == -1\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_the_watcher_ends_when_the_process_has_ended() -> None:
    read, write = os.pipe()
    os.write(write, bytes([signal.SIGINT]) + SAVES)
    os.close(write)
    watch(read, os.getppid(), 1000.0, "")  # returns, and kills nobody
    os.close(read)


class Loops(nn.Module):
    """Ends for rows near 0 and never for others, in C++ that knows of no signals."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        i = 0
        if bool((x.abs() > 2.0).any()):
            while i >= 0:
                i = 1 - i
        return self.layer(x)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_whose_model_loops_ends_and_keeps_its_parts(tmp_path: Path, number: int) -> None:
    model_files.quietly(lambda: torch.jit.script(Loops()).save(str(tmp_path / "loops.pt")))
    rows = np.zeros((40, 2))
    rows[:, 0] = np.linspace(-1, 1, 40)
    rows[35] = 3.0
    pd.DataFrame(rows, columns=["a", "b"]).to_csv(tmp_path / "data.csv", index=False)
    command = [python(), "-m", "ihcli", "explain", "loops.pt", "data.csv", "-o", "run", "-m", "ig"]
    command += ["--chunk-rows", "10"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    begun = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        until = time.monotonic() + AT_MOST_S
        while not (tmp_path / "run/attributions/part-000002.parquet").exists() and time.monotonic() < until:
            time.sleep(0.05)
        begun.send_signal(number)
        told = begun.communicate(timeout=AT_MOST_S)[1]
    finally:
        begun.kill()
        begun.wait()
    assert begun.returncode == -signal.SIGKILL
    assert "did not stop within 8 s" in told
    assert "Finished parts are kept in run: try the same command with --resume to continue." in told
    assert len(list((tmp_path / "run/attributions").iterdir())) == 3


WRITES_ELSEWHERE = """
import sys
from pathlib import Path
import ihcli.models.loading as loading
from ihcli.cli import start
from ihcli.errors import ModelError
readers = dict(loading.READERS)
def reads_and_writes(source):
    outcomes = []
    for path in ("run/inside", "outside"):
        try:
            Path(path).write_text("x")
            outcomes.append("written")
        except OSError:
            outcomes.append("refused")
    raise ModelError(" ".join(outcomes))
for kind in readers:
    loading.READERS[kind] = reads_and_writes
start()
"""


@pytest.mark.skipif(not IS_OFFERED, reason="this kernel has no Landlock")
@pytest.mark.parametrize(
    ("arguments", "outcome"),
    [
        ("explain m.pkl d.csv -o run", "written refused"),
        ("explain m.pkl d.csv --dry-run", "refused refused"),
        ("inspect m.pkl", "refused refused"),
        ("interactions m.pkl d.csv", "refused refused"),
        ("attributions m.pkl d.csv --keep run", "written refused"),
        ("explain m.pkl d.csv -o run --trust", "written written"),
    ],
)
def test_a_model_can_write_into_its_run_only(tmp_path: Path, arguments: str, outcome: str) -> None:
    torch.save(nn.Sequential(nn.Linear(2, 1)), tmp_path / "m.pkl")
    pd.DataFrame({"a": [1.0], "b": [2.0]}).to_csv(tmp_path / "d.csv", index=False)
    (tmp_path / "temporary").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary"), "OMP_NUM_THREADS": "1"}
    command = [python(), "-c", WRITES_ELSEWHERE, *arguments.split()]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert re.search(outcome, done.stderr), done.stderr
    assert (tmp_path / "outside").exists() == outcome.endswith("written")


WORKER_WRITES = """
from pathlib import Path
from ihcli.execution import worker
made = worker.Worker.__init__
def makes_and_writes(self, number, commission):
    made(self, number, commission)
    for path in (commission.writer.path / "inside", commission.writer.path.parent / "outside"):
        try:
            path.write_text("x")
        except OSError:
            pass
worker.Worker.__init__ = makes_and_writes
"""


@pytest.mark.skipif(not IS_OFFERED, reason="this kernel has no Landlock")
def test_workers_are_confined_too(tmp_path: Path) -> None:
    torch.save(nn.Sequential(nn.Linear(2, 1)), tmp_path / "m.pkl")
    pd.DataFrame({"a": np.arange(4.0), "b": 2.0}).to_csv(tmp_path / "d.csv", index=False)
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "sitecustomize.py").write_text(WORKER_WRITES)
    path = os.pathsep.join([str(tmp_path / "first"), *sys.path[1:]])
    with tempfile.TemporaryDirectory(dir="/tmp") as temporary:  # a socket's path is short
        environment = {**os.environ, "TMPDIR": temporary, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
        done = with_workers(tmp_path, environment)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "inside").exists()
    assert not (tmp_path / "outside").exists()


def test_a_directory_for_temporary_files_that_no_socket_fits_into_is_one_message(tmp_path: Path) -> None:
    torch.save(nn.Sequential(nn.Linear(2, 1)), tmp_path / "m.pkl")
    pd.DataFrame({"a": np.arange(4.0), "b": 2.0}).to_csv(tmp_path / "d.csv", index=False)
    deep = tmp_path / ("d" * 100)
    deep.mkdir(parents=True)
    done = with_workers(tmp_path, {**os.environ, "TMPDIR": str(deep)})
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "a path too long for one. Try a short directory in the environment variable TMPDIR" in done.stderr
    done = with_workers(tmp_path, {**os.environ, "TMPDIR": "/tmp"})
    assert done.returncode == 0, done.stderr


def with_workers(directory: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    arguments = "explain m.pkl d.csv -o run --workers 2 --chunk-rows 2"
    command = [python(), "-m", "ihcli", *arguments.split()]
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)


def test_a_command_as_a_module_and_as_a_script_are_processes_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    owned = []
    monkeypatch.setattr(process, "own", lambda: owned.append(True))
    monkeypatch.setattr(sys, "argv", ["ihcli", "--version"])
    from ihcli.cli import start

    with pytest.raises(SystemExit):
        start()
    assert owned == [True]
