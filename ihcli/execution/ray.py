"""A crew of Ray actors, on this machine or a cluster; the only module that knows of Ray."""

import math
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from ihcli.errors import IhcliError, OptionError, PackageError
from ihcli.execution.crews import CrewExecutor
from ihcli.execution.dealing import Crew
from ihcli.execution.preparation import PreparedRun
from ihcli.execution.tasks import Lost, News, Ready, Refused, Stumbled, Task, Written
from ihcli.execution.worker import Commission, Worker
from ihcli.runs.request import Workforce
from ihcli.runs.writer import RunWriter
from ihcli.wording import in_words

ADDRESS = re.compile(r"(?:ray://)?\[?([^/]+?)\]?:([0-9]+)")
ANSWERS_WITHIN_S = 10.0


class RayCrew(Crew):
    """Actors that load the model once; chunks travel through Ray's object store, news come back as results.

    Actors begin as soon as the crew does, and import what they need while the driver checks model and data. They are
    not restarted in place: Ray would count a chunk's attempts against its neighbours. A lost actor's chunks go to
    others, and Ray places a new actor wherever there is room.
    """

    def __init__(self, size: int, gpus_per_worker: float) -> None:
        import ray

        self.size = size
        self.gpus_per_worker = gpus_per_worker
        self._ray = ray
        self._actor = ray.remote(num_cpus=1, num_gpus=gpus_per_worker, max_restarts=0)(_Actor)
        self._waiting = [self._actor.remote() for _ in range(size)]
        self._commission: Any = None
        self._hired = 0
        self._actors: dict[int, Any] = {}
        self._expected: dict[Any, tuple[int, int | None]] = {}

    def commission(self, commission: Commission) -> None:
        """Say what those who are hired from now on must know."""
        self._commission = self._ray.put(commission)

    def hire(self) -> int:
        """Take an actor that waits, or ask Ray for one."""
        number, self._hired = self._hired, self._hired + 1
        actor = self._actors[number] = self._waiting.pop() if self._waiting else self._actor.remote()
        self._expected[actor.begin.remote(number, self._commission)] = (number, None)
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
        for actor in (*self._waiting, *self._actors.values()):
            with suppress(self._ray.exceptions.RayError):
                self._ray.kill(actor)
        self._waiting.clear()
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

    def begin(self, number: int, commission: Commission) -> Ready | Refused:
        try:
            self._worker = Worker(number, commission)
        except IhcliError as error:
            return Refused(number, error)
        return Ready(number)

    def explain(self, part: int, chunk: Any) -> Written | Stumbled | Refused:
        return self._worker.write(self._worker.explain(Task(part, chunk)))


def ray_executor(workforce: Workforce, device: str) -> CrewExecutor:
    """Return the executor that hires actors, and begin to gather them.

    Raises PackageError without Ray, OptionError for a cluster or GPUs that cannot be had.
    """
    try:
        import ray
    except ImportError as error:
        raise PackageError("`executor=ray`: needs the package ray. Try pip install 'ihcli[ray]'.") from error
    _connect(workforce)
    try:
        crew = _gather(workforce, device)
    except BaseException:
        ray.shutdown()
        raise

    def hire_crew(prepared: PreparedRun, writer: RunWriter) -> Crew:
        crew.commission(_commission(crew, prepared, writer))
        return crew

    return CrewExecutor(crew.size, hire_crew, crew.dismiss)


def _gather(workforce: Workforce, device: str) -> RayCrew:
    import ray

    there = ray.cluster_resources()
    gpus = _gpus_per_worker(workforce, device, there.get("GPU", 0.0))
    return RayCrew(workforce.workers or max(1, int(there["GPU"] / gpus if gpus else there["CPU"])), gpus)


def _commission(crew: RayCrew, prepared: PreparedRun, writer: RunWriter) -> Commission:
    import ray

    on_each = math.ceil(crew.size / sum(node["Alive"] for node in ray.nodes()))
    commission = Commission.of(prepared, writer, prepared.explainer.memory_bytes // on_each, threads=1)
    return commission.on("cuda") if crew.gpus_per_worker else commission


def _gpus_per_worker(workforce: Workforce, device: str, there: float) -> float:
    wanted = workforce.gpus_per_worker
    if wanted is None:
        return 1.0 if device != "cpu" and there else 0.0
    if wanted > there:
        raise OptionError(f"`gpus_per_worker`: the cluster has {there:g} GPUs. Expected at most that, got {wanted:g}.")
    return wanted


def _connect(workforce: Workforce) -> None:
    """Connect to the cluster that is named, or start Ray on this machine."""
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # "local" starts Ray also where a cluster runs on this machine; without any address Ray would join that.
    address = workforce.ray_address or os.environ.get("RAY_ADDRESS") or "local"
    cores = max(workforce.workers or 1, os.cpu_count() or 1)
    started = {"num_cpus": cores, "include_dashboard": False} if address == "local" else {}
    try:
        _require_answer(address)
        with _signals_kept():
            ray.init(address=address, log_to_driver=False, logging_level="error", **started)
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).strip().partition("\n")[0].partition(". ")[0]
        raise OptionError(
            f"`ray_address={address}`: {reason}. Expected auto or HOST:PORT of a running cluster. Try ray status, "
            "and RAY_AUTH_MODE=token where the cluster asks for a token."
        ) from error


def _require_answer(address: str) -> None:
    """Raise OSError where nobody listens at HOST:PORT, which Ray itself would try for many minutes."""
    found = ADDRESS.fullmatch(address)
    if found is not None:
        socket.create_connection((found[1], int(found[2])), ANSWERS_WITHIN_S).close()


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
