"""Progress where nobody draws a bar: now and then a line on standard error."""

import time
from collections.abc import Callable

from ihcli.cli.showing.terminal import say
from ihcli.cli.showing.words import progress_in_words

EVERY_S = 30.0


class Lines:
    """Prints how far a work of so many things has come, every EVERY_S seconds at most and never before.

    done  of them that were there before, and tell nothing of the pace
    """

    def __init__(self, total: int, things: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._total, self._things, self._clock = total, things, clock
        self._before = 0.0
        self._begun = clock()
        self._due = self._begun + EVERY_S

    def begin_at(self, done: float) -> None:
        """Take so many for done before."""
        self._before = done

    def show(self, done: float) -> None:
        """Print a line where one is due."""
        now = self._clock()
        if now < self._due:
            return
        self._due = now + EVERY_S
        made = done - self._before
        left_s = (now - self._begun) * (self._total - done) / made if made > 0 else None
        say(progress_in_words(done, self._total, self._things, left_s))

    def show_share(self, share: float) -> None:
        """Print a line where one is due, of the share that is done."""
        self.show(share * self._total)
