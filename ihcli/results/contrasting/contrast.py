"""Effects compared between groups of rows: the difference of every mean, with a test and a false discovery rate.

Rows stream by, once for the groups and once for the moments; of no row anything is held, unless ranks are asked for.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from ihcli.errors import OptionError, RunError
from ihcli.files.arrays import numbers, strings
from ihcli.quality import OUTPUT_UNIT, field_metadata
from ihcli.results.contrasting.blocks import Block, Rows
from ihcli.results.contrasting.columns import Columns
from ihcli.results.contrasting.conditions import Condition
from ihcli.results.contrasting.drawing import Drawing
from ihcli.results.contrasting.effects import OF, Effects, effects_of, left_out_in_words, require_features
from ihcli.results.contrasting.gathering import Comparison, Gathered
from ihcli.results.contrasting.groups import Groups, groups_of
from ihcli.results.contrasting.significance import false_discovery_rates
from ihcli.results.result import Result
from ihcli.wording import listed

Test = Literal["welch", "mann-whitney"]
REST = "rest"
MOST_FIGURES = 1 << 25
"""Of means and deviations held at once: 256 MiB."""
MOST_RANKED = 1 << 24
"""Of values held for ranks at once: 128 MiB. Of more, rows are chosen at random."""
LEAST_RANKED = 1_000
MOST_RANKED_ROWS = 1 << 21

COLUMNS: dict[str, tuple[pa.DataType, str, str]] = {
    "target": (pa.string(), "explained output", "1"),
    "of": (pa.string(), "feature: an attribution; main: the main effect of a feature; pair: the effect of two", "1"),
    "feature_i": (pa.string(), "feature or group", "1"),
    "feature_j": (pa.string(), "second feature of a pair, of a main effect the same again, else null", "1"),
    "rank": (pa.int32(), "within the target, 1 is the first", "1"),
    "group": (pa.string(), "the rows that are compared", "1"),
    "against": (pa.string(), "those with which they are compared", "1"),
    "rows": (pa.int64(), "rows of the group", "1"),
    "rows_against": (pa.int64(), "rows of the others", "1"),
    "mean": (pa.float64(), "mean over the group", OUTPUT_UNIT),
    "mean_against": (pa.float64(), "mean over the others", OUTPUT_UNIT),
    "difference": (pa.float64(), "mean - mean_against", OUTPUT_UNIT),
    "statistic": (pa.float64(), "Welch's t, or Mann and Whitney's U", "1"),
    "p": (pa.float64(), "two-sided, of this test alone; null where there is none", "1"),
    "q": (pa.float64(), "false discovery rate among all that were tested for the target (Benjamini, Hochberg)", "1"),
}


@dataclass(frozen=True)
class ContrastRequest:
    """What can be asked of a contrast; the names are those of the options of `ihcli contrast`.

    by        columns, COLUMN:BINS and conditions that make the groups
    data      a table with the same rows to take columns from
    where     conditions that rows must meet
    of        kinds of values, none: all;  feature and pair: only values of these
    test      welch, from moments, or mann-whitney, from ranks
    sort      q, or difference: by its size
    all_rows  whether also rows count whose errors are too large to rank
    seed      of the choice of rows, where there are too many to rank
    """

    by: tuple[str, ...]
    data: str | None = None
    where: tuple[str, ...] = ()
    target: str | None = None
    of: tuple[str, ...] = ()
    feature: tuple[str, ...] = ()
    pair: tuple[str, str] | None = None
    test: Test = "welch"
    sort: Literal["q", "difference"] = "q"
    top_k: int | None = None
    all_rows: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Contrasted:
    """A ranking of each target, one below the other, and what is to be known of it.

    rows    of each target, how many each group has
    tested  of each target, over how many tests its q are
    notes   in sentences
    """

    table: pa.Table
    rows: Mapping[str, Mapping[str, int]]
    tested: Mapping[str, int]
    notes: tuple[str, ...]


def contrast(result: Result, request: ContrastRequest) -> Contrasted:
    """Compare attributions, main effects and effects of pairs between groups of rows.

    Of two groups the second is compared with the first, of more each with the rest. Rows without a value of a column
    are in no group.

    Memory: three numbers for each value and group, and a block of rows, however many there are; for ranks
    MOST_RANKED values. Cost: two passes over the parts, three with ranks.

    Raises OptionError and RunError for what cannot be compared, DataError where the data are needed and gone.
    """
    require_features(result)
    columns = Columns(result, request.data)
    where = tuple(Condition.parse(text, columns) for text in request.where)
    rows = Rows(result, columns, where, request.all_rows)
    targets = _targets(result, request.target)
    effects = effects_of(rows, request.of, request.feature, request.pair)
    groups = groups_of(rows, request.by)
    _require_room(len(effects) * len(targets), len(groups.labels))
    seen = {target: _Target(effects, request) for target in targets}
    for block, codes in _in_groups(rows, groups, effects):
        for target, found in seen.items():
            found.see(block, codes, block.is_of(target))
    compared = {target: found.gathered.compared() for target, found in seen.items()}
    if request.test == "mann-whitney":
        compared = _with_ranks(rows, groups, effects, seen, compared)
    tables = [_table(target, effects, groups, found, request) for target, found in compared.items() if found]
    counts = {target: found.rows(groups) for target, found in seen.items()}
    if not tables:
        raise OptionError(_one_group(request, counts))
    notes = [*groups.notes, *_notes(counts, seen, request), *left_out_in_words(result)]
    tested = {
        target: sum(int((~np.isnan(each.tested.p)).sum()) for each in found) for target, found in compared.items()
    }
    return Contrasted(pa.concat_tables(tables), counts, tested, tuple(notes))


class _Target:
    """What is known of the groups of one target, and which of their rows are ranked where ranks are asked for."""

    def __init__(self, effects: Effects, request: ContrastRequest) -> None:
        self.effects = effects
        self.gathered = Gathered(effects)
        self.drawn = Drawing(_most_ranked_rows(effects, request), request.seed, np.int64)
        self.without_group = self.left_out = 0

    def see(self, block: Block, codes: np.ndarray, is_mine: np.ndarray) -> None:
        """Add the entries of a block that are of the target."""
        self.without_group += int((is_mine & (codes < 0)).sum())
        ranks = block.rank[int(self.effects.need_interactions)]
        self.left_out += int((is_mine & (codes >= 0) & ~ranks).sum())
        mine = np.where(is_mine, codes, -1)
        self.drawn.add(block.row[mine >= 0])
        if (mine >= 0).any():
            for some, values in self.effects.of_some(block):
                self.gathered.add(values, mine[some], (block.rank[0][some], block.rank[1][some]))

    def rows(self, groups: Groups) -> dict[str, int]:
        """Return how many rows each group has that has some."""
        return {groups.labels[group]: count for group, count in self.gathered.rows().items()}


def _in_groups(rows: Rows, groups: Groups, effects: Effects) -> Iterator[tuple[Block, np.ndarray]]:
    for block in rows.blocks(groups.columns, effects.features, interactions=effects.need_interactions):
        yield block, groups.codes(block.beside)


def _with_ranks(
    rows: Rows,
    groups: Groups,
    effects: Effects,
    seen: Mapping[str, _Target],
    compared: Mapping[str, list[Comparison]],
) -> dict[str, list[Comparison]]:
    """Return comparisons by ranks of the rows that were drawn, a target at a time, so that one's values are held."""
    found = {}
    for target, comparisons in compared.items():
        chosen = seen[target].drawn.chosen()
        values, codes = np.full((len(chosen), len(effects)), np.nan), np.full(len(chosen), -1)
        for block, of_block in _in_groups(rows, groups, effects) if comparisons else ():
            is_chosen = block.is_of(target) & np.isin(block.row, chosen, assume_unique=False)
            places = np.searchsorted(chosen, block.row)
            for some, of_some in effects.of_some(block):
                wanted = is_chosen[some]
                values[places[some][wanted]], codes[places[some][wanted]] = of_some[wanted], of_block[some][wanted]
        found[target] = [each.with_ranks(values, codes, seen[target].gathered.parts) for each in comparisons]
    return found


