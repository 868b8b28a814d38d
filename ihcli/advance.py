"""How far work has come: the share that is done, told by whoever does a part of it to whoever asked."""

from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

T = TypeVar("T", bound=Sized)

Tell = Callable[[float], None]
"""Hears the share that is done, from 0 to 1; it may hear less than before, where more turned out to be left."""


def unheard(share: float) -> None:
    """Do nothing: nobody asked."""


def within(tell: Tell, start: float, stop: float) -> Tell:
    """Return whom to tell of a part of the work, which is that from share start to share stop of the whole."""
    return tell if tell is unheard else lambda share: tell(start + (stop - start) * share)


def parts_told(parts: Iterable[T], tell: Tell) -> Iterator[tuple[T, Tell]]:
    """Yield the parts of a work, each with whom to tell of it; they count by their sizes."""
    sized = list(parts)
    whole, done = sum(map(len, sized)), 0
    for part in sized:
        yield part, within(tell, done / whole, (done + len(part)) / whole)
        done += len(part)
