"""Who tells on standard error how a computation goes: warnings, and a line now and then."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ihcli.cli import process
from ihcli.cli.showing.lines import Lines
from ihcli.cli.showing.scans import scan_in_words
from ihcli.cli.showing.terminal import insist, say
from ihcli.cli.showing.words import outlook_in_words
from ihcli.explanation.betas import BetaScan
from ihcli.files.locations import Location
from ihcli.runs.progress import Progress as Done
from ihcli.runs.totals import Observer, Outlook

Confine = Callable[[Location], None]
CHECKS_S = 60.0
"""Seconds of checks after which it is said that they go on."""


class Narrator(Observer):
    """Prints warnings, remembers how many rows are written, and gives up writing elsewhere.

    confined  gives it up, once the directory of the run is there; None: it is given up already
    lacking   options, with or without a value, that the command does not have, and so does not propose
    """

    def __init__(self, confined: Confine | None = None, lacking: Sequence[str] = ()) -> None:
        self.rows_done = 0
        self.rows_under_way = 0.0
        self.is_checking = True
        self._confined = confined
        self._lacking = tuple(lacking)

    def said(self, text: str) -> None:
        """Print a line, unless the user asked for quiet."""
        say(text)

    def insisted(self, text: str) -> None:
        """Print a line in any case."""
        insist(text)

    def foreseen(self, outlook: Outlook) -> None:
        """Say how long it will take, and which options of this command would make it shorter."""
        self.said(outlook_in_words(outlook, self._lacking))

    def locked(self, path: Location) -> None:
        """Write only there from here on."""
        if self._confined is not None:
            self._confined(path)

    def warned(self, text: str) -> None:
        """Print a warning."""
        self.insisted(f"Warning: {text}")

    def settled(self, text: str) -> None:
        """Print it, unless nobody looks at what is said on the way."""
        if self.asks_outlook:
            self.said(text)

    def scanned(self, scan: BetaScan) -> None:
        """Print it, unless nobody looks."""
        if self.asks_outlook:
            for text in scan_in_words(scan):
                self.said(text)

    def prepared(self, n_rows: int) -> None:
        """Take note that model and data are checked."""
        self.is_checking = False

    def resumed(self, rows: int) -> None:
        """Count the rows that were there before."""
        self.rows_done += rows

    def explained(self, rows: float) -> None:
        """Take note of the rows that are not written yet."""
        self.rows_under_way = rows
        self.moved()

    def chunk_done(self, done: Done) -> None:
        """Count the rows."""
        self.rows_done += done.rows
        self.rows_under_way = max(0.0, self.rows_under_way - done.rows)
        self.moved()

    def moved(self) -> None:
        """Show how many rows are done and under way; here nobody looks."""

    def saving(self) -> None:
        """Let saving take its time."""
        process.saving()


class LineNarrator(Narrator):
    """Prints a line now and then: rows done, and the time that is left."""

    asks_outlook = True

    def __init__(
        self,
        confined: Confine | None = None,
        lacking: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(confined, lacking)
        self._clock = clock
        self._lines: Lines | None = None

    def prepared(self, n_rows: int) -> None:
        """Let the time begin; the seconds that checks took do not count."""
        super().prepared(n_rows)
        self._lines = Lines(n_rows, "rows", self._clock)

    @contextmanager
    def telling_of_checks(self) -> Iterator[None]:
        """Say once that model and data are still checked, where that takes so long that a call may never come back."""
        timer = threading.Timer(CHECKS_S, self._still_checking)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _still_checking(self) -> None:
        if self.is_checking:
            self.said("Still checking model and data: the model is tried on a sample of rows before any is explained.")

    def resumed(self, rows: int) -> None:
        """Begin where the run was stopped."""
        super().resumed(rows)
        if self._lines is not None:
            self._lines.begin_at(rows)

    def moved(self) -> None:
        """Print a line where one is due."""
        if self._lines is not None:
            self._lines.show(self.rows_done + self.rows_under_way)
