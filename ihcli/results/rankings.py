"""The strongest features and pairs: of a run, from its summaries alone, or of single records.

pyarrow imports pandas wherever it is given a list, an array of numpy or a number, which takes longer than a ranking:
rankings of a run are made of slices, of positions in buffers, and of what Arrow computed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ihcli.bars import within_chance
from ihcli.errors import OptionError, RunError
from ihcli.files.arrays import numbers, values_of
from ihcli.layouts.columns import CERTAIN, ERROR_BAR, STANDARD_ERROR
from ihcli.layouts.layout import Layout
from ihcli.quality import ROW
from ihcli.results.certainty import NEAR_ZERO, judged
from ihcli.results.records import Effects, Record, attribution_effects, pair_effects
from ihcli.runs.run import Run
from ihcli.summaries.ranking import LEFT_OUT, by_target
from ihcli.summaries.rest import Rest, rest_of, with_rest

FEATURE, PAIR = ("feature",), ("feature_i", "feature_j")
MAIN = {"main_mean_abs": "mean_abs", "main_mean": "mean", "main_std": "std"}
LATER = {"main_rows": "rows", "main_error_bar": ERROR_BAR, "main_standard_error": STANDARD_ERROR}
"""Columns of the summary of features by those of pairs that they are; runs of ihcli 0.1.0 have the first ones only."""


@dataclass(frozen=True)
class Choice:
    """Which entries of a ranking are wanted.

    top_k         how many of every target or record
    by            mean_abs, mean (its size counts), std or share; None: mean_abs. Of a record its effect counts
    features      only entries with one of these; they keep their rank among all
    main_effects  main effects Gamma_gg among the pairs, as pairs of a feature with itself
    min_count     only entries seen so often, of units and pairs of texts; ranks are those among them
    """

    top_k: int
    by: str | None = None
    features: tuple[str, ...] = ()
    main_effects: bool = False
    min_count: int = 1


def ranked_features(run: Run, choice: Choice) -> pa.Table:
    """Return the best features of every target; raises RunError where the run has no summary, or no row ranks."""
    return _chosen(_that_rank(run, Run.summary_attributions), FEATURE, choice)


def ranked_pairs(run: Run, choice: Choice) -> pa.Table:
    """Return the best pairs of every target, with a column `kind` ("pair" or "main") where main effects are wanted.

    Raises RunError where the run has no summary of pairs, or no row ranks; OptionError for features that it does not
    have.
    """
    table = _that_rank(run, Run.summary_interactions)
    if choice.main_effects:
        table = _with_main_effects(run, table)
    return _chosen(table, PAIR, choice, known=lambda: _names(run.summary_attributions(), FEATURE))


def features_of_records(records: Sequence[Record], choice: Choice, layout: Layout[Any]) -> pa.Table:
    """Return the largest attributions of every record."""
    tables = [
        _effects_table(record, attribution_effects(record), "attribution", FEATURE, choice, layout)
        for record in _explained(records)
    ]
    return pa.concat_tables(tables)


def pairs_of_records(records: Sequence[Record], choice: Choice, layout: Layout[Any]) -> pa.Table:
    """Return the largest pair effects of every record; raises RunError where the run stores none of single rows."""
    tables = []
    for record in _explained(records):
        effects = pair_effects(record, choice.main_effects)
        if effects is None:
            raise RunError(_no_effects(record))
        tables.append(_effects_table(record, effects, "effect", PAIR, choice, layout))
    return pa.concat_tables(tables)


def _no_effects(record: Record) -> str:
    if record.top_effects is None:
        return "the run stores no interactions of single rows. Try ihcli explain with `interactions=full`."
    return (
        "`main_effects`: the run stores the largest pairs of every row only. "
        "Try ihcli explain with `interactions=full`."
    )


def _explained(records: Sequence[Record]) -> Iterator[Record]:
    for record in records:
        if not record.has_values:
            raise RunError(f"`row={record.row}`: has no values, its status is {record.quality['status']}.")
        yield record


def _that_rank(run: Run, summary: Callable[[Run], pa.Table]) -> pa.Table:
    """Return a summary of a run; raises RunError where no row of it ranks."""
    table = summary(run)
    if not table.num_rows and summary(replace(run, all_rows=True)).num_rows:
        raise run.nothing_ranks()
    return table


def _chosen(
    table: pa.Table, names: tuple[str, ...], choice: Choice, known: Callable[[], set[str]] | None = None
) -> pa.Table:
    if choice.features:
        _refuse_unknown(choice.features, known() if known is not None else _names(table, names))
    frequent = _frequent(table, choice.min_count)

    def best(ranking: pa.Table) -> pa.Table:
        if choice.by not in (None, "mean_abs") or frequent is not table:
            ranking = _reranked(ranking, choice.by)
        ranking = judged(ranking, choice.by)
        ranking = ranking if not choice.features else _with_features(ranking, names, choice.features)
        return ranking.slice(0, choice.top_k)

    return _per_target(frequent, best)


def _frequent(table: pa.Table, min_count: int) -> pa.Table:
    """Return the entries seen so often, the table itself where these are all."""
    if min_count <= 1 or not table.num_rows:
        return table
    counts = np.array(table["rows"].to_pylist())
    kept = np.flatnonzero(counts >= min_count)
    if len(kept) == len(counts):
        return table
    if not len(kept):
        raise OptionError(
            f"`min_count`: nothing was seen {min_count} times. Expected at most {counts.max()}, got {min_count}. "
            f"Try `min_count={max(1, counts.max() // 2)}`."
        )
    return table.take(numbers(kept, pa.int64()))


def _per_target(table: pa.Table, change: Callable[[pa.Table], pa.Table]) -> pa.Table:
    rankings = [change(ranking) for ranking in by_target(table).values()]
    return pa.concat_tables(rankings) if rankings else table


def _reranked(ranking: pa.Table, by: str | None) -> pa.Table:
    """Return the ranking of one target in the order of the size of a statistic, ties as before."""
    statistic = by or "mean_abs"
    sizes = pc.negate(pc.abs(ranking[statistic]))
    order = pc.sort_indices(
        pa.Table.from_arrays([sizes, ranking["rank"]], names=["size", "rank"]),
        sort_keys=[("size", "ascending"), ("rank", "ascending")],
    )
    place = ranking.schema.get_field_index("rank")
    ranks = numbers(np.arange(1, ranking.num_rows + 1), pa.int32())
    among = "among the entries listed" if rest_of(ranking) else "within the target"
    definition = {"definition": f"by the size of {statistic} {among}, 1 is the largest", "unit": "1"}
    field = ranking.schema.field("rank").with_metadata(definition)
    return ranking.take(order).set_column(place, field, ranks)


def _with_features(ranking: pa.Table, names: tuple[str, ...], features: Sequence[str]) -> pa.Table:
    entries = zip(*(ranking[name].to_pylist() for name in names), strict=True)
    wanted = set(features)
    kept = [position for position, entry in enumerate(entries) if not wanted.isdisjoint(entry)]
    return ranking.take(numbers(np.array(kept), pa.int64()))


def _with_main_effects(run: Run, pairs: pa.Table) -> pa.Table:
    features = run.summary_attributions()
    if missing := [name for name in MAIN if name not in features.column_names]:
        raise RunError(
            f"{run.path}: its summary has no column {missing[0]}, as an older ihcli wrote it. "
            "Try ihcli explain again with `overwrite`."
        )
    features = features.filter(pc.is_valid(features["main_mean_abs"]))  # null where attributions alone rank
    mains = {column: features[main] for main, column in {**MAIN, **LATER}.items() if main in features.column_names}
    mains |= dict.fromkeys(PAIR, features["feature"]) | {"share": features["main_mean_abs"]}
    mains |= {name: features[name] for name in ("target", "rank", "rows") if name not in mains}
    if LEFT_OUT in pairs.column_names:
        mains[LEFT_OUT] = _left_out(pairs, features)
    table = pa.Table.from_arrays([mains[name] for name in pairs.column_names], schema=pairs.schema)
    pairs_of = by_target(_with_kind(pairs, "pair"))
    rankings, rest = [], rest_of(pairs)
    for target, ranking in by_target(_with_kind(table, "main")).items():
        if target in rest:
            ranking, rest[target] = _that_can_be_listed(ranking, rest[target])
        both = [pairs_of[target], ranking] if target in pairs_of else [ranking]
        rankings.append(_reranked(_with_shares(pa.concat_tables(both), rest.get(target)), None))
    return with_rest(pa.concat_tables(rankings), rest) if rankings else _with_kind(pairs, "pair")


def _that_can_be_listed(mains: pa.Table, rest: Rest) -> tuple[pa.Table, Rest]:
    """Return the main effects that are at least as large as any pair that is not listed; the others join the rest."""
    sizes = values_of(mains["mean_abs"].combine_chunks())
    listed = sizes >= rest.largest
    return mains.filter(numbers(listed)), rest.with_more(int(listed.sum()), sizes[~listed])


def _left_out(pairs: pa.Table, features: pa.Table) -> pa.Array:
    """Return how many rows were left out of the main effects: as many as of the target's pairs, where it has some."""
    found = {target: ranking[LEFT_OUT][0].as_py() for target, ranking in by_target(pairs).items()}
    told = zip(features["target"].to_pylist(), features[LEFT_OUT].to_pylist(), strict=True)
    return numbers(np.array([found.get(target, left_out) for target, left_out in told], np.int64))


