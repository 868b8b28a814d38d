"""Tables of numbers to explain, in files or in an array, behind one interface of rows."""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import pyarrow as pa

from ihcli.data.coded import CodedTable, with_codes
from ihcli.data.columns import Columns, Roles, choose_columns
from ihcli.data.formats.opening import open_table
from ihcli.data.formats.table import BATCH_VALUES, TableFiles, matrix_of
from ihcli.data.rows import Chunk, Rows, no_keys
from ihcli.errors import DataError
from ihcli.files.fingerprints import Snapshot, files_fingerprint, values_fingerprint
from ihcli.files.locations import Location
from ihcli.vocabulary import Vocabulary


class Dataset(Rows):
    """A table in files; `open_dataset` makes one.

    snapshot  of the files before the first row was read
    own_categories  columns whose codes are the places in dictionaries of their own
    """

    def __init__(self, table: TableFiles, columns: Columns, vocabulary: Vocabulary | None = None) -> None:
        super().__init__(table.path, columns, vocabulary)
        self.own_categories = table.own if isinstance(table, CodedTable) else ()
        self.files = table.files
        self.snapshot = Snapshot.of(table.files)
        self.format = table.format
        self._table = table
        self._features = pa.schema([(name, self._input_type(name)) for name in columns.features])
        self._carried: pa.Schema | None = None
        if next(self.inputs(), None) is None:
            raise DataError(f"{self.path}: has no rows. Expected at least one.")

    def inputs(self) -> Iterator[np.ndarray]:
        """Stream the feature columns; no other column is read."""
        for batch in self._batches(self._features):
            yield self._inputs_of(batch, order="F")

    def fingerprint(self) -> str:
        """Return a SHA-256 over the name, size and content of every file."""
        return files_fingerprint(self.files)

    def _blocks(self) -> Iterator[Chunk]:
        wanted, first_row = self._wanted(), 0
        for batch in self._batches(wanted):
            inputs = self._inputs_of(batch)
            keys = no_keys(len(inputs))
            if self.columns.keys:
                keys = pa.Table.from_batches([batch.select(list(self.columns.keys))])
            labels = None if self.columns.label is None else _objects(batch.column(self.columns.label))
            yield Chunk(first_row, inputs, keys, labels)
            first_row += len(inputs)

    def _input_type(self, name: str) -> pa.DataType:
        return self._table.feature_type(name)

    def _batches(self, wanted: pa.Schema) -> Iterator[pa.RecordBatch]:
        return self._table.batches(wanted, numbers=self.columns.features)

    def _inputs_of(self, batch: pa.RecordBatch, order: Literal["C", "F"] = "C") -> np.ndarray:
        return matrix_of(batch, self.columns.features, order)

    def _wanted(self) -> pa.Schema:
        if self._carried is None:
            label = () if self.columns.label is None else (self.columns.label,)
            names = [name for name in dict.fromkeys((*self.columns.keys, *label)) if name not in self.columns.features]
            self._carried = pa.schema(list(self._table.carried_types(names).items()))
        return pa.schema([*self._features, *self._carried])


class ArrayDataset(Rows):
    """Rows held in an (N, D) array, behind the interface of a table in files.

    Raises DataError where the array is not two-dimensional and numeric, is empty, or the names do not fit.
    """

    def __init__(self, x: np.ndarray, names: Sequence[str] | None = None, vocabulary: Vocabulary | None = None) -> None:
        x = np.asarray(x)
        if x.ndim != 2 or 0 in x.shape:
            advice = " Try [x] where it is one row, numpy.c_[x] where it is one feature." if x.ndim == 1 else ""
            raise DataError(f"x: has shape {x.shape}. Expected (rows, features), at least one of each.{advice}")
        if x.dtype.kind not in "biuf":
            advice = " Try numpy.asarray(x, float) where these are numbers." if x.dtype.kind in "OUST" else ""
            raise DataError(f"x: holds {x.dtype} values. Expected numbers or booleans.{advice}")
        names = [str(index) for index in range(x.shape[1])] if names is None else names
        if len(names) != x.shape[1] or len(set(names)) != len(names):
            raise DataError(f"x: has {x.shape[1]} features. Expected as many different names, got {len(names)}.")
        super().__init__("x", Columns(tuple(names)), vocabulary)
        self._x = x

    def inputs(self) -> Iterator[np.ndarray]:
        """Stream slices of the array as float64."""
        block_rows = max(1, BATCH_VALUES // self._x.shape[1])
        for start in range(0, len(self._x), block_rows):
            yield self._x[start : start + block_rows].astype(np.float64)

    def fingerprint(self) -> str:
        """Return a SHA-256 over shape, dtype and values."""
        return values_fingerprint(self._x)

    def _blocks(self) -> Iterator[Chunk]:
        first_row = 0
        for block in self.inputs():
            yield Chunk(first_row, block, no_keys(len(block)))
            first_row += len(block)


def open_dataset(
    path: str | Location,
    *,
    keys: Sequence[str] = (),
    label: str | None = None,
    exclude: Sequence[str] = (),
    features: Sequence[str] | None = None,
    model_features: Sequence[str] | None = None,
    vocabulary: Vocabulary | None = None,
) -> Dataset:
    """Open a Parquet or CSV file, a directory of them or a glob, and settle the roles of its columns.

    Features are `features`, else `model_features`, in that order, else every column without another role. Nothing but
    headers, footers and the first rows is read yet. Features that the vocabulary is of are read as its codes, and text
    with a dictionary of its own as places in that.

    Raises:
        DataError: no such file, an unreadable or empty one, or columns that do not fit.
        OptionError: a column that is named but not there, or has two roles.
    """
    table = open_table(str(path))
    roles = Roles(
        keys=tuple(keys),
        label=label,
        exclude=tuple(exclude),
        features=None if features is None else tuple(features),
        model_features=None if model_features is None else tuple(model_features),
        vocabulary=vocabulary,
    )
    columns = choose_columns(table, roles)
    coded, known = with_codes(table, columns.features, vocabulary)
    return Dataset(coded, columns, known)


def _objects(column: pa.Array) -> np.ndarray:
    """Return Python values; whole floats become integers, as pandas stores classes with gaps as floats."""
    objects = np.empty(len(column), dtype=object)
    objects[:] = [
        int(value) if isinstance(value, float) and value.is_integer() else value for value in column.to_pylist()
    ]
    return objects
