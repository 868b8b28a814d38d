"""Data frames and arrays as rows to explain: their categories as codes, and what these stand for."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ihcli.data.coding import CategoryColumn, UnknownValueError, can_be_category
from ihcli.data.formats.table import has_dictionary, holds_text, is_number
from ihcli.data.tables import ArrayDataset
from ihcli.errors import DataError, OptionError
from ihcli.vocabulary import Vocabulary
from ihcli.wording import did_you_mean, listed, quoted

NUMBERS = "biuf"  # kinds of numpy's types
OWN = "the categories of the frame"


def rows_of(x: Any, features: Sequence[str] | None, given: Vocabulary | None) -> ArrayDataset:
    """Return the features of a data frame, or the columns of an array, as rows.

    Categories are columns that a vocabulary is given of, and those of text that pandas holds as categories, whose codes
    are the places among these.

    Parameters:
        features: names of the columns, by which those of a frame are picked; None: all as they are called, or counted.

    Raises DataError where columns are missing or hold neither numbers nor categories, OptionError for categories of a
    column that is not there.
    """
    if not hasattr(x, "columns"):
        return _rows_of_array(np.asarray(x), features, given)
    names = list(x.columns) if features is None else list(features)
    missing = [name for name in names if name not in x.columns]
    if missing:
        raise DataError(f"x: lacks {len(missing)} of the model's features, the first is {missing[0]!r}.")
    frame = x[names]
    kinds = {getattr(type_, "kind", None) for type_ in frame.dtypes}
    if given is None and kinds <= {*NUMBERS, None}:
        matrix = frame.to_numpy()
        if matrix.dtype.kind in NUMBERS:
            return ArrayDataset(matrix, [str(name) for name in names])
    return _coded({str(name): _column(str(name), frame[name]) for name in names}, given)


def _rows_of_array(x: np.ndarray, features: Sequence[str] | None, given: Vocabulary | None) -> ArrayDataset:
    if given is None or x.ndim != 2:
        return ArrayDataset(x, features)
    names = [str(index) for index in range(x.shape[1])] if features is None else list(features)
    if len(names) != x.shape[1]:
        return ArrayDataset(x, features)  # which says so
    return _coded({name: _column(name, x[:, place]) for place, name in enumerate(names)}, given)


def _coded(columns: Mapping[str, pa.Array], given: Vocabulary | None) -> ArrayDataset:
    """Return rows of columns that are numbers or categories."""
    named = _required(columns, given)
    own = {
        name: tuple(column.dictionary.to_pylist())
        for name, column in columns.items()
        if name not in named.values and has_dictionary(column.type)
    }
    vocabulary = Vocabulary({**own, **named.values}, named.unknown, named.source, named.advice)
    matrix = np.empty((len(next(iter(columns.values()))), len(columns)))
    for place, (name, column) in enumerate(columns.items()):
        matrix[:, place] = _codes(name, column, vocabulary) if name in vocabulary.values else _numbers(name, column)
    return ArrayDataset(matrix, list(columns), vocabulary if vocabulary.values else None)


def _required(columns: Mapping[str, pa.Array], given: Vocabulary | None) -> Vocabulary:
    """Return what is given of the columns; raises OptionError where some of it is of no column."""
    if given is None:
        return Vocabulary({}, source=OWN)
    for name in given.values:
        if name not in columns:
            names = list(columns)
            raise OptionError(
                f"{given.source}: column {quoted(name)}: x has no such column. Expected one of its {len(names)} "
                f"columns: {listed(names)}.{did_you_mean(name, names)}"
            )
    return given.of(columns.keys())


def _column(name: str, values: Any) -> pa.Array:
    try:
        found = pa.array(values, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise DataError(f"x: column {quoted(name)} holds values of several types. Expected one type.") from error
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def _codes(name: str, column: pa.Array, vocabulary: Vocabulary) -> np.ndarray:
    if not can_be_category(column.type):
        raise DataError(f"x: column {quoted(name)} holds {column.type} values. Expected text, numbers or booleans.")
    try:
        return CategoryColumn(name, vocabulary, column.type).codes(column)
    except UnknownValueError as error:
        raise DataError(f"x: column {quoted(name)}, row {error.place}: {error.words}") from None


def _numbers(name: str, column: pa.Array) -> np.ndarray:
    if not is_number(column.type):
        what = "text" if holds_text(column.type) else f"{column.type} values"
        advice = f"Try categories={{{name!r}: [...]}} with its values in the order of the model's codes."
        raise DataError(f"x: column {quoted(name)} holds {what}. Expected numbers or booleans. {advice}")
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