def _with_kind(table: pa.Table, kind: str) -> pa.Table:
    n = table.num_rows
    offsets = np.arange(n + 1, dtype=np.int32) * len(kind)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(kind.encode() * n)]
    return table.append_column("kind", pa.Array.from_buffers(pa.string(), n, buffers))


def _with_shares(ranking: pa.Table, rest: Rest | None) -> pa.Table:
    sums = pc.multiply(ranking["mean_abs"], ranking["rows"])  # units of texts differ in how often they are seen
    total = pc.sum(sums)
    if rest is not None and ranking.num_rows:
        more = pc.multiply(ranking["rows"][0], numbers(np.array([rest.mean_abs]))[0])
        total = pc.add(total, more)
    shares = pc.divide(sums, total) if total.as_py() else sums
    place = ranking.schema.get_field_index("share")
    return ranking.set_column(place, ranking.schema.field("share"), shares)


def _effects_table(
    record: Record, effects: Effects, value: str, names: tuple[str, ...], choice: Choice, layout: Layout[Any]
) -> pa.Table:
    """Return the best effects of a record: who it is, the names, the rank among all, the signed value and its share."""
    chosen = _best(record, effects, choice)
    columns: dict[str, Any] = {"target": [record.target] * len(chosen)}
    if choice.main_effects:
        is_main = effects.first[chosen] == effects.second[chosen]
        columns["kind"] = np.where(is_main, "main", "pair").tolist()
    for name, places in zip(names, (effects.first, effects.second), strict=False):
        if layout.in_reading_order:
            columns[name.replace("feature", "position")] = places[chosen].tolist()
        columns[name] = [record.names[place] for place in places[chosen]]
    columns["rank"] = (chosen + 1).tolist()
    columns[value] = effects.values[chosen].tolist()
    for name, found in ((ERROR_BAR, effects.error_bars), (STANDARD_ERROR, effects.standard_errors)):
        if found is not None:
            columns[name] = [None if np.isnan(each) else each for each in found[chosen].tolist()]
    if effects.certain is not None:
        columns[CERTAIN] = (chosen < effects.certain).tolist()
    if effects.standard_errors is not None:
        columns[NEAR_ZERO] = within_chance(effects.values, effects.standard_errors)[chosen].tolist()
    columns["share"] = effects.shares[chosen].tolist()
    identity = {ROW: record.row, **{_free(name, columns): found for name, found in record.keys.items()}}
    repeated = {name: [found] * len(chosen) for name, found in identity.items()}
    return pa.table({**repeated, **columns}).cast(_schema(repeated, columns, record))


