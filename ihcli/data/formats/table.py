"""Files of one table, whatever their format: streamed in order as record batches, and as matrices of numbers."""

import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import pyarrow as pa

from ihcli.data.formats.conversions import by_listing
from ihcli.errors import DataError
from ihcli.files.locations import Location
from ihcli.wording import listed, printable

BATCH_VALUES = 1 << 20  # values held by one record batch, unless the columns are more than MOST_COLUMNS
MOST_COLUMNS = 1 << 13  # of wider tables batches are larger: each costs some microseconds for every column
LISTED_BY_HAND = "try `categories` with a TOML file that lists values in the order of the model's codes."
FLOATS = {pa.float32(), pa.float64()}


class TableFiles(ABC):
    """Files of one format with the same columns, read as one table: sorted file names, then file order.

    path    what the user named
    files   the files behind it, sorted
    format  in words
    schema  columns and types of the first file
    index_columns  those that the first file calls an index
    blanks  text that stands for no value in a column of categories
    """

    format: str
    schema: pa.Schema
    index_columns: frozenset[str] = frozenset()
    blanks: frozenset[str] = frozenset()

    def __init__(self, path: str, files: Sequence[Location]) -> None:
        self.path = path
        self.files = tuple(files)

    @abstractmethod
    def batches(
        self, wanted: pa.Schema, numbers: Sequence[str] = (), categories: Sequence[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Stream the wanted columns as those types; batches are never empty.

        Parameters:
            numbers: the first of them, which may come as numbers of any type; see `matrix_of`.
            categories: those behind them, which may come as any type; see `ihcli.data.coded`.

        Raises DataError where a file cannot be read or a value is not of its type.
        """

    @abstractmethod
    def feature_type(self, name: str) -> pa.DataType:
        """Return the type that `batches` can read a feature as: float64, or bool where text says true and false."""

    @abstractmethod
    def category_type(self, name: str) -> pa.DataType:
        """Return the type that `batches` can read a column of categories as, whatever it holds."""

    @abstractmethod
    def carried_types(self, names: Sequence[str]) -> dict[str, pa.DataType]:
        """Return the type in which each key or label column is carried without damage."""

    @abstractmethod
    def text_example(self, name: str) -> str | None:
        """Return a value of the column that is not a number, where looking for one is cheap."""

    def conversion(self, names: Sequence[str], kept: Sequence[str]) -> str | None:
        """Say how columns of text become numbers where they are nearly such; None where that cannot be told.

        Parameters:
            kept: columns that stay as they are written.
        """
        return None

    def listing(self, names: Sequence[str]) -> str | None:
        """Return what writes the sorted values of columns as `categories` reads them; None where that takes more."""
        if len(self.files) > 1:
            return None
        made = by_listing(self.files[0], self._by_pandas(), names)
        return (
            f"try {printable(made.line, None)} and `categories={shlex.quote(made.made)}`, where the model takes codes "
            "in sorted order, as LabelEncoder, OrdinalEncoder and pandas count."
        )

    @abstractmethod
    def _by_pandas(self) -> str:
        """Return the expression by which pandas reads text of a file FILE."""

    def header_of_numbers(self) -> str | None:
        """Return the first name where names look like values, as those of a file without a header do."""
        return None

    def naming(self) -> str:
        """Say how the columns of a file without a header get names."""
        return ""

    def _require_same_columns(self, file: Location, names: Sequence[str]) -> None:
        differing = sorted(set(names) ^ set(self.schema.names))
        if differing:
            raise DataError(
                f"{file}: its columns differ from those of {self.files[0].name} by {listed(differing)}. "
                "Expected the same columns in every file. Try a path that names only the files of one table."
            )


def is_number(type_: pa.DataType) -> bool:
    """Return whether a column of this type can be a feature: numbers, booleans, and columns that are all null."""
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    checks = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal, pa.types.is_null)
    return any(check(type_) for check in checks)


def holds_text(type_: pa.DataType) -> bool:
    """Return whether a column of this type holds text."""
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    return any(check(type_) for check in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def has_dictionary(type_: pa.DataType) -> bool:
    """Return whether a column of this type holds text and brings a dictionary, whose places can be codes."""
    return bool(pa.types.is_dictionary(type_)) and holds_text(type_)


def holds_lists(type_: pa.DataType) -> bool:
    """Return whether a column holds lists of numbers, or lists of such lists."""
    return is_list(type_) and (is_number(type_.value_type) or (is_nested(type_) and holds_lists(type_.value_type)))


def is_nested(type_: pa.DataType) -> bool:
    """Return whether a column holds lists of lists."""
    return is_list(type_) and is_list(type_.value_type)


def is_list(type_: pa.DataType) -> bool:
    """Return whether a column holds lists, of any length or of one."""
    checks = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(check(type_) for check in checks)


def matrix_of(batch: pa.RecordBatch, numbers: Sequence[str], order: Literal["C", "F"] = "C") -> np.ndarray:
    """Return columns of numbers as (n, D) float64, NaN where there is no value."""
    columns = batch.select(numbers)
    types = set(columns.schema.types)
    if len(types) == 1 and types <= FLOATS:
        return np.array(columns.to_tensor(null_to_nan=True, row_major=order == "C").to_numpy(), np.float64, order=order)
    matrix = np.empty(columns.shape, order=order)
    for i, column in enumerate(columns.columns):
        matrix[:, i] = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return matrix
