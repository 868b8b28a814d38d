"""`ihcli report`: a run as one page for a browser."""

import click

from ihcli.cli.asking.computation import common_options
from ihcli.cli.asking.ranking import ALL_ROWS_HELP
from ihcli.cli.asking.sections import SETTINGS, SectionedCommand, option
from ihcli.cli.asking.values import WholeNumber
from ihcli.cli.showing.failures import reading_run
from ihcli.cli.showing.tables import Destination
from ihcli.cli.showing.terminal import say
from ihcli.errors import OptionError

DATA_HELP = "Table to take the values of features from; it has the rows of the one that was explained.  [default: that]"
COMPARE_HELP = "Another run over the same rows: the page says how far both agree. Repeatable."
SEED_HELP = "Which rows are drawn where the page cannot hold all."


@click.command(cls=SectionedCommand, context_settings=SETTINGS, short_help="Write a page about a run.")
@click.argument("run")
@option("-o", "--out", metavar="FILE", required=True, help="The HTML file to write.")
@option("--compare", metavar="RUN", multiple=True, help=COMPARE_HELP)
@option("--data", metavar="FILE", help=DATA_HELP)
@option("--seed", type=WholeNumber(0), metavar="N", default=0, show_default=True, help=SEED_HELP)
@option("--all-rows", is_flag=True, help=ALL_ROWS_HELP)
@option("--overwrite", is_flag=True, help="Replace the file that is there.")
@common_options
def report(
    run: str,
    out: str,
    compare: tuple[str, ...],
    data: str | None,
    seed: int,
    all_rows: bool,
    overwrite: bool,
) -> None:
    """Write one HTML page about the finished run RUN, which opens in any browser without a network.

    A sentence on what the run found, every row as a dot that opens its record, ranked features and pairs, a heatmap,
    what pairs do at the values of their features, single records, and how far to trust all of it. Tables can be taken
    along as CSV. For a large run the page holds a part, and says which. Needs plotly: pip install
    'ihcli[report]'.

    \b
    ihcli report run -o report.html
    ihcli report run -o report.html --data moved/data.parquet
    ihcli report run -o report.html --compare other-run
    """
    if out == "-":
        raise OptionError("-o -: the report cannot go to standard output. Expected a file name. Try -o report.html.")
    Destination(out, overwrite=overwrite).check()
    from ihcli.report import write_report
    from ihcli.results.result import read

    with reading_run(run):
        others = [read(other) for other in compare]
        written = write_report(read(run, all_rows=all_rows), out, data=data, seed=seed, others=others)
    reason = written.why_no_values
    say(f"Report written to {out}." + (f" It has no dependence views: {reason}" if reason else ""))
