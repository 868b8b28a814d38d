"""Groups of rows by columns: values, bins of about as many rows, or whether a condition holds."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ihcli.errors import OptionError
from ihcli.files.arrays import strings
from ihcli.results.contrasting.blocks import Rows
from ihcli.results.contrasting.columns import Columns, Values
from ihcli.results.contrasting.conditions import AS_NUMBERS, Condition, starts
from ihcli.results.contrasting.drawing import Drawing
from ihcli.wording import argument, printable, quoted

MOST_GROUPS = 20
MOST_LEVELS = 10
"""Different numbers of a column that are groups of their own; of more, two bins are made."""
MOST_VALUES = 1 << 20
"""Of a column, by which bins are cut: all of them, or of more rows so many chosen at random."""
BINNED = re.compile(r"(.+):([1-9][0-9]*)", re.DOTALL)
DIGITS = 6  # of the ends of bins


class Rule(Protocol):
    """A way to tell groups by a column: their names, and which of them each row is in, -1 for none."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the groups."""

    def codes(self, values: Mapping[str, Values]) -> np.ndarray:
        """Return the group of each row, (n,)."""


@dataclass(frozen=True)
class Levels:
    """Each value is a group."""

    column: str
    values: tuple[Any, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """COLUMN=VALUE."""
        return tuple(f"{self.column}={value if isinstance(value, str) else number(value)}" for value in self.values)

    def codes(self, values: Mapping[str, Values]) -> np.ndarray:
        """Return places among the values."""
        found = values[self.column]
        if isinstance(found, pa.Array):
            places = pc.index_in(found, value_set=strings([str(value) for value in self.values]))
            return np.asarray(pc.fill_null(places, -1).to_numpy(zero_copy_only=False), np.int64)
        known = np.array(self.values, np.float64)
        places = np.minimum(np.searchsorted(known, found), len(known) - 1)
        return np.where(known[places] == found, places, -1)


@dataclass(frozen=True)
class Bins:
    """Intervals of numbers, each from its lower end on."""

    column: str
    ends: tuple[float, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Such as age<48, 48<=age<55 and age>=55."""
        ends = [number(end) for end in self.ends]
        inner = (f"{low}<={self.column}<{high}" for low, high in pairwise(ends))
        return (f"{self.column}<{ends[0]}", *inner, f"{self.column}>={ends[-1]}")

    def codes(self, values: Mapping[str, Values]) -> np.ndarray:
        """Return the bin of each number."""
        found = values[self.column]
        return np.where(np.isnan(found), -1, np.searchsorted(np.array(self.ends), found, side="right"))


@dataclass(frozen=True)
class Split:
    """Rows in which a condition does not hold, and those in which it does."""

    condition: Condition

    @property
    def labels(self) -> tuple[str, ...]:
        """The condition, with a word before it."""
        return f"not {self.condition.text}", self.condition.text

    def codes(self, values: Mapping[str, Values]) -> np.ndarray:
        """Return 0 or 1; rows without a value of the column are in neither."""
        found = values[self.condition.column]
        is_there = found.is_valid().to_numpy(zero_copy_only=False) if isinstance(found, pa.Array) else ~np.isnan(found)
        return np.where(is_there, self.condition.holds(values).astype(np.int64), -1)


@dataclass(frozen=True)
class Groups:
    """Groups of rows by one rule, or by several: each combination of theirs."""

    rules: tuple[Rule, ...]
    columns: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """What each group is called, in order."""
        return tuple(", ".join(some) for some in product(*(rule.labels for rule in self.rules)))

    def codes(self, values: Mapping[str, Values]) -> np.ndarray:
        """Return the group of each row, (n,), -1 for none."""
        found = np.zeros(1, np.int64)
        for rule in self.rules:
            own = rule.codes(values)
            found = np.where((found < 0) | (own < 0), -1, found * len(rule.labels) + own)
        return found


@dataclass(frozen=True)
class _Asked:
    """What is named to group by: a column, into how many bins it is cut (0: not said), or a condition."""

    text: str
    column: str
    bins: int = 0
    condition: Condition | None = None


def groups_of(rows: Rows, by: Sequence[str]) -> Groups:
    """Return the groups that are asked for; reads their columns once, where values or bins are to be found.

    Parameters:
        by: a column, COLUMN:BINS, or a condition; of several, rows are grouped by all of them together.

    Raises OptionError for what cannot be grouped by.
    """
    asked = [_asked(text, rows.columns) for text in by]
    columns = tuple(dict.fromkeys(each.column for each in asked))
    survey = _Survey(rows, {each.column for each in asked if each.condition is None})
    rules = tuple(survey.rule(each) if each.condition is None else Split(each.condition) for each in asked)
    groups = Groups(rules, columns, tuple(survey.notes))
    if len(groups.labels) > MOST_GROUPS:
        raise OptionError(
            f"`by`: {len(groups.labels)} groups. Expected {MOST_GROUPS} at most. Try fewer columns, or fewer bins."
        )
    return groups


def number(value: float) -> str:
    """Return a number as a label has it: whole, or with a few digits."""
    return f"{value:.0f}" if value == round(value) and abs(value) < 1e15 else repr(value)


def _asked(text: str, columns: Columns) -> _Asked:
    """Tell a name from COLUMN:BINS and from a condition, where columns are looked for first; a name comes first."""
    binned = BINNED.fullmatch(text)
    for names in columns.sources():
        if text in names:
            return _Asked(text, text)
        if binned and binned[1] in names:
            return _Asked(text, binned[1], _bins(text, binned, columns))
        if starts(text, names):
            break
    if re.search("[<>=]", text):
        condition = Condition.parse(text, columns, "by")
        return _Asked(text, condition.column, condition=condition)
    raise columns.unknown(binned[1] if binned else text, f"`by={text}`")


def _bins(text: str, binned: re.Match[str], columns: Columns) -> int:
    if not columns.is_number(binned[1], f"`by={text}`"):
        raise OptionError(
            f"`by={text}`: column {quoted(binned[1])} holds words. Expected numbers, which can be cut into bins. Try "
            f"`by={argument(binned[1])}`, where words are few, or {AS_NUMBERS}."
        )
    if not 2 <= int(binned[2]) <= MOST_GROUPS:
        raise OptionError(
            f"`by={text}`: {int(binned[2])} bins. Expected 2 to {MOST_GROUPS}. Try `by={argument(f'{binned[1]}:4')}`."
        )
    return int(binned[2])


class _Survey:
    """What columns hold in the rows that are looked at."""

    def __init__(self, rows: Rows, columns: set[str]) -> None:
        self._is_number = {name: rows.columns.is_number(name, f"`by={name}`") for name in sorted(columns)}
        self._drawn = {name: Drawing(MOST_VALUES, 0) for name, is_number in self._is_number.items() if is_number}
        self._levels: dict[str, set[Any]] = {name: set() for name in self._is_number}
        self.notes: list[str] = []
        for block in rows.blocks(beside=sorted(columns)) if columns else ():
            for name in self._is_number:
                self._see(name, block.beside[name])

    def rule(self, asked: _Asked) -> Rule:
        """Return how a column groups, and note it where that was not said. Raises OptionError."""
        name, levels = asked.column, sorted(self._levels[asked.column])
        if len(levels) < 2:
            raise OptionError(
                f"`by={printable(asked.text)}`: {_holds(name, levels)} in all rows that are looked at. Expected two "
                "values at least. Try another column."
            )
        if not self._is_number[name]:
            if len(levels) > MOST_GROUPS:
                raise OptionError(
                    f"`by={printable(asked.text)}`: column {quoted(name)} holds more than {MOST_GROUPS} different "
                    "words. Expected as many groups at most. Try a condition, such as "
                    f"`by={argument(f'{name}={levels[0]}')}`."
                )
            return Levels(name, tuple(levels))
        if not asked.bins and len(levels) <= MOST_LEVELS:
            return Levels(name, tuple(levels))
        if not asked.bins:
            self.notes.append(
                f"{printable(name)} holds many numbers: cut into halves. `by={argument(f'{name}:4')}` makes quarters."
            )
        return Bins(name, self._ends(asked))

    def _ends(self, asked: _Asked) -> tuple[float, ...]:
        """Return the quantiles of a column that are not its smallest value, rounded to a few digits."""
        drawn, bins = self._drawn[asked.column].chosen(), asked.bins or 2
        shares = np.arange(1, bins) / bins
        ends = [float(f"{end:.{DIGITS}g}") for end in np.quantile(drawn, shares, method="inverted_cdf")]
        inner = sorted({end for end in ends if drawn[0] < end <= drawn[-1]})
        if not inner:
            inner = [float(min(value for value in drawn if value > drawn[0]))]
        return tuple(inner)

    def _see(self, name: str, values: Values) -> None:
        levels = self._levels[name]
        if isinstance(values, pa.Array):
            found = values.drop_null().unique().to_pylist()
        else:
            there = values[~np.isnan(values)]
            self._drawn[name].add(there)
            found = np.unique(there).tolist()
        if len(levels) <= MOST_GROUPS:
            levels.update(found[: MOST_GROUPS + 1 + len(levels)])


def _holds(name: str, levels: Sequence[Any]) -> str:
    what = "no value" if not levels else "the same value"
    return f"column {quoted(name)} holds {what}"
