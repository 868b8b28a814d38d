"""Which features and pairs a comparison lists, which rows correlations over rows are of, and what summaries tell."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from ihcli.quality import ATTRIBUTIONS, INTERACTIONS
from ihcli.results.result import Result
from ihcli.runs.run import Run
from ihcli.runs.told import if_told
from ihcli.summaries.ranking import by_target

MOST_LISTED = 1000
MOST_SAMPLED = 20_000
SAMPLE_VALUES = 1 << 23  # 64 MiB of the values of all runs


def listed_places(results: Sequence[Result]) -> dict[str, np.ndarray]:
    """Return the places of features, and of pairs in the upper triangle, that are listed.

    All of up to MOST_LISTED, else those among so many largest of any run, by its summary.
    """
    names = results[0].feature_names
    place = {name: i for i, name in enumerate(names)}
    features, n_pairs = np.arange(len(names)), len(names) * (len(names) - 1) // 2
    if len(names) > MOST_LISTED:
        features = _largest(results, Run.summary_attributions, lambda table: _places(table["feature"], place))
    pairs = np.arange(n_pairs)
    if n_pairs > MOST_LISTED:
        pairs = _largest(results, Run.summary_interactions, lambda table: places_of_pairs(table, place))
    return {ATTRIBUTIONS: features, INTERACTIONS: pairs}


@dataclass(frozen=True)
class WordPairs:
    """Pairs of words that are listed, names in alphabetical order: the largest of any run, by their summaries."""

    pairs: list[tuple[str, str]]

    @classmethod
    def of(cls, results: Sequence[Result]) -> "WordPairs":
        """Return those of up to MOST_LISTED pairs of each run and target."""
        found: set[tuple[str, str]] = set()
        for result in results:
            for ranking in by_target(_summary(result, Run.summary_interactions)).values():
                some = ranking.slice(0, MOST_LISTED)
                found.update(zip(some["feature_i"].to_pylist(), some["feature_j"].to_pylist(), strict=True))
        return cls(sorted(found))

    def places(self, names: np.ndarray) -> np.ndarray:
        """Return where pairs of the n words of texts (m, n) are listed, (m, n (n - 1) / 2); -1: they are not."""
        words = sorted({word for pair in self.pairs for word in pair})
        number = {word: i for i, word in enumerate(words)}
        codes = np.array([number[one] * len(words) + number[other] for one, other in self.pairs], np.int64)
        different, at = np.unique(names.ravel().astype(str), return_inverse=True)
        numbers = np.array([number.get(word, -1) for word in different.tolist()], np.int64)[at].reshape(names.shape)
        first, second = (numbers[:, ends] for ends in np.triu_indices(names.shape[1], 1))
        asked = np.minimum(first, second) * len(words) + np.maximum(first, second)
        place = np.minimum(np.searchsorted(codes, asked), max(0, len(codes) - 1))
        is_listed = (first >= 0) & (second >= 0) & (codes[place] == asked if len(codes) else False)
        return np.where(is_listed, place, -1)


def samples_of(n_rows: int, n_values: int, seed: int) -> np.ndarray:
    """Return rows drawn uniformly, so many that this many values of each fit into memory; all where they are few."""
    count = min(n_rows, MOST_SAMPLED, max(1, SAMPLE_VALUES // max(1, n_values)))
    if count == n_rows:
        return np.arange(n_rows)
    return np.sort(np.random.default_rng(seed).choice(n_rows, count, replace=False))


def pairs_of_summaries(results: Sequence[Result], target: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the places (m,) of the pairs that the summaries of all runs list, and mean_abs and mean of each (R, m)."""
    place = {name: i for i, name in enumerate(results[0].feature_names)}
    tables = [by_target(_summary(result, Run.summary_interactions)).get(target) for result in results]
    found = [table for table in tables if table is not None]
    if len(found) < len(results):
        return np.zeros(0, np.int64), *np.zeros((2, len(results), 0))
    places = [places_of_pairs(table, place) for table in found]
    common = places[0]
    for some in places[1:]:
        common = np.intersect1d(common, some)
    common = np.sort(common)
    at = [np.argsort(some)[np.searchsorted(np.sort(some), common)] for some in places]
    figures = [
        np.stack([table[name].to_numpy()[where] for table, where in zip(found, at, strict=True)])
        for name in ("mean_abs", "mean")
    ]
    return common, figures[0], figures[1]


def places_of_pairs(table: pa.Table, place: Mapping[str, int]) -> np.ndarray:
    """Return the places in the upper triangle of the pairs of a summary."""
    ends = np.stack([_places(table[name], place) for name in ("feature_i", "feature_j")])
    first, second = ends.min(axis=0), ends.max(axis=0)
    return first * (2 * len(place) - first - 1) // 2 + second - first - 1


def _places(column: pa.ChunkedArray, place: Mapping[str, int]) -> np.ndarray:
    return np.array([place[name] for name in column.to_pylist()], np.int64)


def _largest(
    results: Sequence[Result], summary: Callable[[Run], pa.Table], places: Callable[[pa.Table], np.ndarray]
) -> np.ndarray:
    found = []
    for result in results:
        for ranking in by_target(_summary(result, summary)).values():
            found.append(places(ranking.slice(0, MOST_LISTED)))
    return np.unique(np.concatenate([*found, np.zeros(0, np.int64)]))


def _summary(result: Result, summary: Callable[[Run], pa.Table]) -> pa.Table:
    """Return a summary over all rows, an empty one where there is none."""
    found = if_told(lambda: summary(replace(result.run, all_rows=True)))
    return pa.table({"target": pa.array([], pa.string())}) if found is None else found
