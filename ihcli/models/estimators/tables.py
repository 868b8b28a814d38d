"""What the codes of one category column stand for, over all encoders that read it, and the numbers they become."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ihcli.models.estimators.columns import Coded, Number
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
        codes = [source.codes for source in sources if isinstance(source, Coded)]
        self._places = {id(each): {value: place for place, value in enumerate(each.values)} for each in codes}
        values = dict.fromkeys(value for each in codes for value in each.values)
        self._keys: list[Any] = [key for key in (*values, None, _OTHER) if self._is_taken(key, sources)]
        if not any(key is not None and key is not _OTHER for key in self._keys):
            raise UnfoldedError("an encoder that takes no value of its column")

    @property
    def category(self) -> Category:
        """What the codes stand for."""
        values = tuple(key for key in self._keys if key is not _OTHER)
        return Category(values, len(values) if _OTHER in self._keys else None)

    def numbers(self, source: Source) -> np.ndarray:
        """Return the number of each code."""
        return np.array([self._number(source, key) for key in self._keys], np.float64)

    def _is_taken(self, key: Any, sources: Sequence[Source]) -> bool:
        return all(math.isfinite(self._number(source, key)) for source in sources)

    def _number(self, source: Source, key: Any) -> float:
        if isinstance(source, Number):
            return math.nan if key is _OTHER else _as_number(source, key)
        codes, places = source.codes, self._places[id(source.codes)]
        place = len(codes.values) if key is None else places.get(key, len(codes.values) + 1)
        return float(source.numbers[place]) if codes.taken[place] else math.nan


def _as_number(source: Number, value: Any) -> float:
    """Return the number that a value of a category column is, where the column is read as a number as well."""
    value = source.source.of(value)
    if isinstance(value, str):
        raise UnfoldedError("a column of text that is read as numbers")
    found = np.array([math.nan if is_missing(value) else float(value)])
    for step in source.steps:
        found = step.of(found)
    return float(found[0])
