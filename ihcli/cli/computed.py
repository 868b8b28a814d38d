"""MODEL and DATA explained first, for a command that shows something of a run; the run is kept or goes again."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ihcli.cli import process
from ihcli.cli.asking.ranking import Ranking
from ihcli.cli.showing.terminal import say
from ihcli.errors import IhcliError, OptionError, RunError

if TYPE_CHECKING:
    from ihcli.files.locations import Location
    from ihcli.runs.directory import Existing
    from ihcli.runs.run import Run


@contextmanager
def computed_run(ranking: Ranking, data: str, lacking: Sequence[str]) -> Iterator[tuple["Run", int]]:
    """Explain MODEL and DATA into a run that is kept with --keep only; gives it, and how many entries missed."""
    from ihcli.execution.refusals import refuse_early
    from ihcli.runs.directory import REFUSE, REPLACE

    kept = ranking.keep is not None
    stored = "full" if kept or ranking.is_of_one_row or ranking.long else "none"
    request = ranking.computation.request(ranking.path, data, target=ranking.target, interactions=stored)
    refuse_early(request, None)
    existing = REPLACE if kept and ranking.overwrite else REFUSE
    kept_path = None if ranking.keep is None else _kept_path(ranking.keep, existing)
    with process.importing():
        from ihcli.cli.showing.progress import compute
        from ihcli.cli.showing.words import summary_in_words
        from ihcli.runs.run import open_run
        from ihcli.runs.shards import Place

    with tempfile.TemporaryDirectory(prefix="ihcli-") as directory, _values_are_for_runs(ranking.keys):
        out = Path(directory) / "run" if kept_path is None else kept_path
        written = ranking.destination.place
        writes = [] if written is None else [written]
        totals = compute(
            request,
            Place(out, existing=existing),
            kept=kept,
            writes=writes,
            lacking=lacking,
        )
        first, *others = summary_in_words(totals, request, kept=kept)
        say(f"{first} Run written to {out}." if kept else first, *others)
        yield open_run(totals.path), totals.missed


def _kept_path(path: str, existing: "Existing") -> "Location":
    from ihcli.files.locations import locate
    from ihcli.runs.directory import refuse_existing

    try:
        refuse_existing(path, existing)
    except RunError as error:
        before, _, after = str(error).rpartition("`out`")  # here the run has another option
        raise RunError(f"{before}`keep`{after}") from error
    return locate(path)


@contextmanager
def _values_are_for_runs(keys: tuple[str, ...]) -> Iterator[None]:
    """Explain a --key COL=VALUE that names no column; a column may well have such a name."""
    try:
        yield
    except IhcliError as error:
        wrong = next((key for key in keys if "=" in key and str(error).startswith(f"`key={key}`:")), None)
        if wrong is None:
            raise
        raise OptionError(
            f"{error} With MODEL and DATA --key names a column only: try --row N, or --keep RUN and then --key "
            f"{wrong} with that RUN."
        ) from error
