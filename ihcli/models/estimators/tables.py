"""What the codes of one category column stand for, over all encoders that read it, and the numbers they become."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ihcli.models.estimators.columns import Coded, Codes, Number
from ihcli.models.estimators.reading import UnfoldedError, is_missing

Source = Number | Coded
_OTHER = object()
"""Any value that no encoder lists."""


@dataclass(frozen=True)
class Category:
    """What the codes of one column of the table stand for.

    values   that of code 0 first, None for a missing one
    unknown  the code of all other values; None: there is none
    """

    values: tuple[str | int | float | bool | None, ...]
    unknown: int | None


class CodeTable:
    """The numbers that each code of one column of the table becomes, in each of the columns that come of it.

    Codes are for the values that all encoders take, for a missing value where all take it, and for all others where
    all take those.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        """Take the columns that come of it; raises UnfoldedError where no value goes through."""
        every = {id(source.codes): source.codes for source in sources if isinstance(source, Coded)}
        values = dict.fromkeys(value for codes in every.values() for value in codes.values)
        self._keys: list[Any] = [*values, None, _OTHER]
        self._places = {key: _places(codes, self._keys) for key, codes in every.items()}
        taken = np.asarray(np.stack([self._is_taken(source) for source in sources]).all(axis=0))
        self._keys = [key for key, is_taken in zip(self._keys, taken, strict=True) if is_taken]
        self._places = {key: places[taken] for key, places in self._places.items()}
        if not taken[: len(values)].any():
            raise UnfoldedError("an encoder that takes no value of its column")

    @property
    def category(self) -> Category:
        """What the codes stand for."""
        values = tuple(key for key in self._keys if key is not _OTHER)
        return Category(values, len(values) if _OTHER in self._keys else None)

    def numbers(self, source: Source) -> np.ndarray:
        """Return the number of each code."""
        if isinstance(source, Coded):
            return source.numbers[self._places[id(source.codes)]]
        return np.array([_as_number(source, key) for key in self._keys], np.float64)

    def _is_taken(self, source: Source) -> np.ndarray:
        found = np.isfinite(self.numbers(source))
        return found & source.codes.taken[self._places[id(source.codes)]] if isinstance(source, Coded) else found


def _places(codes: Codes, keys: Sequence[Any]) -> np.ndarray:
    """Return where each key stands among codes: behind the values a missing one, then all others."""
    n, known = len(codes.values), {value: place for place, value in enumerate(codes.values)}
    return np.array([n if key is None else known.get(key, n + 1) for key in keys], np.int64)


def _as_number(source: Number, value: Any) -> float:
    """Return the number that a value of a category column is, where the column is read as a number as well."""
    if value is _OTHER:
        return math.nan
    value = source.source.of(value)
    if isinstance(value, str):
        raise UnfoldedError("a column of text that is read as numbers")
    found = np.array([math.nan if is_missing(value) else float(value)])
    for step in source.steps:
        found = step.of(found)
    return float(found[0])
