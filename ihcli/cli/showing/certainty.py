"""What stands below a ranking: how far its order is certain, what its marks mean, and which rows are not in it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from ihcli.results.records import Effects, Record
    from ihcli.runs.run import Run

MARK = "~"
NEAR_ZERO = f"{MARK} within two standard errors of zero: with other baselines there may be no such effect."


def certainty_in_words(certain: int, listed: int, noun: str) -> str:
    """Return how many of the leading ranks among so many things hold whatever their errors; nothing of fewer than 2."""
    if listed < 2:
        return ""
    if certain == 0:
        return f"No rank is certain: the order of the {noun} is within error."
    if certain == listed:
        return f"The order of all {listed} {noun} is certain."
    some = f"The first {certain} {noun} are" if certain > 1 else f"The first of the {noun} is"
    return f"{some} certain; the order of the rest is within error."


def notes_of_record(record: "Record", effects: "Effects | None", noun: str) -> tuple[str, ...]:
    """Return what stands below the effects of a record."""
    return () if effects is None or not len(effects.values) else tuple(_of_record(record, effects, noun))


def _of_record(record: "Record", effects: "Effects", noun: str) -> Iterator[str]:
    from ihcli.bars import within_chance

    if effects.certain is None:
        if "interaction_error" not in record.quality:
            yield "Error bars are missing: an older ihcli made the run. Try ihcli explain again."
        return
    stored = "" if record.top_effects is None else "stored "
    if told := certainty_in_words(effects.certain, len(effects.values), f"{stored}{noun}"):
        yield told
    if error := record.quality.get("interaction_sampling_error"):
        from ihcli.cli.showing.words import number_in_words

        yield (
            "That holds for the baselines that were drawn: over others, the relative standard error of the "
            f"interactions is {number_in_words(error)}."
        )
    if effects.standard_errors is not None and within_chance(effects.values, effects.standard_errors).any():
        yield NEAR_ZERO


def notes_of_ranking(table: "pa.Table", run: "Run", noun: str) -> dict[str, tuple[str, ...]]:
    """Return what stands below the ranking of each target over rows.

    Parameters:
        table: whole rankings, of `ihcli.results.rankings`.
    """
    from ihcli.summaries.ranking import by_target

    return {target: tuple(_of_ranking(ranking, run, noun)) for target, ranking in by_target(table).items()}


def _of_ranking(ranking: "pa.Table", run: "Run", noun: str) -> Iterator[str]:
    from ihcli.results.certainty import certain_of

    known = ranking.column_names
    for certain, listed in certain_of({"": ranking}).values():
        if told := certainty_in_words(certain, listed, noun):
            drawn = " Two standard errors over the drawn baselines count as error." if "standard_error" in known else ""
            yield f"{told}{drawn}"
    if "near_zero" in known and any(ranking["near_zero"].to_pylist()):
        yield NEAR_ZERO
    yield from not_listed_in_ranking(ranking, noun)
    yield from left_out_of_ranking(ranking, run)


def not_listed_in_ranking(table: "pa.Table", noun: str) -> Iterator[str]:
    """Give one sentence for every target of which the summary does not list all."""
    from ihcli.summaries.rest import rest_of

    targets = dict.fromkeys(table["target"].to_pylist())
    for target, rest in rest_of(table).items():
        if target in targets:
            yield f"{f'Target {target}: ' if len(targets) > 1 else ''}{rest.in_words(noun)}"


def left_out_of_ranking(table: "pa.Table", run: "Run") -> Iterator[str]:
    """Give one sentence for every target of whose rows some are left out, or none where all are in it."""
    from ihcli.summaries.ranking import by_target

    if "left_out" not in table.column_names:
        return
    rankings = by_target(table)
    for target, ranking in rankings.items():
        if left_out := ranking["left_out"][0].as_py():
            who = f"{_count(left_out, ranking, run)}{f' of target {target}' if len(rankings) > 1 else ''}"
            yield f"Left out: {who}, with errors beyond 10 tolerances; `all_rows` takes them."


def _count(left_out: int, ranking: "pa.Table", run: "Run") -> str:
    if run.layout.counts_occurrences:
        return f"{left_out} texts"
    return f"{left_out} of {left_out + ranking['rows'][0].as_py()} rows"
