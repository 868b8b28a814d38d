"""What is asked of a ranking: of a run, or of MODEL and DATA, which of its entries, and where they go."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import click

from ihcli.cli.asking.computation import Computation, common_options, computing_options
from ihcli.cli.asking.options import DAILY, OTHERS, TARGET
from ihcli.cli.asking.places import STRICT
from ihcli.cli.asking.rows import WHERE_HELP
from ihcli.cli.asking.sections import ADVANCED, OPTIONS, Command, Conflict, Declaration, option
from ihcli.cli.asking.tables import CSV_SAFE, FORMAT, OUT
from ihcli.cli.asking.values import RowSelection, WholeNumber
from ihcli.cli.showing.tables import Destination

WITH_DATA, WITH_LONG = "With MODEL and DATA", "With --long"
STATISTICS = ("mean_abs", "mean", "std", "share")
TOP_K = 20
TOP_K_HELP = f"How many of every target to show.  [default: {TOP_K}; with --long, of every row, all]"
BY_HELP = "Statistic over rows to rank by; mean is ranked by its absolute value and shown with its sign."
FEATURE_HELP = "Only entries with this feature or group; ranks stay those among all. Repeatable: with any of them."
MIN_COUNT, MANY_TEXTS = 5, 100
MIN_COUNT_HELP = (
    "Texts only: leave out words and pairs seen fewer than N times, and rank the rest.  "
    f"[default: {MIN_COUNT} of {MANY_TEXTS} texts or more, else 1]"
)
NO_COUNTS = "--min-count: is for texts; every row of a table has all of its features. Try again without it."
ROW_HELP = "Show this row of the data (from 0) instead: its values with their signs, the largest first."
KEY_HELP = (
    "With RUN, COL=VALUE: show only the row with this key. With MODEL and DATA, COL: key column, as in ihcli explain."
)
TARGET_HELP = (
    "With RUN: the target to show.  [default: all]  With MODEL and DATA: what to explain, as in ihcli explain."
)
KEEP_HELP = "Directory in which to keep the run, with the interactions of every row.  [default: nothing is kept]"
OVERWRITE_HELP = "Replace the file that is there, and the run of --keep."
BY_IS_OF_ALL = "--by: ranks over all rows, so it cannot be used with --row or --key. Try again without it."
COUNT_IS_OF_ALL = "--min-count: counts over all texts, so it cannot be used with --row or --key. Try again without it."
ALL_ROWS_HELP = "Rank over all rows, also over those whose error is beyond 10 tolerances."
ALL_IS_OF_ALL = "--all-rows: ranks over all rows, so it cannot be used with --row or --key. Try again without it."
ONE_OF_BOTH = "--row, --key: both select a row. Try one of them."
LONG_HELP = (
    "Write one line for every row, target and value instead, with what the feature is in that row: for DuckDB, "
    "Power BI, Tableau and others that take no wide tables. It is streamed, however long."
)
ROWS_HELP = (
    "Rows of the data: all, or numbers from 0 and ranges such as 0,5,10-19, or @FILE with one a line.  [default: all]"
)
VALUES_HELP = (
    "Table with the same rows to take values of features, and columns of --where, from.  [default: the one that was "
    "explained, as run.json records it]"
)
LONG_IS_OF_ROWS = "{}: ranks over all rows, so it cannot be used with --long, which lists every row. Try without it."
NOT_RANKED = tuple(
    Conflict(name, LONG_IS_OF_ROWS.format(f"--{name.replace('_', '-')}")) for name in ("by", "min_count", "all_rows")
)
ROWS_OR_ROW = tuple(Conflict(name, f"--rows, --{name}: both select rows. Try one of them.") for name in ("row",))
NOT_WITH_ROW = (
    Conflict("by", BY_IS_OF_ALL),
    Conflict("min_count", COUNT_IS_OF_ALL),
    Conflict("all_rows", ALL_IS_OF_ALL),
)
NOT_WITH_KEY = tuple(replace(conflict, unless="data") for conflict in (*NOT_WITH_ROW, Conflict("row", ONE_OF_BOTH)))
KEY = Declaration(("--key",), {"multiple": True, "metavar": "COL[=VALUE]", "help": KEY_HELP, "conflicts": NOT_WITH_KEY})


@dataclass(frozen=True)
class Ranking:
    """What the user asked to see ranked, and where it shall go."""

    path: str
    data: str | None
    target: str | None
    top_k: int | None
    by: str | None
    feature: tuple[str, ...]
    row: int | None
    min_count: int | None
    all_rows: bool
    keep: str | None
    overwrite: bool
    destination: Destination
    computation: Computation
    strict: bool
    long: bool
    rows: tuple[int, ...] | None
    where: tuple[str, ...]
    values_from: str | None
    main_effects: bool = False
    betas: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """What --key was given."""
        return tuple(self.computation.values["key"])

    @property
    def is_of_one_row(self) -> bool:
        """Whether one row is shown instead of all of them ranked."""
        return self.row is not None or (self.data is None and bool(self.keys))

    def check(self, context: click.Context) -> None:
        """Refuse what does not go together; before any work. Raises click.UsageError."""
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


def ranking_options(*more: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Give a command the arguments and options of a ranking, and `more`; it receives them as one argument, `ranking`.

    --key stands for the columns of explain's, so a RUN and MODEL with DATA share it.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def with_ranking(*arguments: Any, format_name: str | None, out: str, csv_safe: bool, **values: Any) -> None:
            destination = Destination(out, format_name, values["overwrite"], csv_safe=csv_safe)
            command(*arguments, ranking=Ranking(**values, destination=destination))

        decorated: Command = with_ranking
        for decorator in reversed((*_decorators(), *more, *_computing())):
            decorated = decorator(decorated)
        return decorated

    return decorate


def _decorators() -> tuple[Callable[[Command], Command], ...]:
    return (
        click.argument("path", metavar="RUN|MODEL"),
        click.argument("data", required=False),
        option("--top-k", type=WholeNumber(1), metavar="N", help=TOP_K_HELP),
        option("--by", type=click.Choice(STATISTICS), help=f"{BY_HELP}  [default: mean_abs]"),
        option("--feature", multiple=True, metavar="NAME", help=FEATURE_HELP),
        option("--row", type=WholeNumber(0), metavar="N", help=ROW_HELP, conflicts=NOT_WITH_ROW),
        option("--min-count", type=WholeNumber(1), metavar="N", help=MIN_COUNT_HELP),
        option("--all-rows", is_flag=True, help=ALL_ROWS_HELP),
        option("--long", is_flag=True, help=LONG_HELP, conflicts=NOT_RANKED),
    )


def _of_long() -> tuple[Callable[[Command], Command], ...]:
    only: dict[str, Any] = {"section": WITH_LONG, "needs": "long"}
    return (
        option("--rows", **only, type=RowSelection("row"), metavar="[all|LIST]", help=ROWS_HELP, conflicts=ROWS_OR_ROW),
        option("--where", **only, multiple=True, metavar="CONDITION", help=WHERE_HELP),
        option("--data", "values_from", **only, metavar="FILE", help=VALUES_HELP),
    )


def _computing() -> tuple[Callable[[Command], Command], ...]:
    daily = tuple(KEY if declared.parameter == "key" else declared for declared in DAILY if declared is not TARGET)
    return (
        option("--target", metavar="NAME", help=TARGET_HELP),
        *(declared.declare(OPTIONS) for declared in (FORMAT, OUT)),
        option("--overwrite", is_flag=True, help=OVERWRITE_HELP),
        CSV_SAFE.declare(OPTIONS),
        *_of_long(),
        option("--keep", section=WITH_DATA, metavar="RUN", help=KEEP_HELP),
        computing_options({WITH_DATA: daily, **OTHERS}),
        STRICT.declare(ADVANCED),
        common_options,
    )
