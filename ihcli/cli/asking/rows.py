"""What is asked of the rows of a run: which of them, and beside which columns."""

from collections.abc import Callable
from typing import Any

import click

from ihcli.cli.asking.computation import common_options
from ihcli.cli.asking.sections import ADVANCED, Command, option
from ihcli.cli.asking.tables import destination_options
from ihcli.cli.asking.values import ColumnList, WholeNumber

DATA_HELP = (
    "Table to take columns from, row by row of the same rows; it need not have the features.  [default: the one that "
    "was explained, as run.json records it]"
)
WHERE_HELP = "Only rows where a column compares so: sex=F, 'age>=50', 'kind!=a b'. Repeatable: where all of them hold."
ALL_ROWS_HELP = "Take also rows whose error is beyond 10 tolerances."
ONE_EFFECT = "--pair, --feature: both name the effect. Try one of them."
SEED_HELP = "Seed of the choice of rows, where there are too many to rank.  [default: 0]"


class PairOfFeatures(ColumnList):
    """Two names separated by a comma."""

    name = "pair"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return both names."""
        names = super().convert(value, param, ctx)
        if len(names) != 2:
            told = f"Expected two features A,B, got {len(names)} in {value!r}."
            self.fail(f'{told} Try "A","B" in quotes for names with commas.', param, ctx)
        return names


def row_options(top_k: str, *more: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Give a command the argument RUN, `more` options, and those on rows and on where what is found goes.

    Parameters:
        top_k: what --top-k says of itself.
    """

    def decorate(command: Command) -> Command:
        decorated = command
        for decorator in reversed((*more, *_decorators(top_k))):
            decorated = decorator(decorated)
        decorated = click.argument("path", metavar="RUN")(decorated)
        return decorated

    return decorate


def _decorators(top_k: str) -> tuple[Callable[[Command], Command], ...]:
    return (
        option("--where", multiple=True, metavar="CONDITION", help=WHERE_HELP),
        option("--data", metavar="FILE", help=DATA_HELP),
        option("--top-k", type=WholeNumber(1), metavar="N", default=20, show_default=True, help=top_k),
        option("--all-rows", is_flag=True, help=ALL_ROWS_HELP),
        destination_options,
        option("--seed", section=ADVANCED, type=WholeNumber(0), metavar="N", default=0, help=SEED_HELP),
        common_options,
    )
