"""A crew of processes on this machine, each with a device and a share of the threads."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from ihcli.errors import IhcliError, RunError
from ihcli.executors.dealing import Crew
from ihcli.executors.tasks import Lost, News, Ready, Refused, Task
from ihcli.executors.worker import Commission, Worker, in_words
from ihcli.overlap import behind

ENDS_WITHIN_S = 5.0
PARENT_CHECKED_S = 1.0


class ProcessCrew(Crew):
    """Spawned processes that get tasks and tell news through a pipe.

    devices  one for each worker; who is hired for one that is gone takes its device
    """

    def __init__(self, commission: Commission, devices: Sequence[str]) -> None:
        self.size = len(devices)
        self._commission = commission
        self._devices = list(devices)
        self._hired = 0
        self._processes: dict[int, BaseProcess] = {}
        self._pipes: dict[int, Connection] = {}
        self._device_of: dict[int, str] = {}

    def hire(self) -> int:
        """Start a process."""
        number, self._hired = self._hired, self._hired + 1
        device = self._device_of[number] = self._devices.pop(0)
        fresh = multiprocessing.get_context("spawn")
        mine, its = fresh.Pipe()
        process = fresh.Process(
            target=_serve, args=(its, number, self._commission.on(device)), name=f"ihcli worker {number}", daemon=True
        )
        with _signals_held(), _threads(self._commission.threads):
            process.start()
        its.close()
        self._processes[number], self._pipes[number] = process, mine
        return number

    def give(self, worker: int, task: Task) -> None:
        """Send a task."""
        with suppress(BrokenPipeError, ConnectionResetError):  # its end is among the next news
            self._pipes[worker].send(task)

    def news(self) -> Sequence[News]:
        """Wait for what workers send, or for their end."""
        number_of = {pipe: number for number, pipe in self._pipes.items()}
        return [self._news_of(number_of[pipe], pipe) for pipe in wait(list(number_of)) if isinstance(pipe, Connection)]

    def dismiss(self) -> None:
        """End all processes: the idle ones see that nobody will send them anything, the others are ended."""
        for process in self._processes.values():
            process.terminate()
        for pipe in self._pipes.values():
            pipe.close()
        until = time.monotonic() + ENDS_WITHIN_S
        for process in self._processes.values():
            process.join(max(0.0, until - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
            process.close()
        self._processes.clear()
        self._pipes.clear()

    def _news_of(self, number: int, pipe: Connection) -> News:
        try:
            news: News = pipe.recv()
        except (EOFError, OSError):
            return self._lost(number)
        return news

    def _lost(self, number: int) -> Lost:
        process = self._processes.pop(number)
        self._pipes.pop(number).close()
        process.join(ENDS_WITHIN_S)
        if process.is_alive():
            process.kill()
            process.join()
        code = process.exitcode or 0
        process.close()
        self._devices.append(self._device_of.pop(number))
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return Lost(number, f"its process {how}")


def _serve(pipe: Connection, number: int, commission: Commission) -> None:
    """Explain what comes through the pipe until nobody is at its other end."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    with suppress(BrokenPipeError):
        try:
            worker = Worker(number, commission)
        except IhcliError as error:
            pipe.send(Refused(number, error))
            return
        except Exception as error:
            told = f"--workers: a worker could not load the model: {in_words(error)}. Try fewer --workers."
            pipe.send(Refused(number, RunError(told)))
            return
        pipe.send(Ready(number))
        behind(lambda explained: pipe.send(worker.write(explained)), worker.explained(_received(pipe)))


def _received(pipe: Connection) -> Iterator[Task]:
    while True:
        try:
            yield pipe.recv()
        except (EOFError, OSError):
            return


def _end_with(parent: int) -> None:
    """End this process at once when its parent is gone: a run that is begun anew must not meet it."""
    while os.getppid() == parent:
        time.sleep(PARENT_CHECKED_S)
    os._exit(1)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Let what is started meanwhile never be interrupted: Ctrl-C reaches a whole group, and the driver ends workers."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _threads(threads: int) -> Iterator[None]:
    """Let what is started meanwhile, and whatever libraries it uses, begin with so many threads."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(threads)
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before
