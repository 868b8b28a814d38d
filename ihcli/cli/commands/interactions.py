"""`ihcli interactions`: pairs of features, the strongest first."""

from typing import TYPE_CHECKING

import click

from ihcli.cli.asking.ranking import Ranking, ranking_options
from ihcli.cli.asking.sections import SETTINGS, SectionedCommand, option
from ihcli.cli.ranking import Kind, show
from ihcli.cli.showing.certainty import notes_of_record
from ihcli.cli.showing.heat import Heat
from ihcli.errors import OptionError
from ihcli.methods import method_named, names_of, partner
from ihcli.wording import either

if TYPE_CHECKING:
    from ihcli.results.rankings import Choice
    from ihcli.results.records import Record

COLUMNS = (
    *("rank", "near_zero", "kind", "feature_i", "feature_j"),
    *("mean_abs", "error_bar", "standard_error", "mean", "std", "share"),
)
RECORD_COLUMNS = (
    *("rank", "near_zero", "kind", "position_i", "feature_i", "position_j", "feature_j"),
    *("effect", "error_bar", "standard_error", "share"),
)
LACKING = ("workers", *(f"method={name}" for name in names_of(order=1)))
MAIN_HELP = "Include main effects Gamma_ii, listed as a feature paired with itself; shares then include them."


@click.command(cls=SectionedCommand, context_settings=SETTINGS, short_help="Rank pairs of features.")
@ranking_options(option("--main-effects", is_flag=True, help=MAIN_HELP))
@click.pass_context
def interactions(context: click.Context, ranking: Ranking) -> None:
    """Rank pairs of features by mean_abs of their interaction over rows, or by the effects in one row.

    Ranks the finished run RUN, or MODEL and DATA, which are explained first (kept with --keep only: -o is the file
    of the table). A pair's effect is Gamma_ij + Gamma_ji, in units of the explained output.

    \b
    ihcli interactions run --top-k 20
    ihcli interactions run --feature age --by std
    ihcli interactions run --key id=P42
    ihcli interactions run --rows all --long --top-k 10 -o pairs.parquet
    ihcli interactions model.pt data.csv --key id -o pairs.csv
    """
    if ranking.data is not None:
        _require_second_order(ranking.computation.values["method"])
    from ihcli.results.rankings import pairs_of_records, ranked_pairs

    noun = _noun(ranking.main_effects)
    kind = Kind(ranked_pairs, pairs_of_records, _notes, COLUMNS, RECORD_COLUMNS, noun, Heat, LACKING, is_of_pairs=True)
    show(ranking, context, kind)


def _notes(record: "Record", choice: "Choice") -> tuple[str, ...]:
    """Return how far the order of the effects of a record is certain."""
    from ihcli.results.records import pair_effects

    return notes_of_record(record, pair_effects(record, choice.main_effects), _noun(choice.main_effects))


def _noun(main_effects: bool) -> str:
    return "effects" if main_effects else "pairs"


def _require_second_order(name: str) -> None:
    method = method_named(name)
    if not method.second_order:
        raise OptionError(
            f"--method {name}: gives no interactions. Expected {either(names_of(order=2))}. "
            f"Try --method {partner(method, order=2).name}."
        )
