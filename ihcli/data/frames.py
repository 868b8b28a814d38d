"""Data frames and arrays as rows to explain: their categories as codes, and what these stand for."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ihcli.data.coding import CategoryColumn, UnknownValueError, can_be_category
from ihcli.data.formats.table import has_dictionary, holds_text, is_number
from ihcli.data.tables import ArrayDataset
from ihcli.errors import DataError, OptionError
from ihcli.vocabulary import Vocabulary
from ihcli.wording import did_you_mean, first_line, listed, printable, quoted

NUMBERS = "biuf"  # kinds of numpy's types
OWN = "the categories of the frame"
HANDED_OVER = ("__arrow_c_stream__", "__arrow_c_array__", "__dataframe__")
"""Methods of frames that hand over their columns as Arrow's, which is how frames are read that are not of pandas."""


def rows_of(x: Any, features: Sequence[str] | None, given: Vocabulary | None) -> ArrayDataset:
    """Return the features of a data frame, or the columns of an array, as rows.

    Categories are columns that a vocabulary is given of, and those of text that pandas holds as categories, whose codes
    are the places among these.

    Parameters:
        features: names of the columns, by which those of a frame are picked; None: all as they are called, or counted.

    Raises DataError where columns are missing or hold neither numbers nor categories, OptionError for categories of a
    column that is not there.
    """
    if is_arrow(x):
        return _rows_of_arrow(arrow_table(x), features, given)
    if not is_frame(x):
        return _rows_of_array(np.asarray(x), features, given)
    names = _names_among(list(x.columns), features)
    frame = x[names]
    kinds = {getattr(type_, "kind", None) for type_ in frame.dtypes}
    if given is None and kinds <= {*NUMBERS, None}:
        matrix = frame.to_numpy()
        if matrix.dtype.kind in NUMBERS:
            return ArrayDataset(matrix, [str(name) for name in names])
    return _coded({str(name): _column(str(name), frame[name]) for name in names}, given)


def is_frame(x: Any) -> bool:
    """Return whether x is a data frame, whose columns have names: of pandas, or any that Arrow can read."""
    return (hasattr(x, "iloc") and hasattr(x, "columns")) or is_arrow(x)


def is_arrow(x: Any) -> bool:
    """Return whether x is a table of Arrow, or a frame that hands itself over as one, as those of polars do."""
    return not hasattr(x, "iloc") and any(hasattr(x, name) for name in HANDED_OVER)


def arrow_table(x: Any) -> pa.Table:
    """Return a frame as a table of Arrow, through its own interface; raises DataError where it is no table."""
    try:
        if hasattr(x, "__arrow_c_stream__") or hasattr(x, "__arrow_c_array__"):
            return pa.table(x)
        from pyarrow.interchange import from_dataframe

        return from_dataframe(x)
    except (pa.ArrowException, TypeError, ValueError, NotImplementedError, RuntimeError) as error:
        raise DataError(
            f"x: a {printable(type(x).__name__)} that is not a table: {first_line(error)}. Expected a frame with a "
            "column for each feature."
        ) from error


def _rows_of_arrow(table: pa.Table, features: Sequence[str] | None, given: Vocabulary | None) -> ArrayDataset:
    if not table.num_rows or not table.num_columns:
        return ArrayDataset(np.zeros((table.num_rows, table.num_columns)))  # which says so
    return _coded({name: _plain(table[name]) for name in _names_among(table.column_names, features)}, given)


def _plain(column: pa.ChunkedArray) -> pa.Array:
    """Return a column in one piece, its text as all of Arrow's functions take it."""
    if pa.types.is_dictionary(column.type):
        return column.unify_dictionaries().combine_chunks()
    return column.combine_chunks() if column.type != pa.string_view() else column.cast(pa.string()).combine_chunks()


def _names_among(columns: Sequence[Any], features: Sequence[str] | None) -> list[Any]:
    """Return which columns of a frame are taken, in their order."""
    names, counts = list(columns) if features is None else list(features), Counter(columns)
    for name in names:
        if counts[name] > 1:
            raise DataError(f"x: has {counts[name]} columns {quoted(str(name))}. Expected each name once.")
    missing = [name for name in names if name not in counts]
    if missing:
        close = did_you_mean(str(missing[0]), [str(name) for name in columns])
        raise DataError(f"x: lacks {len(missing)} of the model's features, the first is {missing[0]!r}.{close}")
    return names


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
        raise DataError(f"x: column {quoted(name)} holds {what}. Expected numbers or booleans.{_advice(name, column)}")
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)


def _advice(name: str, column: pa.Array) -> str:
    """Return what makes numbers of a column that holds none: of those written as text, of categories and of times."""
    if can_be_category(column.type):
        if _are_written_numbers(column):
            return f" Try x[{name!r}] = x[{name!r}].astype(float)."
        return f" Try categories={{{name!r}: [...]}} with its values in the order of the model's codes."
    if pa.types.is_temporal(column.type):
        return " Try the number that the model was trained on in its place, such as days since a date."
    return ""


def _are_written_numbers(column: pa.Array) -> bool:
    try:
        return len(column.drop_null().cast(pa.float64())) > 0
    except pa.ArrowException:
        return False
