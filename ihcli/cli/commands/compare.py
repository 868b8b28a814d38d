"""`ihcli compare`: how far runs over the same rows agree."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ihcli.cli.asking.computation import debug_option
from ihcli.cli.asking.sections import SETTINGS, SectionedCommand, option
from ihcli.cli.asking.tables import destination_options
from ihcli.cli.asking.values import WholeNumber
from ihcli.cli.showing.drawn import Section
from ihcli.cli.showing.failures import reading_run
from ihcli.cli.showing.tables import STANDARD_OUTPUT, Destination, Shown
from ihcli.cli.showing.terminal import say

if TYPE_CHECKING:
    import pyarrow as pa

    from ihcli.results.comparing.comparison import Comparison

KINDS = ("runs", "feature", "pair", "row")
TOP_K_HELP = "How many of the largest values are the top.  [default: 10, of fewer than 20 values half of them]"
MEAN_HELP = (
    "Write the mean of the runs as a run, -o RUN: of members of an ensemble with one baseline, that of the mean of "
    "their outputs. Errors add up."
)
OF_HELP = "Write only lines of this.  Repeatable.  [default: all in a file, all but rows on a terminal]"


@click.command(cls=SectionedCommand, context_settings=SETTINGS, short_help="Compare runs over the same rows.")
@click.argument("runs", metavar="RUN RUN [RUN ...]", nargs=-1)
@option("--top-k", type=WholeNumber(1), metavar="N", help=TOP_K_HELP)
@option("--of", "kinds", type=click.Choice(KINDS), multiple=True, help=OF_HELP)
@option("--mean", is_flag=True, help=MEAN_HELP)
@destination_options
@debug_option
def compare(
    runs: tuple[str, ...], top_k: int | None, kinds: tuple[str, ...], mean: bool, destination: Destination
) -> None:
    """Compare finished runs over the same rows: methods, models, baselines, training seeds.

    Rows are joined on their keys, or on their numbers where there are none. For each two runs, each row and each
    feature or pair: Spearman's rank correlation, overlap of the largest, share of equal signs and largest change; over
    all runs the mean, its deviation, the worst rank, and in the top of how many runs. Runs over other rows, features,
    targets or scales are refused.

    \b
    ihcli compare run_ih run_sii
    ihcli compare seed0 seed1 seed2 -o agreement.parquet
    ihcli compare seed0 seed1 seed2 --mean -o ensemble
    """
    _require_several(runs)
    if mean:
        _write_mean(runs, destination)
        return
    destination.check()
    from ihcli.results.comparing.comparison import Comparison
    from ihcli.results.result import read

    with reading_run(", ".join(runs)):
        comparison = Comparison([read(run) for run in runs], runs, top_k)
        destination.write(_shown(comparison, kinds))


def _require_several(runs: tuple[str, ...]) -> None:
    if len(runs) < 2:
        missing = "RUN RUN" if not runs else "RUN"
        raise click.UsageError(f"Missing argument '{missing}': Expected two runs at least. Try ihcli compare RUN RUN.")


def _write_mean(runs: tuple[str, ...], destination: Destination) -> None:
    if destination.file == STANDARD_OUTPUT or destination.format_name is not None:
        raise click.UsageError("--mean: writes a run, a directory. Try --mean -o RUN, without --format.")
    from ihcli.results.comparing.averaging import write_mean
    from ihcli.results.result import read

    with reading_run(", ".join(runs)):
        results = [read(run) for run in runs]
        out, overwrite = destination.file, destination.overwrite
        totals = write_mean(results, out, lambda text: say(f"Warning: {text}"), overwrite=overwrite)
    say(f"The mean of {len(runs)} runs, {totals.rows} rows, is written to {destination.file}.")


def _shown(comparison: "Comparison", kinds: tuple[str, ...]) -> Shown:
    return Shown(comparison.schema, _pieces(comparison, kinds or KINDS), _sections(comparison, kinds or KINDS[:3]))


def _pieces(comparison: "Comparison", kinds: tuple[str, ...]) -> "Iterator[pa.Table]":
    """Give the lines of these kinds; those of rows come first, as they stream by."""
    yield from comparison.see(with_rows="row" in kinds)
    yield from _tables(comparison, kinds).values()


def _sections(comparison: "Comparison", kinds: tuple[str, ...]) -> Iterator[Section]:
    from ihcli.cli.showing.comparisons import MOST_SHOWN, sections_of
    from ihcli.results.comparing.outcome import least_of

    rows = least_of(comparison.see(with_rows="row" in kinds), comparison.schema, MOST_SHOWN)
    yield from sections_of(comparison, _tables(comparison, kinds), rows)


def _tables(comparison: "Comparison", kinds: tuple[str, ...]) -> "dict[str, pa.Table]":
    from ihcli.results.comparing.outcome import lines_of_features, lines_of_pairs, lines_of_runs

    makers = {"runs": lines_of_runs, "feature": lines_of_features, "pair": lines_of_pairs}
    return {kind: make(comparison) for kind, make in makers.items() if kind in kinds}
