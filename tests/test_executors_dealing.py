"""Tasks dealt to a made-up crew: order, bounded memory, and what becomes of the tasks of lost workers."""

import random
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from runs import made_up_explanation

from ihcli.data.rows import Chunk, no_keys
from ihcli.errors import RunError
from ihcli.execution.crews import CrewExecutor
from ihcli.execution.dealing import HELD, MOST_ATTEMPTS, MOST_FAILED, WAITING, Crew, Dealer
from ihcli.execution.tasks import (
    FailedChunk,
    FailedChunksError,
    Lost,
    Moved,
    News,
    Ready,
    Refused,
    Stumbled,
    Task,
    Written,
)
from ihcli.runs.keeping import Keeper
from ihcli.runs.progress import Progress
from ihcli.runs.totals import Observer
from ihcli.runs.writer import create_run

MANY = 4_000
GROWTH_MIB = 0.25
"""As much again as all that stays; the tasks of MANY chunks alone take ten times as much."""


def tasks(n: int) -> Iterator[Task]:
    inputs = np.zeros((3, 2))
    return (Task(part, Chunk(3 * part, inputs, no_keys(3))) for part in range(n))


def written(worker: int, task: Task) -> News:
    return Written(worker, task.part, {})


class MadeUpCrew(Crew):
    """Workers that take turns at random; `fate` says what becomes of a task, and how a hired worker begins."""

    def __init__(self, size: int, fate: Callable[[int, Task], News] = written, seed: int = 0) -> None:
        self.size = size
        self.hired = 0
        self.given: dict[int, int] = {}
        self.most_held = 0
        self.dismissed = False
        self.begin: Callable[[int], News] = Ready
        self._fate = fate
        self._held: dict[int, deque[Task]] = {}
        self._said: list[News] = []
        self._random = random.Random(seed)

    def hire(self) -> int:
        self.hired += 1
        self._held[self.hired] = deque()
        news = self.begin(self.hired)
        if isinstance(news, Lost):
            del self._held[self.hired]
        self._said.append(news)
        assert len(self._held) <= self.size
        return self.hired

    def give(self, worker: int, task: Task) -> None:
        self._held[worker].append(task)
        self.given[task.part] = self.given.get(task.part, 0) + 1
        self.most_held = max(self.most_held, *map(len, self._held.values()))

    def news(self) -> Sequence[News]:
        if self._said:
            said, self._said = self._said, []
            return said
        worker = self._random.choice([worker for worker, held in self._held.items() if held])
        news = self._fate(worker, self._held[worker].popleft())
        if isinstance(news, Lost):
            del self._held[worker]
        return [news]

    def dismiss(self) -> None:
        self.dismissed = True


@pytest.mark.parametrize("n", [0, 1, 2, 200])
@pytest.mark.parametrize("size", [1, 2, 7])
def test_every_task_comes_back_once_and_in_order(n: int, size: int) -> None:
    crew = MadeUpCrew(size)
    assert [result.part for result in Dealer(crew, tasks(n)).results()] == list(range(n))
    assert set(crew.given.values()) <= {1}
    assert crew.hired <= size
    assert crew.most_held <= HELD


def test_a_slow_task_holds_back_only_so_many() -> None:
    """The first task ends when nothing else can: then WAITING results for each worker wait."""
    read = []

    def counted() -> Iterator[Task]:
        for task in tasks(1000):
            read.append(task.part)
            yield task

    class SlowFirst(MadeUpCrew):
        def news(self) -> Sequence[News]:
            if self._said:
                return super().news()
            others = [worker for worker, held in self._held.items() if held and held[0].part != 0]
            if not others:
                self.waited = len(read)
                others = [worker for worker, held in self._held.items() if held]
            return [written(others[0], self._held[others[0]].popleft())]

    crew = SlowFirst(3)
    first = next(Dealer(crew, counted()).results())
    assert first.part == 0
    assert crew.waited == WAITING * 3 + 1  # and one that is read for the next worker


@pytest.mark.parametrize("seed", range(5))
def test_tasks_of_lost_workers_go_to_others(seed: int) -> None:
    chance = random.Random(seed)
    lost: dict[int, int] = {}

    def fate(worker: int, task: Task) -> News:
        if lost.get(task.part, 0) < MOST_ATTEMPTS - 1 and chance.random() < 0.1:
            lost[task.part] = lost.get(task.part, 0) + 1
            return Lost(worker, "its process was killed by SIGKILL")
        return written(worker, task)

    crew = MadeUpCrew(3, fate, seed)
    results = list(Dealer(crew, tasks(100)).results())
    assert [result.part for result in results] == list(range(100))
    assert all(isinstance(result, Written) for result in results)
    assert sum(lost.values()) > 3
    assert 3 < crew.hired <= 3 + sum(lost.values())


@pytest.mark.parametrize("size", [1, 3])
def test_a_task_that_ends_every_worker_fails_and_its_neighbours_do_not(size: int) -> None:
    def fate(worker: int, task: Task) -> News:
        return Lost(worker, "its process was killed by SIGKILL") if task.part in (4, 9) else written(worker, task)

    crew = MadeUpCrew(size, fate)
    results = list(Dealer(crew, tasks(20)).results())
    assert [result.part for result in results] == list(range(20))
    failed = [result for result in results if isinstance(result, FailedChunk)]
    assert failed == [FailedChunk(part, 3 * part, 3, "its process was killed by SIGKILL") for part in (4, 9)]
    assert (crew.given[4], crew.given[9]) == (MOST_ATTEMPTS, MOST_ATTEMPTS)


