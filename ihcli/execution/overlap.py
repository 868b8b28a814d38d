"""Work beside the caller's: a thread that reads ahead, and one that writes behind; order and results stay the same."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
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
    with ThreadPoolExecutor(1, "behind") as thread:
        running: Future[None] | None = None
        for item in items:
            if running is not None:
                running.result()
            running = thread.submit(action, item)
        if running is not None:
            running.result()
