"""The rows to explain: chunks of inputs, keys and labels in a fixed order, from files or from an array."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from ihcli.data.columns import Columns, Roles, choose_columns
from ihcli.data.formats.opening import open_table
from ihcli.data.formats.table import BATCH_VALUES, TableFiles, matrix_of
from ihcli.data.sampling import Sampler
from ihcli.data.scan import Scan, Tally
from ihcli.errors import DataError
from ihcli.files.fingerprints import Snapshot, files_fingerprint, values_fingerprint
from ihcli.files.locations import Location


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows.

    first_row  index in the data of the first of them
    inputs     (n, D) float64 in the order of the features, a missing value is NaN; of texts, see `ihcli.data.texts`
    keys       n rows of key columns, typed as stored
    labels     (n,) Python objects, or None where no label column was named
    """

    first_row: int
    inputs: np.ndarray
    keys: pa.Table
    labels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def rows(self, start: int, stop: int) -> "Chunk":
        """Return rows start to stop of this chunk, as a view."""
        labels = None if self.labels is None else self.labels[start:stop]
        return Chunk(self.first_row + start, self.inputs[start:stop], self.keys.slice(start, stop - start), labels)


class Rows(ABC):
    """Rows that can be streamed any number of times, always in the same order."""

    def __init__(self, path: str, columns: Columns) -> None:
        self.path = path
        self.columns = columns
        self._scans: dict[int | None, Scan] = {}
        self._samplers: dict[tuple[int | None, int], Sampler] = {}

    @abstractmethod
    def inputs(self) -> Iterator[np.ndarray]:
        """Stream the inputs alone, as (n, D) float64 blocks of whatever size is cheap."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a SHA-256 of the content: equal for two copies, wherever they lie."""

    @abstractmethod
    def _blocks(self) -> Iterator[Chunk]: ...

    @property
    def n_rows(self) -> int:
        """Number of rows; costs a pass the first time."""
        return self.scan().n_rows

    def chunks(self, chunk_rows: int, limit: int | None = None) -> Iterator[Chunk]:
        """Stream chunks of chunk_rows rows (the last one may be shorter), at most `limit` rows in all.

        Chunk borders do not depend on files, row groups or CSV blocks; memory does not depend on the number of rows.
        """
        pending: list[Chunk] = []
        for piece in _cut(self._blocks(), chunk_rows, limit):
            pending.append(piece)
            if (piece.first_row + len(piece)) % chunk_rows == 0:
                yield _join(pending)
                pending = []
        if pending:
            yield _join(pending)

    def head(self, n: int) -> Chunk:
        """Return the first n rows, or all of them when there are fewer."""
        return next(self.chunks(n, limit=n))

    def scan(self, limit: int | None = None) -> Scan:
        """Count rows and missing values and take the means, in one pass that is remembered."""
        if limit not in self._scans:
            self._scans[limit] = self._scan(limit, None)
        return self._scans[limit]

    def sample(self, size: int, seed: int, limit: int | None = None) -> np.ndarray:
        """Return up to `size` complete rows, drawn uniformly and without replacement, in the order of the data.

        Costs a pass, but after a `survey` of that seed and size.
        """
        sampler = self._samplers.get((limit, seed))
        if sampler is None or sampler.size < size:
            self.survey(size, seed, limit)
        return self._samplers[limit, seed].rows(size)

    def survey(self, size: int, seed: int, limit: int | None = None) -> None:
        """Scan the rows and draw a sample of that size in the same pass; `scan` and `sample` remember them."""
        sampler = self._samplers[limit, seed] = Sampler(size, seed)
        self._scans[limit] = self._scan(limit, sampler)

    def _scan(self, limit: int | None, sampler: Sampler | None) -> Scan:
        tally = Tally(self.columns.features)
        for block in self.inputs():
            complete = tally.add(block if limit is None else block[: limit - tally.n_rows])
            if sampler is not None:
                sampler.add(complete)
            if tally.n_rows == limit:
                break
        return tally.scan()


class Dataset(Rows):
    """A table in files; `open_dataset` makes one.

    snapshot  of the files before the first row was read
    """

    def __init__(self, table: TableFiles, columns: Columns) -> None:
        super().__init__(table.path, columns)
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
            keys = _no_keys(len(inputs))
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

    def __init__(self, x: np.ndarray, names: Sequence[str] | None = None) -> None:
        x = np.asarray(x)
        if x.ndim != 2 or 0 in x.shape:
            raise DataError(f"x: has shape {x.shape}. Expected (rows, features), at least one of each.")
        if x.dtype.kind not in "biuf":
            raise DataError(f"x: holds {x.dtype} values. Expected numbers or booleans.")
        names = [str(index) for index in range(x.shape[1])] if names is None else names
        if len(names) != x.shape[1] or len(set(names)) != len(names):
            raise DataError(f"x: has {x.shape[1]} features. Expected as many different names, got {len(names)}.")
        super().__init__("x", Columns(tuple(names)))
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
            yield Chunk(first_row, block, _no_keys(len(block)))
            first_row += len(block)


def open_dataset(
    path: str | Location,
    *,
    keys: Sequence[str] = (),
    label: str | None = None,
    exclude: Sequence[str] = (),
    features: Sequence[str] | None = None,
    model_features: Sequence[str] | None = None,
) -> Dataset:
    """Open a Parquet or CSV file, a directory of them or a glob, and settle the roles of its columns.

    Features are `features`, else `model_features`, in that order, else every column without another role. Nothing but
    headers, footers and the first rows is read yet.

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
    )
    return Dataset(table, choose_columns(table, roles))


def _cut(blocks: Iterator[Chunk], chunk_rows: int, limit: int | None) -> Iterator[Chunk]:
    """Cut blocks so that none crosses a multiple of chunk_rows or the limit."""
    for block in blocks:
        end = block.first_row + len(block) if limit is None else min(block.first_row + len(block), limit)
        row = block.first_row
        while row < end:
            stop = min(end, row - row % chunk_rows + chunk_rows)
            yield block.rows(row - block.first_row, stop - block.first_row)
            row = stop
        if end == limit:
            return


def _join(pieces: Sequence[Chunk]) -> Chunk:
    if len(pieces) == 1:
        return pieces[0]
    inputs = np.concatenate([piece.inputs for piece in pieces])
    # Concatenating tables without columns forgets how many rows they have.
    has_keys = pieces[0].keys.num_columns > 0
    keys = pa.concat_tables([piece.keys for piece in pieces]) if has_keys else _no_keys(len(inputs))
    labels = [piece.labels for piece in pieces if piece.labels is not None]
    return Chunk(pieces[0].first_row, inputs, keys, np.concatenate(labels) if labels else None)


def _no_keys(n_rows: int) -> pa.Table:
    return pa.table({"row": np.empty(n_rows, np.int8)}).select([])


def _objects(column: pa.Array) -> np.ndarray:
    """Return Python values; whole floats become integers, as pandas stores classes with gaps as floats."""
    objects = np.empty(len(column), dtype=object)
    objects[:] = [
        int(value) if isinstance(value, float) and value.is_integer() else value for value in column.to_pylist()
    ]
    return objects