def _best(record: Record, effects: Effects, choice: Choice) -> np.ndarray:
    """Return positions among the effects, in their order."""
    if not choice.features:
        return np.arange(min(choice.top_k, len(effects.values)))
    _refuse_unknown(choice.features, set(record.names))
    wanted = np.array([name in choice.features for name in record.names], dtype=bool)
    return np.flatnonzero(wanted[effects.first] | wanted[effects.second])[: choice.top_k]


def _free(key: str, columns: dict[str, Any]) -> str:
    """Return the name under which a key column stands: its own, unless a column of the ranking has it."""
    return f"key_{key}" if key in columns else key


def _schema(repeated: dict[str, list[Any]], columns: dict[str, Any], record: Record) -> pa.Schema:
    types: dict[str, pa.DataType] = {name: pa.array(values).type for name, values in repeated.items()}
    for name in columns:
        is_name = name in ("target", "kind") or name.startswith("feature")
        is_place = name == "rank" or name.startswith("position")
        types[name] = pa.string() if is_name else pa.int32() if is_place else pa.float64()
    types |= {name: pa.bool_() for name in (CERTAIN, NEAR_ZERO) if name in columns}
    return pa.schema(types)


def _names(table: pa.Table, columns: tuple[str, ...]) -> set[str]:
    return {name for column in columns for name in table[column].unique().to_pylist()}


def _refuse_unknown(wanted: Sequence[str], known: set[str]) -> None:
    for name in wanted:
        if name not in known:
            close = get_close_matches(name, sorted(known), n=1, cutoff=0) or ["another name"]
            raise OptionError(
                f"`feature`: there is no {name!r}. Expected one of {len(known)} names, got {name}. Try {close[0]}."
            )
