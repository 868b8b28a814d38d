"""`ihcli interactions`: pairs of features, the strongest first."""

from typing import TYPE_CHECKING

import click

from ihcli.cli.asking.ranking import Ranking, ranking_options
from ihcli.cli.asking.sections import SETTINGS, Conflict, SectionedCommand, option
from ihcli.cli.ranking import Kind, show
from ihcli.cli.showing.certainty import notes_of_record
from ihcli.cli.showing.failures import reading_run
from ihcli.cli.showing.heat import Heat
from ihcli.cli.showing.tables import Shown
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
BETAS_HELP = (
    "With RUN: show the betas that --smooth scan tried, and the pairs whose sign depends on them, instead of a ranking."
)
NO_RANKING = "{}: is of a ranking, and --betas shows none. Try again without it."
NOT_WITH_BETAS = tuple(
    Conflict(name, NO_RANKING.format(f"--{name.replace('_', '-')}"))
    for name in ("top_k", "by", "feature", "row", "min_count", "all_rows", "long", "main_effects", "target")
)
MAIN_HELP = "Include main effects Gamma_ii, listed as a feature paired with itself; shares then include them."


@click.command(cls=SectionedCommand, context_settings=SETTINGS, short_help="Rank pairs of features.")
@ranking_options(
    option("--main-effects", is_flag=True, help=MAIN_HELP),
    option("--betas", is_flag=True, help=BETAS_HELP, conflicts=NOT_WITH_BETAS),
)
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
    ihcli interactions run --betas -o betas.csv
    ihcli interactions model.pt data.csv --key id -o pairs.csv
    """
    if ranking.betas:
        _show_betas(context, ranking)
        return
    if ranking.data is not None:
        _require_second_order(ranking.computation.values["method"])
    from ihcli.results.rankings import pairs_of_records, ranked_pairs

    noun = _noun(ranking.main_effects)
    kind = Kind(ranked_pairs, pairs_of_records, _notes, COLUMNS, RECORD_COLUMNS, noun, Heat, LACKING, is_of_pairs=True)
    show(ranking, context, kind)


def _show_betas(context: click.Context, ranking: Ranking) -> None:
    if ranking.data is not None:
        raise click.UsageError(
            "--betas: is of a RUN. Expected one that was explained with --smooth scan. Try ihcli explain "
            "--smooth scan -o RUN, then ihcli interactions RUN --betas."
        )
    ranking.check(context)
    ranking.destination.check()
    from ihcli.cli.showing.scans import scan_sections
    from ihcli.results.betas import scan_of, scan_table
    from ihcli.runs.run import open_run

    with reading_run(ranking.path):
        scan = scan_of(open_run(ranking.path))
        table = scan_table(scan)
        ranking.destination.write(Shown(table.schema, [table], scan_sections(scan)))


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
