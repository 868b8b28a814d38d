"""`ihcli attributions`: features, the strongest first."""

from typing import TYPE_CHECKING

import click

from ihcli.cli.asking.ranking import Ranking, ranking_options
from ihcli.cli.asking.sections import SETTINGS, SectionedCommand
from ihcli.cli.ranking import Kind, show

if TYPE_CHECKING:
    from ihcli.results.rankings import Choice
    from ihcli.results.records import Record

COLUMNS = ("rank", "feature", "mean_abs", "mean", "std", "share", "main_mean_abs")
RECORD_COLUMNS = ("rank", "position", "feature", "attribution", "share")


@click.command(cls=SectionedCommand, context_settings=SETTINGS, short_help="Rank features.")
@ranking_options()
@click.pass_context
def attributions(context: click.Context, ranking: Ranking) -> None:
    """Rank features by mean_abs of their attribution over rows, or by their attributions in one row.

    Ranks the finished run RUN, or MODEL and DATA, which are explained first (kept with --keep only: -o is the file
    of the table).

    \b
    ihcli attributions run --top-k 20
    ihcli attributions run --row 42
    ihcli attributions run --rows all --long -o long.parquet
    ihcli attributions model.pt data.csv --key id -m ig --format jsonl
    """
    from ihcli.results.rankings import features_of_records, ranked_features

    show(ranking, context, Kind(ranked_features, features_of_records, _no_notes, COLUMNS, RECORD_COLUMNS, "features"))


def _no_notes(record: "Record", choice: "Choice") -> tuple[str, ...]:
    """Return nothing: attributions of a record have no error bars."""
    return ()
