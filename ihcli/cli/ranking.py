"""What `interactions` and `attributions` share: a run, or MODEL and DATA to explain first, and a ranking's best."""

import functools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ihcli.cli.asking.options import (
    DAILY,
    RARE,
    TARGET,
    Computation,
    computing_options,
    debug_option,
    reporting_options,
)
from ihcli.cli.asking.sections import Command, Declaration, SectionedOption
from ihcli.cli.asking.values import WholeNumber
from ihcli.cli.showing.failures import MISSED_TOLERANCE, reading_run
from ihcli.cli.showing.tables import FORMATS, Destination, Shown
from ihcli.cli.showing.terminal import say
from ihcli.errors import IhcliError, OptionError, RunError

if TYPE_CHECKING:
    import pyarrow as pa

    from ihcli.files.locations import Location
    from ihcli.results.rankings import Choice
    from ihcli.results.records import Record
    from ihcli.results.result import Result
    from ihcli.runs.run import Run

WITH_DATA = "With MODEL and DATA"
STATISTICS = ("mean_abs", "mean", "std", "share")
TOP_K_HELP = "How many of every target to show."
BY_HELP = "Rank by this statistic over rows; of mean by its size, and shown with its sign."
FEATURE_HELP = "Only entries with this feature or group; ranks stay those among all. Repeatable: with any of them."
MIN_COUNT, MANY_TEXTS = 5, 100
MIN_COUNT_HELP = (
    "Of texts: only units and pairs seen at least so often; ranks are those among them.  "
    f"[default: {MIN_COUNT} of {MANY_TEXTS} texts or more, else 1]"
)
NO_COUNTS = "--min-count: is for texts; every row of a table has all of its features. Try again without it."
ROW_HELP = "Show this row of the data (from 0) instead: its values with their signs, the largest first."
KEY_HELP = "Of a RUN, COL=VALUE: show the row with this key instead. With MODEL and DATA, COL: as ihcli explain."
TARGET_HELP = "Of a RUN: the target to show.  [default: all]  With MODEL and DATA: what to explain, as ihcli explain."
FORMAT_HELP = (
    "How to write; arrow is an IPC stream.  "
    "[default: as -o FILE is named, else a table on a terminal and csv in a pipe]"
)
KEEP_HELP = "Directory in which to keep the run, with the interactions of every row.  [default: nothing is kept]"
OVERWRITE_HELP = "Replace the file that is there, and the run of --keep."
KEY = Declaration(("--key",), {"multiple": True, "metavar": "COL[=VALUE]", "help": KEY_HELP})


@dataclass(frozen=True)
class Kind:
    """What a command ranks.

    of_run          best entries of a run; gets the run and the choice
    of_records      best entries of single records; gets them, the choice, and whether they are texts
    columns         what a table on a terminal shows of a run
    record_columns  and of a record
    drawing         what a terminal shows below the table of a text
    lacking         options of explain that the command does not have, or refuses
    """

    of_run: Callable[["Run", "Choice"], "pa.Table"]
    of_records: Callable[[Sequence["Record"], "Choice", bool], "pa.Table"]
    columns: tuple[str, ...]
    record_columns: tuple[str, ...]
    drawing: Callable[["Record"], Any] | None = None
    lacking: tuple[str, ...] = ("workers",)


