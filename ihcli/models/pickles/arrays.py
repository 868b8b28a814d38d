"""numpy arrays, dtypes and scalars out of a pickle or joblib stream, each rebuilt from checked parts."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

_MOST_LENGTH = 1 << 40  # of an axis: beside an axis of length 0, more would need no bytes
_NATIVE_ORDERS = ("<", ">", "=", "|")


class DType:
    """A dtype as the stream describes it: plain numbers, strings or objects; no fields, no subarrays."""

    kinds = "biufcSUO"

    def __init__(self, code: str, *_: Any) -> None:
        if type(code) is not str:
            raise ValueError("a dtype without its code")
        self.dtype = _plain(np.dtype(code), self.kinds)

    def set_state(self, state: tuple[Any, ...]) -> None:
        """Take over the byte order, the only part of numpy's dtype state that a plain dtype needs."""
        order = state[1]
        if type(order) is not str or order not in _NATIVE_ORDERS:
            raise ValueError("a dtype without its byte order")
        if order in "<>":
            self.dtype = self.dtype.newbyteorder("<" if order == "<" else ">")


class OutlinedDType(DType):
    """The same for outlines, in which records with fields, such as nodes of trees, stand as so many bytes."""

    kinds = DType.kinds + "V"


class WrappedArray:
    """joblib's note about an array whose bytes follow in the stream."""

    def __init__(self, *_: Any) -> None:
        self.state: dict[str, Any] = {}

    def read(self, read: Callable[[int], bytes], read_nested: Callable[[], Any]) -> np.ndarray:
        """Return the array that follows: raw bytes, or for objects a nested pickle read by `read_nested`."""
        dtype, shape = self.state["dtype"].dtype, _shape(self.state["shape"])
        if dtype.hasobject:
            nested = read_nested()
            if type(nested) is not np.ndarray:
                raise ValueError("an object array was expected")
            return nested
        if self.state.get("numpy_array_alignment_bytes") is not None:
            read(read(1)[0])
        content = read(math.prod(shape) * dtype.itemsize)
        return shaped(content, dtype, shape, self.state["order"])


def shaped(content: Any, dtype: np.dtype, shape: Any, order: str) -> np.ndarray:
    """Return a writable array of numbers or strings over the given bytes, in native byte order."""
    if dtype.hasobject:
        raise ValueError("objects cannot be read from bytes")
    flat = np.frombuffer(content, dtype=dtype, count=math.prod(_shape(shape))).astype(dtype.newbyteorder("="))
    if order == "F":
        return flat.reshape(shape[::-1]).T
    return flat.reshape(shape)


def from_buffer(content: Any, dtype: DType, shape: tuple[int, ...], order: str) -> np.ndarray:
    """Return the array that protocol 5 stores as one buffer."""
    return shaped(content, dtype.dtype, shape, order)


def empty_array(kind: Any, *_: Any) -> np.ndarray:
    """Return the empty array that numpy's pickles start from; its state follows."""
    if kind is not np.ndarray:
        raise ValueError("only plain arrays are read")
    return np.ndarray((0,), dtype="i1")


def set_array_state(array: np.ndarray, state: tuple[Any, ...]) -> None:
    """Fill an array from numpy's own pickle state (version, shape, dtype, is it Fortran order, content).

    The content is checked first: the method of numpy that takes it over trusts what it is given.
    """
    version, shape, described, is_fortran, content = state
    dtype, count = described.dtype, math.prod(_shape(shape))
    if dtype.hasobject:
        if type(content) is not list or len(content) != count:
            raise ValueError("an object array without its list of objects")
    elif type(content) is not bytes or len(content) != count * dtype.itemsize:
        raise ValueError("an array whose bytes do not fit its shape")
    checked: Any = (int(version), shape, dtype, bool(is_fortran), content)
    array.__setstate__(checked)


def scalar(described: DType, content: Any) -> Any:
    """Return a numpy scalar from its bytes."""
    return shaped(content, described.dtype, (1,), "C")[0]


def _plain(dtype: np.dtype, kinds: str) -> np.dtype:
    if dtype.kind not in kinds or dtype.fields is not None or dtype.subdtype is not None:
        raise ValueError(f"dtype {dtype}")
    return dtype


def _shape(shape: Any) -> tuple[int, ...]:
    if type(shape) is not tuple or not all(type(length) is int and 0 <= length <= _MOST_LENGTH for length in shape):
        raise ValueError("an array whose shape is not a tuple of lengths")
    return shape
