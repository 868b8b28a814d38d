"""Computations that tell on standard error how they go: warnings, and on a terminal a bar."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from ihcli.cli import process
from ihcli.cli.showing.failures import Ended, Interrupted
from ihcli.cli.showing.narrators import Confine, LineNarrator, Narrator
from ihcli.cli.showing.stopping import Terminated, stopping_once
from ihcli.cli.showing.terminal import is_quiet
from ihcli.execution.forecasting import estimate
from ihcli.execution.pipeline import run
from ihcli.files.locations import Location
from ihcli.runs.directory import RESUME
from ihcli.runs.request import RunRequest, Workforce
from ihcli.runs.resuming import find_begun
from ihcli.runs.shards import Place, Shard
from ihcli.runs.totals import Estimate, RunTotals


def compute(
    request: RunRequest,
    place: Place,
    *,
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
    with process.ended_when_stuck(left), _narrator(confined, lacking) as narrator:
        try:
            with stopping_once():
                return run(request, out, narrator, place.existing, place.shard, workforce)
        except KeyboardInterrupt as signalled:
            failure = Ended if isinstance(signalled, Terminated) else Interrupted
            told = _interruption(place, narrator.rows_done, narrator.is_checking) if kept else "Interrupted."
            raise failure(told) from None


def foresee(request: RunRequest, *, shard: Shard | None = None, workforce: Workforce | None = None) -> Estimate:
    """Estimate what explaining would cost; nothing is written."""
    with process.ended_when_stuck(), _narrator() as narrator:
        process.give_up_writing(request.trust)
        return estimate(request, narrator, workforce or Workforce(), shard)


def _confined(path: Location, trust: bool, writes: Sequence[Location], emptied: Sequence[Location]) -> None:
    process.give_up_writing(trust, but=(path, *writes), emptied=emptied)


@contextmanager
def _narrator(confined: Confine | None = None, lacking: Sequence[str] = ()) -> Iterator[Narrator]:
    quiet = is_quiet()
    if quiet or not sys.stderr.isatty():
        if quiet:
            yield Narrator(confined)
            return
        with (lines := LineNarrator(confined, lacking)).telling_of_checks():
            yield lines
        return
    from ihcli.cli.showing.bar import drawn

    with drawn(confined, lacking) as narrator:
        yield narrator


def _interruption(place: Place, rows_done: int, is_checking: bool = False) -> str:
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
    if is_checking:
        return (
            "Interrupted while model and data were checked, before any row was explained; nothing is kept. Where the "
            "model does not come back from a row of the sample that it is tried on, try --limit 1, and more from there."
        )
    return "Interrupted before any row was written; nothing is kept."