@dataclass(frozen=True)
class Ranking:
    """What the user asked to see ranked, and where it shall go."""

    path: str
    data: str | None
    target: str | None
    top_k: int
    by: str | None
    feature: tuple[str, ...]
    row: int | None
    min_count: int | None
    keep: str | None
    overwrite: bool
    destination: Destination
    computation: Computation
    strict: bool
    quiet: bool
    main_effects: bool = False

    def show(self, context: click.Context, kind: Kind) -> None:
        """Write the best entries of every target, or of one row."""
        self._check(context)
        self.destination.check()
        if self.data is None:
            from ihcli.runs.run import open_run

            with reading_run(self.path):
                self.destination.write(self._shown(open_run(self.path), kind, self.target))
            return
        with self._computed_run(self.data, kind.lacking) as (run, missed):
            self.destination.write(self._shown(run, kind, None))
        if self.strict and missed:
            context.exit(MISSED_TOLERANCE)

    @property
    def keys(self) -> tuple[str, ...]:
        """What --key was given."""
        return tuple(self.computation.values["key"])

    @property
    def is_of_one_row(self) -> bool:
        """Whether one row is shown instead of all of them ranked."""
        return self.row is not None or (self.data is None and bool(self.keys))

    def _check(self, context: click.Context) -> None:
        if self.is_of_one_row and self.by is not None:
            raise click.UsageError("--by: is of all rows; of one row the largest come first. Try again without it.")
        if self.is_of_one_row and self.min_count is not None:
            raise click.UsageError("--min-count: is of all texts; of one, all units are ranked. Try again without it.")
        if self.data is not None:
            if self.min_count is not None and self.computation.values["text"] is None:
                raise click.UsageError(NO_COUNTS)
            return
        from ihcli.files.locations import locate

        if locate(self.path).is_file():
            raise click.UsageError(
                f"Missing argument 'DATA': {self.path} is a file, not a run. Try ihcli {context.info_name} MODEL DATA."
            )
        given = [name for name in self.computation.given(context) if name != "--key"]
        given += ["--keep"] if self.keep is not None else []
        if given:
            raise click.UsageError(
                f"{', '.join(given)}: for MODEL and DATA only; a RUN is computed already. Try again without."
            )
        if self.row is not None and self.keys:
            raise click.UsageError("--row, --key: each tells which row to show. Try one of them.")

    def _shown(self, run: "Run", kind: Kind, target: str | None) -> Shown:
        from ihcli.results.rankings import Choice

        choice = Choice(self.top_k, self.by, self.feature, self.main_effects)
        if self.is_of_one_row:
            return self._shown_row(run, kind, choice, target)
        choice = replace(choice, min_count=self._least_count(run))
        table = _of_target(kind.of_run(run, choice), self.path, target)
        return Shown(table, kind.columns, _titles(run, table, choice.min_count))

    def _least_count(self, run: "Run") -> int:
        """Return how often an entry must have been seen: in few texts, and in tables, once."""
        if run.info.units is None:
            if self.min_count is not None:
                raise click.UsageError(NO_COUNTS)
            return 1
        if self.min_count is not None:
            return self.min_count
        return MIN_COUNT if run.info.totals.rows >= MANY_TEXTS else 1

    def _shown_row(self, run: "Run", kind: Kind, choice: "Choice", target: str | None) -> Shown:
        from ihcli.results.result import Result

        result = Result(run)
        key = values_of_keys(result, self.keys) if self.data is None else None
        records = result.records(self.row, key=key, target=None if target == "all" else target)
        table = kind.of_records(records, choice, result.is_text)
        drawings = {}
        if kind.drawing is not None and result.is_text:
            drawings = {record.target: kind.drawing(record) for record in records}
        return Shown(table, kind.record_columns, {record.target: _title(record) for record in records}, drawings)

    @contextmanager
    def _computed_run(self, data: str, lacking: Sequence[str]) -> Iterator[tuple["Run", int]]:
        from ihcli.execution.refusals import refuse_early

        kept = self.keep is not None
        stored = "full" if kept or self.is_of_one_row else "none"
        request = self.computation.request(self.path, data, target=self.target, interactions=stored)
        refuse_early(request, None)
        kept_path = None if self.keep is None else self._kept_path(self.keep)
        from ihcli.cli.showing.progress import compute
        from ihcli.cli.showing.words import summary_in_words
        from ihcli.runs.run import open_run

        with tempfile.TemporaryDirectory(prefix="ihcli-") as directory, _values_are_for_runs(self.keys):
            out = Path(directory) / "run" if kept_path is None else kept_path
            place = self.destination.place
            writes = [] if place is None else [place]
            totals = compute(
                request,
                out,
                overwrite=kept and self.overwrite,
                quiet=self.quiet,
                kept=kept,
                writes=writes,
                lacking=lacking,
            )
            if not self.quiet:
                first, *others = summary_in_words(totals, request, kept=kept)
                say(f"{first} Run written to {out}." if kept else first, *others)
            yield open_run(totals.path), totals.missed

    def _kept_path(self, path: str) -> "Location":
        from ihcli.files.locations import locate
        from ihcli.runs.directory import refuse_existing

        try:
            refuse_existing(path, self.overwrite)
        except RunError as error:
            before, _, after = str(error).rpartition("`out`")  # here the run has another option
            raise RunError(f"{before}`keep`{after}") from error
        return locate(path)


