"""`ihcli compare`: how far runs over the same rows agree."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ihcli.cli import process
from ihcli.cli.asking.computation import common_options
from ihcli.cli.asking.options import CODE, TRUST
from ihcli.cli.asking.sections import SETTINGS, Conflict, SectionedCommand, option
from ihcli.cli.asking.tables import destination_options
from ihcli.cli.asking.values import WholeNumber
from ihcli.cli.showing.drawn import Section
from ihcli.cli.showing.failures import reading_run
from ihcli.cli.showing.tables import STANDARD_OUTPUT, Destination, Shown
from ihcli.cli.showing.terminal import say, warn

if TYPE_CHECKING:
    import pyarrow as pa

    from ihcli.results.comparing.comparison import Comparison
    from ihcli.results.result import Result

KINDS = ("runs", "feature", "pair", "row")
TOP_K_HELP = "How many of the largest values are the top.  [default: 10, of fewer than 20 values half of them]"
MEAN_HELP = (
    "Write the mean of the runs as a run, -o RUN: of members of an ensemble with one baseline, that of the mean of "
    "their outputs. Errors add up."
)
RANDOM = "With --random-weights"
OF_RANDOM: dict[str, Any] = {"section": RANDOM, "needs": "random_weights"}
RANDOM_HELP = (
    "Compare RUN with explanations of its MODEL with random weights over its DATA: what agrees even so was not learned."
)
DRAWS_HELP = "How often weights are drawn."
LIMIT_HELP = "Explain only the first N rows.  [default: all]"
SEED_HELP = "Seed of the first draw."
OF_HELP = "Write only lines of this.  Repeatable.  [default: all in a file, all but rows on a terminal]"


@click.command(cls=SectionedCommand, context_settings=SETTINGS, short_help="Compare runs over the same rows.")
@click.argument("runs", metavar="RUN [RUN ...]", nargs=-1)
@option("--top-k", type=WholeNumber(1), metavar="N", help=TOP_K_HELP)
@option("--of", "kinds", type=click.Choice(KINDS), multiple=True, help=OF_HELP)
@option("--mean", is_flag=True, help=MEAN_HELP)
@destination_options
@option(
    "--random-weights",
    section=RANDOM,
    metavar="MODEL DATA",
    nargs=2,
    help=RANDOM_HELP,
    conflicts=[Conflict("mean", "--random-weights, --mean: one of both. Try again without --mean.")],
)
@option("--draws", **OF_RANDOM, type=WholeNumber(1), metavar="N", default=10, show_default=True, help=DRAWS_HELP)
@option("--limit", **OF_RANDOM, type=WholeNumber(1), metavar="N", help=LIMIT_HELP)
@option("--seed", **OF_RANDOM, type=WholeNumber(0), metavar="N", default=0, show_default=True, help=SEED_HELP)
@CODE.declare(**OF_RANDOM)
@TRUST.declare(**OF_RANDOM)
@common_options
def compare(
    runs: tuple[str, ...],
    top_k: int | None,
    kinds: tuple[str, ...],
    mean: bool,
    destination: Destination,
    random_weights: tuple[str, str] | None,
    **drawing: Any,
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
    ihcli compare run --random-weights model.pt data.csv
    """
    if random_weights is not None:
        _compare_with_random(runs, top_k, kinds, destination, Drawing(*random_weights, **drawing))
        return
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


@dataclass(frozen=True)
class Drawing:
    """What random weights are drawn of, and how often."""

    model: str
    data: str
    draws: int
    limit: int | None
    seed: int
    code: str | None
    trust: bool


