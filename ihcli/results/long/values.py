"""What features are in the rows of the data, read along with explained rows: numbers, or words where some are that."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from ihcli.files.arrays import numbers, strings
from ihcli.results.contrasting.columns import Alongside
from ihcli.results.explained_data import (
    NONE,
    active_column,
    are_binary,
    columns_of,
    features_table,
    levels_of,
)
from ihcli.results.result import Result


class ValuesBeside:
    """Values of the features of a run, in rows that come in ascending order; no more than a batch of the data is held.

    A feature is a column: its number, or what its code stands for. A group is one-hot where the data hold nothing but 0
    and 1 in its columns, which takes a pass to find out; its value is then the category whose column is 1. Other
    groups, and what layers give, have no values.

    type  of every feature: float64, or string where one of them has words, and numbers are written out

    Raises as `ihcli.results.explained_data.feature_values`.
    """

    def __init__(self, result: Result, data: str | None = None) -> None:
        self._features = result.layout.require_features(result.path, "which have no features. Try record(row).")
        table = features_table(result, data)
        self._columns_of = columns_of(result, table, self._features)
        columns = list(dict.fromkeys(column for members in self._columns_of.values() for column in members))
        self._words = self._words_of(result, are_binary(table, self._several()))
        self.type = pa.string() if self._words else pa.float64()
        self._along = Alongside(table, columns) if columns else None

    def beside(self, rows: np.ndarray) -> list[pa.Array]:
        """Return what every feature is in these rows (n,), ascending."""
        if self._along is None:
            return [pa.nulls(len(rows), self.type) for _ in self._features]
        there = self._along.at(rows)
        found = {name: _floats(there[name]) for name in there.column_names}
        return [self._values(feature, found, len(rows)) for feature in self._features]

    def _values(self, feature: str, found: dict[str, np.ndarray], n: int) -> pa.Array:
        members = self._columns_of.get(feature, ())
        if feature in self._words:
            columns = [found[column] for column in members]
            return _named(
                columns[0] if len(columns) == 1 else active_column(np.stack(columns, 1)), self._words[feature]
            )
        if len(members) != 1:
            return pa.nulls(n, self.type)
        values = found[members[0]]
        return numbers(values, is_null=np.isnan(values)).cast(self.type)

    def _several(self) -> list[str]:
        """Return the columns of groups of several."""
        return list(dict.fromkeys(column for some in self._columns_of.values() if len(some) > 1 for column in some))

    def _words_of(self, result: Result, binary: Sequence[str]) -> dict[str, pa.Array]:
        """Return the words of each feature that has some: by code, or by the place of the column that is 1."""
        vocabulary, words = result.told.vocabulary, {}
        coded = frozenset(() if vocabulary is None else vocabulary.values)
        for feature, members in self._columns_of.items():
            if vocabulary is not None and len(members) == 1 and members[0] in coded:
                words[feature] = strings(vocabulary.names(members[0]))
            elif len(members) > 1 and coded.isdisjoint(members) and set(members) <= set(binary):
                words[feature] = strings([*levels_of(result, feature, members), NONE])
        return words


def _named(places: np.ndarray, words: pa.Array) -> pa.Array:
    """Return the words at these places (n,), null where there is none."""
    is_there = (places >= 0) & (places < len(words)) & (places == np.floor(places))
    return words.take(numbers(np.where(is_there, places, 0).astype(np.int64), is_null=~is_there))


def _floats(column: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
