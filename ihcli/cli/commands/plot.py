"""`ihcli plot`: a picture of a run."""

from typing import Any

import click

from ihcli.cli.asking.computation import common_options
from ihcli.cli.asking.ranking import ALL_ROWS_HELP, ONE_OF_BOTH
from ihcli.cli.asking.rows import ONE_EFFECT, WHERE_HELP, PairOfFeatures
from ihcli.cli.asking.sections import ADVANCED, SETTINGS, Conflict, SectionedCommand, option
from ihcli.cli.asking.values import WholeNumber, values_of_keys
from ihcli.cli.showing.failures import reading_run
from ihcli.cli.showing.spelling import spelled
from ihcli.cli.showing.tables import require_writable
from ihcli.cli.showing.terminal import say
from ihcli.errors import OptionError

KINDS = (
    *("summary", "bar", "heatmap", "network", "rows", "dependence", "surface", "effect", "waterfall", "text"),
    *("convergence", "lorenz", "calibration"),
)
"""As `ihcli.plots` has them, which takes long to import for a shell that completes a word."""
OUT_HELP = "File to write, a name that ends in .png, .svg or .pdf."
TARGET_HELP = "Which target to draw.  [default: of several the one of the most rows]"
TOP_K_HELP = "How many features, pairs or words to draw, the strongest.  [default: as many as read well]"
ROW_HELP = "waterfall and text only: the row of the data (from 0)."
KEY_HELP = "waterfall and text only: the row with this key. Repeatable."
FEATURE_HELP = (
    "dependence: the feature whose values are the horizontal axis, the strongest where it is left out; effect: whose "
    "attribution is drawn."
)
PAIR_HELP = (
    "surface: the pair whose values are the axes, the strongest where it is left out; effect: whose effect is drawn, "
    "A,A is the main effect of A."
)
AGAINST_HELP = "effect only: the column of the data that is the horizontal axis, whether a feature or not."
COLOR_HELP = (
    "dependence only: the feature that colours, and whose interaction is drawn.  [default: the strongest partner]"
)
PAIRS_HELP = "summary and bar: pairs instead of features."
BY_HELP = (
    "bar: a bar for each group of rows, by COLUMN, COLUMN:BINS or a condition as in ihcli contrast; _target: for each "
    "target. heatmap: mean_abs, or mean with its sign.  [default of heatmap: mean_abs]"
)
SORT_HELP = "rows only: similarity or prediction, what rows stand by.  [default: similarity]"
MAIN_HELP = (
    "heatmap: main effects Gamma_ii on the diagonal; bar with --pairs: among the pairs; network: as sizes of nodes."
)
DATA_HELP = "Table to read values of features from.  [default: the one that was explained, as run.json records it]"
POINTS_HELP = "Rows to draw at most, chosen at random.  [default: as many as read well]"


class KindOfPicture(click.Choice[str]):
    """A kind of picture; under other names that people know it by, it is proposed."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """Return what click says, and which kind may be meant."""
        from ihcli.plots.options import meant_by

        return f"{super().get_invalid_choice_message(value, ctx)}{meant_by(str(value))}"


@click.command(cls=SectionedCommand, context_settings=SETTINGS, short_help="Draw a picture of a run.")
@click.argument("path", metavar="RUN")
@click.argument("kind", type=KindOfPicture(KINDS), metavar="KIND")
@option("-o", "--out", required=True, metavar="FILE", help=OUT_HELP)
@option("--target", metavar="NAME", help=TARGET_HELP)
@option("--top-k", type=WholeNumber(1), metavar="N", help=TOP_K_HELP)
@option("--row", type=WholeNumber(0), metavar="N", help=ROW_HELP)
@option("--key", multiple=True, metavar="COL=VALUE", help=KEY_HELP, conflicts=[Conflict("row", ONE_OF_BOTH)])
@option("--feature", metavar="NAME", help=FEATURE_HELP)
@option("--pair", type=PairOfFeatures(), metavar="A,B", help=PAIR_HELP, conflicts=[Conflict("feature", ONE_EFFECT)])
@option("--against", metavar="COLUMN", help=AGAINST_HELP)
@option("--where", multiple=True, metavar="CONDITION", help=f"effect only: {WHERE_HELP[0].lower()}{WHERE_HELP[1:]}")
@option("--color-by", metavar="NAME", help=COLOR_HELP)
@option("--pairs", is_flag=True, help=PAIRS_HELP)
@option("--by", metavar="BY", help=BY_HELP)
@option("--sort", type=click.Choice(["similarity", "prediction"]), help=SORT_HELP)
@option("--main-effects", is_flag=True, help=MAIN_HELP)
@option("--all-rows", is_flag=True, help=ALL_ROWS_HELP)
@option("--data", metavar="FILE", help=DATA_HELP)
@option("--overwrite", is_flag=True, help="Replace the file that is there.")
@option("--points", section=ADVANCED, type=WholeNumber(1), metavar="N", help=POINTS_HELP)
@option("--seed", section=ADVANCED, type=WholeNumber(0), metavar="N", help="Seed of that random choice.  [default: 0]")
@common_options
def plot(path: str, kind: str, out: str, overwrite: bool, **values: Any) -> None:
    """Draw a picture of the run RUN into a file.

    \b
    KIND is one of
    summary      attribution against feature, every row a point, coloured by the feature's value or category;
                 with --pairs effects of pairs, coloured by both values
    bar          the strongest features, or with --pairs pairs; with --by for groups of rows side by side
    heatmap      pair effects as a matrix, strong pairs near the diagonal
    network      the strongest pairs as lines between features
    rows         attributions as an image, rows by features, with the prediction above
    dependence   attribution, main effect and interaction against the values of --feature
    surface      the effect of --pair over the values of both features, in colour
    effect       the effect of --pair, or the attribution of --feature, against any column, --against
    waterfall    from the baseline's prediction to that of --row
    text         the words of --row, shaded by attribution, and its strongest pairs
    convergence  certified relative error and evaluations over rows
    lorenz       how unevenly all effects are spread over features and pairs
    calibration  how often what the model gives a probability of is so; of runs with --label

    \b
    ihcli plot run summary -o summary.png
    ihcli plot run bar --by diagnosis -o classes.png
    ihcli plot run heatmap --top-k 40 --main-effects -o pairs.svg
    ihcli plot run surface --pair age,sex -o surface.png
    ihcli plot run dependence --feature age --color-by sex -o age.pdf
    ihcli plot run effect --pair age,sex --against clinic --where 'age>=50' -o effect.png
    ihcli plot run waterfall --key id=P42 -o row.png

    Needs matplotlib: pip install 'ihcli[plot]'.
    """
    given = {name: value for name, value in values.items() if value is not None and value is not False and value != ()}
    from ihcli.files.locations import locate
    from ihcli.plots import PlotRequest, write_plot
    from ihcli.plots.canvas import require_suffix
    from ihcli.plots.options import require_of_kind
    from ihcli.results.result import read

    try:
        require_of_kind(kind, given)
    except OptionError as error:
        raise click.UsageError(spelled(str(error))) from None
    file = locate(out)
    require_suffix(file)
    require_writable(file, overwrite)
    with reading_run(path):
        result = read(path, all_rows=given.get("all_rows", False))
        keys = given.pop("key", ())
        key = values_of_keys(result.keys, keys) if keys else {}
        write_plot(result, PlotRequest(kind, key=key, **given), file)
    say(f"Picture written to {out}.")
