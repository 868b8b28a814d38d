"""`ihcli attributions`: features, the strongest first."""

import click

from ihcli.cli.ranking import Ranking, ranking_options
from ihcli.cli.sections import SETTINGS, SectionedCommand

COLUMNS = ("rank", "feature", "mean_abs", "mean", "std", "share", "main_mean_abs")


@click.command(cls=SectionedCommand, context_settings=SETTINGS, short_help="Rank features.")
@ranking_options
@click.pass_context
def attributions(context: click.Context, ranking: Ranking) -> None:
    """Rank features by the mean size of their attribution over rows.

    Of the finished run RUN, or of MODEL and DATA, which are explained first (nothing of that is kept).

    \b
    ihcli attributions run --top-k 20
    ihcli attributions model.pt data.csv --key id -m ig --format jsonl
    """
    ranking.show(context, lambda run: run.summary_attributions(), COLUMNS)