def _compare_with_random(
    runs: tuple[str, ...], top_k: int | None, kinds: tuple[str, ...], destination: Destination, drawing: Drawing
) -> None:
    if len(runs) != 1:
        raise click.UsageError(f"--random-weights: compares one run. Expected one RUN, got {len(runs)}. Try only one.")
    destination.check()
    from ihcli.execution.refusals import require_code, require_files
    from ihcli.results.result import read

    (run,) = runs
    with reading_run(run), tempfile.TemporaryDirectory(prefix="ihcli-") as folder:
        result = read(run)
        require_files(drawing.model, drawing.data)  # before torch is imported, which takes seconds
        require_code(drawing.code)
        random = _random_runs(result, drawing, destination, Path(folder))
        comparison = _comparison([result, *map(read, random)], run, top_k, drawing.limit)
        destination.write(_shown(comparison, kinds, is_random=True))


def _random_runs(result: "Result", drawing: Drawing, destination: Destination, folder: Path) -> list[Path]:
    """Explain with random weights; says first about how long that takes."""
    from ihcli.cli.showing.words import duration_in_words
    from ihcli.runs.told import if_told

    rows = min(result.n_rows, drawing.limit or result.n_rows)
    took = if_told(lambda: result.told.totals.wall_s)
    if took is not None:
        seconds = duration_in_words(drawing.draws * took * rows / max(1, result.n_rows))
        say(f"{drawing.draws} draws of random weights, {rows} rows each: about {seconds}, going by {result.path}.")
    places = [folder] if destination.place is None else [folder, destination.place]
    with process.ended_when_stuck():
        process.give_up_writing(drawing.trust, but=places)
        with process.importing():
            from ihcli.verification.recomputation import Question
            from ihcli.verification.recomputation.randomised import explain_randomised

        question = Question(drawing.model, drawing.data, seed=drawing.seed, trust=drawing.trust, code=drawing.code)
        return list(explain_randomised(result.path, question, drawing.draws, folder, drawing.limit))


def _comparison(results: "list[Result]", run: str, top_k: int | None, limit: int | None) -> "Comparison":
    from ihcli.results.comparing.comparison import Comparison

    names = [run, *(f"random weights {draw}" for draw in range(1, len(results)))]
    return Comparison(results, names, top_k, with_first_only=True, first_rows=limit)


def _write_mean(runs: tuple[str, ...], destination: Destination) -> None:
    if destination.file == STANDARD_OUTPUT or destination.format_name is not None:
        raise click.UsageError("--mean: writes a run, a directory. Try --mean -o RUN, without --format.")
    from ihcli.results.comparing.averaging import write_mean
    from ihcli.results.result import read

    with reading_run(", ".join(runs)):
        results = [read(run) for run in runs]
        out, overwrite = destination.file, destination.overwrite
        totals = write_mean(results, out, warn, overwrite=overwrite)
    say(f"The mean of {len(runs)} runs, {totals.rows} rows, is written to {destination.file}.")


def _shown(comparison: "Comparison", kinds: tuple[str, ...], *, is_random: bool = False) -> Shown:
    sections = _sections(comparison, kinds or KINDS[:3], is_random)
    return Shown(comparison.schema, _pieces(comparison, kinds or KINDS), sections)


def _pieces(comparison: "Comparison", kinds: tuple[str, ...]) -> "Iterator[pa.Table]":
    """Give the lines of these kinds; those of rows come first, as they stream by."""
    yield from comparison.see(with_rows="row" in kinds)
    yield from _tables(comparison, kinds).values()


def _sections(comparison: "Comparison", kinds: tuple[str, ...], is_random: bool) -> Iterator[Section]:
    from ihcli.cli.showing.comparisons import MOST_SHOWN, sections_of
    from ihcli.results.comparing.outcome import least_of

    rows = least_of(comparison.see(with_rows="row" in kinds), comparison.schema, MOST_SHOWN)
    yield from sections_of(comparison, _tables(comparison, kinds), rows, is_random=is_random)


def _tables(comparison: "Comparison", kinds: tuple[str, ...]) -> "dict[str, pa.Table]":
    from ihcli.results.comparing.outcome import lines_of_features, lines_of_pairs, lines_of_runs

    makers = {"runs": lines_of_runs, "feature": lines_of_features, "pair": lines_of_pairs}
    return {kind: make(comparison) for kind, make in makers.items() if kind in kinds}
