"""What goes with an effect: columns of the data, whether features or not, ranked by how much of it they tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa

from ihcli.errors import OptionError
from ihcli.files.arrays import numbers, strings
from ihcli.quality import field_metadata
from ihcli.results.contrasting.blocks import Block, Rows
from ihcli.results.contrasting.columns import Columns, Values
from ihcli.results.contrasting.conditions import Condition
from ihcli.results.contrasting.drawing import Drawing
from ihcli.results.contrasting.effects import FEATURE, MAIN, OF, PAIR, Effects, effects_of, require_features
from ihcli.results.contrasting.significance import epsilon, false_discovery_rates, spearman
from ihcli.results.result import Result
from ihcli.runs.told import if_told
from ihcli.wording import listed

NUMBER, CATEGORY = "number", "category"
OWN, OTHER_FEATURE, NO_FEATURE = "of the effect", "feature", "no feature"
MOST_WORDS = 50
"""Different words of a column that are categories; of more, each is about one row's."""
MOST_ROWS = 100_000
MOST_HELD = 1 << 24
"""Of values held for ranks: 128 MiB. Of wide tables fewer rows are ranked, LEAST_ROWS at least."""
LEAST_ROWS, LEAST_RANKED = 1_000, 3

COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "target": (pa.string(), "explained output"),
    "of": (pa.string(), "feature: an attribution; main: the main effect of a feature; pair: the effect of two"),
    "feature_i": (pa.string(), "feature or group"),
    "feature_j": (pa.string(), "second feature of a pair, of a main effect the same again, else null"),
    "rank": (pa.int32(), "by strength, 1 is the strongest"),
    "column": (pa.string(), "column of the data"),
    "role": (pa.string(), f"{OWN}: a column of its features; {OTHER_FEATURE}: of another one; {NO_FEATURE}"),
    "kind": (pa.string(), f"{NUMBER}, or {CATEGORY}: a word"),
    "strength": (pa.float64(), "size of correlation; of categories the root of epsilon^2 (Kelley), 0 to 1"),
    "correlation": (pa.float64(), "Spearman's, with its sign; null for categories"),
    "rows": (pa.int64(), "rows with a value of the column that are ranked"),
    "p": (pa.float64(), "two-sided, of this column alone; null where there is no test"),
    "q": (pa.float64(), "false discovery rate among all columns that were tested (Benjamini, Hochberg)"),
}


@dataclass(frozen=True)
class DriversRequest:
    """What can be asked; the names are those of the options of `ihcli drivers`.

    pair, feature  exactly one of both: the effect of a pair, a main effect where both are the same, or an attribution
    data           a table with the same rows whose columns are ranked, instead of the data that were explained
    where          conditions that rows must meet
    points         rows ranked at most, chosen at random with the seed
    all_rows       whether also rows count whose errors are too large to rank
    """

    pair: tuple[str, str] | None = None
    feature: str | None = None
    data: str | None = None
    where: tuple[str, ...] = ()
    target: str | None = None
    top_k: int | None = None
    points: int = MOST_ROWS
    all_rows: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Driven:
    """A ranking of columns, of how many rows it is, and what else is to be known of it, in sentences."""

    table: pa.Table
    rows: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Found:
    """What a column tells of an effect."""

    column: str
    kind: str
    strength: float
    correlation: float
    rows: int
    p: float


def drivers(result: Result, request: DriversRequest) -> Driven:
    """Rank the columns of the data by how they go with an effect: numbers by Spearman, words by Kruskal and Wallis.

    Memory: MOST_HELD values at most, and a block of rows. Cost: two passes over the parts and the data.

    Raises OptionError and RunError for what cannot be ranked, DataError where the data are gone.
    """
    require_features(result)
    columns = Columns(result, request.data)
    rows = Rows(result, columns, tuple(Condition.parse(text, columns) for text in request.where), request.all_rows)
    target, effects = _target(result, request.target), _effect(rows, request)
    names = columns.are_scalar()
    drawn = _drawn(rows, effects, target, request, len(names))
    held = _Held(names, drawn.chosen())
    for block in rows.blocks(names, effects.features, interactions=effects.need_interactions):
        held.see(block, effects, block.is_of(target) & block.rank[int(effects.need_interactions)])
    found = sorted(held.found(), key=lambda each: (np.nan_to_num(-each.strength, nan=1.0), each.p))
    notes = list(_notes(drawn, held, request))
    return Driven(_table(target, effects, found, _roles(result, effects), request.top_k), len(held.rows), tuple(notes))