def _most_ranked_rows(effects: Effects, request: ContrastRequest) -> int:
    """Return how many rows are ranked at most; raises OptionError where these would be too few."""
    if request.test != "mann-whitney":
        return 0
    rows = MOST_RANKED // len(effects)
    if rows < LEAST_RANKED:
        raise OptionError(
            f"`test=mann-whitney`: ranks of {len(effects):,} values would be held for every row. Expected at most "
            f"{MOST_RANKED // LEAST_RANKED:,}. Try `of=feature`, `feature` or `pair`, or `test=welch`."
        )
    return min(rows, MOST_RANKED_ROWS)


def _targets(result: Result, target: str | None) -> tuple[str, ...]:
    known = result.targets
    if target not in (None, "all", *known):
        raise OptionError(f"`target`: {result.path} has no target {target!r}. Expected {listed(known)} or all.")
    if not known:
        raise RunError(f"{result.path}: no row has values. Expected one explained row at least.")
    return known if target in (None, "all") else (str(target),)


def _require_room(n_effects: int, n_groups: int) -> None:
    if 3 * n_effects * n_groups > MOST_FIGURES:
        raise OptionError(
            f"`by`: of {n_effects:,} values in {n_groups} groups, means and deviations would be held. Expected at most "
            f"{MOST_FIGURES // 3:,} in all. Try fewer groups, `of=feature`, or `feature`."
        )


