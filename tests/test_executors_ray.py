"""Ray actors on this machine: the run of one process, also when an actor is killed; one Ray for all tests."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from ihcli.errors import OptionError
from ihcli.pipeline import run
from ihcli.progress import Progress
from ihcli.request import Observer, RunRequest, Workforce

ray = pytest.importorskip("ray")

MEMORY_BYTES = 1 << 26


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ray")
    torch.manual_seed(0)
    torch.save(nn.Sequential(nn.Linear(4, 12), nn.ReLU(), nn.Linear(12, 2)).eval(), folder / "net.pt")
    table = pd.DataFrame(np.random.default_rng(0).standard_normal((41, 4)), columns=["a", "b", "c", "d"])
    table.insert(0, "id", [f"{i:03d}" for i in range(len(table))])
    table.to_parquet(folder / "table.parquet")
    return folder


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster of this machine, so that it need not be started for every test."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    started = ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield started.address_info["gcs_address"]
    ray.shutdown()


def request_of(folder: Path, workers: int) -> RunRequest:
    """Ask for so much memory that each of the workers has what one would have alone."""
    net, table, memory_bytes = folder / "net.pt", folder / "table.parquet", workers * MEMORY_BYTES
    return RunRequest(
        str(net), str(table), key=("id",), chunk_rows=2, memory_bytes=memory_bytes, max_evaluations=64, device="cpu"
    )


@pytest.fixture(scope="module")
def alone(folder: Path) -> Path:
    torch.set_num_threads(1)
    run(request_of(folder, 1), folder / "alone", Observer())
    return folder / "alone"


def content(out: Path) -> dict[str, bytes]:
    return {str(file.relative_to(out)): file.read_bytes() for file in out.rglob("*.parquet")}


class Killing(Observer):
    """Kills an actor's process after the third chunk."""

    def __init__(self) -> None:
        self.parts, self.killed = list[int](), 0

    def chunk_done(self, done: Progress) -> None:
        self.parts.append(done.parts[0].start)
        if len(self.parts) == 3:
            pids = [actor.pid for actor in ray.util.state.list_actors(filters=[("state", "=", "ALIVE")])]
            os.kill(pids[0], signal.SIGKILL)
            self.killed = pids[0]
