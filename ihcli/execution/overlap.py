"""Work beside the caller's: a thread that reads ahead, and one that writes behind; order and results stay the same."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")

_END: Any = object()


def ahead(items: Iterator[T], size: int = 1) -> Generator[T]:
    """Yield the items in order, while a thread fetches up to `size` of those that come next.

    Closing it stops the fetching after the item that is under way. Raises what the iterator raises, where it does.
    """
    with ThreadPoolExecutor(1, "ahead") as thread:
        fetched = deque(thread.submit(next, items, _END) for _ in range(size))
        try:
            while (item := fetched.popleft().result()) is not _END:
                fetched.append(thread.submit(next, items, _END))
                yield item
        finally:
            for waiting in fetched:
                waiting.cancel()


def behind(action: Callable[[T], None], items: Iterable[T]) -> None:
    """Apply an action to every item in order, in a thread, while the caller makes the next item.

    Two items are alive at most: the one in the action and the one being made. Whatever fails, the action under way
    comes to its end and no other begins; raises what failed first to the caller's eyes, the making or the action.
    """
    with in_turn("behind") as begin:
        for item in items:
            begin(partial(action, item))


@contextmanager
def in_turn(name: str) -> Generator[Callable[[Callable[[], None]], None]]:
    """Give a function that begins with an action in a thread of that name once the action before it is done.

    The function raises what that one raised, and then begins nothing; so does the end of this, which waits for the
    last, unless something else failed before.
    """
    running: Future[None] | None = None

    def begin(action: Callable[[], None]) -> None:
        nonlocal running
        if running is not None:
            running.result()
        running = thread.submit(action)

    with ThreadPoolExecutor(1, name) as thread:
        yield begin
        if running is not None:
            running.result()
