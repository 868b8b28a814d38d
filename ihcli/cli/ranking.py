"""The best of a ranking, of features or of pairs, over rows or in one: chosen, titled and written."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from ihcli.cli.asking.ranking import MANY_TEXTS, MIN_COUNT, NO_COUNTS, TOP_K, Ranking
from ihcli.cli.asking.values import values_of_keys
from ihcli.cli.computed import computed_run
from ihcli.cli.showing.certainty import left_out_of_ranking, not_listed_in_ranking, notes_of_ranking
from ihcli.cli.showing.drawn import SPARE, Section
from ihcli.cli.showing.failures import MISSED_TOLERANCE, reading_run
from ihcli.cli.showing.model import NOTHING_TOLD, Told, told_of_model
from ihcli.cli.showing.tables import Shown
from ihcli.cli.showing.terminal import say, warn
from ihcli.errors import OptionError

if TYPE_CHECKING:
    import pyarrow as pa

    from ihcli.layouts.layout import Layout
    from ihcli.results.long.lines import Lines
    from ihcli.results.rankings import Choice
    from ihcli.results.records import Record
    from ihcli.runs.run import Run

MOST_LINES = 40
"""Of a long table that a terminal shows."""


@dataclass(frozen=True)
class Kind:
    """What a command ranks.

    of_run          best entries of a run; gets the run and the choice
    of_records      best entries of single records; gets them, the choice, and the layout of the run
    notes_of_record  sentences on how far the order of a record's entries is certain
    columns         what a table on a terminal shows of a run
    record_columns  and of a record
    noun            what its entries are called, in the plural
    drawing         what a terminal shows below the table of a text
    lacking         options of explain that the command does not have, or refuses
    is_of_pairs     whether it ranks pairs
    """

    of_run: Callable[["Run", "Choice"], "pa.Table"]
    of_records: Callable[[Sequence["Record"], "Choice", "Layout[Any]"], "pa.Table"]
    notes_of_record: Callable[["Record", "Choice"], Iterable[str]]
    columns: tuple[str, ...]
    record_columns: tuple[str, ...]
    noun: str
    drawing: Callable[["Record"], Any] | None = None
    lacking: tuple[str, ...] = ("workers",)
    is_of_pairs: bool = False


def show(ranking: Ranking, context: click.Context, kind: Kind) -> None:
    """Write the best entries of every target, or of one row."""
    ranking.check(context)
    ranking.destination.check()
    if ranking.data is None:
        from ihcli.runs.run import open_run

        with reading_run(ranking.path):
            run = open_run(ranking.path, all_rows=ranking.all_rows)
            ranking.destination.write(_shown(ranking, run, kind, ranking.target))
        return
    with computed_run(ranking, ranking.data, kind.lacking) as (computed, missed):
        ranking.destination.write(_shown(ranking, replace(computed, all_rows=ranking.all_rows), kind, None))
    if ranking.strict and missed:
        context.exit(MISSED_TOLERANCE)


def _shown(ranking: Ranking, run: "Run", kind: Kind, target: str | None) -> Shown:
    from ihcli.results.rankings import Choice

    if ranking.long:
        return _long(ranking, run, kind, target)
    choice = Choice(ranking.top_k or TOP_K, ranking.by, ranking.feature, ranking.main_effects)
    if ranking.is_of_one_row:
        return _shown_row(ranking, run, kind, choice, target)
    choice = replace(choice, min_count=_least_count(ranking, run))
    table = _of_target(kind.of_run(run, choice), run, target)
    notes, told = dict[str, tuple[str, ...]](), NOTHING_TOLD
    if ranking.destination.format == "table":
        told = told_of_model(run)
        notes = notes_of_ranking(kind.of_run(run, replace(choice, top_k=sys.maxsize, features=())), run, kind.noun)
    else:
        say(*not_listed_in_ranking(table, kind.noun), *left_out_of_ranking(table, run))
    return in_sections(table, kind.columns, _titles(run, table, choice.min_count), notes, told=told)


def _long(ranking: Ranking, run: "Run", kind: Kind, target: str | None) -> Shown:
    """Return every value of the rows asked for in a line of its own; says what is to be known of them."""
    from ihcli.results.long.lines import Lines, LongRequest
    from ihcli.results.result import Result

    result, rows = Result(run), ranking.rows
    if ranking.is_of_one_row:
        key = values_of_keys(result.keys, ranking.keys) if ranking.data is None else None
        rows = (result.row_of(ranking.row, key),)
    found = Lines(
        result,
        LongRequest(
            kind.is_of_pairs,
            rows,
            ranking.where,
            None if target == "all" else target,
            ranking.feature,
            ranking.top_k,
            ranking.main_effects,
            ranking.values_from,
        ),
    )
    warn(*found.warnings)
    say(*found.notes)
    return Shown(found.schema, found.pieces(), _first_lines(found, result.keys), is_large=True)


def _first_lines(found: "Lines", keys: Sequence[str]) -> Iterator[Section]:
    """Give what a person sees of lines: the first ones."""
    import pyarrow as pa

    table = found.schema.empty_table()
    for piece in found.pieces():
        table = pa.concat_tables([table, piece.slice(0, MOST_LINES + 1)])
        if len(table) > MOST_LINES:
            break
    more = (f"The first {MOST_LINES} lines; -o FILE has all.",) if len(table) > MOST_LINES else ()
    spare = ("_relative_error", "error_bar", "_target", *keys)
    yield Section("one line for every row, target and value", table.slice(0, MOST_LINES), more, spare=spare)


def _least_count(ranking: Ranking, run: "Run") -> int:
    """Return how often an entry must have been seen: in few texts, and in tables, once."""
    if not run.layout.counts_occurrences:
        if ranking.min_count is not None:
            raise click.UsageError(NO_COUNTS)
        return 1
    if ranking.min_count is not None:
        return ranking.min_count
    return MIN_COUNT if run.info.totals.rows >= MANY_TEXTS else 1


def _shown_row(ranking: Ranking, run: "Run", kind: Kind, choice: "Choice", target: str | None) -> Shown:
    from ihcli.results.result import Result

    result = Result(run)
    key = values_of_keys(result.keys, ranking.keys) if ranking.data is None else None
    records = result.records(ranking.row, key=key, target=None if target == "all" else target)
    table = kind.of_records(records, choice, run.layout)
    drawings = {}
    if kind.drawing is not None and run.layout.in_reading_order:
        drawings = {record.target: kind.drawing(record) for record in records}
    titles = {record.target: _title(record, of_scale(run)) for record in records}
    notes = {record.target: tuple(kind.notes_of_record(record, choice)) for record in records}
    return in_sections(table, kind.record_columns, titles, notes, drawings)


def in_sections(
    table: "pa.Table",
    columns: Sequence[str],
    titles: Mapping[str, str],
    notes: Mapping[str, Sequence[str]],
    drawings: Mapping[str, Any] | None = None,
    told: Told = NOTHING_TOLD,
    spare: Sequence[str] = SPARE,
) -> Shown:
    """Return a ranking, of which a person sees some columns, one target below the other."""
    from ihcli.summaries.ranking import by_target

    names = [name for name in columns if name in table.column_names]
    sections = (
        Section(
            *(titles[target], ranked.select(names), notes.get(target, ()), (drawings or {}).get(target)),
            before=() if place else told.of_model,
            above=told.of_targets.get(target, ()),
            spare=spare,
        )
        for place, (target, ranked) in enumerate(by_target(table).items())
    )
    return Shown(table.schema, [table], sections)


def _titles(run: "Run", table: "pa.Table", min_count: int) -> dict[str, str]:
    """Return what stands above each target: how many rows, or texts, its figures are of."""
    counts = dict(zip(table["target"].to_pylist(), table["rows"].to_pylist(), strict=True))
    if not run.layout.counts_occurrences:
        return {target: f"target {target}{of_scale(run)}, {rows} rows" for target, rows in counts.items()}
    least = f", at least {min_count}" if min_count > 1 else ""
    return {target: f"target {target}{of_scale(run)}, rows: occurrences in texts{least}" for target in counts}


def of_scale(run: "Run") -> str:
    """Return the scale on which outputs are explained, in brackets; nothing where they are the model's own."""
    scale = run.info.scale
    return "" if scale is None else f" ({scale.name})"


def _title(record: "Record", scale: str) -> str:
    from ihcli.cli.showing.words import number_in_words

    who = ", ".join([f"row {record.row}", *(f"{name} {value}" for name, value in record.keys.items())])
    figures = ", ".join(
        f"{words} {number_in_words(record.quality[name])}"
        for name, words in (
            ("prediction", "prediction"),
            ("baseline_prediction", "baseline"),
            ("relative_error", "relative error"),
            ("interaction_error", "interaction error"),
        )
        if record.quality.get(name) is not None
    )
    return f"{who}, target {record.target}{scale}: {figures}, {record.quality['status']}"


def _of_target(table: "pa.Table", run: "Run", target: str | None) -> "pa.Table":
    from ihcli.summaries.ranking import by_target

    if target in (None, "all"):
        return table
    rankings = by_target(table)
    if target in rankings:
        return rankings[target]
    targets = run.targets()
    if target in targets:
        raise run.nothing_ranks(target)
    raise OptionError(
        f"--target: {run.path} has no target {target!r}. Expected {', '.join(targets)} or all, got {target}."
    )
