"""`ihcli drivers`: which columns go with an effect."""

from typing import Any

import click

from ihcli.cli.asking.rows import ONE_EFFECT, PairOfFeatures, row_options
from ihcli.cli.asking.sections import ADVANCED, SETTINGS, Conflict, SectionedCommand, option
from ihcli.cli.asking.values import WholeNumber
from ihcli.cli.ranking import in_sections, of_scale
from ihcli.cli.showing.failures import reading_run
from ihcli.cli.showing.model import above_table
from ihcli.cli.showing.spelling import spelled
from ihcli.cli.showing.tables import Destination
from ihcli.cli.showing.terminal import say

SHOWN = ("rank", "column", "role", "kind", "strength", "correlation", "rows", "p", "q")
SPARE = ("p", "rows", "kind", "correlation", "rank")
PAIR_HELP = "The pair whose effect is looked at; A,A is the main effect of A."
FEATURE_HELP = "The feature whose attribution is looked at."
TARGET_HELP = "The target; needed where the run has several."
POINTS_HELP = "Rows to rank at most, chosen at random; fewer of tables with very many columns."


@click.command(
    cls=SectionedCommand, context_settings=SETTINGS, short_help="Rank columns by how they go with an effect."
)
@row_options(
    "How many columns to show.",
    option("--pair", type=PairOfFeatures(), metavar="A,B", help=PAIR_HELP, conflicts=[Conflict("feature", ONE_EFFECT)]),
    option("--feature", metavar="NAME", help=FEATURE_HELP),
    option("--target", metavar="NAME", help=TARGET_HELP),
    option(
        *("--points",),
        section=ADVANCED,
        type=WholeNumber(3),
        metavar="N",
        default=100_000,
        show_default=True,
        help=POINTS_HELP,
    ),
)
def drivers(path: str, destination: Destination, **values: Any) -> None:
    """Rank columns of the data by how they go with the effect of a pair, or with an attribution, over rows of RUN.

    All columns are ranked, features or not: numbers by the size of Spearman's correlation, words on the same scale by
    the square root of epsilon squared (Kruskal and Wallis). A feature goes with its own effects; a finding is that
    another column does.

    \b
    ihcli drivers run --pair drug_a,drug_b
    ihcli drivers run --pair drug_a,drug_b --where drug_a=1 --where drug_b=1
    ihcli drivers run --feature age --data clinic.csv --format csv
    """
    if values["pair"] is None and values["feature"] is None:
        raise click.UsageError("--pair, --feature: neither names the effect. Expected one of both. Try --pair A,B.")
    destination.check()
    from ihcli.results.contrasting.drivers import DriversRequest
    from ihcli.results.contrasting.drivers import drivers as ranked
    from ihcli.results.result import read

    with reading_run(path):
        result = read(path)
        found = ranked(result, DriversRequest(**values))
        target = found.table["target"][0].as_py()
        if destination.format != "table" and found.notes:
            say(*map(spelled, found.notes))
        title = _title(f"{target}{of_scale(result.run)}", found.rows, values)
        told = above_table(result.run, destination)
        destination.write(
            in_sections(found.table, SHOWN, {target: title}, {target: found.notes}, told=told, spare=SPARE)
        )


def _title(explained: str, rows: int, values: dict[str, Any]) -> str:
    one, other = values["pair"] or (None, None)
    pair = f"main effect of {one}" if one == other else f"effect of {one} and {other}"
    what = f"attribution of {values['feature']}" if values["pair"] is None else pair
    where = "".join(f", {condition}" for condition in values["where"])
    return f"target {explained}, {what}: {rows:,} rows{where}"
