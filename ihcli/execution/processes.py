"""A crew of processes on this machine, each with a device and a share of the threads."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess, parent_process
from pathlib import Path

from ihcli.errors import IhcliError, RunError
from ihcli.execution import forking
from ihcli.execution.dealing import Crew
from ihcli.execution.overlap import behind
from ihcli.execution.tasks import Lost, News, Ready, Refused, Task
from ihcli.execution.worker import Commission, Worker
from ihcli.files.confinement import confine
from ihcli.wording import in_words

ENDS_WITHIN_S = 5.0


class ProcessCrew(Crew):
    """Processes that get tasks and tell news through a pipe.

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
        forked = forking.begin()
        mine, its = forked.Pipe()
        told = (its, number, self._commission.on(device), dict(os.environ))
        process = forked.Process(target=_serve, args=told, name=f"ihcli worker {number}", daemon=True)
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


def _serve(pipe: Connection, number: int, commission: Commission, environment: Mapping[str, str]) -> None:
    """Explain what comes through the pipe until nobody is at its other end."""
    threading.Thread(target=_end_with_driver, daemon=True).start()
    os.environ.clear()
    os.environ.update(environment)
    if not commission.recipe.request.trust and isinstance(commission.writer.path, Path):
        confine([commission.writer.path])
    with suppress(BrokenPipeError):
        try:
            worker = Worker(number, commission)
        except IhcliError as error:
            pipe.send(Refused(number, error))
            return
        except Exception as error:
            told = f"`workers`: a worker could not load the model: {in_words(error)}. Try fewer `workers`."
            pipe.send(Refused(number, RunError(told)))
            return
        pipe.send(Ready(number))
        send = _one_at_a_time(pipe)
        behind(lambda explained: send(worker.write(explained)), worker.explained(_received(pipe), send))


def _one_at_a_time(pipe: Connection) -> Callable[[News], None]:
    """Return what sends news through the pipe: the thread that explains does, and the one that writes."""
    alone = threading.Lock()

    def send(news: News) -> None:
        with alone:
            pipe.send(news)

    return send


def _received(pipe: Connection) -> Iterator[Task]:
    while True:
        try:
            yield pipe.recv()
        except (EOFError, OSError):
            return


def _end_with_driver() -> None:
    """End this process at once when the driver is gone: a run that is begun anew must not meet it."""
    driver = parent_process()
    if driver is not None:
        driver.join()
        os._exit(1)
