"""Columns of Arrow that every layout makes: numbers, and the largest pairs of each entry."""

import numpy as np
import pyarrow as pa

from ihcli.files.arrays import numbers

TOP_DEFINITION = "the pairs i < j of largest |pair effect|, largest first; value = Gamma_ij + Gamma_ji"
SPARSE = 16  # one of so many pair effects tells how large the largest are at least


def with_gaps(values: np.ndarray, is_empty: np.ndarray) -> pa.Array:
    """Return a column of floats (N,), null where an entry is empty or its value is NaN."""
    return numbers(values, is_null=is_empty | np.isnan(values))


def mask_of(is_empty: np.ndarray) -> pa.Array | None:
    """Return which entries of a column of lists are null, as Arrow takes it; None where none is."""
    return numbers(is_empty) if is_empty.any() else None


def pair_type(floats: pa.DataType) -> pa.DataType:
    """Return the type of a column of the largest pairs of each entry."""
    return pa.list_(pa.struct([("i", pa.string()), ("j", pa.string()), ("value", floats)]))


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
