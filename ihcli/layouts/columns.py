"""Columns of Arrow that every layout makes: numbers, and the largest pairs of each entry."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ihcli.bars import certain_ranks, pair_bars
from ihcli.files.arrays import numbers
from ihcli.quality import NO_UNIT, OUTPUT_UNIT, Trait, field_metadata

TOP_DEFINITION = "the pairs i < j of largest |pair effect|, largest first; value = Gamma_ij + Gamma_ji"
ERROR_BAR, CERTAIN, STANDARD_ERROR = "error_bar", "certain", "standard_error"
BESIDE_PAIRS = {
    ERROR_BAR: ("how far value may be off, from _interaction_error", OUTPUT_UNIT),
    CERTAIN: ("whether the rank holds among all pairs of the row whatever errors within the bars", NO_UNIT),
    STANDARD_ERROR: ("of value, over the drawn baselines", OUTPUT_UNIT),
}
SPARSE = 16  # one of so many pair effects tells how large the largest are at least


def with_gaps(values: np.ndarray, is_empty: np.ndarray) -> pa.Array:
    """Return a column of floats (N,), null where an entry is empty or its value is NaN."""
    return numbers(values, is_null=is_empty | np.isnan(values))


def mask_of(is_empty: np.ndarray) -> pa.Array | None:
    """Return which entries of a column of lists are null, as Arrow takes it; None where none is."""
    return numbers(is_empty) if is_empty.any() else None


def pair_type(floats: pa.DataType, beside: Iterable[str] = ()) -> pa.DataType:
    """Return the type of a column of the largest pairs of each entry, with what of BESIDE_PAIRS there is of them."""
    more = [
        pa.field(name, pa.bool_() if name == CERTAIN else floats, metadata=field_metadata(*BESIDE_PAIRS[name]))
        for name in beside
    ]
    return pa.list_(pa.struct([("i", pa.string()), ("j", pa.string()), ("value", floats), *more]))


def holds_top_pairs(type_: pa.DataType) -> bool:
    """Whether a column of this type holds the largest pairs of a row, and not its matrix."""
    return bool(pa.types.is_list(type_) and pa.types.is_struct(type_.value_type))


def largest(magnitudes: np.ndarray, count: int) -> np.ndarray:
    """Return the indices of the largest magnitudes, largest first, ties by index."""
    some = magnitudes[::SPARSE]
    if count < len(some):
        # The count-th largest of some is at most that of all: what is smaller cannot be among the largest.
        (candidates,) = np.nonzero(~(magnitudes < np.partition(some, -count)[-count]))
    else:
        candidates = np.arange(len(magnitudes))
    order = np.argsort(-magnitudes[candidates], kind="stable")
    return candidates[order[:count]]


def known_beside(traits: Collection[Trait], n_baselines: int) -> tuple[str, ...]:
    """Return what stands beside the values of the largest pairs in a run with these traits."""
    if "interactions" not in traits:
        return ()
    return (ERROR_BAR, CERTAIN, *([STANDARD_ERROR] if "subsampled" in traits and n_baselines > 1 else []))


@dataclass(frozen=True)
class TopPairs:
    """The largest pairs of one entry, in order.

    place   (k,) of each in the upper triangle
    values  (k,): Gamma_gh + Gamma_hg
    beside  what else is known of them, by its name in BESIDE_PAIRS
    """

    place: np.ndarray
    values: np.ndarray
    beside: Mapping[str, np.ndarray]

    @classmethod
    def of(
        cls, gamma: np.ndarray, upper: np.ndarray, top: int, error: float | None, spread: np.ndarray | None
    ) -> "TopPairs":
        """Return the `top` largest pairs of a matrix.

        Parameters:
            upper: places of its upper triangle, row by row.
            error, spread: its `interaction_error` and `interaction_spread`, where these are known.
        """
        effects = 2 * gamma.ravel()[upper]  # as matrices are symmetric
        sizes = np.abs(effects)
        place = largest(sizes, top)
        beside = {}
        if error is not None:
            bars = 2 * pair_bars(gamma, error).ravel()[upper]
            most = sizes + bars
            most[place] = -np.inf
            certain = certain_ranks(effects[place], bars[place], most.max(initial=-np.inf))
            beside = {ERROR_BAR: bars[place], CERTAIN: np.arange(len(place)) < certain}
        if spread is not None:
            beside[STANDARD_ERROR] = 2 * spread.ravel()[upper][place]
        return cls(place, effects[place], beside)


def pairs_column(
    ends: Sequence[pa.Array],
    found: Sequence[TopPairs],
    is_empty: np.ndarray,
    floats: pa.DataType,
    beside: Sequence[str],
) -> pa.Array:
    """Return a column of the largest pairs of entries, null where one is empty (N,).

    Parameters:
        ends: names of the first and of the second members of all pairs, one entry after the other.
        found: the pairs of each entry that is not empty.
    """
    type_ = pair_type(floats, beside)
    values = [
        _concatenated([pairs.values for pairs in found], floats),
        *(_concatenated([pairs.beside[name] for pairs in found], type_.value_type.field(name).type) for name in beside),
    ]
    structs = pa.StructArray.from_arrays([*ends, *values], fields=list(type_.value_type))
    counts = np.zeros(len(is_empty), np.int64)
    counts[~is_empty] = [len(pairs.values) for pairs in found]
    offsets = numbers(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
    return pa.ListArray.from_arrays(offsets, structs, type=type_, mask=mask_of(is_empty))


def _concatenated(parts: Sequence[np.ndarray], type_: pa.DataType) -> pa.Array:
    values = np.concatenate([np.zeros(0, type_.to_pandas_dtype()), *parts])
    return numbers(values, type_, is_null=np.isnan(values))
