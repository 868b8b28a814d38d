"""What people hold numbers in: tensors, masked and sparse arrays, lists of tensors, as arrays; what is none is told."""

from typing import Any

import numpy as np
import torch

from ihcli.errors import DataError
from ihcli.wording import printable

OF_NUMPY = (torch.float16, torch.float32, torch.float64)


def plain(values: Any) -> Any:
    """Return tensors, masked arrays, where what is masked is missing, and sparse ones as arrays, all else as it is.

    Raises DataError for a tensor that holds no numbers.
    """
    if isinstance(values, list) and values and all(isinstance(one, torch.Tensor) and one.ndim for one in values):
        return [plain(one) for one in values]
    if isinstance(values, torch.Tensor):
        return _array(values)
    if isinstance(values, np.ma.MaskedArray):
        return np.where(np.ma.getmaskarray(values), np.nan, values.data)
    if isinstance(values, np.matrix):
        return np.asarray(values)
    if hasattr(values, "toarray") and hasattr(values, "nnz"):  # scipy's, which need not be installed
        return values.toarray()
    return values


def matrix_of(x: Any) -> np.ndarray:
    """Return rows as an array; raises DataError for what is no array, with what makes one of it."""
    try:
        found = np.asarray(x)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"x: {_called(x)} is not an array, as its rows differ. Expected rows of one length.") from error
    if found.dtype.names or hasattr(x, "tensors") or (found.dtype == object and found.ndim < 2):
        raise DataError(
            f"x: {_called(x)} is not an array of numbers. Expected (rows, features), or a frame.{_advice(x)}"
        )
    return found


def _array(tensor: torch.Tensor) -> np.ndarray:
    found = tensor.detach()
    if found.is_meta or found.is_nested:
        where = "on the device meta" if found.is_meta else "nested"
        raise DataError(f"x: a tensor that is {where} has no numbers as rows have them. Expected a plain one.")
    if found.layout != torch.strided:
        found = found.to_dense()
    if found.is_quantized:
        found = found.dequantize()
    if found.is_floating_point() and found.dtype not in OF_NUMPY:
        found = found.float()  # numpy has no bfloat16
    array: np.ndarray = found.cpu().resolve_conj().resolve_neg().numpy()
    return array


def _called(x: Any) -> str:
    return printable(type(x).__name__)


def _advice(x: Any) -> str:
    """Return the call that makes rows of what is known, and holds them."""
    if hasattr(x, "batch_size"):
        return " Try torch.cat([batch[0] for batch in x])."
    if hasattr(x, "tensors"):
        return " Try x.tensors[0]."
    if isinstance(x, np.ndarray) or (isinstance(x, list) and x and isinstance(x[0], dict)):
        return " Try pandas.DataFrame(x)."
    return " Try list(x)." if hasattr(x, "__next__") else ""
