"""`ihcli interactions`: pairs of features, the strongest first."""

import click

from ihcli.cli.ranking import Ranking, ranking_options
from ihcli.cli.sections import SETTINGS, SectionedCommand
from ihcli.errors import OptionError

COLUMNS = ("rank", "feature_i", "feature_j", "mean_abs", "mean", "std", "share")


@click.command(cls=SectionedCommand, context_settings=SETTINGS, short_help="Rank pairs of features.")
@ranking_options
@click.pass_context
def interactions(context: click.Context, ranking: Ranking) -> None:
    """Rank pairs of features by the mean size of their interaction over rows.

    Of the finished run RUN, or of MODEL and DATA, which are explained first (nothing of that is kept). A pair's
    effect is Gamma_ij + Gamma_ji, in units of the explained output.

    \b
    ihcli interactions run --top-k 20
    ihcli interactions model.pt data.csv --key id -o pairs.csv
    """
    if ranking.data is not None:
        _require_second_order(ranking.computation.values["method"])
    ranking.show(context, lambda run: run.summary_interactions(), COLUMNS)


def _require_second_order(name: str) -> None:
    from ihcli.methods import METHODS

    method = METHODS[name]
    if not method.second_order:
        partners = (other for other in METHODS.values() if other.second_order)
        partner = next(other.name for other in partners if other.many_baselines == method.many_baselines)
        raise OptionError(f"--method {name}: gives no interactions. Expected ih or eh. Try --method {partner}.")
