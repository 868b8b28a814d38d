"""Imputers: what is put in the place of missing values."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ihcli.models.estimators.columns import Coded, Codes, Column, Mixed, Raw, Replaced
from ihcli.models.estimators.reading import UnfoldedError, broken, fitted, is_missing, parameter, plain, require_width
from ihcli.models.pickles.allow_list import Record
from ihcli.models.pickles.arrays import DType


def imputed(imputer: Record, columns: Sequence[Column]) -> list[Column]:
    """Return columns with what a SimpleImputer puts into them; those without any value in training are left out."""
    require_width(imputer, len(columns))
    statistics = _statistics(imputer, len(columns))
    marker = plain(parameter(imputer, "missing_values"))
    found = [
        _replaced(column, Replaced(marker, value))
        for column, value in zip(columns, statistics, strict=True)
        if value is not None
    ]
    return found + [_indicator(columns[place], marker) for place in _indicated(imputer, len(columns))]


def _statistics(imputer: Record, width: int) -> list[Any]:
    """Return the value for each column, None for one that is left out."""
    found = fitted(imputer, "statistics_")
    if not isinstance(found, np.ndarray) or found.shape != (width,) or found.dtype.kind not in "OUbiuf":
        raise broken(imputer, "statistics_")
    is_left_out = [is_missing(value) for value in found]
    dtype = parameter(imputer, "_fill_dtype")
    dtype = dtype.dtype if isinstance(dtype, DType) else dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "iuf":
        found = np.where(is_left_out, 0, found).astype(dtype)
    return [None if left_out else plain(value) for left_out, value in zip(is_left_out, found, strict=True)]


def _replaced(column: Column, by: Replaced) -> Column:
    if isinstance(column, Raw):
        return replace(column, replaced=(*column.replaced, by))
    if isinstance(column, Coded):
        numbers = [by.of(value) for value in column.numbers]
        return Coded(column.codes, np.where(column.codes.taken, np.array(numbers, np.float64), np.nan))
    if isinstance(column, Mixed) or by.marker is not None or isinstance(by.by, str):
        raise UnfoldedError("SimpleImputer behind a step that is not a scaler")
    if any(each.marker is None for each in column.source.replaced):
        return column  # nothing is missing any more
    value = column.inverse(float(by.by))
    if math.isnan(value) or column.source.replaced:
        raise UnfoldedError("SimpleImputer behind a step that is not a scaler")
    return replace(column, source=Raw(column.source.index, (Replaced(None, value),)))


def _indicated(imputer: Record, width: int) -> list[int]:
    """Return the columns beside which another one tells what was missing."""
    if not parameter(imputer, "add_indicator", False):
        return []
    indicator = fitted(imputer, "indicator_")
    places = fitted(indicator, "features_") if isinstance(indicator, Record) else None
    if not isinstance(places, np.ndarray) or places.dtype.kind != "i" or not ((places >= 0) & (places < width)).all():
        raise broken(imputer, "indicator_")
    return [int(place) for place in places]


def _indicator(column: Column, marker: Any) -> Column:
    """Return 1 where a value is missing, else 0."""
    if not isinstance(column, Raw) or column.replaced or marker is not None:
        raise UnfoldedError("SimpleImputer(add_indicator=True) behind another step")
    return Coded(Codes(column.index, (), np.ones(2, bool)), np.array([1.0, 0.0]))
