"""Threads that read ahead and write behind: same order, bounded, and failures come out where they should."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing

import pytest

from ihcli.execution.overlap import ahead, behind

LONG_S = 60.0  # a wait that only a defect takes


class LapseError(Exception):
    """What goes wrong in these tests."""


def names_of(prefix: str) -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(prefix)]


@pytest.mark.parametrize("size", [1, 3, 100])
def test_items_read_ahead_keep_their_order(size: int) -> None:
    assert list(ahead(iter(range(20)), size)) == list(range(20))
    assert list(ahead(iter(()), size)) == []


@pytest.mark.parametrize("size", [1, 3])
def test_no_more_than_asked_is_read_ahead(size: int) -> None:
    read: list[int] = []

    def items() -> Iterator[int]:
        for i in range(20):
            read.append(i)
            yield i

    for i in ahead(items(), size):
        time.sleep(0.002)
        assert len(read) <= i + 1 + size
    assert read == list(range(20))


def test_the_next_item_is_read_while_one_is_used() -> None:
    second_is_read = threading.Event()

    def items() -> Iterator[int]:
        yield 0
        second_is_read.set()
        yield 1

    with closing(ahead(items())) as fetched:
        assert next(fetched) == 0
        assert second_is_read.wait(LONG_S)


def test_a_failed_read_is_raised_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 0
        raise LapseError("unreadable")

    fetched = ahead(items(), 2)
    assert next(fetched) == 0
    with pytest.raises(LapseError, match="unreadable"):
        next(fetched)
    assert names_of("ahead") == []


def test_closing_stops_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    second_is_under_way, all_are_cancelled = threading.Event(), threading.Event()
    cancel, cancelled = Future.cancel, []

    def noted(future: "Future[int]") -> bool:
        done = cancel(future)
        cancelled.append(future)
        if len(cancelled) == 8:
            all_are_cancelled.set()
        return done

    def items() -> Iterator[int]:
        for i in range(1000):
            if i == 1:
                second_is_under_way.set()
                assert all_are_cancelled.wait(LONG_S)
            read.append(i)
            yield i

    monkeypatch.setattr(Future, "cancel", noted)
    with closing(ahead(items(), 8)) as fetched:
        next(fetched)
        assert second_is_under_way.wait(LONG_S)
    assert read == [0, 1]
    assert names_of("ahead") == []


def test_actions_run_in_order_in_one_thread() -> None:
    done: list[tuple[int, str]] = []
    behind(lambda item: done.append((item, threading.current_thread().name)), range(20))
    assert [item for item, _ in done] == list(range(20))
    assert {name for _, name in done} == {"behind_0"}
    assert names_of("behind") == []


def test_the_next_item_is_made_while_the_action_runs() -> None:
    second_is_made, waited = threading.Event(), []

    def items() -> Iterator[int]:
        yield 0
        second_is_made.set()
        yield 1

    behind(lambda item: waited.append(item == 1 or second_is_made.wait(LONG_S)), items())
    assert waited == [True, True]


def test_two_items_are_alive_at_most() -> None:
    made, done = [0], [0]

    def items() -> Iterator[int]:
        for i in range(20):
            made[0] += 1
            assert made[0] - done[0] <= 2
            yield i

    def act(item: int) -> None:
        time.sleep(0.002)
        done[0] += 1

    behind(act, items())
    assert done == [20]


def test_a_failed_action_is_raised_and_no_other_begins() -> None:
    begun: list[int] = []

    def act(item: int) -> None:
        begun.append(item)
        raise LapseError("disk full")

    with pytest.raises(LapseError, match="disk full"):
        behind(act, range(20))
    assert begun == [0]


@pytest.mark.parametrize("error", [LapseError, KeyboardInterrupt])
def test_what_is_under_way_is_finished_when_the_next_item_cannot_be_made(error: type[BaseException]) -> None:
    begun, done = threading.Event(), []

    def items() -> Iterator[int]:
        yield 0
        assert begun.wait(LONG_S)
        raise error

    def act(item: int) -> None:
        begun.set()
        time.sleep(0.05)
        done.append(item)

    with pytest.raises(error):
        behind(act, items())
    assert done == [0]