def ranking_options(*more: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Give a command the arguments and options of a ranking, and `more`; it receives them as one argument, `ranking`.

    --key stands for the columns of explain's, so a RUN and MODEL with DATA share it.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def with_ranking(*arguments: Any, format_name: str | None, out: str, **values: Any) -> None:
            destination = Destination(out, format_name, values["overwrite"])
            command(*arguments, ranking=Ranking(**values, destination=destination))

        decorated: Command = with_ranking
        for decorator in reversed((*_decorators(), *more, *_computing())):
            decorated = decorator(decorated)
        return decorated

    return decorate


def option(*names: str, **settings: Any) -> Callable[[Command], Command]:
    """Give a command an option of its own."""
    return click.option(*names, cls=SectionedOption, **settings)


def _decorators() -> tuple[Callable[[Command], Command], ...]:
    return (
        click.argument("path", metavar="RUN|MODEL"),
        click.argument("data", required=False),
        option("--top-k", type=WholeNumber(1), metavar="N", default=20, show_default=True, help=TOP_K_HELP),
        option("--by", type=click.Choice(STATISTICS), help=f"{BY_HELP}  [default: mean_abs]"),
        option("--feature", multiple=True, metavar="NAME", help=FEATURE_HELP),
        option("--row", type=WholeNumber(0), metavar="N", help=ROW_HELP),
        option("--min-count", type=WholeNumber(1), metavar="N", help=MIN_COUNT_HELP),
    )


def _computing() -> tuple[Callable[[Command], Command], ...]:
    daily = tuple(KEY if declared.parameter == "key" else declared for declared in DAILY if declared is not TARGET)
    return (
        option("--target", metavar="NAME", help=TARGET_HELP),
        option("--format", "format_name", type=click.Choice(FORMATS), help=FORMAT_HELP),
        option("-o", "--out", metavar="FILE", default="-", help="File to write.  [default: - (standard output)]"),
        option("--overwrite", is_flag=True, help=OVERWRITE_HELP),
        option("--keep", section=WITH_DATA, metavar="RUN", help=KEEP_HELP),
        computing_options(daily, RARE, WITH_DATA),
        reporting_options,
        debug_option,
    )


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


def values_of_keys(result: "Result", keys: tuple[str, ...]) -> dict[str, str]:
    """Return the value of each key column from COL=VALUE."""
    return dict(_value_of_key(key, result.keys) for key in keys)


def _value_of_key(key: str, columns: tuple[str, ...]) -> tuple[str, str]:
    """Split COL=VALUE at the first = behind a key column, as names may hold one, too."""
    if "=" not in key:
        raise click.UsageError(f"--key {key}: Expected COL=VALUE with a RUN, got {key!r}. Try --key {key}=VALUE.")
    column = next((name for name in columns if key.startswith(f"{name}=")), key.partition("=")[0])
    return column, key[len(column) + 1 :]


def _titles(run: "Run", table: "pa.Table", min_count: int) -> dict[str, str]:
    """Return what stands above each target: how many rows, or texts, its figures are of."""
    counts = dict(zip(table["target"].to_pylist(), table["rows"].to_pylist(), strict=True))
    if run.info.units is None:
        return {target: f"target {target}, {rows} rows" for target, rows in counts.items()}
    least = f", at least {min_count}" if min_count > 1 else ""
    return {target: f"target {target}, rows: occurrences in texts{least}" for target in counts}


def _title(record: "Record") -> str:
    from ihcli.cli.showing.words import number_in_words

    who = ", ".join([f"row {record.row}", *(f"{name} {value}" for name, value in record.keys.items())])
    figures = ", ".join(
        f"{words} {number_in_words(record.quality[name])}"
        for name, words in (
            ("prediction", "prediction"),
            ("baseline_prediction", "baseline"),
            ("relative_error", "relative error"),
        )
        if record.quality[name] is not None
    )
    return f"{who}, target {record.target}: {figures}, {record.quality['status']}"


def _of_target(table: "pa.Table", path: str, target: str | None) -> "pa.Table":
    from ihcli.results.rankings import by_target

    if target in (None, "all"):
        return table
    rankings = by_target(table)
    if target not in rankings:
        raise OptionError(
            f"--target: {path} has no target {target!r}. Expected {', '.join(rankings)} or all, got {target}."
        )
    return rankings[target]
