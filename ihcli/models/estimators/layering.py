"""From columns as formulas of the raw table to layers of torch, and what the columns of the table are then."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ihcli.models.estimators.columns import (
    Clipped,
    Coded,
    Column,
    Mix,
    Mixed,
    Number,
    Numeric,
    Scaled,
    composed,
    fill_of,
    numeric,
)
from ihcli.models.estimators.reading import UnfoldedError
from ihcli.models.estimators.tables import Category, CodeTable, Source
from ihcli.models.layers import Affine, Beside, Columns, Function, Lookup

Fill = tuple[float, float]
"""What is replaced in a column, NaN for a missing value, and by what."""


@dataclass(frozen=True)
class Front:
    """The layers from the raw table to the first linear layer of a network.

    layers      one after the other
    order       (n,) for each output of the layers, which input of the network it is
    categories  the inputs that are codes, by their places
    fills       for each input what is put into it, None: nothing; None where that is all of them
    zero        for each input a number that the network sees as 0; None where it sees the table as it is
    """

    layers: list[nn.Module]
    order: np.ndarray
    categories: dict[int, Category]
    fills: tuple[Fill | None, ...] | None
    zero: tuple[float, ...] | None


def used_columns(columns: Sequence[Column]) -> list[int]:
    """Return which columns of the table these come of, ascending."""
    return sorted({_index(source) for source in _sources([numeric(column) for column in columns])})


def has_categories(columns: Sequence[Column]) -> bool:
    """Return whether columns come of values that an encoder tells apart."""
    return any(isinstance(source, Coded) for source in _sources([numeric(column) for column in columns]))


def front_of(columns: Sequence[Column], inputs: Sequence[int]) -> Front:
    """Return layers that compute columns, of these columns of the table as inputs.

    Raises UnfoldedError where there are no such layers.
    """
    found = [numeric(column) for column in columns]
    places = {index: place for place, index in enumerate(inputs)}
    of_input: list[list[Source]] = [[] for _ in inputs]
    for source in _sources(found):
        of_input[places[_index(source)]].append(source)
    tables = {place: CodeTable(sources) for place, sources in enumerate(of_input) if _is_category(sources)}
    layers, order = _Layers(tables, places).of(found)
    fills = tuple(None if place in tables else _fill(sources) for place, sources in enumerate(of_input))
    return Front(
        layers,
        np.array(order, np.int64),
        {place: table.category for place, table in tables.items()},
        fills if any(fills) else None,
        _zero(found, tables, places),
    )


def _index(source: Source) -> int:
    return source.codes.index if isinstance(source, Coded) else source.source.index


def _sources(columns: Sequence[Numeric]) -> list[Source]:
    """Return the columns of numbers and codes that columns come of; each mix is looked into once."""
    found: list[Source] = []
    mixes: dict[int, Mix] = {}
    pending = list(reversed(columns))
    while pending:
        column = pending.pop()
        if not isinstance(column, Mixed):
            found.append(column)
        elif id(column.mix) not in mixes:
            mixes[id(column.mix)] = column.mix
            pending += reversed(column.mix.sources)
    return found


def _is_category(sources: Sequence[Source]) -> bool:
    """Return whether an encoder tells values of a column apart, beside an indicator of missing ones."""
    coded = [source for source in sources if isinstance(source, Coded)]
    if coded and not any(source.codes.values for source in coded):
        raise UnfoldedError("SimpleImputer(add_indicator=True) of numbers")
    return bool(coded)


def _fill(sources: Sequence[Source]) -> Fill | None:
    """Return what is put into a column of numbers; raises UnfoldedError where steps put different things into it.

    Where one step fills gaps and another one does not, scikit-learn raises for a gap, and nothing is filled.
    """
    fills = {fill_of(source.source) for source in sources if isinstance(source, Number)}
    told = {str(fill): fill for fill in fills}  # as NaN is not equal to NaN
    if len(told) < 2:
        return next(iter(told.values()), None)
    if len(told) > 2 or None not in fills or any(fill and not math.isnan(fill[0]) for fill in fills):
        raise UnfoldedError("imputers that put different values into one column")
    return None


def _zero(columns: Sequence[Numeric], tables: dict[int, CodeTable], places: dict[int, int]) -> tuple[float, ...] | None:
    """Return inputs that the network sees as 0; behind a mix, those that the mix takes to it."""
    found = dict.fromkeys(places.values(), math.nan)
    pending = [(column, 0.0) for column in reversed(columns)]
    seen: set[int] = set()
    is_plain = True
    while pending:
        column, value = pending.pop()
        if isinstance(column, Mixed):
            if id(column.mix) not in seen:
                seen.add(id(column.mix))
                pending += zip(column.mix.sources, column.mix.centre.tolist(), strict=True)
            is_plain = False
        elif isinstance(column, Number) and math.isnan(found[places[column.source.index]]):
            found[places[column.source.index]] = column.inverse(value)
            is_plain &= not column.steps
    if is_plain and not tables:
        return None
    return tuple(0.0 if place in tables or not math.isfinite(value) else value for place, value in found.items())


class _Layers:
    """Layers for columns; those that come of one source and pass the same kinds of steps are computed together."""

    def __init__(self, tables: dict[int, CodeTable], places: dict[int, int]) -> None:
        self._tables, self._places = tables, places

    def of(self, columns: Sequence[Numeric]) -> tuple[list[nn.Module], list[int]]:
        """Return layers, one after the other, and which of the columns each of their outputs is."""
        groups: dict[Any, list[int]] = {}
        # In the order of the table, so that numbers of all of its columns need none to be picked.
        for place, column in sorted(enumerate(columns), key=lambda pair: self._place(pair[1])):
            groups.setdefault(self._shared(column), []).append(place)
        parts = [self._part([columns[place] for place in members]) for members in groups.values()]
        order = [place for members in groups.values() for place in members]
        if len(parts) == 1:
            return parts[0], order
        return [Beside([part[0] if len(part) == 1 else nn.Sequential(*part) for part in parts])], order

    def _place(self, column: Numeric) -> int:
        """Return which input a column comes of; of a mix, which of its outputs it is."""
        return column.place if isinstance(column, Mixed) else self._places[_index(column)]

    def _shared(self, column: Numeric) -> tuple[Any, ...]:
        """Return what the columns of one part share."""
        if isinstance(column, Mixed):
            return "mix", id(column.mix), _kinds(column)
        place = self._places[_index(column)]
        return ("codes", place) if place in self._tables else ("numbers", _kinds(column))

    def _part(self, columns: Sequence[Any]) -> list[nn.Module]:
        first = columns[0]
        if isinstance(first, Mixed):
            return [*self._mixed(first.mix, [column.place for column in columns]), *elementwise(columns)]
        place = self._places[_index(first)]
        if place in self._tables:
            rows = np.stack([self._tables[place].numbers(column) for column in columns], axis=1)
            return [Lookup(place, _tensor(rows))]
        places = [self._places[_index(column)] for column in columns]
        picked = [] if places == list(range(len(self._places))) else [Columns(_runs(places))]
        return [*picked, *elementwise(columns)]

    def _mixed(self, mix: Mix, rows: list[int]) -> list[nn.Module]:
        layers, order = self.of(mix.sources)
        return [*layers, linear(mix.weight[np.ix_(rows, order)], mix.bias[rows])]


def _kinds(column: Any) -> tuple[Any, ...]:
    """Return the steps of a column, but for what may differ from column to column in one layer."""
    kinds = tuple("scaled" if isinstance(step, Scaled) else step for step in column.steps)
    return () if set(kinds) == {"scaled"} else kinds


def elementwise(columns: Sequence[Any]) -> list[nn.Module]:
    """Return the layers for columns whose steps are of the same kinds, or affine, however many of them."""
    layers: list[nn.Module] = []
    if len({len(column.steps) for column in columns}) > 1:
        maps = [composed(column.steps) for column in columns]
        return [Affine(_tensor([each.scale for each in maps]), _tensor([each.shift for each in maps]))]
    for steps in zip(*(column.steps for column in columns), strict=True):
        if isinstance(steps[0], Scaled):
            layers.append(Affine(_tensor([step.scale for step in steps]), _tensor([step.shift for step in steps])))
        elif isinstance(steps[0], Clipped):
            layers.append(nn.Hardtanh(steps[0].low, steps[0].high))
        else:
            layers.append(Function(steps[0].name))
    return layers


def _runs(places: Sequence[int]) -> list[tuple[int, int]]:
    """Return neighbouring places as ranges."""
    runs: list[tuple[int, int]] = []
    for place in places:
        if runs and runs[-1][1] == place:
            runs[-1] = (runs[-1][0], place + 1)
        else:
            runs.append((place, place + 1))
    return runs


def linear(weight: np.ndarray, bias: np.ndarray) -> nn.Linear:
    """Return the layer of a weight (k, n) and a bias (k,)."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
    layer.weight = nn.Parameter(_tensor(weight))
    layer.bias = nn.Parameter(_tensor(bias))
    return layer


def _tensor(values: Any) -> Tensor:
    return torch.tensor(np.array(values, dtype=np.float64))
