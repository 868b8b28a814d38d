"""Columns of Arrow that every layout makes: numbers, and the largest pairs of each entry."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from ihcli.bars import Shares, are_certain, margins_of
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
    """The largest pairs of N entries over as many features or units each, in order.

    place   (N, k) of each in the upper triangle
    values  (N, k): Gamma_gh + Gamma_hg
    beside  what else is known of them, (N, k), by its name in BESIDE_PAIRS
    """

    place: np.ndarray
    values: np.ndarray
    beside: Mapping[str, np.ndarray]

    @classmethod
    def of(
        cls, gammas: np.ndarray, upper: np.ndarray, top: int, errors: np.ndarray | None, spreads: np.ndarray | None
    ) -> "TopPairs":
        """Return the `top` largest pairs of matrices.

        Parameters:
            gammas: (N, n, n), symmetric.
            upper: places of the upper triangle in such a matrix, row by row.
            errors, spreads: their `interaction_error` and `interaction_spread`, where these are known.
        """

        def of_pairs(matrices: np.ndarray) -> np.ndarray:
            return np.take(matrices.reshape(len(matrices), -1), upper, axis=1)

        entries = of_pairs(gammas)
        sizes, top = np.abs(entries), min(top, len(upper))
        place = np.array([largest(row, top) for row in sizes], np.int64).reshape(len(sizes), top)
        found, beside = cls(place, 2 * np.take_along_axis(entries, place, axis=1), {}), {}
        if errors is not None:
            beside = found._bars(sizes, upper, Shares.of(margins_of(np.abs(gammas)), errors))
        if spreads is not None:
            beside[STANDARD_ERROR] = 2 * np.take_along_axis(of_pairs(spreads), place, axis=1)
        return replace(found, beside=beside)

    def _bars(self, sizes: np.ndarray, upper: np.ndarray, shares: Shares) -> dict[str, np.ndarray]:
        """Return error bars, and which ranks are certain among all pairs.

        Of the pairs that are not among the largest, bars are taken where they can matter: of few, where errors are
        small.

        Parameters:
            sizes: (N, P) of all entries of the upper triangle.
        """
        width = shares.roots.shape[1]
        rows = np.arange(len(sizes))[:, None]
        bars = shares.at(rows, np.abs(self.values) / 2, *np.divmod(upper[self.place], width))
        least = (np.abs(self.values) / 2 - bars).min(axis=1, initial=np.inf)
        largest_sizes = sizes.max(axis=1, initial=0.0)
        matter = ~(sizes < (least - shares.most(largest_sizes))[:, None])
        np.put_along_axis(matter, self.place, False, axis=1)
        row, place = np.divmod(np.flatnonzero(matter), max(1, len(upper)))
        others, beyond = sizes[row, place], np.full(len(sizes), -np.inf)
        with np.errstate(invalid="ignore"):  # NaN where the error is not known
            np.maximum.at(beyond, row, others + shares.at(row, others, *np.divmod(upper[place], width)))
        return {ERROR_BAR: 2 * bars, CERTAIN: are_certain(self.values, 2 * bars, 2 * beyond)}


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
        found: the pairs of the entries that are not empty, of one or of several of them at a time.
    """
    type_ = pair_type(floats, beside)
    values = [
        _concatenated([pairs.values.ravel() for pairs in found], floats),
        *(
            _concatenated([pairs.beside[name].ravel() for pairs in found], type_.value_type.field(name).type)
            for name in beside
        ),
    ]
    structs = pa.StructArray.from_arrays([*ends, *values], fields=list(type_.value_type))
    counts = np.zeros(len(is_empty), np.int64)
    counts[~is_empty] = [count for pairs in found for count in [pairs.values.shape[1]] * len(pairs.values)]
    offsets = numbers(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
    return pa.ListArray.from_arrays(offsets, structs, type=type_, mask=mask_of(is_empty))


def _concatenated(parts: Sequence[np.ndarray], type_: pa.DataType) -> pa.Array:
    values = np.concatenate([np.zeros(0, type_.to_pandas_dtype()), *parts])
    return numbers(values, type_, is_null=np.isnan(values))
