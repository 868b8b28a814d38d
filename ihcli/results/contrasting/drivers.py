"""What goes with an effect: columns of the data, whether features or not, ranked by how much of it they tell."""

from collections.abc import Iterator, Mapping, Sequence
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
class Along:
    """An effect beside a column.

    effect  (n,);  values (n,) numbers, or places among the words, NaN where there is none
    words   of a column of categories, in order; empty of numbers
    told    what the column says of the effect, in words
    notes   what else is to be known, in sentences
    """

    target: str
    effect: np.ndarray
    values: np.ndarray
    words: tuple[str, ...]
    told: str
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
    held = _Held.of(result, request)
    found = sorted(held.found(), key=lambda each: (np.nan_to_num(-each.strength, nan=1.0), each.p))
    table = _table(held.target, held.effects, found, _roles(result, held.effects), request.top_k)
    return Driven(table, len(held.rows), tuple(held.notes(request)))


def along(result: Result, request: DriversRequest, column: str) -> Along:
    """Return an effect and one column in the rows that are asked for; raises what `drivers` does."""
    held = _Held.of(result, request, column)
    if held.wordy[column]:
        raise OptionError(
            f"`against={column}`: holds more than {MOST_WORDS} different words. Expected as many at most, or numbers. "
            "Try another column."
        )
    return held.along(column, request)


class _Held:
    """The effect, and the columns, in the rows that are ranked.

    rows   (n,) indices, ascending
    wordy  columns of too many different words
    """

    def __init__(self, target: str, effects: Effects, names: Sequence[str], drawn: Drawing) -> None:
        self.target, self.effects, self._drawn = target, effects, drawn
        self.rows, self.wordy = drawn.chosen(), dict.fromkeys(names, False)
        self._effect = np.full(len(self.rows), np.nan)
        self._values = np.full((len(names), len(self.rows)), np.nan)
        self._words: dict[str, dict[str, int]] = {}

    @classmethod
    def of(cls, result: Result, request: DriversRequest, column: str | None = None) -> "_Held":
        """Read the effect, and all columns of the data or one that the run has, too."""
        require_features(result)
        columns = Columns(result, request.data)
        conditions = tuple(Condition.parse(text, columns) for text in request.where)
        rows = Rows(result, columns, conditions, request.all_rows)
        target, effects = _target(result, request.target), _effect(rows, request)
        if column is None:
            names = columns.are_scalar()
        else:
            columns.is_number(column, f"`against={column}`")
            names = (column,)
        held = cls(target, effects, names, _drawn(rows, effects, target, request, len(names)))
        for block in rows.blocks(names, effects.features, interactions=effects.need_interactions):
            held.see(block, block.is_of(target) & block.rank[int(effects.need_interactions)])
        return held

    def see(self, block: Block, counts: np.ndarray) -> None:
        """Keep what the rows of a block hold that are ranked; `counts` says which of its entries are of the target."""
        wanted = counts & np.isin(block.row, self.rows)
        places = np.searchsorted(self.rows, block.row[wanted])
        self._effect[places] = np.concatenate([values[:, 0] for _, values in self.effects.of_some(block)])[wanted]
        for column, name in enumerate(self.wordy):
            self._values[column, places] = self._numbers(name, block.beside[name])[wanted]

    def found(self) -> list[_Found]:
        """Return what each column tells of the effect."""
        columns = enumerate(self.wordy.items())
        return [self._found(name, self._values[column]) for column, (name, wordy) in columns if not wordy]

    def along(self, column: str, request: DriversRequest) -> Along:
        """Return the effect and the only column."""
        found, codes = self._found(column, self._values[0]), self._words.get(column, {})
        words = tuple(sorted(codes))
        places = np.append(np.array([words.index(word) for word in codes], np.float64), np.nan)
        values = self._values[0]
        if words:
            values = places[np.nan_to_num(values, nan=len(words)).astype(np.int64)]
        sign = found.strength if words else found.correlation
        name = "root of epsilon squared" if words else "Spearman's correlation"
        told = f"{name} {sign:.2f}, p {found.p:.2g}" if not np.isnan(found.p) else "No correlation: one value alone"
        return Along(self.target, self._effect, values, words, told, tuple(self.notes(request)))

    def notes(self, request: DriversRequest) -> Iterator[str]:
        """Give sentences on what was left out."""
        if self._drawn.seen > self._drawn.most:
            yield f"Ranks are of {self._drawn.most:,} of {self._drawn.seen:,} rows, chosen with seed {request.seed}."
        if wordy := [name for name, is_wordy in self.wordy.items() if is_wordy]:
            yield f"Left out, with more than {MOST_WORDS} different words: {listed(wordy)}."

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
        found = f"{drawn.seen} {'row' if drawn.seen == 1 else 'rows'} of target {target}"
        if request.where:
            raise OptionError(
                f"`where`: {' and '.join(request.where)} leaves {found}. Expected {LEAST_RANKED} at least. Try a "
                "condition that more rows meet."
            )
        raise OptionError(
            f"{rows.result.path}: has {found} to rank. Expected {LEAST_RANKED} at least. Try a run of more rows, or "
            "another `target`."
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