def _table(
    target: str, effects: Effects, groups: Groups, found: Sequence[Comparison], request: ContrastRequest
) -> pa.Table:
    """Return the first of all values and groups that were compared."""
    stacked = {
        name: np.concatenate([getattr(each, name) for each in found])
        for name in ("rows", "rows_against", "mean", "mean_against", "difference")
    }
    stacked["statistic"] = np.concatenate([each.tested.statistic for each in found])
    stacked["p"] = np.concatenate([each.tested.p for each in found])
    stacked["q"] = false_discovery_rates(stacked["p"])
    order = _order(stacked, found, request)[: request.top_k]
    line, effect = np.divmod(order, len(effects))
    against = [groups.labels[each.against[0]] if len(each.against) == 1 else REST for each in found]
    columns: dict[str, pa.Array] = {
        "target": strings([target] * len(order)),
        "of": strings([OF[place] for place in effects.of[effect]]),
        "feature_i": strings([effects.names[place] for place in effects.first[effect]]),
        "feature_j": strings(effects.second_names(effect)),
        "rank": numbers(np.arange(1, len(order) + 1), pa.int32()),
        "group": strings([groups.labels[found[place].group] for place in line]),
        "against": strings([against[place] for place in line]),
    }
    for name, values in stacked.items():
        of_them = values[order]
        columns[name] = numbers(of_them, is_null=np.isnan(of_them)) if of_them.dtype == np.float64 else numbers(of_them)
    fields = [pa.field(name, type_, metadata=field_metadata(*told)) for name, (type_, *told) in COLUMNS.items()]
    return pa.Table.from_arrays([columns[name] for name in COLUMNS], schema=pa.schema(fields))


def _order(stacked: Mapping[str, np.ndarray], found: Sequence[Comparison], request: ContrastRequest) -> np.ndarray:
    """Return the order of all lines: by q, which goes with p, or by size of the difference; null comes last."""
    size = np.nan_to_num(np.abs(stacked["difference"]), nan=-1.0)
    if request.sort == "difference":
        return np.argsort(-size, kind="stable")
    strength = np.concatenate([each.tested.strength for each in found])
    return np.lexsort((-size, -np.nan_to_num(strength, nan=-1.0, posinf=np.inf), np.nan_to_num(stacked["p"], nan=2.0)))


def _one_group(request: ContrastRequest, counts: Mapping[str, Mapping[str, int]]) -> str:
    labels = list(dict.fromkeys(label for groups in counts.values() for label in groups))
    which = f"all rows of a target are in one group, {listed(labels)}" if labels else "no row is in any group"
    tried = ", or again without `where`" if request.where else ""
    return f"`by={request.by[0]}`: {which}. Expected two groups with rows. Try another column{tried}."


def _notes(
    counts: Mapping[str, Mapping[str, int]], seen: Mapping[str, _Target], request: ContrastRequest
) -> Iterator[str]:
    of = {target: f"Target {target}: " if len(seen) > 1 else "" for target in seen}
    for target, found in seen.items():
        if len(counts[target]) < 2:
            yield f"{of[target]}left out, as its rows are in {listed(list(counts[target])) or 'no group'} alone."
            continue
        if found.without_group:
            yield f"{of[target]}{found.without_group:,} rows have no value to be grouped by, and are in no group."
        if found.left_out:
            beyond = "with errors beyond 10 tolerances; `all_rows` takes them"
            yield f"{of[target]}{found.left_out:,} rows are left out, {beyond}."
        if single := [label for label, count in counts[target].items() if count == 1]:
            yield f"{of[target]}{listed(single)}: of one row there is no test."
        if request.test == "mann-whitney" and found.drawn.seen > found.drawn.most:
            yield (
                f"{of[target]}ranks are of {found.drawn.most:,} of {found.drawn.seen:,} rows, chosen with seed "
                f"{request.seed}; counts and means of all."
            )
