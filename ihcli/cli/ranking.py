"""What `interactions` and `attributions` share: a run, or MODEL and DATA to explain first, and a ranking's best."""

import functools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ihcli.cli.failures import MISSED_TOLERANCE, say
from ihcli.cli.options import DAILY, RARE, TARGET, Computation, computing_options, debug_option, reporting_options
from ihcli.cli.sections import Command, SectionedOption
from ihcli.cli.tables import FORMATS, Destination
from ihcli.cli.values import WholeNumber
from ihcli.errors import OptionError

if TYPE_CHECKING:
    import pyarrow as pa

    from ihcli.output import Run

WITH_DATA = "With MODEL and DATA"
TOP_K_HELP = "How many of every target to show."
TARGET_HELP = "Of a RUN: the target to show.  [default: all]  With MODEL and DATA: what to explain, as ihcli explain."
FORMAT_HELP = "How to write.  [default: as -o FILE is named, else a table on a terminal and csv in a pipe]"


@dataclass(frozen=True)
class Ranking:
    """What the user asked to see ranked, and where it shall go."""

    path: str
    data: str | None
    target: str | None
    top_k: int
    destination: Destination
    computation: Computation
    strict: bool
    quiet: bool

    def show(self, context: click.Context, summary: Callable[["Run"], "pa.Table"], columns: tuple[str, ...]) -> None:
        """Write the first `top_k` entries of every target; `columns` are those that a table on a terminal shows."""
        self.destination.check()
        if self.data is None:
            found = _of_target(summary(self._finished_run(context)), self.path, self.target)
            self.destination.write(_best(found, self.top_k), columns)
            return
        with self._computed_run(self.data) as (run, missed):
            self.destination.write(_best(summary(run), self.top_k), columns)
        if self.strict and missed:
            context.exit(MISSED_TOLERANCE)

    def _finished_run(self, context: click.Context) -> "Run":
        if Path(self.path).is_file():
            raise click.UsageError(
                f"Missing argument 'DATA': {self.path} is a file, not a run. Try ihcli {context.info_name} MODEL DATA."
            )
        if given := self.computation.given(context):
            raise click.UsageError(
                f"{', '.join(given)}: for MODEL and DATA only; a RUN is computed already. Try again without."
            )
        from ihcli.output import open_run

        return open_run(self.path)

    @contextmanager
    def _computed_run(self, data: str) -> Iterator[tuple["Run", int]]:
        from ihcli.cli.progress import compute
        from ihcli.cli.words import summary_in_words
        from ihcli.output import open_run

        request = self.computation.request(self.path, data, target=self.target, interactions="none")
        with tempfile.TemporaryDirectory(prefix="ihcli-") as directory:
            totals = compute(request, Path(directory) / "run", quiet=self.quiet, kept=False)
            if not self.quiet:
                say("\n".join(summary_in_words(totals, request, kept=False)))
            yield open_run(totals.path), totals.missed


def ranking_options(command: Command) -> Command:
    """Give a command the arguments and options of a ranking; it receives them as one argument, `ranking`."""

    @functools.wraps(command)
    def with_ranking(*arguments: Any, format_name: str | None, out: str, overwrite: bool, **values: Any) -> None:
        command(*arguments, ranking=Ranking(**values, destination=Destination(out, format_name, overwrite)))

    decorators = (
        click.argument("path", metavar="RUN|MODEL"),
        click.argument("data", required=False),
        _option("--top-k", type=WholeNumber(1), metavar="N", default=20, show_default=True, help=TOP_K_HELP),
        _option("--target", metavar="NAME", help=TARGET_HELP),
        _option("--format", "format_name", type=click.Choice(FORMATS), help=FORMAT_HELP),
        _option("-o", "--out", metavar="FILE", default="-", help="File to write.  [default: - (standard output)]"),
        _option("--overwrite", is_flag=True, help="Replace the file that is there."),
        computing_options(tuple(option for option in DAILY if option is not TARGET), RARE, WITH_DATA),
        reporting_options,
        debug_option,
    )
    decorated: Command = with_ranking
    for decorator in reversed(decorators):
        decorated = decorator(decorated)
    return decorated


def _option(*names: str, **settings: Any) -> Callable[[Command], Command]:
    return click.option(*names, cls=SectionedOption, **settings)


def _of_target(table: "pa.Table", path: str, target: str | None) -> "pa.Table":
    import pyarrow.compute as pc

    if target in (None, "all"):
        return table
    names = table["target"].unique().to_pylist()
    if target not in names:
        raise OptionError(
            f"--target: {path} has no target {target!r}. Expected {', '.join(names)} or all, got {target}."
        )
    return table.filter(pc.equal(table["target"], target))


def _best(table: "pa.Table", top_k: int) -> "pa.Table":
    import pyarrow.compute as pc

    return table.filter(pc.less_equal(table["rank"], top_k))
