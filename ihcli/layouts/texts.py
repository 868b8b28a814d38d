"""Texts: every entry has words or tokens of its own, in lists."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ihcli.errors import RunError
from ihcli.explanation import TextExplanation
from ihcli.files.arrays import numbers, strings
from ihcli.files.locations import Location
from ihcli.layouts.columns import CERTAIN, ERROR_BAR, TOP_DEFINITION, TopPairs, mask_of, pair_type, pairs_column
from ihcli.layouts.layout import OF_MODEL, Columns, Sized, Types
from ihcli.quality import ATTRIBUTIONS, CUTS, INTERACTIONS, OUTPUT_UNIT, UNITS, Trait, field_metadata
from ihcli.summaries.summary import AnySummary
from ihcli.summaries.texts import TextSummary
from ihcli.wording import either

DEFINITION = "Gamma (n x n over the units, symmetric, row-major): rows sum to the attributions"
MOST_LISTED = (1 << 31) - 1  # values in the lists of one column: Arrow's offsets have 32 bits
TYPICAL_WORDS = 40
NAMES = pa.list_(pa.string())
FLOATS = (pa.float32(), pa.float64())
"""Of a run in either precision: a part of empty texts alone has lists of float32 whatever the dtype."""
Stored = tuple[pa.Field, pa.Array]


@dataclass(frozen=True)
class TextLayout:
    """Texts by their units: word or token, None where it is not told; see `ihcli.layouts.layout.Layout`."""

    units: str | None = None

    plots: ClassVar[tuple[str, ...]] = ("bar", "heatmap", "network", "waterfall", "text", "convergence", *OF_MODEL)
    is_aligned: ClassVar[bool] = False
    in_reading_order: ClassVar[bool] = True
    counts_occurrences: ClassVar[bool] = True

    @property
    def noun(self) -> str:
        """What units are called."""
        return "words" if self.units in (None, *CUTS) else "steps"

    @property
    def records(self) -> str:
        """What records are called."""
        return "texts" if self.units in (None, *CUTS) else "sequences"

    @property
    def features(self) -> tuple[str, ...]:
        """None: texts share no units."""
        return ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The lists of units and of their attributions."""
        return UNITS, ATTRIBUTIONS

    @property
    def shared(self) -> tuple[str, ...]:
        """The lists of units."""
        return (UNITS,)

    @property
    def traits(self) -> frozenset[Trait]:
        """Texts, of which some may be cut."""
        return frozenset({"texts"})

    @property
    def metadata(self) -> Mapping[str, object]:
        """Nothing: every text has its units."""
        return {}

    def attributions(self, explanation: TextExplanation, is_empty: np.ndarray) -> Columns:
        """Return the units, and one attribution for each."""
        metadata = field_metadata("attribution phi of each unit", OUTPUT_UNIT)
        return [_units(explanation, is_empty), _lists(ATTRIBUTIONS, explanation.attributions, is_empty, metadata)]

    def interactions(self, explanation: TextExplanation, is_empty: np.ndarray, top: int | None) -> Columns:
        """Return the units, and the matrix over them row by row, or lists of pairs."""
        matrices = explanation.interactions
        if matrices is None:
            raise ValueError("no interactions to store")
        if top is None:
            stored = _lists(INTERACTIONS, matrices, is_empty, field_metadata(DEFINITION, OUTPUT_UNIT))
        else:
            stored = _top_pairs(explanation, matrices, is_empty, top)
        return [_units(explanation, is_empty), stored]

    def summary(self) -> AnySummary[TextExplanation]:
        """Return a summary of units and pairs by their text."""
        return TextSummary()

    def attribution_types(self, floats: pa.DataType) -> Types:
        """Return lists of words and of numbers."""
        return {UNITS: (NAMES,), ATTRIBUTIONS: tuple(map(pa.list_, FLOATS))}

    def interaction_types(self, floats: pa.DataType, *, pairs: bool, beside: Sequence[str] = ()) -> Types:
        """Return lists of words, and lists of numbers or pairs."""
        types = (pair_type(each, beside) if pairs else pa.list_(each) for each in FLOATS)
        return {UNITS: (NAMES,), INTERACTIONS: tuple(types)}

    def record(self, entry: Mapping[str, Any]) -> tuple[tuple[str, ...], Sequence[float]]:
        """Return the units of a text and their attributions, none of one without values."""
        return tuple(entry[UNITS] or ()), entry[ATTRIBUTIONS] or ()

    def names(self, entries: pa.Table) -> list[tuple[str, ...]]:
        """Return the units of each text."""
        return [tuple(units or ()) for units in entries[UNITS].to_pylist()]

    def matrices(self, column: pa.ChunkedArray) -> list[np.ndarray | None]:
        """Return the n^2 numbers of each list."""
        return [None if values is None else np.array(values) for values in column.to_pylist()]

    def sized(self, entries: pa.Table, interactions: pa.ChunkedArray | None, has_values: np.ndarray) -> Iterator[Sized]:
        """Give the texts of each length."""
        phi = _Lists.of(entries[ATTRIBUTIONS])
        lengths = _Lists.of(entries[UNITS]).lengths
        fitting = has_values & (phi.lengths == lengths) & (lengths > 0)
        gamma = None if interactions is None else _Lists.of(interactions)
        if gamma is not None:
            fitting &= gamma.lengths == lengths**2
        for n in np.unique(lengths[fitting]):
            place = np.flatnonzero(fitting & (lengths == n))
            square = None if gamma is None else gamma.take(place, n * n).reshape(-1, n, n)
            yield Sized(place, phi.take(place, n).astype(np.float64), square)

    def explanation(self, entries: pa.Table, some: Sized, known: Mapping[str, Any]) -> TextExplanation:
        """Return the explanation of some texts."""
        units = entries[UNITS].take(pa.array(some.place)).to_pylist()
        return TextExplanation(
            units=_objects([tuple(names) for names in units]),
            attributions=_objects(list(some.phi)),
            interactions=None if some.gamma is None else _objects(list(some.gamma)),
            **known,
        )

    def own_names(self, names: tuple[str, ...]) -> tuple[str, ...] | None:
        """Return the units."""
        return names

    def typical_size(self, n_shown: int) -> int:
        """Return the words of a sentence or two."""
        return TYPICAL_WORDS

    def row_count(self, ranking: pa.Table) -> int | None:
        """Return None: each unit is in other texts."""
        return None

    def weights(self, mean_abs: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return mean_abs times occurrences."""
        return mean_abs * rows

    def require_features(self, path: Location, reason: str) -> tuple[str, ...]:
        """Raise RunError: there are none."""
        raise RunError(f"{path}: explains {self.records}, {reason}")

    def require_plot(self, path: Location, kind: str) -> None:
        """Raise RunError for a picture of features."""
        if kind not in self.plots:
            raise RunError(
                f"{path}: explains {self.records}, and {kind} draws features of a table. Try {either(self.plots)}."
            )


def _units(explanation: TextExplanation, is_empty: np.ndarray) -> Stored:
    units = [None if empty else list(names) for names, empty in zip(explanation.units, is_empty, strict=True)]
    metadata = field_metadata("words or tokens of the text, in reading order; steps of the sequence")
    return pa.field(UNITS, NAMES, metadata=metadata), pa.array(units, NAMES)


def _top_pairs(explanation: TextExplanation, matrices: np.ndarray, is_empty: np.ndarray, top: int) -> Stored:
    errors, found = explanation.interaction_error, []
    ends: tuple[list[str], list[str]] = [], []
    for row in np.flatnonzero(~is_empty):
        names, error = explanation.units[row], None if errors is None else errors[row : row + 1]
        first, second = np.triu_indices(len(names), 1)
        found.append(TopPairs.of(matrices[row][None], first * len(names) + second, top, error, None))
        for told, members in zip(ends, (first, second), strict=True):
            told.extend(names[place] for place in members[found[-1].place[0]])
    floats = pa.from_numpy_dtype(_float_type(matrices))
    beside = () if errors is None else (ERROR_BAR, CERTAIN)
    column = pairs_column([strings(names) for names in ends], found, is_empty, floats, beside)
    metadata = field_metadata(TOP_DEFINITION, OUTPUT_UNIT)
    return pa.field(INTERACTIONS, column.type, metadata=metadata), column


def _lists(name: str, arrays: np.ndarray, is_empty: np.ndarray, metadata: Mapping[str, str]) -> Stored:
    """Return a column of one list per entry, of arrays of any shape (row-major), null where there is none."""
    kept = [np.ravel(values) for values, empty in zip(arrays, is_empty, strict=True) if not empty]
    sizes = np.zeros(len(arrays), np.int64)
    sizes[~is_empty] = [len(values) for values in kept]
    if sizes.sum() > MOST_LISTED:
        raise RunError(
            f"{name}: one part would hold {sizes.sum()} values. Expected at most {MOST_LISTED}. "
            "Try a smaller `chunk_rows`, or `interactions=top:K`."
        )
    offsets = numbers(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32))
    values = numbers(np.concatenate([*kept, np.zeros(0, _float_type(arrays))]))
    column = pa.ListArray.from_arrays(offsets, values, mask=mask_of(is_empty))
    return pa.field(name, column.type, metadata=metadata), column


def _float_type(arrays: np.ndarray) -> type[np.floating]:
    return next((values.dtype.type for values in arrays if values is not None), np.float32)


@dataclass(frozen=True)
class _Lists:
    """A column of lists: lengths (N,), -1 for null, and all values one after the other."""

    lengths: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> "_Lists":
        lengths = pc.fill_null(pc.list_value_length(column), -1).to_numpy()
        return cls(lengths.astype(np.int64), pc.list_flatten(column).to_numpy(zero_copy_only=False))

    def take(self, place: np.ndarray, length: int) -> np.ndarray:
        """Return (m, length) values of the lists at these places, which all have that length."""
        kept = np.maximum(self.lengths, 0)
        start = np.cumsum(kept) - kept
        return self.values[start[place][:, None] + np.arange(length)]


def _objects(values: Sequence[object]) -> np.ndarray:
    array = np.empty(len(values), object)
    for place, value in enumerate(values):
        array[place] = value
    return array
