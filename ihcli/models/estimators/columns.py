"""Columns between the steps of a pipeline, each as a formula of the raw table.

A column of the raw table stays raw until a step says what it is: an encoder makes a category of it, anything else a
number. A number keeps the element-wise steps that it passed; what a category stands for is worked out at once, code by
code.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ihcli.models.estimators.reading import UnfoldedError, is_missing

_INVERSES: dict[str, Callable[[float], float]] = {
    "log": math.exp,
    "log2": lambda value: 2.0**value,
    "log10": lambda value: 10.0**value,
    "log1p": math.expm1,
    "exp": math.log,
    "exp2": math.log2,
    "expm1": math.log1p,
    "sqrt": lambda value: value * value if value >= 0 else math.nan,
    "negative": lambda value: -value,
    "positive": lambda value: value,
    "reciprocal": lambda value: 1 / value,
    "tanh": math.atanh,
    "sinh": math.asinh,
    "arctan": math.tan,
    "arcsinh": math.sinh,
    "arctanh": math.tanh,
}


@dataclass(frozen=True)
class Scaled:
    """x to scale * x + shift."""

    scale: float
    shift: float

    def of(self, values: np.ndarray) -> np.ndarray:
        """Return the function of the values."""
        return self.scale * values + self.shift

    def inverse(self, value: float) -> float:
        """Return what is taken to a value; 0 where everything is taken to one."""
        return 0.0 if self.scale == 0 else (value - self.shift) / self.scale


@dataclass(frozen=True)
class Clipped:
    """x to the nearest value between low and high."""

    low: float
    high: float

    def of(self, values: np.ndarray) -> np.ndarray:
        """Return the function of the values."""
        return np.clip(values, self.low, self.high)

    def inverse(self, value: float) -> float:
        """Return what is taken to a value, or to the nearest there is."""
        return min(max(value, self.low), self.high)


@dataclass(frozen=True)
class Applied:
    """x to a function of numpy, by its name there."""

    name: str

    def of(self, values: np.ndarray) -> np.ndarray:
        """Return the function of the values."""
        with np.errstate(all="ignore"):
            found: np.ndarray = getattr(np, self.name)(values)
        return found

    def inverse(self, value: float) -> float:
        """Return what is taken to a value, NaN where that is not known."""
        try:
            return _INVERSES[self.name](value)
        except (KeyError, ValueError, ZeroDivisionError, OverflowError):
            return math.nan


Step = Scaled | Clipped | Applied


def composed(steps: "Sequence[Scaled]") -> Scaled:
    """Return one affine step in place of several."""
    scale, shift = 1.0, 0.0
    for step in steps:
        scale, shift = step.scale * scale, step.scale * shift + step.shift
    return Scaled(scale, shift)


@dataclass(frozen=True)
class Replaced:
    """What an imputer puts in place of a marker: a missing value (None), or a value that stands for one."""

    marker: str | int | float | bool | None
    by: str | int | float | bool

    def of(self, value: object) -> object:
        """Return the value, or what is put in its place."""
        is_marker = is_missing(value) if self.marker is None else value == self.marker
        return self.by if is_marker else value


@dataclass(frozen=True)
class Raw:
    """A column of the table, with what imputers put into it, one after the other."""

    index: int
    replaced: tuple[Replaced, ...] = ()

    def of(self, value: object) -> object:
        """Return what imputers make of a value."""
        for each in self.replaced:
            value = each.of(value)
        return value


@dataclass(frozen=True)
class Number:
    """A number of the table, and element-wise functions of it."""

    source: Raw
    steps: tuple[Step, ...] = ()

    def then(self, step: Step) -> "Number":
        """Return a function of it."""
        return replace(self, steps=(*self.steps, step))

    def inverse(self, value: float) -> float:
        """Return the number of the table that is taken to a value, NaN where that is not known."""
        for step in reversed(self.steps):
            value = step.inverse(value)
        return value


@dataclass(frozen=True, eq=False)
class Codes:
    """Values of one column of the table that an encoder tells apart.

    values  each once; behind them stand, as two more codes, a missing value and any other value
    taken   (len(values) + 2,) bool: whether the encoder takes it
    """

    index: int
    values: tuple[str | int | float | bool, ...]
    taken: np.ndarray


@dataclass(frozen=True, eq=False)
class Coded:
    """What each code stands for: numbers (len(codes.values) + 2,)."""

    codes: Codes
    numbers: np.ndarray

    def then(self, step: Step) -> "Coded":
        """Return a function of it."""
        return Coded(self.codes, step.of(self.numbers))


@dataclass(frozen=True, eq=False)
class Mix:
    """An affine map of several columns: sources (n) to weight (k, n) times them plus bias (k).

    centre  (n,) sources at which nothing is left but the bias of what follows: those that it takes to 0
    """

    sources: "tuple[Numeric, ...]"
    weight: np.ndarray
    bias: np.ndarray
    centre: np.ndarray


@dataclass(frozen=True)
class Mixed:
    """One of the columns that come of a mix, and element-wise functions of it."""

    mix: Mix
    place: int
    steps: tuple[Step, ...] = ()

    def then(self, step: Step) -> "Mixed":
        """Return a function of it."""
        return replace(self, steps=(*self.steps, step))


Column = Raw | Number | Coded | Mixed
Numeric = Number | Coded | Mixed


def numeric(column: Column) -> Numeric:
    """Return a column as what it is to every step but an encoder: a number."""
    return Number(column) if isinstance(column, Raw) else column


def then_all(columns: Sequence[Column], steps: Sequence[Step]) -> list[Column]:
    """Return columns, each behind a step of its own."""
    return [numeric(column).then(step) for column, step in zip(columns, steps, strict=True)]


def fill_of(source: Raw) -> tuple[float, float] | None:
    """Return the marker (NaN: a missing value) in a column of numbers and what is put in its place, None: nothing is.

    Raises UnfoldedError where that is not one number for another.
    """
    if not source.replaced:
        return None
    if len(source.replaced) > 1:
        raise UnfoldedError("SimpleImputer behind another one, for the same column")
    (only,) = source.replaced
    if isinstance(only.by, str) or isinstance(only.marker, str):
        raise UnfoldedError("SimpleImputer of text, without an encoder behind it")
    return math.nan if only.marker is None else float(only.marker), float(only.by)
