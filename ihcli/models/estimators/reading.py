"""Fitted attributes of scikit-learn's objects as a file has them: each is checked before it is used."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ihcli.models.pickles.allow_list import Record
from ihcli.wording import printable

MOST_STEPS, MOST_NUMBERS = 1000, 1 << 25
"""Steps of a pipeline, those within steps counted, and numbers of all tables and matrices that they are worked through
with: a small file may name one step, or one array, many times over."""


class UnfoldedError(Exception):
    """A step that no layer stands for; `str(error)` names it as a sentence goes on, "QuantileTransformer"."""


class BrokenError(Exception):
    """A fitted object that cannot have come of fitting; `str(error)` says what is wrong with it."""


class UnfittedError(Exception):
    """An object that was never fitted; `str(error)` says so."""


def class_of(record: Record) -> str:
    """Return the class of an object in words, without its module."""
    return printable(record.name.rpartition(".")[2], 60)


def parameter(record: Record, name: str, default: Any = None) -> Any:
    """Return what the object was made with; older releases lack some parameters."""
    return record.attributes.get(name, default)


def fitted(record: Record, name: str) -> Any:
    """Return a fitted attribute, unchecked."""
    try:
        return record.attributes[name]
    except KeyError:
        raise UnfittedError(f"its {record.name} was not fitted (it has no {name})") from None


def fitted_numbers(record: Record, name: str, length: int | None) -> np.ndarray:
    """Return a fitted row of so many finite numbers as float64."""
    found = fitted(record, name)
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "biuf" or found.ndim != 1:
        raise broken(record, name)
    if (length is not None and len(found) != length) or not np.isfinite(found).all():
        raise broken(record, name)
    return found.astype(np.float64, copy=False)


def fitted_matrix(record: Record, name: str, columns: int) -> np.ndarray:
    """Return a fitted matrix of so many columns of finite numbers as float64."""
    found = fitted(record, name)
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "iuf" or found.ndim != 2:
        raise broken(record, name)
    if found.shape[1] != columns or not np.isfinite(found).all():
        raise broken(record, name)
    return found.astype(np.float64, copy=False)


def fitted_lists(record: Record, name: str, length: int) -> Sequence[Any]:
    """Return a fitted list of so many entries, whatever they are."""
    found = fitted(record, name)
    if not isinstance(found, list | tuple) or len(found) != length:
        raise broken(record, name)
    return found


def require_width(record: Record, width: int) -> None:
    """Raise BrokenError where an object was fitted to another number of columns than it is given."""
    counted = record.attributes.get("n_features_in_", width)
    if counted != width:
        raise BrokenError(f"its {record.name} takes {printable(repr(counted))} inputs, but gets {width}")


def broken(record: Record, name: str) -> BrokenError:
    """Return the error of a fitted attribute that fitting does not leave."""
    return BrokenError(f"the {name} of its {record.name} are not as fitting leaves them")


def is_missing(value: Any) -> bool:
    """Return whether a value stands for none: None, NaN, or what pandas has for it."""
    return value is None or (isinstance(value, Record) and value.name == "NA") or bool(value != value)


def plain(value: Any) -> Any:
    """Return a value of a table as Python has it: text, a number, true or false, or None where it is missing.

    Whole numbers are integers, as they would be read from a table. Raises BrokenError for anything else.
    """
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, str | bool) or (isinstance(value, int) and abs(value) < 1 << 63):
        return value
    if is_missing(value):
        return None
    if isinstance(value, float) and math.isfinite(value):
        return int(value) if value.is_integer() else value
    raise BrokenError(f"a value {printable(repr(value), 40)} in a column that is neither text nor a number")
