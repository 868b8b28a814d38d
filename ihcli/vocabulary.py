"""What the codes 0, 1, ... of category columns stand for, and which output a label names; no torch."""

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import isfinite
from numbers import Real
from typing import Any, Literal

from ihcli.errors import OptionError
from ihcli.wording import printable, quoted

ERROR: Literal["error"] = "error"
MISSING, UNKNOWN = "(missing)", "(unknown)"
"""What codes are called that stand for no value, and for all that are not listed."""
SHOWN_LETTERS = 60


@dataclass(frozen=True)
class Vocabulary:
    """What codes of category columns stand for.

    values   of each category column, the one of code 0 first: text, numbers, true or false, each once; where None or
             NaN is among them, its code is that of missing values
    unknown  "error", or the code of every value that is not listed: one for all columns, or by column; it may be the
             first code behind those of the values
    source   what messages call it
    advice   what else to try where a value is not listed, in words

    Raises OptionError where columns or values are not as said.
    """

    values: Mapping[str, tuple[Any, ...]]
    unknown: Literal["error"] | int | Mapping[str, int] = ERROR
    source: str = "the vocabulary"
    advice: str = ""

    def __post_init__(self) -> None:
        values = {name: tuple(map(_plain, listed)) for name, listed in self.values.items()}
        object.__setattr__(self, "values", values)
        for name, listed in values.items():
            self._check(name, listed)

    def of(self, columns: Collection[str]) -> "Vocabulary":
        """Return what is said of these columns."""
        values = {name: listed for name, listed in self.values.items() if name in columns}
        return replace(self, values=values, unknown=self._unknown_of(values))

    def renamed(self, names: Mapping[str, str]) -> "Vocabulary":
        """Return the same of columns that are called otherwise."""
        values = {names[name]: listed for name, listed in self.values.items()}
        unknown = {names[name]: code for name, code in self._unknown_of(self.values).items()}
        return replace(self, values=values, unknown=unknown)

    def code_of_unknown(self, column: str) -> int | None:
        """Return the code of values that are not listed; None where these are errors."""
        if isinstance(self.unknown, Mapping):
            return self.unknown.get(column)
        return None if self.unknown == ERROR else int(self.unknown)

    def size(self, column: str) -> int:
        """Return how many codes there are."""
        listed, unknown = self.values[column], self.code_of_unknown(column)
        return max(len(listed), 0 if unknown is None else unknown + 1)

    def names(self, column: str) -> tuple[str, ...]:
        """Return what each code is shown as."""
        listed = tuple(map(in_words, self.values[column]))
        return listed if self.size(column) == len(listed) else (*listed, UNKNOWN)

    def name(self, column: str, code: float) -> str:
        """Return what a code is shown as; a number that is none as it is."""
        names = self.names(column)
        return names[int(code)] if float(code).is_integer() and 0 <= code < len(names) else f"{code:.4g}"

    def content(self) -> dict[str, Any]:
        """Return what JSON holds of it."""
        values = {name: list(listed) for name, listed in self.values.items()}
        return {"values": values, "unknown": self._unknown_of(values)}

    @cached_property
    def sha256(self) -> str:
        """Return the SHA-256 of what the codes stand for, whatever it is called and wherever it was read."""
        return hashlib.sha256(json.dumps(self.content(), sort_keys=True).encode()).hexdigest()

    def _unknown_of(self, columns: Collection[str]) -> dict[str, int]:
        """Return the code of values that are not listed, of columns that have one."""
        return {name: code for name in columns if (code := self.code_of_unknown(name)) is not None}

    def _check(self, name: str, listed: tuple[Any, ...]) -> None:
        where = f"{self.source}: column {quoted(name)}"
        if not listed:
            raise OptionError(f"{where} lists no value. Expected one at least.")
        for value in listed:
            if not (value is None or isinstance(value, str | int) or (isinstance(value, float) and isfinite(value))):
                raise OptionError(
                    f"{where} lists {printable(repr(value), SHOWN_LETTERS)}, of type {type(value).__name__}. Expected "
                    "text, finite numbers, true or false."
                )
        if (again := _first_repeated(listed)) is not None:
            first, second = again
            raise OptionError(
                f"{where} lists {shown(listed[first])} twice, as codes {first} and {second}. Expected each value once."
            )
        code = self.code_of_unknown(name)
        if code is not None and not 0 <= code <= len(listed):
            raise OptionError(
                f"{where} has {code} as the code of unknown values. Expected {ERROR}, or a code from 0 to "
                f"{len(listed) - 1}, or {len(listed)} for one of their own."
            )


def in_words(value: Any) -> str:
    """Return what a value of a vocabulary is shown as."""
    if value is None:
        return MISSING
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def shown(value: Any) -> str:
    """Return a value for a message, cut where it goes on and on."""
    return quoted(value[:SHOWN_LETTERS]) if isinstance(value, str) else repr(value)


def _plain(value: Any) -> Any:
    """Return a value as Python has it, None for NaN."""
    value = value.item() if hasattr(value, "dtype") and hasattr(value, "item") else value
    return None if value is None or (isinstance(value, float) and value != value) else value


def _first_repeated(listed: Sequence[Any]) -> tuple[int, int] | None:
    first: dict[Any, int] = {}
    for code, value in enumerate(listed):
        if first.setdefault(value, code) != code:
            return first[value], code
    return None


def label_index(value: Any, names: tuple[str, ...]) -> int | None:
    """Return the output that a label value names; where all names are numbers, an index would be a guess."""
    candidates = [str(value)]
    if (word := str(value).lower()) in ("true", "false"):
        candidates += [word, word.capitalize(), str(int(word == "true"))]
    elif re.fullmatch(r"[0-9]+\.0+", str(value)):
        candidates.append(str(value).partition(".")[0])
    elif isinstance(value, Real) and float(value).is_integer():
        candidates.append(str(int(float(value))))
    for candidate in candidates:
        if candidate in names:
            return names.index(candidate)
    index = candidates[-1]
    if any(name.lstrip("-").isdecimal() for name in names) or not index.isdecimal() or int(index) >= len(names):
        return None
    return int(index)
