"""`ihcli contrast`: effects compared between groups of rows."""

from typing import TYPE_CHECKING, Any

import click

from ihcli.cli.asking.rows import PairOfFeatures, row_options
from ihcli.cli.asking.sections import SETTINGS, SectionedCommand, option
from ihcli.cli.ranking import in_sections, of_scale
from ihcli.cli.showing.failures import reading_run
from ihcli.cli.showing.model import above_table
from ihcli.cli.showing.spelling import spelled
from ihcli.cli.showing.tables import Destination
from ihcli.cli.showing.terminal import say

if TYPE_CHECKING:
    from ihcli.results.contrasting.contrast import Contrasted

SHOWN = ("rank", "of", "feature_i", "feature_j", "group", "mean", "mean_against", "difference", "p", "q")
SPARE = ("mean_against", "mean", "p", "rank")
BY_HELP = (
    "What makes the groups: a column (its values; many numbers are cut into halves), COLUMN:K (K bins of about as many "
    "rows), or a condition as in --where. Repeatable: all combinations."
)
TARGET_HELP = "The target to show.  [default: all]"
OF_HELP = "Only these: attributions, main effects, or pairs. Repeatable; q is over what is asked for.  [default: all]"
FEATURE_HELP = "Only values of this feature or group. Repeatable: of any of them."
PAIR_HELP = "Only this pair."
TEST_HELP = "welch: of means, whatever their variances; mann-whitney: of ranks."
SORT_HELP = "Rank by q, or by the size of the difference."
TESTS = {"welch": "Welch's t", "mann-whitney": "Mann-Whitney's U"}
MOST_NAMED = 4  # groups whose sizes a title has room for


@click.command(cls=SectionedCommand, context_settings=SETTINGS, short_help="Compare effects between groups of rows.")
@row_options(
    "How many of every target to show.",
    option("--by", multiple=True, required=True, metavar="COLUMN", help=BY_HELP),
    option("--of", multiple=True, type=click.Choice(["feature", "main", "pair"]), help=OF_HELP),
    option("--feature", multiple=True, metavar="NAME", help=FEATURE_HELP),
    option("--pair", type=PairOfFeatures(), metavar="A,B", help=PAIR_HELP),
    option("--test", type=click.Choice(list(TESTS)), default="welch", show_default=True, help=TEST_HELP),
    option("--sort", type=click.Choice(["q", "difference"]), default="q", show_default=True, help=SORT_HELP),
    option("--target", metavar="NAME", help=TARGET_HELP),
)
def contrast(path: str, destination: Destination, **values: Any) -> None:
    """Compare attributions, main effects and pairs between groups of the rows of RUN.

    Of two groups the second is compared with the first, of more each with the rest: difference of means, a test, and
    q, the share of chance findings among all that have no larger q (Benjamini, Hochberg). Columns are those that the
    run stores, keys and _prediction among them, and those of the data, features or not.

    \b
    ihcli contrast run --by sex
    ihcli contrast run --by age:4 --of pair --sort difference
    ihcli contrast run --by 'vessels>=1' --where sex=F --pair sex,vessels
    ihcli contrast run --by diagnosis --data clinic.csv -o contrast.csv
    """
    destination.check()
    from ihcli.results.contrasting.contrast import ContrastRequest
    from ihcli.results.contrasting.contrast import contrast as contrasted
    from ihcli.results.result import read

    with reading_run(path):
        result = read(path)
        found = contrasted(result, ContrastRequest(**values))
        targets = found.table["target"].unique().to_pylist()
        titles = {target: _title(found, target, of_scale(result.run), values) for target in targets}
        notes = {targets[-1]: found.notes}
        if destination.format != "table" and found.notes:
            say(*map(spelled, found.notes))
        told = above_table(result.run, destination)
        destination.write(in_sections(found.table, SHOWN, titles, notes, told=told, spare=SPARE))


def _title(found: "Contrasted", target: str, scale: str, values: dict[str, Any]) -> str:
    """Return what stands above the lines of a target: which rows are compared, and by what."""
    groups, tested = found.rows[target], found.tested[target]
    sizes = [f"{label} ({count:,})" for label, count in groups.items()]
    if len(groups) == 2:
        who = f"{sizes[1]} against {sizes[0]}"
    else:
        who = f"each of {len(groups)} groups against the rest"
        who += f": {', '.join(sizes)}" if len(groups) <= MOST_NAMED else ""
    where = "".join(f", {condition}" for condition in values["where"])
    return f"target {target}{scale}{where}: {who}; {TESTS[values['test']]}, q among {tested:,}"
