"""Computations that tell on standard error how they go: warnings, and on a terminal a bar."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ihcli.cli import process
from ihcli.cli.showing.failures import Ended, Interrupted
from ihcli.cli.showing.lines import Lines
from ihcli.cli.showing.stopping import Terminated, stopping_once
from ihcli.cli.showing.terminal import line, printable_streams, say, unfiltered
from ihcli.cli.showing.words import number_in_words, outlook_in_words, share_in_words
from ihcli.execution.forecasting import estimate
from ihcli.execution.pipeline import run
from ihcli.files.locations import Location
from ihcli.quality import Status
from ihcli.runs.directory import RESUME
from ihcli.runs.progress import Progress as Done
from ihcli.runs.request import RunRequest, Workforce
from ihcli.runs.resuming import find_begun
from ihcli.runs.shards import Place, Shard
from ihcli.runs.totals import Estimate, Observer, Outlook, RunTotals

Confine = Callable[[Location], None]


class Narrator(Observer):
    """Prints warnings, remembers how many rows are written, and gives up writing elsewhere.

    confined  gives it up, once the directory of the run is there; None: it is given up already
    lacking   options, with or without a value, that the command does not have, and so does not propose
    """

    def __init__(self, confined: Confine | None = None, lacking: Sequence[str] = ()) -> None:
        self.rows_done = 0
        self.rows_under_way = 0.0
        self._confined = confined
        self._lacking = tuple(lacking)

    def said(self, text: str) -> None:
        """Print a line."""
        say(text)

    def foreseen(self, outlook: Outlook) -> None:
        """Say how long it will take, and which options of this command would make it shorter."""
        self.said(outlook_in_words(outlook, self._lacking))

    def locked(self, path: Location) -> None:
        """Write only there from here on."""
        if self._confined is not None:
            self._confined(path)

    def warned(self, text: str) -> None:
        """Print a warning."""
        self.said(f"Warning: {text}")

    def settled(self, text: str) -> None:
        """Print it, unless nobody looks at what is said on the way."""
        if self.asks_outlook:
            self.said(text)

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
        self._lines = Lines(n_rows, "rows", self._clock)

    def resumed(self, rows: int) -> None:
        """Begin where the run was stopped."""
        super().resumed(rows)
        if self._lines is not None:
            self._lines.begin_at(rows)

    def moved(self) -> None:
        """Print a line where one is due."""
        if self._lines is not None:
            self._lines.show(self.rows_done + self.rows_under_way)


class BarNarrator(Narrator):
    """Draws a bar: rows done, rows/s, time left, evaluations per row, share within the tolerance."""

    asks_outlook = True

    def __init__(self, progress: Progress, confined: Confine | None = None, lacking: Sequence[str] = ()) -> None:
        super().__init__(confined, lacking)
        self._progress = progress
        self._task = progress.add_task("Checking model and data", total=None, figures="")
        self._rows = self._entries = self._converged = self._evaluations = 0

    def said(self, text: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(Text(line(text)), soft_wrap=True)

    def prepared(self, n_rows: int) -> None:
        """Let the bar begin; the seconds that checks took do not count for rows/s."""
        self._progress.reset(self._task, total=n_rows, description="Explaining")

    def resumed(self, rows: int) -> None:
        """Let the bar begin where the run was stopped."""
        super().resumed(rows)
        self._progress.update(self._task, completed=rows)

    def chunk_done(self, done: Done) -> None:
        """Move the bar."""
        super().chunk_done(done)
        self._rows += done.rows
        self._entries += done.entries
        self._converged += done.statuses.get(Status.OK, 0)
        self._evaluations += done.evaluations
        figures = f"{self._evaluations / max(1, self._rows):.1f} evaluations per row"
        if Status.UNCERTIFIED not in done.statuses:
            figures += f", {share_in_words(self._converged, self._entries)} within tolerance"
        self._progress.update(self._task, figures=figures)

    def moved(self) -> None:
        """Move the bar, which counts whole rows and never goes back."""
        shown = self._progress.tasks[self._task].completed
        self._progress.update(self._task, completed=max(shown, int(self.rows_done + self.rows_under_way)))


class RowsPerSecond(ProgressColumn):
    """Speed of a task, once there is one."""

    def render(self, task: Task) -> Text:
        """Return the speed as text."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{number_in_words(speed, 3)} rows/s")


def compute(
    request: RunRequest,
    place: Place,
    *,
    quiet: bool = False,
    kept: bool = True,
    workforce: Workforce | None = None,
    writes: Sequence[Location] = (),
    lacking: Sequence[str] = (),
) -> RunTotals:
    """Explain into a directory, which is `kept` when the user interrupts.

    writes   where the caller writes afterwards: directories, or devices
    lacking  options that the command does not have
    """
    out, workforce = place.path, workforce or Workforce()
    emptied = [] if not isinstance(out, Path) else [next(path for path in out.absolute().parents if path.exists())]
    confined = partial(_confined, trust=request.trust, writes=writes, emptied=emptied)
    left = f"Finished parts are kept in {out}: try the same command with --resume to continue." if kept else ""
    with process.ended_when_stuck(left), _narrator(quiet, confined, lacking) as narrator:
        try:
            with stopping_once():
                return run(request, out, narrator, place.existing, place.shard, workforce)
        except KeyboardInterrupt as signalled:
            failure = Ended if isinstance(signalled, Terminated) else Interrupted
            told = _interruption(place, narrator.rows_done) if kept else "Interrupted."
            raise failure(told) from None


def foresee(
    request: RunRequest, *, quiet: bool = False, shard: Shard | None = None, workforce: Workforce | None = None
) -> Estimate:
    """Estimate what explaining would cost; nothing is written."""
    with process.ended_when_stuck(), _narrator(quiet) as narrator:
        process.give_up_writing(request.trust)
        return estimate(request, narrator, workforce or Workforce(), shard)


def _confined(path: Location, trust: bool, writes: Sequence[Location], emptied: Sequence[Location]) -> None:
    process.give_up_writing(trust, but=(path, *writes), emptied=emptied)


@contextmanager
def _narrator(quiet: bool, confined: Confine | None = None, lacking: Sequence[str] = ()) -> Iterator[Narrator]:
    if quiet or not sys.stderr.isatty():
        yield Narrator(confined) if quiet else LineNarrator(confined, lacking)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        RowsPerSecond(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    console = Console(file=unfiltered(sys.stderr))
    bar = Progress(*columns, console=console, transient=True, redirect_stdout=False)
    with bar as progress, printable_streams():  # what is printed above the bar does not pass the stream of before
        yield BarNarrator(progress, confined, lacking)


def _interruption(place: Place, rows_done: int) -> str:
    out, resume = place.path, place.existing == RESUME
    if rows_done:
        return (
            f"Interrupted. The finished parts, {rows_done} rows, are kept in {out}. "
            "Try the same command with --resume to continue."
        )
    begun = None if resume else find_begun(place.home)
    if begun is not None and not begun.is_done:  # workers wrote parts, but not yet the first
        return f"Interrupted before the first part of {out} was done. Try the same command with --resume to continue."
    if resume or place.home.exists():
        return f"Interrupted before any row was written; what {out} holds is kept. Try the same command to continue."
    return "Interrupted before any row was written; nothing is kept."
