"""A bar on a terminal that shows how far rows are; rich, which draws it, is imported where there is a terminal."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

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

from ihcli.cli.showing.narrators import Confine, Narrator
from ihcli.cli.showing.terminal import line, printable_streams, unfiltered
from ihcli.cli.showing.words import number_in_words, share_in_words
from ihcli.quality import Status
from ihcli.runs.progress import Progress as Done


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
        self.insisted(text)

    def insisted(self, text: str) -> None:
        """Print it there, as a bar is drawn only where nobody asked for quiet."""
        self._progress.console.print(Text(line(text)), soft_wrap=True)

    def prepared(self, n_rows: int) -> None:
        """Let the bar begin; the seconds that checks took do not count for rows/s."""
        super().prepared(n_rows)
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


@contextmanager
def drawn(confined: Confine | None = None, lacking: Sequence[str] = ()) -> Iterator[BarNarrator]:
    """Draw a bar meanwhile."""
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
