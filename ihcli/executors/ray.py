"""A crew of Ray actors, on this machine or a cluster; the only module that knows of Ray."""

import math
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from ihcli.errors import IhcliError, OptionError, PackageError
from ihcli.executors.crews import CrewExecutor
from ihcli.executors.dealing import Crew
from ihcli.executors.tasks import Lost, News, Ready, Refused, Stumbled, Task, Written
from ihcli.executors.worker import Commission, Worker, in_words
from ihcli.output import RunWriter
from ihcli.preparation import PreparedRun
from ihcli.request import Workforce


class RayCrew(Crew):
    """Actors that load the model once; chunks travel through Ray's object store, news come back as results.

    Actors are not restarted in place: Ray would count a chunk's attempts against its neighbours. A lost actor's chunks
    go to others, and Ray places a new actor wherever there is room.
    """

    def __init__(self, commission: Commission, size: int, gpus_per_worker: float) -> None:
        import ray

        self.size = size
        self._ray = ray
        self._commission = ray.put(commission)
        self._actor = ray.remote(num_cpus=1, num_gpus=gpus_per_worker, max_restarts=0)(_Actor)
        self._hired = 0
        self._actors: dict[int, Any] = {}
        self._expected: dict[Any, tuple[int, int | None]] = {}

    def hire(self) -> int:
        """Ask Ray for an actor."""
        number, self._hired = self._hired, self._hired + 1
        actor = self._actors[number] = self._actor.remote(number, self._commission)
        self._expected[actor.begin.remote()] = (number, None)
        return number

    def give(self, worker: int, task: Task) -> None:
        """Queue a task at an actor."""
        reference = self._actors[worker].explain.remote(task.part, task.chunk)
        self._expected[reference] = (worker, task.part)

    def news(self) -> Sequence[News]:
        """Wait for results of actors, or for their end."""
        done, _ = self._ray.wait(list(self._expected), num_returns=1)
        return [news for reference in done if (news := self._news_of(reference)) is not None]

    def dismiss(self) -> None:
        """End all actors, and the connection to Ray."""
        for actor in self._actors.values():
            with suppress(self._ray.exceptions.RayError):
                self._ray.kill(actor)
        self._actors.clear()
        self._expected.clear()
        self._ray.shutdown()

    def _news_of(self, reference: Any) -> News | None:
        worker, part = self._expected.pop(reference)
        if worker not in self._actors:  # lost, and said so
            return None
        try:
            news: News = self._ray.get(reference)
        except self._ray.exceptions.RayActorError as error:
            self._ray.kill(self._actors.pop(worker))
            return Lost(worker, in_words(error))
        except self._ray.exceptions.RayError as error:
            return Lost(worker, in_words(error)) if part is None else Stumbled(worker, part, in_words(error))
        return news


class _Actor:
    """A worker inside Ray."""

    def __init__(self, number: int, commission: Commission) -> None:
        self._number = number
        self._commission = commission

    def begin(self) -> Ready | Refused:
        try:
            self._worker = Worker(self._number, self._commission)
        except IhcliError as error:
            return Refused(self._number, error)
        return Ready(self._number)

    def explain(self, part: int, chunk: Any) -> Written | Stumbled | Refused:
        return self._worker.write(self._worker.explain(Task(part, chunk)))


def ray_executor(workforce: Workforce, device: str) -> CrewExecutor:
    """Return the executor that hires actors; raises PackageError without Ray, OptionError for what cannot be had."""
    try:
        import ray  # noqa: F401
    except ImportError as error:
        raise PackageError("--executor ray: needs the package ray. Try pip install 'ihcli[ray]'.") from error

    def hire_crew(prepared: PreparedRun, writer: RunWriter) -> Crew:
        return _hire_crew(workforce, device, prepared, writer)

    return CrewExecutor(hire_crew)


def _hire_crew(workforce: Workforce, device: str, prepared: PreparedRun, writer: RunWriter) -> Crew:
    import ray

    _connect(workforce)
    try:
        there = ray.cluster_resources()
        gpus = _gpus_per_worker(workforce, device, there.get("GPU", 0.0))
        size = workforce.workers or max(1, int(there["GPU"] / gpus if gpus else there["CPU"]))
        on_each = math.ceil(size / sum(node["Alive"] for node in ray.nodes()))
        commission = Commission.of(prepared, writer, prepared.explainer.memory_bytes // on_each, threads=1)
        return RayCrew(commission.on("cuda") if gpus else commission, size, gpus)
    except BaseException:
        ray.shutdown()
        raise


def _gpus_per_worker(workforce: Workforce, device: str, there: float) -> float:
    wanted = workforce.gpus_per_worker
    if wanted is None:
        return 1.0 if device != "cpu" and there else 0.0
    if wanted > there:
        raise OptionError(f"--gpus-per-worker: the cluster has {there:g} GPUs. Expected at most that, got {wanted:g}.")
    return wanted


def _connect(workforce: Workforce) -> None:
    """Connect to the cluster that is named, or start Ray on this machine."""
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    here = workforce.ray_address is None and not os.environ.get("RAY_ADDRESS")
    cores = {"num_cpus": max(workforce.workers or 1, os.cpu_count() or 1), "include_dashboard": False} if here else {}
    with _signals_kept():
        try:
            ray.init(address=workforce.ray_address, log_to_driver=False, logging_level="warning", **cores)
        except ConnectionError as error:
            raise OptionError(
                f"--ray-address: {in_words(error)}. Expected auto or HOST:PORT of a running cluster. Try ray status."
            ) from error


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Give back the handlers of signals that Ray takes for itself."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
