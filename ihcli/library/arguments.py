"""Arguments of the front door by their types: what cannot be meant is answered before any work."""

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from typing import Any

import numpy as np

from ihcli.errors import OptionError
from ihcli.vocabulary import Vocabulary
from ihcli.wording import printable


def check_arguments(given: Mapping[str, Any]) -> None:
    """Raise OptionError for the first argument whose value is of a type that it cannot have."""
    for name, value in given.items():
        if name in CHECKS:
            check, expected = CHECKS[name]
            if not check(value):
                raise OptionError(f"`{name}`: {_shown(value)}. Expected {expected}.")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _is_positive(value: Any) -> bool:
    return _is_number(value) and bool(0 < value < math.inf)


def _is_whole(least: int) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        try:
            return not isinstance(value, bool) and not np.ndim(value) and operator.index(value) >= least
        except TypeError:
            return False

    return check


def _is_listed(value: Any) -> bool:
    return isinstance(value, Iterable) and hasattr(value, "__len__") and not isinstance(value, Mapping)


def _are_names(value: Any) -> bool:
    """Tell names in a list, or in what lists them, from one text and from numbers."""
    return _is_listed(value) and not isinstance(value, str) and all(map(_is_text, value))


def _are_categories(value: Any) -> bool:
    return isinstance(value, str | PathLike | Vocabulary) or (isinstance(value, Mapping) and all(map(_is_text, value)))


def _are_lists_of_names(value: Any) -> bool:
    return isinstance(value, Mapping) and _are_names(value.keys()) and all(map(_are_names, value.values()))


def _are_many(value: Any) -> bool:
    """Tell what has a length from a single value and a text."""
    return not isinstance(value, str | Mapping) and hasattr(value, "__len__") and np.ndim(value) > 0


def _is_any_of(*types: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, types)


def _is_device(value: Any) -> bool:
    """Tell names and torch's devices; torch is not imported, as a run is read without it."""
    return _is_text(value) or (type(value).__module__, type(value).__name__) == ("torch", "device")


def _is_dtype(value: Any) -> bool:
    """Tell torch's dtypes, and float32 and float64 by whatever numpy knows them by."""
    if (type(value).__module__, type(value).__name__) == ("torch", "dtype"):
        return True
    try:
        return np.dtype(value).name in ("float32", "float64")
    except (TypeError, ValueError):
        return False


def _is_heard(value: Any) -> bool:
    return isinstance(value, bool) or callable(value)


def _or_none(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or check(value)


CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "method": (_is_text, "the name of a method"),
    "scale": (_is_text, "the name of a scale, such as 'logit'"),
    "tolerance": (_or_none(_is_positive), "a finite number above 0"),
    "smooth": (lambda value: _is_text(value) or _is_number(value), "'auto', 'scan', 'none' or a number above 0"),
    "smooth_tolerance": (_is_positive, "a finite number above 0"),
    "smooth_stable": (_or_none(_is_positive), "a finite number above 0"),
    "max_evaluations": (_or_none(_is_whole(1)), "a whole number of at least 1"),
    "steps": (_or_none(_is_whole(0)), "a whole number, from 3 to 512"),
    "memory_bytes": (_or_none(_is_whole(1)), "a whole number of bytes, such as 2**30"),
    "engine": (_is_text, "the name of an engine, such as 'auto'"),
    "device": (_or_none(_is_device), "the name of a device, such as 'cpu' or 'cuda:0'"),
    "dtype": (_or_none(_is_dtype), "'float32' or 'float64'"),
    "baseline_rows": (lambda value: _is_text(value) or np.isscalar(value), "a whole number, or 'auto'"),
    "seed": (_is_whole(0), "a whole number of at least 0"),
    "feature_names": (_or_none(_is_listed), "a list of names"),
    "output_names": (_or_none(_is_listed), "a list of names"),
    "categories": (_or_none(_are_categories), "the values of each column, {'job': ['admin', 'blue']}, or a TOML file"),
    "sequence": (_or_none(_is_any_of(str, tuple, list, int)), "steps and channels, (24, 5) or '24x5'"),
    "units": (_or_none(_is_text), "what is explained, such as 'step' or 'word'"),
    "channels_first": (_is_any_of(bool, np.bool_), "True or False"),
    "groups": (_or_none(_are_lists_of_names), "a list of features for each name, {'group': ['a', 'b']}"),
    "inputs": (_or_none(_are_lists_of_names), "a list of features for each argument, {'x': ['a', 'b']}"),
    "layers": (lambda value: _is_text(value) or _are_names(value), "names of layers, as named_modules() has them"),
    "layer_names": (_or_none(_are_names), "a list of names"),
    "labels": (_or_none(_are_many), "a name or an index for each row"),
    "progress": (_is_heard, "True, False, or a function that hears the share that is done"),
}
"""What each argument may be, and that in words; others are checked where they are used."""


def _shown(value: Any) -> str:
    if isinstance(value, str | bool | int | float | tuple | list | dict | None):
        return f"is {printable(repr(value), 60)}"
    return f"is of the type {type(value).__name__}"
