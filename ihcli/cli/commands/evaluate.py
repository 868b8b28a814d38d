"""`ihcli evaluate`: whether what a run says matters is what matters to the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from ihcli.cli import process
from ihcli.cli.asking.computation import common_options
from ihcli.cli.asking.options import CODE, TRUST
from ihcli.cli.asking.sections import ADVANCED, SETTINGS, SectionedCommand, option
from ihcli.cli.asking.tables import destination_options
from ihcli.cli.asking.values import ColumnList, WholeNumber
from ihcli.cli.showing.failures import reading_run
from ihcli.cli.showing.tables import Destination, Shown
from ihcli.cli.showing.terminal import is_quiet, say
from ihcli.errors import OptionError

if TYPE_CHECKING:
    from ihcli.files.locations import Location
    from ihcli.runs.run import Run
    from ihcli.verification.faithfulness.evaluation import Asked, Cost, Evaluation
    from ihcli.verification.faithfulness.figures import TargetFigures

COLUMNS = ("of", "metric", "run", "low", "high", "gradient", "gradient_input", "random", "best", "rows")
SPARE = ("rows", "of", "low", "high", "best", "gradient")
SAMPLE_HELP = "Rows of each target, drawn at random from those that have values."
METRICS_HELP = (
    "What to evaluate: curves, pairs, infidelity, sensitivity or all, or some of the curves by parts of their names, "
    "such as keep-positive-mean, remove or mean.  [default: curves,pairs,infidelity]"
)
TARGET_HELP = "Which target to evaluate.  [default: all that the run has]"
LABEL_HELP = "Column of DATA with true values, which the absolute curves are held against.  [default: f(x)]"
BACKGROUND_HELP = "Table that means, covariances and resampled rows come from.  [default: DATA]"
CURVES_HELP = "File to write the curves into, point by point, in a format as -o has them: curves.parquet, curves.csv."
PLOT_HELP = "Picture of the curves of one target, a name that ends in .png, .svg or .pdf."
DRAWS_HELP = "Rows of the background that stand in for what is resampled, and most baselines of pairs and infidelity."
SCORES = (
    "Keep positive and remove negative: the mean output; keep negative and remove positive: less of it. More is better."
)
SEED_HELP = "Seed of whatever is drawn."


@click.command(cls=SectionedCommand, context_settings=SETTINGS, short_help="Tell whether a run is faithful.")
@click.argument("run", metavar="RUN")
@click.argument("model")
@click.argument("data")
@option("--sample", type=WholeNumber(2), metavar="N", default=200, show_default=True, help=SAMPLE_HELP)
@option("--metrics", type=ColumnList("metric"), metavar="LIST", help=METRICS_HELP)
@option("--target", metavar="NAME", help=TARGET_HELP)
@option("--label", metavar="COL", help=LABEL_HELP)
@option("--background", metavar="FILE", help=BACKGROUND_HELP)
@destination_options
@option("--curves", metavar="FILE", help=CURVES_HELP)
@option("--plot", metavar="FILE", help=PLOT_HELP)
@option("--draws", section=ADVANCED, type=WholeNumber(1), metavar="N", default=100, show_default=True, help=DRAWS_HELP)
@option("--seed", section=ADVANCED, type=WholeNumber(0), metavar="N", default=0, show_default=True, help=SEED_HELP)
@CODE.declare(ADVANCED)
@TRUST.declare(ADVANCED)
@common_options
def evaluate(
    run: str,
    model: str,
    data: str,
    destination: Destination,
    curves: str | None,
    plot: str | None,
    **asked: Any,
) -> None:
    """Tell whether what the finished run RUN says matters is what matters to its MODEL, on rows of its DATA.

    Units are kept or removed, the first ones of the run first; what is removed becomes a mean, rows of the background,
    or what the others let expect. The area below what becomes of the output is told with its interval over rows, next
    to that of the gradient, of gradient x input, and of a random order. More is better; of infidelity and sensitivity,
    less.

    \b
    ihcli evaluate run model.pt data.csv
    ihcli evaluate run model.pt data.csv --label outcome --plot curves.png
    ihcli evaluate run model.pt data.csv --metrics mean,pairs --sample 1000 -o areas.csv
    """
    files = _Files(destination, curves, plot)
    files.check()
    from ihcli.execution.refusals import require_code, require_files
    from ihcli.runs.run import open_run

    with reading_run(run):
        opened = open_run(run)
        require_files(model, data)  # before torch is imported, which takes seconds
        require_code(asked["code"])
        with process.ended_when_stuck():
            files.begin()
            process.give_up_writing(asked["trust"], but=files.places)
            with process.importing():
                from ihcli.verification.faithfulness.evaluation import open_evaluation
            evaluation = open_evaluation(run, _asked(model, data, **asked))
            _require_one(evaluation, plot)
            found = _found(evaluation)
        files.write(opened, evaluation, found)


@dataclass(frozen=True)
class _Files:
    """Where the table, the curves and their picture go."""

    areas: Destination
    curves_file: str | None
    plot_file: str | None

    @property
    def curves(self) -> Destination | None:
        if self.curves_file is None:
            return None
        curves = Destination(self.curves_file, None, self.areas.overwrite, "--curves")
        return replace(curves, csv_safe=self.areas.csv_safe and curves.format == "csv")

    @property
    def plot(self) -> "Location | None":
        from ihcli.files.locations import locate

        return None if self.plot_file is None else locate(self.plot_file)

    @property
    def places(self) -> "list[Location]":
        """What is written to: directories, or devices."""
        plot = None if self.plot_file is None else Destination(self.plot_file)
        return [some.place for some in (self.areas, self.curves, plot) if some is not None and some.place is not None]

    def check(self) -> None:
        """Refuse what could not be written; before any work."""
        from ihcli.cli.showing.tables import require_writable
        from ihcli.plots.canvas import require_suffix

        has_csv = self.curves is not None and self.curves.csv_safe
        (replace(self.areas, csv_safe=False) if has_csv else self.areas).check()  # one file of CSV is enough
        if self.curves is not None:
            self.curves.check()
        if self.plot is not None:
            require_suffix(self.plot, "plot")
            require_writable(self.plot, self.areas.overwrite, "--plot")

    def begin(self) -> None:
        """Import what draws, which keeps a list of fonts, while it may still write there."""
        if self.plot_file is not None:
            from ihcli.plots.canvas import default_style, new_figure

            with default_style():
                new_figure(1, 1)

    def write(self, run: "Run", evaluation: "Evaluation", found: "Sequence[TargetFigures]") -> None:
        """Write all of them."""
        from ihcli.verification.faithfulness.figures import areas_table, curves_table

        notes = {one.target: (evaluation.absolute_in_words(one.target), *evaluation.notes) for one in found}
        notes = {target: tuple(filter(None, told)) for target, told in notes.items()}
        if self.areas.format != "table":
            say(*dict.fromkeys(note for told in notes.values() for note in told))
        self.areas.write(_shown(areas_table(found), run, found, notes))
        if self.curves is not None:
            table = curves_table(found)
            self.curves.write(Shown(table.schema, [table], ()))
        if self.plot is not None:
            from ihcli.plots.curves import write_curves

            (one,) = found
            title = f"Is {run.info.method.name} faithful? {_title(run, one)}"
            write_curves(curves_table(found), title, (SCORES, *notes[one.target]), self.plot)
            say(f"Picture written to {self.plot_file}.")


def _asked(model: str, data: str, **values: Any) -> "Asked":
    from ihcli.verification.faithfulness.evaluation import Asked
    from ihcli.verification.faithfulness.metrics import Wanted
    from ihcli.verification.recomputation import Question

    question = Question(model, data, values["sample"], values["seed"], values["trust"], values["code"])
    wanted = Wanted.of() if values["metrics"] is None else Wanted.of(values["metrics"])
    return Asked(question, wanted, **{name: values[name] for name in ("target", "label", "background", "draws")})


def _require_one(evaluation: "Evaluation", plot: str | None) -> None:
    """Raise OptionError where a picture is asked for of several targets, or of no curve."""
    targets = [entries.target for entries in evaluation.entries]
    if plot is not None and len(targets) > 1:
        raise OptionError(
            f"--plot {plot}: shows one target, and the run has {len(targets)}. Try --target {targets[0]} too."
        )
    if plot is not None and not evaluation.metrics:
        raise OptionError(f"--plot {plot}: shows curves, and none is asked for. Try --metrics curves.")


def _found(evaluation: "Evaluation") -> "list[TargetFigures]":
    """Evaluate, and say before what it costs, and meanwhile how far it is."""
    if is_quiet():
        return list(evaluation.evaluate())
    from ihcli.cli.showing.lines import Lines  # and numpy, which help does without

    cost = evaluation.cost()
    say(_in_words(cost))
    return list(evaluation.evaluate(Lines(max(1, cost.forwards), "forwards").show_share))


def _in_words(cost: "Cost") -> str:
    from ihcli.cli.showing.words import duration_in_words

    explained = f", and {cost.explained:,} rows to explain" if cost.explained else ""
    took = duration_in_words(max(0.1, cost.seconds))
    return f"Evaluating {cost.rows:,} rows takes at most {cost.forwards:,} forwards, about {took}{explained}."


def _shown(table: Any, run: "Run", found: "Sequence[TargetFigures]", notes: "Mapping[str, Sequence[str]]") -> Shown:
    from ihcli.cli.showing.drawn import Section
    from ihcli.summaries.ranking import by_target

    by = by_target(table)
    sections = (
        Section(_title(run, one), by[one.target].select(COLUMNS), (_firsts(one), *notes[one.target]), spare=SPARE)
        for one in found
    )
    return Shown(table.schema, [table], sections)


def _title(run: "Run", found: "TargetFigures") -> str:
    from ihcli.cli.ranking import of_scale

    return f"target {found.target}{of_scale(run)}, {found.rows} rows"


def _firsts(found: "TargetFigures") -> str:
    first, curves = found.firsts
    return f"The run is best in {first} of {curves} curves." if curves else "No curve was asked for."
