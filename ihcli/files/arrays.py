"""Arrow's arrays from buffers.

pyarrow imports pandas wherever it is given a list, an array of numpy or a number, which takes a third of a second: too
long for a command that needs no data frame.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa


def numbers(values: np.ndarray, type_: pa.DataType | None = None, is_null: np.ndarray | None = None) -> pa.Array:
    """Return numbers (n,) as an array.

    Parameters:
        type_: of numbers or of truth values; None: that of the values.
        is_null: (n,) bool; None: nothing is.
    """
    type_ = pa.from_numpy_dtype(values.dtype) if type_ is None else type_
    stored = np.ascontiguousarray(values, type_.to_pandas_dtype())
    buffer = _bits(stored) if stored.dtype == bool else pa.py_buffer(stored)
    validity = None if is_null is None or not is_null.any() else _bits(~is_null)
    return pa.Array.from_buffers(type_, len(stored), [validity, buffer])


def strings(values: Sequence[str | None]) -> pa.Array:
    """Return strings as an array, None as null."""
    encoded = [b"" if value is None else value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    is_null = np.array([value is None for value in values], bool)
    validity = _bits(~is_null) if is_null.any() else None
    buffers = [validity, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


def values_of(array: pa.Array) -> np.ndarray:
    """Return the numbers of an array without nulls, (n,); nothing is copied."""
    return np.from_dlpack(array)


def _bits(values: np.ndarray) -> pa.Buffer:
    return pa.py_buffer(np.packbits(values, bitorder="little"))
