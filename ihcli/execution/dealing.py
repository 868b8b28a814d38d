"""Tasks dealt to workers that come and go: those of a lost one go to others, and results keep the order of parts."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field

from ihcli.errors import RunError
from ihcli.execution.tasks import FailedChunk, Lost, Moved, News, Ready, Refused, Stumbled, Task, Written

MOST_ATTEMPTS = 3
MOST_FAILED = 100  # chunks; where so many fail, the others would too
HELD = 2  # tasks a worker has: one that it explains, one that it reads meanwhile
WAITING = 4  # results for each worker that may wait for the part before them, so that memory stays bounded


class Crew(ABC):
    """Workers behind one interface: hired, given tasks, heard of.

    size  how many there shall be at once
    """

    size: int

    @abstractmethod
    def hire(self) -> int:
        """Begin to start a worker, and return its number, never used before; it tells when it is ready."""

    @abstractmethod
    def give(self, worker: int, task: Task) -> None:
        """Give a worker a task; where the worker is gone meanwhile, the news will say so."""

    @abstractmethod
    def news(self) -> Sequence[News]:
        """Wait until there is something to tell, and tell it."""

    @abstractmethod
    def dismiss(self) -> None:
        """End all workers, at once where they still work."""


@dataclass
class _Dealt:
    task: Task
    attempts: int = 0


@dataclass
class _Worker:
    is_ready: bool = False
    is_alone_with_it: bool = False
    held: dict[int, _Dealt] = field(default_factory=dict)


class Dealer:
    """Deals tasks to a crew; every part is written by one worker, or by another once that one is gone.

    A task that a worker was lost or stumbled over is tried again by a worker that has no other, so that none is blamed
    for its neighbour. Parts are the same files whoever writes them, and take their name whole: a part that was written
    by a worker that then was lost is replaced by the same, never doubled.
    """

    def __init__(self, crew: Crew, tasks: Iterator[Task]) -> None:
        self._crew = crew
        self._tasks = tasks
        self._next = next(tasks, None)
        self._workers: dict[int, _Worker] = {}
        self._again: deque[_Dealt] = deque()
        self._order: deque[int] = deque()
        self._ended: dict[int, Written | FailedChunk] = {}
        self._failed = self._stillborn = 0

    def results(self) -> Generator[Written | FailedChunk | Moved]:
        """Yield what becomes of every task, in the order of the tasks, and in between how far some have come.

        Memory: what workers hold, and WAITING results for each of them, whatever the number of tasks.

        Raises RunError where workers end before they are ready, or more than MOST_FAILED chunks fail; and what a worker
        refused.
        """
        while True:
            self._hire()
            self._deal()
            if not self._order and self._next is None:
                return
            for news in self._crew.news():
                if isinstance(news, Moved):
                    yield news
                else:
                    self._take(news)
            while self._order and self._order[0] in self._ended:
                yield self._ended.pop(self._order.popleft())

    def _hire(self) -> None:
        held = sum(len(worker.held) for worker in self._workers.values())
        wanted = len(self._again) + held + (self._crew.size if self._next is not None else 0)
        while len(self._workers) < min(self._crew.size, wanted):
            self._workers[self._crew.hire()] = _Worker()

    def _deal(self) -> None:
        for number, worker in self._workers.items():
            if worker.is_ready and not worker.held and self._again:
                worker.is_alone_with_it = True
                self._give(number, self._again.popleft())
        for _ in range(HELD):
            for number, worker in self._workers.items():
                if self._may_take_another(worker) and (dealt := self._new()) is not None:
                    self._give(number, dealt)

    def _may_take_another(self, worker: _Worker) -> bool:
        return worker.is_ready and not worker.is_alone_with_it and not self._again and len(worker.held) < HELD

    def _new(self) -> _Dealt | None:
        if self._next is None or len(self._order) >= WAITING * self._crew.size:
            return None
        dealt, self._next = _Dealt(self._next), next(self._tasks, None)
        self._order.append(dealt.task.part)
        return dealt

    def _give(self, number: int, dealt: _Dealt) -> None:
        self._workers[number].held[dealt.task.part] = dealt
        self._crew.give(number, dealt.task)

    def _take(self, news: News) -> None:
        match news:
            case Ready(number):
                self._workers[number].is_ready, self._stillborn = True, 0
            case Written(number, part):
                self._release(number, part)
                self._ended[part] = news
            case Stumbled(number, part, error):
                self._try_again(self._release(number, part), error)
            case Lost(number, reason):
                self._bury(self._workers.pop(number), reason)
            case Refused(_, error):
                raise error

    def _release(self, number: int, part: int) -> _Dealt:
        worker = self._workers[number]
        worker.is_alone_with_it = False
        return worker.held.pop(part)

    def _bury(self, worker: _Worker, reason: str) -> None:
        self._stillborn += not worker.is_ready
        if self._stillborn >= MOST_ATTEMPTS:
            raise RunError(
                f"`workers`: {self._stillborn} workers in a row ended before they were ready ({reason}). Expected "
                "memory for a model in each. Try fewer `workers`."
            )
        for dealt in worker.held.values():
            self._try_again(dealt, reason)

    def _try_again(self, dealt: _Dealt, error: str) -> None:
        dealt.attempts += 1
        if dealt.attempts < MOST_ATTEMPTS:
            self._again.append(dealt)
            return
        part, chunk = dealt.task
        self._ended[part] = FailedChunk(part, chunk.first_row, len(chunk), error)
        self._failed += 1
        if self._failed > MOST_FAILED:
            raise RunError(
                f"{self._failed} chunks failed, each {MOST_ATTEMPTS} times; the last, rows {chunk.first_row} to "
                f"{chunk.first_row + len(chunk) - 1}: {error}. The run is given up. Try `resume` when that is mended."
            )