def test_a_task_that_workers_stumble_over_is_tried_again() -> None:
    stumbles = {3: 2, 5: 99}

    def fate(worker: int, task: Task) -> News:
        if stumbles.get(task.part, 0) > 0:
            stumbles[task.part] -= 1
            return Stumbled(worker, task.part, "RuntimeError: no")
        return written(worker, task)

    crew = MadeUpCrew(2, fate)
    results = list(Dealer(crew, tasks(8)).results())
    assert [type(result) for result in results] == [Written] * 5 + [FailedChunk] + [Written] * 2
    assert crew.hired == 2


def test_what_every_worker_would_meet_ends_the_run() -> None:
    crew = MadeUpCrew(2, lambda worker, task: Refused(worker, RunError("the disk is full")))
    with pytest.raises(RunError, match="the disk is full"):
        list(Dealer(crew, tasks(8)).results())


def test_a_run_in_which_everything_fails_is_given_up() -> None:
    crew = MadeUpCrew(2, lambda worker, task: Stumbled(worker, task.part, "RuntimeError: no"))
    with pytest.raises(RunError, match=rf"{MOST_FAILED + 1} chunks failed, each 3 times; the last, rows \d+ to "):
        list(Dealer(crew, tasks(1000)).results())


def test_workers_that_never_are_ready_end_the_run() -> None:
    crew = MadeUpCrew(2)
    crew.begin = lambda worker: Lost(worker, "its process was killed by SIGKILL")
    with pytest.raises(RunError) as caught:
        list(Dealer(crew, tasks(8)).results())
    assert str(caught.value) == (
        "`workers`: 3 workers in a row ended before they were ready (its process was killed by SIGKILL). Expected "
        "memory for a model in each. Try fewer `workers`."
    )


# With a keeper


def explained(worker: int, task: Task) -> News:
    return Written(worker, task.part, Progress.of_part(task.part, 6, made_up_explanation()).state())


def test_failed_chunks_are_reported_with_their_rows_once_the_rest_is_done(tmp_path: Path) -> None:
    def fate(worker: int, task: Task) -> News:
        return Stumbled(worker, task.part, "RuntimeError: no") if task.part == 2 else explained(worker, task)

    crew, writer = MadeUpCrew(2, fate), create_run(tmp_path / "run")
    keeper = Keeper(writer, Observer(), Progress())
    with pytest.raises(FailedChunksError) as caught:
        CrewExecutor(1, lambda *_: crew).execute(None, tasks(5), keeper)
    assert str(caught.value) == (
        f"{tmp_path / 'run'}: 3 rows could not be explained, each chunk tried 3 times: rows 6 to 8 (RuntimeError: no). "
        "All others are done. Try the same command with `resume`, which tries these again."
    )
    assert caught.value.chunks == (FailedChunk(2, 6, 3, "RuntimeError: no"),)
    assert crew.dismissed
    found = writer.states.newest({0, 1, 3, 4})
    assert found is not None
    assert Progress.of_state(found).parts == [range(2), range(3, 5)]


def test_the_drivers_memory_does_not_grow_with_the_number_of_chunks(tmp_path: Path) -> None:
    sizes_mib = {}

    class Measuring(Observer):
        parts = 0

        def chunk_done(self, done: Progress) -> None:
            self.parts += 1
            if self.parts in (MANY // 10, MANY):
                sizes_mib[self.parts] = tracemalloc.get_traced_memory()[0] / 2**20

    state = Progress.of_part(0, 6, made_up_explanation()).state()

    def fate(worker: int, task: Task) -> News:
        return Written(worker, task.part, {**state, "parts": np.array([[task.part, task.part + 1]])})

    keeper = Keeper(create_run(tmp_path / "run"), Measuring(), Progress())
    tracemalloc.start()
    try:
        CrewExecutor(1, lambda *_: MadeUpCrewWithoutBooks(4, fate)).execute(None, tasks(MANY), keeper)
    finally:
        tracemalloc.stop()
    assert keeper.totals().rows == 6 * MANY
    assert sizes_mib[MANY] - sizes_mib[MANY // 10] < GROWTH_MIB


class MadeUpCrewWithoutBooks(MadeUpCrew):
    """One that remembers nothing itself."""

    def give(self, worker: int, task: Task) -> None:
        self._held[worker].append(task)


def test_how_far_tasks_have_come_is_heard_at_once_and_changes_nothing() -> None:
    class Moving(MadeUpCrew):
        def news(self) -> Sequence[News]:
            told = super().news()
            return [*(Moved(news.worker, news.part, 1.5) for news in told if isinstance(news, Written)), *told]

    results = list(Dealer(Moving(3, seed=1), tasks(40)).results())
    assert [result.part for result in results if isinstance(result, Written)] == list(range(40))
    assert sorted(result.part for result in results if isinstance(result, Moved)) == list(range(40))
