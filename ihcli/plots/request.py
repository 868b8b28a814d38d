"""What a picture can be asked for, and the target and features that it means."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from ihcli.errors import OptionError, RunError
from ihcli.quality import STATUS, TARGET, has_values
from ihcli.results.result import Result
from ihcli.summaries.ranking import LEFT_OUT, by_target
from ihcli.summaries.rest import rest_of
from ihcli.wording import did_you_mean, listed


@dataclass(frozen=True)
class PlotRequest:
    """Everything `ihcli plot` can be asked; the names are those of its options.

    top_k         features, pairs or words shown; None: what suits the kind
    row, key      which record, of waterfall and text
    feature       the feature on the horizontal axis, and color_by the one that colours; of dependence
    pair          whose effect, of effect and surface; against: beside which column, of effect
    where         conditions that rows must meet; of effect
    pairs         pairs instead of features; of summary and bar
    by            mean_abs or mean, what a cell of heatmap shows; of bar a column, COLUMN:BINS or a condition whose
                  groups of rows have bars of their own, `_target` for those of each target
    sort          similarity or prediction, the order of rows
    main_effects  main effects on the diagonal of heatmap, among the pairs of bar, or as nodes of network
    all_rows      also rows that do not rank
    data          table to read values of features from instead of the one that run.json records
    points        rows drawn at most; None: what suits the kind
    seed          of the choice of these rows
    """

    kind: str
    target: str | None = None
    top_k: int | None = None
    row: int | None = None
    key: Mapping[str, Any] = field(default_factory=dict)
    feature: str | None = None
    color_by: str | None = None
    pair: tuple[str, str] | None = None
    against: str | None = None
    where: tuple[str, ...] = ()
    pairs: bool = False
    by: str | None = None
    sort: str | None = None
    main_effects: bool = False
    data: str | None = None
    points: int | None = None
    seed: int = 0
    all_rows: bool = False


def one_target(result: Result, target: str | None) -> str:
    """Return the target that is meant; raises OptionError where there are several, or none of that name."""
    known = result.targets
    if target is None:
        if len(known) > 1:
            raise OptionError(
                f"`target`: {result.path} explains {len(known)} targets, and a picture shows one. "
                f"Expected one of {listed(known)}. Try `target={known[0]}`."
            )
        if not known:
            raise RunError(f"{result.path}: no row has values. Expected one explained row at least.")
        return known[0]
    if target not in known:
        raise OptionError(
            f"`target`: {result.path} has no target {target!r}. Expected one of {listed(known)}."
            f"{did_you_mean(target, known)}"
        )
    return target


def target_of_most_rows(result: Result) -> str:
    """Return the target that most entries with values are of, of several the first; reads two columns of the parts."""
    counts = dict.fromkeys(result.targets, 0)
    for table in result.entries([TARGET, STATUS]):
        kept = has_values(table[STATUS].to_numpy(zero_copy_only=False))
        for found in table.filter(pa.array(kept))[TARGET].value_counts().to_pylist():
            counts[found["values"]] += found["counts"]
    return max(counts, key=counts.__getitem__)


def require_feature(result: Result, option: str, name: str) -> None:
    """Raise OptionError where the run has no such feature."""
    if name not in result.feature_names:
        raise OptionError(
            f"`{option}={name}`: {result.path} has no such feature. Expected one of {len(result.feature_names)}: "
            f"{listed(result.feature_names)}.{did_you_mean(name, result.feature_names)}"
        )


def strongest(result: Result, target: str, top_k: int) -> tuple[list[str], int]:
    """Return the features of the largest mean |attribution|, and how many there are; raises RunError."""
    names = ranking_of(result, target, result.summary_attributions())["feature"].to_pylist()
    return names[:top_k], len(names)


def ranking_of(result: Result, target: str, table: pa.Table) -> pa.Table:
    """Return the ranking of a target among those of a summary; raises RunError where none of its rows ranks."""
    ranking = by_target(table).get(target)
    if ranking is None:
        raise result.run.nothing_ranks(target)
    return ranking


def ranking_of_pairs(result: Result, target: str) -> pa.Table:
    """Return the ranking of pairs of a target; raises RunError where none ranks, OptionError where it has none."""
    pairs = by_target(result.summary_interactions()).get(target)
    if pairs is None:
        if len(ranking_of(result, target, result.summary_attributions())) > 1:
            raise result.run.nothing_ranks(target)
        raise OptionError(f"`target`: {result.path} has no pairs of target {target!r}. Expected two features at least.")
    return pairs


def strongest_pairs(result: Result, target: str, top_k: int) -> tuple[list[tuple[str, str]], int]:
    """Return the pairs of the largest mean |effect|, and how many there are; raises what `ranking_of_pairs` does."""
    ranking = ranking_of_pairs(result, target)
    rest = rest_of(ranking).get(target)
    some = ranking.slice(0, top_k)
    pairs = list(zip(some["feature_i"].to_pylist(), some["feature_j"].to_pylist(), strict=True))
    return pairs, ranking.num_rows + (0 if rest is None else rest.pairs)


def left_out(ranking: pa.Table) -> list[str]:
    """Return what the reader of a picture has to know of rows that the ranking is not over."""
    count = ranking[LEFT_OUT][0].as_py() if LEFT_OUT in ranking.column_names and ranking.num_rows else 0
    return [f"{count:,} rows with errors beyond 10 tolerances are left out."] if count else []
