"""Ray actors on this machine: the run of one process, also when an actor is killed."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from executor_contract import ExecutorContract
from small_runs import assert_same_run, content, request_of
from stores import content as stored
from stores import upload

from ihcli.errors import OptionError
from ihcli.execution.pipeline import run
from ihcli.files.stores import StorePath
from ihcli.runs.progress import Progress
from ihcli.runs.request import Workforce
from ihcli.runs.totals import Observer

ray = pytest.importorskip("ray")
from ray.cluster_utils import Cluster  # noqa: E402

from ihcli.execution.ray import RayCrew  # noqa: E402

TWO = Workforce("ray", 2)


@pytest.fixture(autouse=True)
def disconnected() -> Iterator[None]:
    """Nothing of Ray is left when a run has ended, however it did."""
    yield
    assert not ray.is_initialized()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Ray with room for two actors, begun once: runs connect to it, and leave it when they end."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    yield cluster
    cluster.shutdown()


class TestRay(ExecutorContract):
    @pytest.fixture(autouse=True)
    def on_the_cluster(self, cluster: Cluster) -> None:
        self.workforce = replace(TWO, ray_address=cluster.address)


def test_a_killed_actor_loses_and_doubles_nothing_and_runs_go_on_anywhere(
    small_inputs: Path, run_alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An actor of a Ray that the run begins itself is killed, later the run is stopped; one process goes on with it."""
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
        run(request_of(small_inputs, 2), out, KillingThenStopping(), workforce=TWO)
    assert len(pids) == 3
    assert not ray.is_initialized()
    assert not list(out.rglob(".part-*"))
    run(request_of(small_inputs), out, Observer(), existing="resume")
    assert_same_run(out, run_alone)


def test_a_cluster_that_loses_a_machine_loses_and_doubles_nothing(
    small_inputs: Path, run_alone: Path, bucket: StorePath
) -> None:
    """Two machines in name, each a node of Ray with processes and a store of objects of its own; all files at URLs."""
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
        data, model = (upload(small_inputs / name, bucket / name) for name in ("table.parquet", "net.pt"))
        asked = request_of(small_inputs, 1, data=data, model=model)
        run(asked, out, Unplugging(), workforce=replace(TWO, ray_address=cluster.address))
        assert {name: held for name, held in stored(out).items() if name != "run.json"} == content(run_alone)
    finally:
        cluster.shutdown()


def test_an_address_without_a_cluster_is_one_message(small_inputs: Path, tmp_path: Path) -> None:
    nobody = Workforce("ray", 1, ray_address="127.0.0.1:9")
    with pytest.raises(OptionError, match=r"`ray_address=127\.0\.0\.1:9`: Connection refused\. Expected auto or HOST"):
        run(request_of(small_inputs, 1), tmp_path / "run", Observer(), workforce=nobody)
    assert not (tmp_path / "run").exists()


def test_more_gpus_than_there_are_is_refused(small_inputs: Path, tmp_path: Path, cluster: Cluster) -> None:
    greedy = Workforce("ray", 1, ray_address=cluster.address, gpus_per_worker=64)
    with pytest.raises(OptionError) as caught:
        run(request_of(small_inputs, 1), tmp_path / "run", Observer(), workforce=greedy)
    assert str(caught.value).startswith("`gpus_per_worker`: the cluster has ")
    assert not ray.is_initialized()
    assert not (tmp_path / "run").exists()
