"""Computations that tell on standard error how they go: warnings, and on a terminal a bar."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
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

from ihcli.cli.failures import Interrupted, say
from ihcli.cli.words import number_in_words, share_in_words
from ihcli.explanation import OK, Explanation
from ihcli.pipeline import estimate, run
from ihcli.request import Estimate, Observer, RunRequest, RunTotals


class Narrator(Observer):
    """Prints warnings, and remembers how many rows were written."""

    def __init__(self) -> None:
        self.rows_done = 0

    def warned(self, text: str) -> None:
        """Print a warning."""
        say(f"Warning: {text}")

    def chunk_done(self, rows: int, explanation: Explanation) -> None:
        """Count the rows."""
        self.rows_done += rows


class BarNarrator(Narrator):
    """Draws a bar: rows done, rows/s, time left, evaluations per row, share within the tolerance."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress
        self._task = progress.add_task("Checking model and data", total=None, figures="")
        self._entries = self._converged = self._evaluations = 0

    def warned(self, text: str) -> None:
        """Print a warning above the bar."""
        self._progress.console.print(f"Warning: {text}", markup=False, highlight=False, soft_wrap=True)

    def prepared(self, n_rows: int) -> None:
        """Let the bar begin; the seconds that checks took do not count for rows/s."""
        self._progress.reset(self._task, total=n_rows, description="Explaining")

    def chunk_done(self, rows: int, explanation: Explanation) -> None:
        """Move the bar."""
        super().chunk_done(rows, explanation)
        self._entries += len(explanation)
        self._converged += int((explanation.status == OK).sum())
        self._evaluations += int(explanation.evaluations.sum())
        figures = (
            f"{self._evaluations / max(1, self.rows_done):.1f} evaluations per row, "
            f"{share_in_words(self._converged, self._entries)} within tolerance"
        )
        self._progress.update(self._task, advance=rows, figures=figures)


class RowsPerSecond(ProgressColumn):
    """Speed of a task, once there is one."""

    def render(self, task: Task) -> Text:
        """Return the speed as text."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{number_in_words(speed, 3)} rows/s")


def compute(
    request: RunRequest, out: Path, *, overwrite: bool = False, quiet: bool = False, kept: bool = True
) -> RunTotals:
    """Explain into the directory `out`, which is `kept` when the user interrupts."""
    with _narrator(quiet) as narrator:
        try:
            return run(request, out, narrator, overwrite)
        except KeyboardInterrupt:
            raise Interrupted(_interruption(out, narrator.rows_done) if kept else "Interrupted.") from None


def foresee(request: RunRequest, *, quiet: bool = False) -> Estimate:
    """Estimate what explaining would cost; nothing is written."""
    with _narrator(quiet) as narrator:
        return estimate(request, narrator)


@contextmanager
def _narrator(quiet: bool) -> Iterator[Narrator]:
    if quiet or not sys.stderr.isatty():
        yield Narrator()
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
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as progress:
        yield BarNarrator(progress)


def _interruption(out: Path, rows_done: int) -> str:
    if rows_done == 0:
        return "Interrupted before any row was written; nothing is kept."
    return f"Interrupted. The finished parts, {rows_done} rows, are kept in {out}; there is no summary of them."
