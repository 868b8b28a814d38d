"""Whole commands with one process, two workers and Ray on a job that keeps a core busy; and the driver's memory."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from benchmarks.setup import Setup, alone, normal_rows, softplus_net
from benchmarks.tables import Cell, Result
from ihcli.data.rows import Chunk
from ihcli.execution.dealing import Crew, Dealer
from ihcli.execution.tasks import News, Ready, Task, Written
from ihcli.explanation import Explanation
from ihcli.runs.progress import Progress

FEATURES, ROWS, CHUNK_ROWS = 50, 24_000, 100
ROUNDS = 1
CHUNKS = 100_000


@dataclass(frozen=True)
class Way:
    """A way to run the job: threads of a command, options, and how many commands share the rows at once."""

    name: str
    threads: int
    options: tuple[str, ...] = ()
    commands: int = 1


WAYS = (
    Way("one process, one thread", 1),
    Way("one process, two threads", 2),
    Way("two commands at once", 1, commands=2),
    Way("two workers", 2, ("--workers", "2")),
)
RAY = Way("two workers under Ray", 2, ("--workers", "2", "--executor", "ray"))


def measure(setup: Setup) -> list[Result]:
    """Run each way in turn, some rounds of it, so that what else the machine does falls on all of them."""
    ways = (*WAYS, RAY) if importlib.util.find_spec("ray") else WAYS
    n_rows, rounds = setup.rows(ROWS, 1200), 1 if setup.quick else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        command = _job(Path(folder), n_rows)
        seen = [[_run(command, n_rows, way, Path(folder)) for way in ways] for _ in range(rounds)]
    return [_throughput(ways, n_rows, seen), alone(_memory, setup.rows(CHUNKS))]


def _throughput(ways: Sequence[Way], n_rows: int, seen: list[list[tuple[float, float]]]) -> Result:
    rows: list[list[Cell]] = []
    for i, way in enumerate(ways):
        command_s, run_s = (median(one[i][j] for one in seen) for j in range(2))
        gains = (median(one[0][j] / one[i][j] for one in seen) for j in (1, 0))
        rows.append([way.name, n_rows, command_s, run_s, n_rows / run_s, *gains])
    columns = ("way", "rows", "command s", "run s", "rows/s", "times one thread", "the same, of commands")
    notes = (
        f"ih of a 5 x 128 SoftPlus net, D = {FEATURES}, by the autograd engine, chunks of {CHUNK_ROWS} rows, "
        f"matrices stored; median of {len(seen)} rounds in which the ways take turns.",
        "Run: from the end of the checks to the summary. Before it a command imports for some seconds, and Ray starts; "
        "what workers import goes on beside that. Two commands at once have half of the rows each and nothing in "
        "common: what this machine has to give.",
        f"Load of the machine at the end: {os.getloadavg()[0]:.1f}.",
    )
    return Result("executors", "Two workers against one process", columns, rows, notes)


def _job(folder: Path, n_rows: int) -> list[str]:
    torch.save(softplus_net(FEATURES), folder / "net.pt")
    columns = {f"f{i}": column for i, column in enumerate(normal_rows(n_rows, FEATURES).T)}
    pq.write_table(pa.table(columns), folder / "rows.parquet")
    return [
        *(sys.executable, "-m", "ihcli", "explain", str(folder / "net.pt"), str(folder / "rows.parquet"), "--quiet"),
        *("--engine-derivatives", "autograd", "--device", "cpu", "--chunk-rows", str(CHUNK_ROWS)),
    ]


def _run(command: list[str], n_rows: int, way: Way, folder: Path) -> tuple[float, float]:
    """Return the seconds of the command, and of the run in it; of several at once, those of the slowest."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(way.threads), "MKL_NUM_THREADS": str(way.threads)}
    outs = [folder / f"run-{i}" for i in range(way.commands)]
    share = ("--limit", str(n_rows // way.commands), "--overwrite", *way.options)
    started = time.monotonic()
    running = [subprocess.Popen([*command, "-o", str(out), *share], env=environment, stdout=sys.stderr) for out in outs]
    if any(process.wait() for process in running):
        raise RuntimeError(f"{way.name}: a command failed")
    command_s = time.monotonic() - started
    return command_s, max(json.loads((out / "run.json").read_text())["totals"]["wall_s"] for out in outs)


class _InstantCrew(Crew):
    """Workers that have every part written at once, with the state of a table of 30 features under ih."""

    size = 16

    def __init__(self) -> None:
        self._said: list[News] = []
        self._hired = 0
        self._state = Progress.of_part(0, 10, _explanation(10, 30)).state()

    def hire(self) -> int:
        self._hired += 1
        self._said.append(Ready(self._hired))
        return self._hired

    def give(self, worker: int, task: Task) -> None:
        self._said.append(Written(worker, task.part, {**self._state, "parts": np.array([[task.part, task.part + 1]])}))

    def news(self) -> Sequence[News]:
        said, self._said = self._said, []
        return said

    def dismiss(self) -> None:
        self._said.clear()


def _memory(n_chunks: int) -> Result:
    """Deal chunks to workers that are instant, and look at the size of the process as it goes."""
    progress, rows, started = Progress(), [], time.monotonic()
    for done, result in enumerate(Dealer(_InstantCrew(), _chunks(n_chunks)).results(), 1):
        assert isinstance(result, Written)
        progress.merge(Progress.of_state(result.state))
        if done in (n_chunks // 100, n_chunks // 10, n_chunks):
            rows.append((done, _resident_mib(), (time.monotonic() - started) / done * 1e6))
    columns = ("chunks", "driver MiB", "us a chunk")
    notes = ("Made-up workers that are done at once; chunks of 10 rows and 30 features, their states those of ih.",)
    return Result("driver", "Memory and time of the driver, whatever the number of chunks", columns, rows, notes)


def _chunks(n_chunks: int) -> Iterator[Task]:
    keys = pa.table({})
    return (Task(part, Chunk(10 * part, np.zeros((10, 30)), keys)) for part in range(n_chunks))


def _explanation(n: int, d: int) -> Explanation:
    figures = {name: np.zeros(n) for name in ("prediction", "baseline_prediction", "completeness_gap")}
    return Explanation(
        row=np.arange(n),
        target=np.full(n, "0", object),
        feature_names=tuple(f"f{i}" for i in range(d)),
        attributions=np.ones((n, d), np.float32),
        interactions=np.ones((n, d, d), np.float32),
        relative_error=np.zeros(n),
        drift=None,
        sampling_error=None,
        evaluations=np.full(n, 8, np.int32),
        status=np.full(n, "ok", object),
        **figures,
    )


def _resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
