"""Values of category columns as the codes of a vocabulary, a block of a column at a time."""

import re
from collections.abc import Collection, Sequence
from numbers import Real
from typing import Any

import numpy as np
import pyarrow as pa

from ihcli.data.formats.table import holds_text, is_number
from ihcli.vocabulary import Vocabulary, shown
from ihcli.wording import did_you_mean

PLAIN_NUMBER = re.compile(r"[+-]?(0|[1-9][0-9]*)(\.[0-9]+)?")
ANSWERS = {"true": "1", "false": "0"}
MOST_SHOWN = 12


class CategoryColumn:
    """Codes of one category column.

    Text is told apart by its letters, numbers by their value. What is not found so is found by the number that text
    spells: 1, 1.0, "1" and "1.0" are one, as are true, "True" and 1. Where a column of numbers has a vocabulary without
    any, it holds codes already.

    Parameters:
        type_: of the stored column.
        blanks: text that stands for no value, unless it is listed.
    """

    def __init__(self, name: str, vocabulary: Vocabulary, type_: pa.DataType, blanks: Collection[str] = ()) -> None:
        self.name = name
        listed = vocabulary.values[name]
        self._vocabulary, self._listed = vocabulary, listed
        self._exact = {value: code for code, value in enumerate(listed) if value is not None}
        self._alike = _alike(listed)
        self._missing = float(listed.index(None)) if None in listed else np.nan
        self._unknown = vocabulary.code_of_unknown(name)
        self._blanks = frozenset(blanks)
        self.holds_codes = is_number(type_) and not self._alike

    def codes(self, column: pa.Array) -> np.ndarray:
        """Return the codes (n,) float64, NaN where there is no value; raises UnknownValueError for one not listed."""
        if pa.types.is_null(column.type):
            return np.full(len(column), self._missing)
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        codes = [self._code(value) for value in encoded.dictionary.to_pylist()]
        table = np.array([np.nan if code is None else code for code in codes] + [self._missing])
        places = encoded.indices.fill_null(len(codes)).to_numpy(zero_copy_only=False)
        if None in codes:
            self._refuse_unknown(encoded, codes, places)
        return np.asarray(table[places], np.float64)

    def _code(self, value: Any) -> float | None:
        """Return the code of a value; None where it has none."""
        if value is None or value != value:
            return self._missing
        found = self._coded(value) if self.holds_codes else self._exact.get(value, self._alike.get(_likeness(value)))
        if found is not None:
            return float(found)
        if value in self._blanks:
            return self._missing
        return None if self._unknown is None else float(self._unknown)

    def _coded(self, value: Any) -> float | None:
        return float(value) if 0 <= value < self._vocabulary.size(self.name) and float(value).is_integer() else None

    def _refuse_unknown(self, encoded: pa.DictionaryArray, codes: Sequence[float | None], places: np.ndarray) -> None:
        is_unknown = np.array([code is None for code in codes] + [False])[places]
        if is_unknown.any():
            place = int(is_unknown.argmax())
            raise UnknownValueError(place, self._in_words(encoded[place].as_py()))

    def _in_words(self, value: Any) -> str:
        """Return what is wrong with a value that is not listed."""
        listed, source = [value for value in self._listed if value is not None], self._vocabulary.source
        some = ", ".join(map(shown, listed[:MOST_SHOWN]))
        more = f" and {len(listed) - MOST_SHOWN} more" if len(listed) > MOST_SHOWN else ""
        what, codes = f"is not in {source}", ""
        value = int(value) if isinstance(value, float) and value.is_integer() else value
        if self.holds_codes:
            most = self._vocabulary.size(self.name) - 1
            what, codes = f"is not a code of {source}", f"a whole number from 0 to {most}, or "
        words = [name for name in listed if isinstance(name, str)]
        close = did_you_mean(value, words) if isinstance(value, str) else ""
        advice = f" {self._vocabulary.advice}" if self._vocabulary.advice else ""
        return f"{shown(value)} {what}. Expected {codes}one of {len(listed)}: {some}{more}.{close}{advice}"


class UnknownValueError(Exception):
    """A value that a vocabulary does not list: its place in the column, and what is wrong with it, in words."""

    def __init__(self, place: int, words: str) -> None:
        super().__init__(words)
        self.place = place
        self.words = words


def can_be_category(type_: pa.DataType) -> bool:
    """Return whether values of a column of this type can be looked up in a vocabulary."""
    return is_number(type_) or holds_text(type_)


def _likeness(value: Any) -> float | None:
    """Return what values share that are spelled differently: the number that they are, of false and true 0 and 1."""
    if isinstance(value, str):
        plain = ANSWERS.get(value.lower(), value)
        return float(plain) if PLAIN_NUMBER.fullmatch(plain) else None
    return float(value) if isinstance(value, Real) else None


def _alike(listed: Sequence[Any]) -> dict[float | None, int]:
    """Return the codes of numbers; not of those that several are."""
    found: dict[float | None, list[int]] = {}
    for code, value in enumerate(listed):
        if value is not None and (likeness := _likeness(value)) is not None:
            found.setdefault(likeness, []).append(code)
    return {likeness: codes[0] for likeness, codes in found.items() if len(codes) == 1}
