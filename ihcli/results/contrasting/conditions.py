"""Conditions on rows, such as age>=50 or sex=F: a column, a comparison and a value; nothing of it is ever run."""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ihcli.errors import OptionError
from ihcli.results.contrasting.columns import Columns, Values
from ihcli.wording import argument, quoted

COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "==": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
AS_NUMBERS = "`data` with a table of the same rows and a number for each word, such as the month of a date"
"""What helps where words are to be ordered."""
OF_WORDS = ("!=", "==", "=")
TRUTH = {"true": 1.0, "false": 0.0}
COMPARED = re.compile(rf"\s*({'|'.join(COMPARISONS)})\s*(.+?)\s*", re.DOTALL)


@dataclass(frozen=True)
class Condition:
    """A comparison of a column with a value, which is a number or a word as the column holds them; text as given."""

    text: str
    column: str
    comparison: str
    value: float | str

    @classmethod
    def parse(cls, text: str, columns: Columns, option: str = "where") -> "Condition":
        """Read COLUMN, a comparison and a value; names may hold signs, and the longest that there is counts.

        Raises OptionError.
        """
        asked, found = f"`{option}={text}`", read(text, columns)
        if found is None:
            name, sign = _ends(text)
            if sign:
                raise columns.unknown(name, asked)
            raise OptionError(
                f"{asked}: is not a condition. Expected COLUMN=VALUE, or one of {', '.join(COMPARISONS)} in place of "
                f"=, got {text!r}. Try `{option}={argument('age>=50')}`."
            )
        column, sign, value = found
        if not columns.is_number(column, asked):
            if sign not in OF_WORDS:
                raise OptionError(
                    f"{asked}: column {quoted(column)} holds words, which have no order. Expected = or !=, got {sign}. "
                    f"Try `{option}={argument(f'{column}={value}')}`, or {AS_NUMBERS}."
                )
            return cls(text, column, sign, value)
        if np.isnan(compared := _number(value)):
            raise OptionError(
                f"{asked}: column {quoted(column)} holds numbers. Expected a number behind {sign}, got {value!r}. "
                f"Try `{option}={argument(f'{column}{sign}1')}`."
            )
        return cls(text, column, sign, compared)

    def holds(self, values: Mapping[str, Values]) -> np.ndarray:
        """Return in which rows it holds, (n,) bool; never where there is no value."""
        found = values[self.column]
        if isinstance(found, pa.Array):
            same = pc.fill_null(pc.equal(found, pa.scalar(self.value)), self.comparison == "!=")
            is_same = np.asarray(same.to_numpy(zero_copy_only=False), bool)
            is_there = np.asarray(found.is_valid().to_numpy(zero_copy_only=False), bool)
            return is_there & (~is_same if self.comparison == "!=" else is_same)
        return ~np.isnan(found) & np.asarray(COMPARISONS[self.comparison](found, self.value), bool)


def all_hold(conditions: Sequence[Condition], values: Mapping[str, Values], n: int) -> np.ndarray:
    """Return in which of n rows all of the conditions hold."""
    return np.logical_and.reduce([np.ones(n, bool), *(condition.holds(values) for condition in conditions)])


def read(text: str, columns: Columns) -> tuple[str, str, str] | None:
    """Return column, comparison and value; None where no known column is compared with anything."""
    return next((found for names in columns.sources() if (found := starts(text, names))), None)


def starts(text: str, names: Sequence[str]) -> tuple[str, str, str] | None:
    """Return what follows the longest of the names with which a text starts, and which a comparison follows."""
    for name in sorted(names, key=len, reverse=True):
        if name and text.startswith(name) and (rest := COMPARED.fullmatch(text[len(name) :])):
            return name, rest[1], _unquoted(rest[2])
    return None


def _ends(text: str) -> tuple[str, str]:
    """Return what stands before the first comparison, and this."""
    found = re.search("|".join(COMPARISONS), text)
    return (text[: found.start()].strip(), found[0]) if found else (text, "")


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value


def _number(value: str) -> float:
    """Return the number that a text is, NaN where it is none."""
    try:
        return TRUTH[value.lower()] if value.lower() in TRUTH else float(value)
    except ValueError:
        return np.nan
