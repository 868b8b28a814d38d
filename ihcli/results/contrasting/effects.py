"""What is compared of a row: attributions, main effects, and effects of pairs, in one row of numbers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ihcli.errors import OptionError, RunError
from ihcli.files.arrays import strings
from ihcli.layouts.columns import holds_top_pairs
from ihcli.layouts.tables import matrices
from ihcli.quality import INTERACTIONS
from ihcli.results.contrasting.blocks import Block, Rows
from ihcli.results.result import Result
from ihcli.runs.told import if_told
from ihcli.wording import did_you_mean, listed, quoted

FEATURE, MAIN, PAIR = OF = ("feature", "main", "pair")
"""What a value is of: the attribution of a feature, its main effect Gamma_gg, the effect 2 Gamma_gh of a pair."""
BLOCK_VALUES = 1 << 21
"""Of the values looked at together: 16 MiB."""


@dataclass(frozen=True)
class Effects:
    """Which values of a row are looked at.

    names      of the run's features
    of         (E,) places in OF;  first and second (E,) places among the names, the same twice but of pairs
    is_listed  whether pairs come from lists of the largest, of which all rows have these
    """

    names: tuple[str, ...]
    of: np.ndarray
    first: np.ndarray
    second: np.ndarray
    is_listed: bool = False

    def __len__(self) -> int:
        return len(self.of)

    @cached_property
    def features(self) -> tuple[str, ...]:
        """Features whose attributions are looked at."""
        return tuple(self.names[place] for place in self.first[self.are(FEATURE)])

    @property
    def need_interactions(self) -> bool:
        """Whether something is looked at that attributions parts do not hold."""
        return bool((self.of != OF.index(FEATURE)).any())

    def only(self, mask: np.ndarray) -> "Effects":
        """Return some of them."""
        return Effects(self.names, self.of[mask], self.first[mask], self.second[mask], self.is_listed)

    def are(self, of: str) -> np.ndarray:
        """Return which are of a kind in OF, (E,) bool."""
        return np.asarray(self.of == OF.index(of))

    def second_names(self, some: np.ndarray) -> list[str | None]:
        """Return the names at the other end of some of them, None of attributions."""
        is_alone = self.are(FEATURE)[some]
        return [None if alone else self.names[place] for alone, place in zip(is_alone, self.second[some], strict=True)]

    def of_some(self, block: Block) -> Iterator[tuple[slice, np.ndarray]]:
        """Give values (n, E) float64 of some entries of a block at a time, NaN where they do not rank."""
        rows = max(1, BLOCK_VALUES // max(1, len(self)))
        for start in range(0, len(block), rows):
            some = slice(start, start + rows)
            yield some, self._values(block, some)

    def _values(self, block: Block, some: slice) -> np.ndarray:
        attributions, interactions = (mask[some] for mask in block.rank)
        found = np.full((len(attributions), len(self)), np.nan)
        for column, name in zip(np.flatnonzero(self.are(FEATURE)), self.features, strict=True):
            found[:, column] = block.entries[name][some].cast(pa.float64()).to_numpy()
        found[np.ix_(~attributions, self.are(FEATURE))] = np.nan
        if block.stored is not None:
            others = ~self.are(FEATURE)
            found[:, others] = self._stored(block.stored[some], others)
            found[np.ix_(~interactions, others)] = np.nan
        return found

    def _stored(self, column: pa.ChunkedArray, others: np.ndarray) -> np.ndarray:
        size = len(self.names)
        cells, of_pairs = self.first[others] * size + self.second[others], self.are(PAIR)[others]
        if self.is_listed:
            return _from_lists(column, self.names, cells)
        gamma = matrices(column, size).reshape(len(column), size * size)
        return np.take(gamma, cells, axis=1) * np.where(of_pairs, 2.0, 1.0)  # as matrices are symmetric


def effects_of(
    rows: Rows, of: Sequence[str] = (), features: Sequence[str] = (), pair: tuple[str, str] | None = None
) -> Effects:
    """Return what of a run's values is looked at: everything that it stores of all rows alike, or what is asked for.

    Of a run that stores the largest pairs of every row, those that all rows list: in others they are unknown, not 0.

    Parameters:
        of: kinds in OF; none: all that the run has.
        features: only values of these, and pairs with one of them.
        pair: only this pair.

    Raises OptionError for unknown names; RunError for texts, and where the run does not store what is asked for.
    """
    result = rows.result
    names = require_features(result)
    _require_known(names, features, "feature")
    _require_known(names, pair or (), "pair")
    kinds = [PAIR] if pair is not None else [kind for kind in OF if kind in of or not of]
    missing = _missing(result)
    if asked := [kind for kind in kinds if kind in missing and (kind in of or pair is not None)]:
        raise RunError(f"{result.path}: {missing[asked[0]]}")
    kinds = [kind for kind in kinds if kind not in missing]
    found = _listed(rows, names, kinds) if _lists_pairs(result) else _all(names, kinds)
    if pair is not None:
        one, other = sorted(map(names.index, pair))
        found = found.only((found.first == one) & (found.second == other))
    if features:
        wanted = np.isin(np.arange(len(names)), list(map(names.index, features)))
        found = found.only(wanted[found.first] | wanted[found.second])
    if found.is_listed:
        found = found.only(_are_listed_by_all(rows, found))
    if not len(found) and found.is_listed:
        raise RunError(f"{result.path}: {NOT_LISTED}")
    if not len(found):
        raise OptionError(
            "`of`, `feature`, `pair`: nothing of the run is all of what they name. Expected one value at least. "
            "Try one of them alone."
        )
    return found


def require_features(result: Result) -> tuple[str, ...]:
    """Return the features of a run; raises RunError where rows have none in common."""
    return result.layout.require_features(
        result.path,
        "whose units differ from row to row, so that rows have nothing in common to compare. Expected a run over a "
        f"table. Try ihcli attributions {result.path} `row=0`.",
    )


NOT_LISTED = (
    "stores the largest pairs of every row only, and not all rows list what is asked for; where it is not listed it is "
    "unknown, not 0. Try ihcli explain with `interactions=full`."
)


def left_out_in_words(result: Result) -> tuple[str, ...]:
    """Return what of a run's values cannot be looked at, and why, in a sentence; nothing where all can."""
    if _lists_pairs(result):
        return (
            "The run stores the largest pairs of every row only: of pairs those are shown that all rows list, as in "
            "others they are unknown, not 0. Main effects are not stored.",
        )
    if if_told(lambda: result.told.second_order) and not result.run.has_interactions:
        return ("The run stores no interactions of single rows: attributions alone are shown.",)
    return ()


