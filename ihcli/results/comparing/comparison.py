"""A comparison of runs: one pass over their rows, and what is known of runs, features and pairs after it."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa

from ihcli.errors import RunError
from ihcli.quality import ATTRIBUTIONS, INTERACTIONS, ROW
from ihcli.results.comparing.agreement import Agreement, Ranked, k_of, least, means
from ihcli.results.comparing.differences import are_alike_in_size, differences, require_comparable
from ihcli.results.comparing.figures import OfTwo, Totals, Two
from ihcli.results.comparing.joining import Block, Joined
from ihcli.results.comparing.lines import FEATURE, ROWS, lines, schema_of
from ihcli.results.comparing.listing import WordPairs, listed_places, samples_of
from ihcli.results.comparing.sparse import StoredPairs, agreement_of, common_to_all
from ihcli.results.result import Result

SEED = 0
MOST_OF_MATRIX = 50
"""So many of the largest pairs of a matrix are set beside the pairs that another run stores of a row."""


@dataclass
class Counts:
    """Entries that were seen, and why some were not compared."""

    compared: int = 0
    without_values: int = 0
    other_target: int = 0
    other_text: int = 0


class Comparison:
    """How far runs agree.

    names     what the runs are called
    compared  which two are set against each other: each two, or the first and each other one
    k_asked   how many values are the top; None: see `k_of`
    """

    def __init__(
        self,
        results: Sequence[Result],
        names: Sequence[str],
        k_asked: int | None = None,
        *,
        with_first_only: bool = False,
        first_rows: int | None = None,
    ) -> None:
        require_comparable(results)
        self.results, self.names, self.k_asked = tuple(results), tuple(names), k_asked
        each_two = combinations(range(len(results)), 2)
        self.compared: tuple[Two, ...] = tuple(two for two in each_two if not with_first_only or two[0] == 0)
        self.joined = Joined(self.results, first_rows)
        self.counts = Counts()
        self.totals: dict[tuple[str, str], Totals] = {}
        self.of_two: dict[tuple[str, str, Two], OfTwo] = {}

    @property
    def first(self) -> Result:
        """The run whose order of rows and features is that of the others."""
        return self.results[0]

    @cached_property
    def schema(self) -> pa.Schema:
        """Columns of all lines."""
        parts = self.first.run.attribution_parts.schema
        return schema_of([parts.field(name) for name in self.first.keys])

    @cached_property
    def are_alike_in_size(self) -> bool:
        """Whether sizes can be compared, not ranks and signs alone."""
        return are_alike_in_size(self.results)

    @cached_property
    def settings(self) -> tuple[str, ...]:
        """In what the runs differ."""
        return differences(self.results)

    @cached_property
    def has_matrices(self) -> bool:
        """Whether all runs store the matrix of every row."""
        return all(result.run.has_interactions and result.stores_matrices for result in self.results)

    @cached_property
    def have_pairs(self) -> bool:
        """Whether all runs are of pairs, be it in their summaries alone."""
        return all(result.told.second_order for result in self.results)

    @property
    def targets(self) -> tuple[str, ...]:
        """The targets that were compared."""
        return tuple(dict.fromkeys(target for _, target in self.totals))

    @cached_property
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """The members of each pair of features, in order."""
        return np.triu_indices(len(self.first.feature_names), 1)

    @cached_property
    def listed(self) -> dict[str, np.ndarray]:
        """Places of the features and pairs that are listed, of tables: all, or the largest of any run."""
        return listed_places(self.results)

    @cached_property
    def word_pairs(self) -> WordPairs:
        """Pairs of words that are listed, of texts."""
        return WordPairs.of(self.results)

    @cached_property
    def _samples(self) -> np.ndarray:
        n_listed = sum(map(len, self.listed.values()))
        return samples_of(self.joined.n_rows, n_listed * len(self.results), SEED)

    def see(self, *, with_rows: bool) -> Iterator[pa.Table]:
        """Go through all rows once, and give their lines where they are wanted; all else is known afterwards."""
        for block in self.joined.blocks():
            figures = {values: _RowFigures(len(block)) for values in (ATTRIBUTIONS, INTERACTIONS)}
            self._count(block)
            for parts in block.sized():
                place, row = parts[0].place, block.row[parts[0].place]
                phi = np.stack([part.phi for part in parts])
                names = self._names(block, place, phi.shape[2])
                self._see_dense(ATTRIBUTIONS, block, place, row, phi, names, figures)
                gammas = [part.gamma for part in parts if part.gamma is not None]
                if len(gammas) == len(parts) and phi.shape[2] > 1:
                    first, second = np.triu_indices(phi.shape[2], 1)
                    effects = np.stack([gamma[:, first, second] for gamma in gammas]).astype(np.float64) * 2
                    self._see_dense(INTERACTIONS, block, place, row, effects, names, figures)
            if block.interactions and not self.has_matrices and self.first.layout.is_aligned:
                self._see_sparse(block, figures[INTERACTIONS])
            if with_rows:
                yield from (self._row_lines(block, values, found) for values, found in figures.items())
        self._require_compared()

    def _require_compared(self) -> None:
        if self.counts.compared:
            return
        first, *others = self.results
        reasons = {
            f"all texts are cut into other units than those of {first.path}": self.counts.other_text,
            f"all rows have another target than in {first.path}": self.counts.other_target,
            f"no row has values both there and in {first.path}": self.counts.without_values,
        }
        reason = max(reasons, key=lambda each: reasons[each])
        raise RunError(
            f"{others[-1].path}: {reason}. Expected rows that can be compared. Try ihcli explain of both "
            "with the same `target`, `units` and data."
        )

    def _count(self, block: Block) -> None:
        self.counts.compared += int(block.compared.sum())
        self.counts.without_values += int((~block.has_values).sum())
        self.counts.other_target += int((block.has_values & ~block.is_same_target).sum())
        self.counts.other_text += int((block.has_values & block.is_same_target & ~block.is_same_text).sum())

    def _names(self, block: Block, place: np.ndarray, n: int) -> np.ndarray:
        """Return the names of the n values of entries, (m, n)."""
        if self.first.layout.is_aligned:
            return np.broadcast_to(np.array(self.first.feature_names, object), (len(place), n))
        return np.array(self.first.layout.names(block.entries[0].take(pa.array(place))), object)

    def _see_dense(
        self,
        kind: str,
        block: Block,
        place: np.ndarray,
        row: np.ndarray,
        values: np.ndarray,
        names: np.ndarray,
        figures: "dict[str, _RowFigures]",
    ) -> None:
        """Compare values (R, m, c) of entries that have as many."""
        for target in dict.fromkeys(block.target[place].tolist()):
            mine = np.flatnonzero(block.target[place] == target)
            some, rows = values[:, mine], row[mine]
            ranked = [Ranked(each, k_of(values.shape[2], self.k_asked)) for each in some]
            found = {two: Agreement.of(ranked[two[0]], ranked[two[1]]) for two in self.compared}
            for two, agreement in found.items():
                self._of_two(kind, target, two).see(agreement, rows)
            figures[kind].put(place[mine], list(found.values()), names[mine])
            self._add(kind, target, some, rows, names[mine])

    def _add(self, kind: str, target: str, values: np.ndarray, row: np.ndarray, names: np.ndarray) -> None:
        sampled = np.isin(row, self._samples)
        if self.first.layout.is_aligned:
            totals = self._totals(kind, target, range(values.shape[2]))
            totals.see(values, row)
            totals.sample(None, values[:, sampled][:, :, self.listed[kind]])
            return
        flat, rows = values.reshape(len(values), -1), np.repeat(np.arange(len(row)), values.shape[2])
        if kind == ATTRIBUTIONS:
            words, at = np.unique(names.ravel().astype(str), return_inverse=True)
            called: list[Hashable] = words.tolist()
        else:
            place = self.word_pairs.places(names).ravel()
            flat, rows = flat[:, place >= 0], rows[place >= 0]
            pairs, at = np.unique(place[place >= 0], return_inverse=True)
            called = [self.word_pairs.pairs[pair] for pair in pairs]
        totals = self._totals(kind, target, ())
        placed = totals.see_some(called, at.ravel(), flat, row[rows])
        totals.sample(placed[sampled[rows]], flat[:, sampled[rows]])

    def _see_sparse(self, block: Block, figures: "_RowFigures") -> None:
        places, n = np.flatnonzero(block.compared), len(self.first.feature_names)
        for target in dict.fromkeys(block.target[places].tolist()):
            mine = places[block.target[places] == target]
            row, k = block.row[mine], k_of(len(self.pairs[0]), self.k_asked)
            stored = [
                StoredPairs.of(self.first, result, table, mine, max(MOST_OF_MATRIX, k))
                for result, table in zip(self.results, block.interactions, strict=True)
            ]
            found = []
            for one, other in self.compared:
                agreement, code = agreement_of(stored[one], stored[other], len(mine), n * n, k)
                found.append(agreement)
                self._of_two(INTERACTIONS, target, (one, other)).see(agreement, row)
            figures.put_codes(mine, found, self.first.feature_names)
            code, values = common_to_all(stored)
            first, second = np.divmod(code % (n * n), n)
            pairs, at = np.unique(first * (2 * n - first - 1) // 2 + second - first - 1, return_inverse=True)
            self._totals(INTERACTIONS, target, ()).see_some(pairs.tolist(), at, values, row[code // (n * n)])

    def _totals(self, kind: str, target: str, names: Sequence[int]) -> Totals:
        found = self.totals.get((kind, target))
        if found is None:
            found = self.totals[kind, target] = Totals(len(self.results), self.compared, names)
        return found

    def _of_two(self, kind: str, target: str, two: Two) -> OfTwo:
        return self.of_two.setdefault((kind, target, two), OfTwo())

    def _row_lines(self, block: Block, kind: str, found: "_RowFigures") -> pa.Table:
        place = np.flatnonzero(found.is_there)
        entries = block.entries[0].take(pa.array(place))
        keys = dict(zip(self.schema.names[self.schema.get_field_index(ROW) + 1 :], self.first.keys, strict=False))
        columns = {name: entries[key] for name, key in keys.items()}
        columns |= {"of": ROWS, "values": kind, "target": entries["_target"], ROW: entries[ROW]}
        return lines(self.schema, columns | found.columns(place, kind, self.are_alike_in_size))


class _RowFigures:
    """Figures of the n entries of a block, filled as they are found."""

    def __init__(self, n: int) -> None:
        self.is_there = np.zeros(n, bool)
        self._figures = {name: np.full(n, np.nan) for name in (*ROW_FIGURES, "least_spearman", "largest_change")}
        self._ends = {name: np.full(n, None, object) for name in (FEATURE, "feature_i", "feature_j")}

    def put(self, place: np.ndarray, found: Sequence[Agreement], names: np.ndarray) -> None:
        """Put figures of entries with these names (m, n), over each two runs."""
        which, entry = self._put(place, found), np.arange(len(place))
        at = np.stack([agreement.place for agreement in found])[which, entry]
        n = names.shape[1]
        first, second = np.triu_indices(n, 1)
        self._ends[FEATURE][place] = names[entry, np.minimum(at, n - 1)]
        if len(first):
            pair = np.minimum(at, len(first) - 1)
            self._ends["feature_i"][place], self._ends["feature_j"][place] = (
                names[entry, first[pair]],
                names[entry, second[pair]],
            )

    def put_codes(self, place: np.ndarray, found: Sequence[Agreement], names: tuple[str, ...]) -> None:
        """Put figures of entries whose places are codes of pairs."""
        which = self._put(place, found)
        codes = np.stack([agreement.place for agreement in found])[which, np.arange(len(place))]
        known, called = ~np.isnan(self._figures["largest_change"][place]), np.array(names, object)
        first, second = np.divmod(codes[known], len(names))
        self._ends["feature_i"][place[known]], self._ends["feature_j"][place[known]] = called[first], called[second]

    def _put(self, place: np.ndarray, found: Sequence[Agreement]) -> np.ndarray:
        self.is_there[place] = True
        for name, attribute in ROW_FIGURES.items():
            self._figures[name][place] = means([getattr(agreement, attribute) for agreement in found])
        self._figures["least_spearman"][place] = least([agreement.spearman for agreement in found])
        changes = np.stack([agreement.change for agreement in found])
        which = np.where(np.isnan(changes), -1, changes).argmax(axis=0)
        self._figures["largest_change"][place] = changes[which, np.arange(len(place))]
        return which

    def columns(self, place: np.ndarray, kind: str, with_sizes: bool) -> dict[str, Any]:
        """Return the figures of some entries by their columns."""
        names = (FEATURE,) if kind == ATTRIBUTIONS else ("feature_i", "feature_j")
        ends = {name: self._ends[name][place] for name in names if with_sizes}
        figures = {name: found[place] for name, found in self._figures.items()}
        if not with_sizes:
            del figures["largest_change"]
        return {**ends, **figures}


ROW_FIGURES = {
    "spearman": "spearman",
    "spearman_abs": "spearman_abs",
    "overlap": "overlap",
    "same_sign": "sign",
}