class _Held:
    """The effect, and the columns, in the rows that are ranked.

    rows   (n,) indices, ascending
    wordy  columns of too many different words
    """

    def __init__(self, names: Sequence[str], rows: np.ndarray) -> None:
        self.rows, self.wordy = rows, dict.fromkeys(names, False)
        self._effect = np.full(len(rows), np.nan)
        self._values = np.full((len(names), len(rows)), np.nan)
        self._words: dict[str, dict[str, int]] = {}

    def see(self, block: Block, effects: Effects, counts: np.ndarray) -> None:
        """Keep what the rows of a block hold that are ranked; `counts` says which of its entries are of the target."""
        wanted = counts & np.isin(block.row, self.rows)
        places = np.searchsorted(self.rows, block.row[wanted])
        self._effect[places] = np.concatenate([values[:, 0] for _, values in effects.of_some(block)])[wanted]
        for column, name in enumerate(self.wordy):
            self._values[column, places] = self._numbers(name, block.beside[name])[wanted]

    def found(self) -> list[_Found]:
        """Return what each column tells of the effect."""
        columns = enumerate(self.wordy.items())
        return [self._found(name, self._values[column]) for column, (name, wordy) in columns if not wordy]

    def _found(self, name: str, values: np.ndarray) -> _Found:
        there = ~np.isnan(values)
        values, effect = values[there], self._effect[there]
        if name not in self._words:
            correlation, p = spearman(values, effect)
            return _Found(name, NUMBER, abs(correlation), correlation, len(values), p)
        strength, p = epsilon(effect, [values == code for code in np.unique(values)])
        return _Found(name, CATEGORY, strength, np.nan, len(values), p)

    def _numbers(self, name: str, values: Values) -> np.ndarray:
        """Return numbers as they are, and the codes of words; NaN where there is none."""
        if not isinstance(values, pa.Array):
            return np.asarray(values)
        codes, known = values.dictionary_encode(), self._words.setdefault(name, {})
        if not self.wordy[name]:
            found = np.array([known.setdefault(word, len(known)) for word in codes.dictionary.to_pylist()], np.float64)
            self.wordy[name] = len(known) > MOST_WORDS
        if self.wordy[name]:
            known.clear()
            return np.full(len(values), np.nan)
        places = codes.indices.fill_null(len(found)).to_numpy(zero_copy_only=False)
        return np.append(found, np.nan)[places]


def _effect(rows: Rows, request: DriversRequest) -> Effects:
    if (request.pair is None) == (request.feature is None):
        raise OptionError("`pair`, `feature`: exactly one of both names the effect. Try `pair=A,B`.")
    if request.feature is not None:
        return effects_of(rows, [FEATURE], [request.feature])
    one, other = request.pair or ("", "")
    return effects_of(rows, [MAIN], [one]) if one == other else effects_of(rows, [PAIR], pair=(one, other))


def _target(result: Result, target: str | None) -> str:
    known = result.targets
    if target is None and len(known) == 1:
        return known[0]
    if target is None or target not in known:
        tried = f" Try `target={known[0]}`." if known else ""
        has = "several targets" if target is None else f"no target {target!r}"
        raise OptionError(f"`target`: {result.path} has {has}. Expected one of {listed(known)}.{tried}")
    return target


def _drawn(rows: Rows, effects: Effects, target: str, request: DriversRequest, n_columns: int) -> Drawing:
    """Choose the rows that are ranked; raises OptionError where there are too few."""
    most = min(request.points, max(LEAST_ROWS, MOST_HELD // max(1, n_columns)))
    drawn = Drawing(most, request.seed, np.int64)
    for block in rows.blocks():
        drawn.add(block.row[block.is_of(target) & block.rank[int(effects.need_interactions)]])
    if drawn.seen < LEAST_RANKED:
        which = " and ".join(request.where) or "all"
        raise OptionError(
            f"`where`: {which} leaves {drawn.seen} rows of target {target}. Expected {LEAST_RANKED} at least. "
            "Try a condition that more rows meet."
        )
    return drawn


def _roles(result: Result, effects: Effects) -> Mapping[str, str]:
    """Return what columns are to the effect, of those that are features or members of groups."""
    groups = if_told(lambda: result.told.groups) or {}
    own = {effects.names[place] for place in (*effects.first, *effects.second)}
    found = dict.fromkeys(chain(effects.names, *groups.values()), OTHER_FEATURE)
    return found | dict.fromkeys(chain(own, *(groups.get(name, ()) for name in own)), OWN)


def _table(
    target: str, effects: Effects, found: Sequence[_Found], roles: Mapping[str, str], top_k: int | None
) -> pa.Table:
    q, n = false_discovery_rates(np.array([each.p for each in found])), len(found)
    (second,) = effects.second_names(np.array([0]))
    figures = {name: np.array([getattr(each, name) for each in found]) for name in ("strength", "correlation", "p")}
    columns = {
        **{name: strings([value] * n) for name, value in (("target", target), ("of", OF[effects.of[0]]))},
        "feature_i": strings([effects.names[effects.first[0]]] * n),
        "feature_j": strings([second] * n),
        "rank": numbers(np.arange(1, n + 1), pa.int32()),
        "column": strings([each.column for each in found]),
        "role": strings([roles.get(each.column, NO_FEATURE) for each in found]),
        "kind": strings([each.kind for each in found]),
        "rows": numbers(np.array([each.rows for each in found], np.int64)),
        **{name: numbers(values, pa.float64(), np.isnan(values)) for name, values in {**figures, "q": q}.items()},
    }
    fields = [pa.field(name, type_, metadata=field_metadata(told)) for name, (type_, told) in COLUMNS.items()]
    table = pa.Table.from_arrays([columns[name] for name in COLUMNS], schema=pa.schema(fields))
    return table.slice(0, top_k)


def _notes(drawn: Drawing, held: _Held, request: DriversRequest) -> list[str]:
    notes = []
    if drawn.seen > drawn.most:
        notes.append(f"Ranks are of {drawn.most:,} of {drawn.seen:,} rows, chosen with seed {request.seed}.")
    if wordy := [name for name, is_wordy in held.wordy.items() if is_wordy]:
        notes.append(f"Left out, with more than {MOST_WORDS} different words: {listed(wordy)}.")
    return notes