def _missing(result: Result) -> dict[str, str]:
    """Return the kinds in OF that a run stores nothing of, and why."""
    if not result.run.has_interactions:
        why = "stores no interactions of single rows. Expected a run that does. Try ihcli explain with "
        why += "`interactions=full`, and a method of second order."
        return {MAIN: why, PAIR: why}
    if _lists_pairs(result):
        why = "stores the largest pairs of every row only, no main effects. Expected whole matrices. "
        return {MAIN: why + "Try ihcli explain with `interactions=full`."}
    return {}


def _lists_pairs(result: Result) -> bool:
    run = result.run
    return run.has_interactions and holds_top_pairs(run.interaction_parts.schema.field(INTERACTIONS).type)


def _all(names: tuple[str, ...], kinds: Sequence[str]) -> Effects:
    every = np.arange(len(names))
    places = {FEATURE: (every, every), MAIN: (every, every), PAIR: np.triu_indices(len(names), 1)}
    return _effects(names, {kind: places[kind] for kind in kinds})


def _listed(rows: Rows, names: tuple[str, ...], kinds: Sequence[str]) -> Effects:
    """Return those of a run of the largest pairs, of pairs those that the first entry lists."""
    every, size = np.arange(len(names)), len(names)
    found = {FEATURE: (every, every)} if FEATURE in kinds else {}
    if PAIR in kinds:
        cells = np.zeros(0, np.int64)
        for block in rows.blocks(interactions=True):
            if block.stored is not None and block.rank[1].any():
                _, cells, _ = _cells(block.stored[int(block.rank[1].argmax()) :][:1], names)
                break
        found[PAIR] = np.divmod(np.unique(cells), size)
    return _effects(names, found, is_listed=True)


def _effects(
    names: tuple[str, ...], places: Mapping[str, tuple[np.ndarray, np.ndarray]], *, is_listed: bool = False
) -> Effects:
    first, second = (np.concatenate([np.zeros(0, np.int64), *(ends[i] for ends in places.values())]) for i in (0, 1))
    of = np.repeat([OF.index(kind) for kind in places], [len(first) for first, _ in places.values()])
    return Effects(names, of, first, second, is_listed)


def _are_listed_by_all(rows: Rows, effects: Effects) -> np.ndarray:
    """Return which effects every entry has whose interactions rank: pairs are told by reading their lists once."""
    are_pairs = effects.are(PAIR)
    pairs = effects.only(are_pairs)
    found = np.ones(len(pairs), bool)
    for block in rows.blocks(interactions=True) if len(pairs) else ():
        for some, values in pairs.of_some(block):
            found &= ~np.isnan(values[block.rank[1][some]]).any(axis=0)
    are_pairs[are_pairs] = found
    return are_pairs | effects.are(FEATURE)


def _cells(column: pa.ChunkedArray, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return of lists of the largest pairs, one below the other: entry, place first * G + second, and effect."""
    lists = column.combine_chunks()
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    pairs, known = lists.flatten(), strings(names)
    one, other = (pc.index_in(pairs.field(end), value_set=known).to_numpy(zero_copy_only=False) for end in ("i", "j"))
    value = pairs.field("value").cast(pa.float64()).to_numpy(zero_copy_only=False)
    cell = np.minimum(one, other).astype(np.int64) * len(names) + np.maximum(one, other)
    return np.repeat(np.arange(len(lists)), lengths), cell, value


def _from_lists(column: pa.ChunkedArray, names: tuple[str, ...], cells: np.ndarray) -> np.ndarray:
    """Return effects (n, E) of pairs from lists of the largest, NaN where one is not listed.

    Parameters:
        cells: (E,) places first * G + second, ascending.
    """
    entry, cell, value = _cells(column, names)
    found = np.full((len(column), len(cells)), np.nan)
    if not len(cells):
        return found
    place = np.minimum(np.searchsorted(cells, cell), len(cells) - 1)
    is_wanted = cells[place] == cell
    found[entry[is_wanted], place[is_wanted]] = value[is_wanted]
    return found


def _require_known(names: tuple[str, ...], asked: Sequence[str], option: str) -> None:
    for name in asked:
        if name not in names:
            raise OptionError(
                f"`{option}`: there is no feature {quoted(name)}. Expected one of {len(names)} features: "
                f"{listed(names)}.{did_you_mean(name, names)}"
            )
