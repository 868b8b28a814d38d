"""Tables: every entry has the same features or groups, each a column of its own."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from ihcli.errors import RunError
from ihcli.explanation import Explanation
from ihcli.explanation.factors import Factored, members, whole
from ihcli.files.arrays import numbers, strings
from ihcli.files.locations import Location
from ihcli.layouts.columns import (
    CERTAIN,
    ERROR_BAR,
    STANDARD_ERROR,
    TOP_DEFINITION,
    TopPairs,
    mask_of,
    pair_type,
    pairs_column,
)
from ihcli.layouts.largest import top_pairs
from ihcli.layouts.layout import OF_MODEL, Columns, Sized, Types
from ihcli.quality import INTERACTIONS, OUTPUT_UNIT, Trait, field_metadata
from ihcli.summaries.summary import AnySummary
from ihcli.summaries.tables import Summary

DEFINITION = "Gamma (G x G, symmetric): rows sum to the attributions; main effect Gamma_gg"
ENDS = ("feature_i", "feature_j")
BLOCK_VALUES = 1 << 18
"""Of the matrices whose largest pairs are looked for together, so that memory does not grow with a part."""


@dataclass(frozen=True)
class TableLayout:
    """A table over G features or groups; see `ihcli.layouts.layout.Layout`."""

    features: tuple[str, ...]

    noun: ClassVar[str] = "features"
    plots: ClassVar[tuple[str, ...]] = (
        "summary",
        "bar",
        "heatmap",
        "network",
        "rows",
        "dependence",
        "surface",
        "effect",
        "waterfall",
        "convergence",
        *OF_MODEL,
    )
    is_aligned: ClassVar[bool] = True
    in_reading_order: ClassVar[bool] = False
    counts_occurrences: ClassVar[bool] = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The features."""
        return self.features

    @property
    def shared(self) -> tuple[str, ...]:
        """None: the schema names the features."""
        return ()

    @property
    def traits(self) -> frozenset[Trait]:
        """None."""
        return frozenset()

    @property
    def metadata(self) -> Mapping[str, object]:
        """The features, in the order of columns and of matrices."""
        return {"feature_names": list(self.features)}

    def attributions(self, explanation: Explanation, is_empty: np.ndarray) -> Columns:
        """Return a column for each feature."""
        columns = np.ascontiguousarray(explanation.attributions.T)
        type_, is_null = pa.from_numpy_dtype(columns.dtype), is_empty | np.isnan(columns)
        added = []
        for name, values, nulls in zip(self.features, columns, is_null, strict=True):
            metadata = field_metadata(f"attribution phi of {name}", OUTPUT_UNIT)
            added.append((pa.field(name, type_, metadata=metadata), numbers(values, type_, nulls)))
        return added

    def interactions(self, explanation: Explanation, is_empty: np.ndarray, top: int | None) -> Columns:
        """Return a column of tensors, or of lists of pairs."""
        matrices = explanation.interactions
        if matrices is None:
            raise ValueError("no interactions to store")
        if top is not None:
            column, definition = _top_pairs(explanation, is_empty, top), TOP_DEFINITION
        else:
            column, definition = _tensors(whole(matrices), is_empty), DEFINITION
        names = {name: json.dumps(value) for name, value in self.metadata.items()}
        metadata = field_metadata(definition, OUTPUT_UNIT) | names
        return [(pa.field(INTERACTIONS, column.type, metadata=metadata), column)]

    def summary(self) -> AnySummary[Explanation]:
        """Return a summary of features and pairs."""
        return Summary()

    def attribution_types(self, floats: pa.DataType) -> Types:
        """Return a number for each feature."""
        return dict.fromkeys(self.features, (floats,))

    def interaction_types(self, floats: pa.DataType, *, pairs: bool, beside: Sequence[str] = ()) -> Types:
        """Return a tensor, or pairs."""
        size = len(self.features)
        type_ = pair_type(floats, beside) if pairs else pa.fixed_shape_tensor(floats, (size, size), dim_names=ENDS)
        return {INTERACTIONS: (type_,)}

    def record(self, entry: Mapping[str, Any]) -> tuple[tuple[str, ...], Sequence[float]]:
        """Return the features and what stands in their columns."""
        return self.features, [entry[name] for name in self.features]

    def names(self, entries: pa.Table) -> list[tuple[str, ...]]:
        """Return the features of every entry."""
        return [self.features] * len(entries)

    def matrices(self, column: pa.ChunkedArray) -> list[np.ndarray | None]:
        """Return the matrices of a column of tensors."""
        is_there = column.is_valid().to_pylist()
        found = matrices(column, len(self.features))
        return [values if there else None for values, there in zip(found, is_there, strict=True)]

    def sized(self, entries: pa.Table, interactions: pa.ChunkedArray | None, has_values: np.ndarray) -> Iterator[Sized]:
        """Give all entries that have values at once."""
        place = np.flatnonzero(has_values)
        if not len(place):
            return
        phi = np.stack([entries[name].cast(pa.float64()).to_numpy() for name in self.features], axis=1)[place]
        gamma = None if interactions is None else matrices(interactions, len(self.features))[place]
        yield Sized(place, phi, gamma)

    def explanation(self, entries: pa.Table, some: Sized, known: Mapping[str, Any]) -> Explanation:
        """Return the explanation of some entries."""
        return Explanation(feature_names=self.features, attributions=some.phi, interactions=some.gamma, **known)

    def own_names(self, names: tuple[str, ...]) -> tuple[str, ...] | None:
        """Return None: all records have the features."""
        return None

    def typical_size(self, n_shown: int) -> int:
        """Return that number: a record has all features, and those that are shown are kept of it."""
        return n_shown

    def row_count(self, ranking: pa.Table) -> int | None:
        """Return the rows of any entry: every row has all features."""
        count: int = ranking["rows"][0].as_py()
        return count

    def weights(self, mean_abs: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return mean_abs: every feature is in as many rows."""
        return mean_abs

    def require_features(self, path: Location, reason: str) -> tuple[str, ...]:
        """Return the features."""
        return self.features

    def require_plot(self, path: Location, kind: str) -> None:
        """Raise RunError for a picture of one text."""
        if kind not in self.plots:
            raise RunError(f"{path}: explains a table. Expected a run over texts. Try waterfall.")


def matrices(column: pa.ChunkedArray, size: int) -> np.ndarray:
    """Return (n, size, size) of a column of tensors, NaN where it is null."""
    stored = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    storage = stored.storage
    values = storage.values.slice(storage.offset * size * size, len(storage) * size * size)
    found = values.to_numpy(zero_copy_only=False).reshape(len(storage), size, size)
    if storage.null_count:
        found = found.copy()
        found[storage.is_null().to_numpy(zero_copy_only=False)] = np.nan
    return found


def _tensors(interactions: np.ndarray, is_empty: np.ndarray) -> pa.Array:
    n_features = interactions.shape[1]
    values = numbers(interactions.reshape(-1))
    stored = pa.FixedSizeListArray.from_arrays(values, n_features * n_features, mask=mask_of(is_empty))
    type_ = pa.fixed_shape_tensor(values.type, (n_features, n_features), dim_names=ENDS)
    return pa.ExtensionArray.from_storage(type_, stored)


def _known_beside(explanation: Explanation) -> tuple[str, ...]:
    bars = () if explanation.interaction_error is None else (ERROR_BAR, CERTAIN)
    return bars if explanation.interaction_spread is None else (*bars, STANDARD_ERROR)


def _top_pairs(explanation: Explanation, is_empty: np.ndarray, top: int) -> pa.Array:
    gamma, there = explanation.interactions, np.flatnonzero(~is_empty)
    assert gamma is not None
    names, n_features = strings(explanation.feature_names), len(explanation.feature_names)
    if isinstance(gamma, Factored):
        errors = explanation.interaction_error
        found = [top_pairs(gamma[row : row + 1], top, None if errors is None else errors[row]) for row in there]
    else:
        found = list(_top_of_whole(explanation, gamma, there, top))
    place = np.concatenate([np.zeros(0, np.int64), *(pairs.place.ravel() for pairs in found)])
    ends = [names.take(numbers(places)) for places in members(place, n_features)]
    return pairs_column(ends, found, is_empty, pa.from_numpy_dtype(gamma.dtype), _known_beside(explanation))


def _top_of_whole(explanation: Explanation, gamma: np.ndarray, there: np.ndarray, top: int) -> Iterator[TopPairs]:
    """Yield the largest pairs of these rows, of some of them at a time."""
    n_features = len(explanation.feature_names)
    first, second = np.triu_indices(n_features, 1)
    upper, rows = first * n_features + second, max(1, BLOCK_VALUES // (n_features * n_features))
    for start in range(0, len(there), rows):
        some = there[start : start + rows]
        errors, spread = (
            None if known is None else known[some]
            for known in (explanation.interaction_error, explanation.interaction_spread)
        )
        yield TopPairs.of(gamma[some], upper, top, errors, spread)
