"""Ray actors on this machine: the run of one process, also when an actor is killed."""

import os
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from stores import content as stored
from torch import nn

from ihcli.errors import OptionError
from ihcli.execution.pipeline import run
from ihcli.files.stores import StorePath
from ihcli.runs.progress import Progress
from ihcli.runs.request import RunRequest, Workforce
from ihcli.runs.totals import Observer

ray = pytest.importorskip("ray")
from ray.cluster_utils import Cluster  # noqa: E402

from ihcli.execution.ray import RayCrew  # noqa: E402

MEMORY_BYTES = 1 << 26
TWO = Workforce("ray", 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ray")
    torch.manual_seed(0)
    torch.save(nn.Sequential(nn.Linear(4, 12), nn.ReLU(), nn.Linear(12, 2)).eval(), folder / "net.pt")
    table = pd.DataFrame(np.random.default_rng(0).standard_normal((41, 4)), columns=["a", "b", "c", "d"])
    table.insert(0, "id", [f"{i:03d}" for i in range(len(table))])
    table.to_parquet(folder / "table.parquet")
    return folder


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


def test_two_actors_write_the_run_of_one_process(folder: Path, alone: Path, tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    totals = run(request_of(folder, 2), tmp_path / "run", Observer(), workforce=TWO)
    assert content(tmp_path / "run") == content(alone)
    assert totals.rows == 41
    assert not ray.is_initialized()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_killed_actor_loses_and_doubles_nothing_and_runs_go_on_anywhere(
    folder: Path, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An actor is killed, later the run is stopped; one process goes on with it."""
    hire, pids = RayCrew.hire, []

    def noted(self: RayCrew) -> int:
        number = hire(self)
        pids.append(self._actors[number].__ray_call__.remote(lambda _: os.getpid()))
        return number

    class KillingThenStopping(Observer):
        rows = 0

        def chunk_done(self, done: Progress) -> None:
            self.rows += done.rows
            if self.rows == 6:
                os.kill(ray.get(pids[0]), signal.SIGKILL)
            if self.rows == 30:
                raise KeyboardInterrupt

    monkeypatch.setattr(RayCrew, "hire", noted)
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run(request_of(folder, 2), out, KillingThenStopping(), workforce=TWO)
    assert len(pids) == 3
    assert not ray.is_initialized()
    assert not list(out.rglob(".part-*"))
    run(request_of(folder, 1), out, Observer(), resume=True)
    assert content(out) == content(alone)


def test_a_cluster_that_loses_a_machine_loses_and_doubles_nothing(folder: Path, alone: Path, bucket: StorePath) -> None:
    """Two machines in name, each a node of Ray with processes and a store of objects of its own; the run at a URL."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        second = cluster.add_node(num_cpus=1)

        class Unplugging(Observer):
            rows = 0

            def chunk_done(self, done: Progress) -> None:
                self.rows += done.rows
                if self.rows == 8:
                    cluster.remove_node(second, allow_graceful=False)

        out = bucket / "run"
        run(request_of(folder, 1), out, Unplugging(), workforce=Workforce("ray", 2, ray_address=cluster.address))
        assert {name: held for name, held in stored(out).items() if name.endswith(".parquet")} == content(alone)
    finally:
        cluster.shutdown()


def test_an_address_without_a_cluster_is_one_message(folder: Path, tmp_path: Path) -> None:
    nobody = Workforce("ray", 1, ray_address="127.0.0.1:9")
    with pytest.raises(OptionError, match=r"`ray_address=127\.0\.0\.1:9`: Connection refused\. Expected auto or HOST"):
        run(request_of(folder, 1), tmp_path / "run", Observer(), workforce=nobody)
    assert not (tmp_path / "run").exists()


def test_more_gpus_than_there_are_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError) as caught:
        run(request_of(folder, 1), tmp_path / "run", Observer(), workforce=Workforce("ray", 1, gpus_per_worker=64))
    assert str(caught.value).startswith("`gpus_per_worker`: the cluster has ")
    assert not ray.is_initialized()
    assert not (tmp_path / "run").exists()
