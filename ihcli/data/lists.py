"""Sequences of any length: columns of lists in Parquet, one for each channel, or one of lists of all channels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ihcli.data.baselines import resolve_baselines
from ihcli.data.columns import Columns, Roles, choose_list_columns
from ihcli.data.drawing import Baselines
from ihcli.data.formats.opening import open_table
from ihcli.data.formats.table import TableFiles, is_nested
from ihcli.data.survey import Missing, Scan, Survey
from ihcli.data.tables import ArrayDataset, Dataset
from ihcli.errors import DataError
from ihcli.files.locations import Location
from ihcli.wording import quoted

STEPS = pa.list_(pa.float64())
MEDIAN_SEQUENCES = 1000
BATCH_ROWS = 256
"""Read at once: a row may have thousands of steps, and takes milliseconds to explain."""


@dataclass(frozen=True)
class SequenceScan(Scan):
    """What one pass over sequences tells: `mean` is that of each channel, over all steps of all of them.

    longest  most steps that one has
    """

    longest: int = 0


class SequenceDataset(Dataset):
    """Sequences in files, of any length; `open_sequences` makes one.

    Inputs are (n, 1) objects, arrays (T, F), or None where a list is null or empty, or a number in it is missing or
    infinite.

    channels  F names: of the columns, or numbers of the entries of the only one
    """

    def __init__(self, table: TableFiles, columns: Columns) -> None:
        self._is_nested = is_nested(table.schema.field(columns.features[0]).type)
        self.channels = columns.features
        if self._is_nested:
            self.channels = tuple(f"channel {i}" for i in range(_width(table, columns.features[0])))
        super().__init__(table, columns)

    def _input_type(self, name: str) -> pa.DataType:
        return pa.list_(STEPS) if self._is_nested else STEPS

    def _batches(self, wanted: pa.Schema) -> Iterator[pa.RecordBatch]:
        first_row = 0
        for batch in self._table.batches(wanted):
            for start in range(0, len(batch), BATCH_ROWS):
                some = batch.slice(start, BATCH_ROWS)
                self._require_equal_lengths(some, first_row)
                first_row += len(some)
                yield some

    def _require_equal_lengths(self, batch: pa.RecordBatch, first_row: int) -> None:
        if self._is_nested:
            self._require_equal_widths(batch.column(self.columns.features[0]), first_row)
            return
        names = self.columns.features
        lengths = [pc.list_value_length(batch.column(name)) for name in names]
        for name, other in zip(names[1:], lengths[1:], strict=True):
            differ = pc.fill_null(pc.not_equal(lengths[0], other), False).to_numpy(zero_copy_only=False)
            if differ.any():
                row = int(differ.argmax())
                raise DataError(
                    f"{self.path}: row {first_row + row} has {lengths[0][row]} steps in column {quoted(names[0])} and "
                    f"{other[row]} in {quoted(name)}. Expected as many in each channel. Try to cut or fill them, or "
                    "`features` to choose the columns that go together."
                )

    def _require_equal_widths(self, column: pa.Array, first_row: int) -> None:
        widths = pc.list_value_length(column.flatten())
        differ = pc.fill_null(pc.not_equal(widths, len(self.channels)), False).to_numpy(zero_copy_only=False)
        if differ.any():
            step = int(differ.argmax())
            lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
            row = int(np.searchsorted(np.cumsum(lengths), step, side="right"))
            raise DataError(
                f"{self.path}: row {first_row + row} has a step of {widths[step]} numbers in column "
                f"{quoted(self.columns.features[0])}, and the first one of all has {len(self.channels)}. Expected a "
                "list of steps, each a list of as many numbers. Try to turn it round where it is a list of channels."
            )

    def _inputs_of(self, batch: pa.RecordBatch, order: Literal["C", "F"] = "C") -> np.ndarray:
        columns = [batch.column(name) for name in self.columns.features]
        lengths = np.stack([pc.fill_null(pc.list_value_length(column), 0).to_numpy() for column in columns])
        there = (lengths > 0).all(axis=0)
        kept = pa.array(there)
        steps = [column.filter(kept).flatten() for column in columns]
        values = self._matrix(steps[0]) if self._is_nested else np.stack([_numbers(each) for each in steps], axis=1)
        ends = np.cumsum(lengths[0][there])
        is_bad = ~np.isfinite(values).all(axis=1)
        bad = np.bincount(np.searchsorted(ends, np.flatnonzero(is_bad), side="right"), minlength=len(ends)) > 0
        inputs = np.full((len(batch), 1), None, dtype=object)
        for row, start, end, drop in zip(np.flatnonzero(there), [0, *ends[:-1]], ends, bad, strict=True):
            if not drop:
                inputs[row, 0] = values[start:end]
        return inputs

    def _matrix(self, steps: pa.Array) -> np.ndarray:
        """Return (n, F) of lists of F numbers each, NaN for those that are null."""
        values = np.full((len(steps), len(self.channels)), np.nan)
        there = steps.is_valid().to_numpy(zero_copy_only=False)
        values[there] = _numbers(steps.flatten()).reshape(-1, len(self.channels))
        return values

    def _tally(self) -> "SequenceTally":
        return SequenceTally(self.columns.features[0], len(self.channels))


class SequenceTally:
    """Counts sequences and those that cannot be explained, their longest, and the means of their channels."""

    def __init__(self, column: str, channels: int) -> None:
        self.n_rows = self.n_complete = 0
        self._column = column
        self._first_missing: int | None = None
        self._longest = self._n_steps = 0
        self._total = np.zeros(channels)

    def add(self, block: np.ndarray) -> np.ndarray:
        """Add (n, 1) sequences that follow those added before, and return those that can be explained."""
        complete = np.array([row is not None for row in block[:, 0]], dtype=bool)
        if self._first_missing is None and not complete.all():
            self._first_missing = self.n_rows + int(complete.argmin())
        self.n_rows += len(block)
        self.n_complete += int(complete.sum())
        found = block[complete]
        if len(found):
            self._longest = max(self._longest, *map(len, found[:, 0]))
            steps = np.concatenate(found[:, 0])
            self._total += steps.sum(axis=0)
            self._n_steps += len(steps)
        return found

    def scan(self) -> SequenceScan:
        """Return what was seen so far."""
        missing: tuple[Missing, ...] = ()
        if self._first_missing is not None:
            count = self.n_rows - self.n_complete
            missing = (Missing(self._column, count, self._first_missing, "empty or incomplete"),)
        mean = self._total / max(1, self._n_steps)
        return SequenceScan(self.n_rows, self.n_complete, mean, missing, longest=self._longest)


def open_sequences(path: str | Location, roles: Roles) -> SequenceDataset:
    """Open Parquet files whose features are columns of lists.

    Raises:
        DataError: no such file, an unreadable or empty one, or a feature that holds no lists of numbers.
        OptionError: a column that is named but not there, or has two roles.
    """
    table = open_table(str(path))
    return SequenceDataset(table, choose_list_columns(table, roles))


def longest_of(survey: Survey) -> int:
    """Return the most steps that a sequence has."""
    return survey.scan.longest if isinstance(survey.scan, SequenceScan) else 0


def channel_baseline(
    spec: str | None, dataset: SequenceDataset, survey: Survey, zero: Sequence[float] | None, is_whole: bool
) -> Baselines:
    """Turn "zeros", "mean", "median" or a file into one number for each channel, the same at every step.

    Parameters:
        survey: of the rows that are explained; is_whole: whether these are all.
        zero: what the network itself sees as 0 in each channel; None: zeros.

    Raises what `resolve_baselines` raises.
    """
    of = "over all steps of the data"
    if spec == "mean":
        mean = survey.scan.mean if is_whole else dataset.scan().mean
        return Baselines(mean[np.newaxis], 1, f"mean {of} {dataset.path}")
    if spec == "median":
        rows = survey.sample if is_whole else dataset.survey(MEDIAN_SEQUENCES, 0).sample
        values = np.median(np.concatenate(rows.values[:, 0]), axis=0)
        return Baselines(values[np.newaxis], 1, f"median {of} {dataset.path}, estimated on {len(rows.values)} rows")
    channels = ArrayDataset(np.zeros((1, len(dataset.channels))), dataset.channels)
    fitting = zero if zero is not None and len(zero) == len(dataset.channels) else None
    return resolve_baselines(spec, many=False, dataset=channels, zero=fitting)


def _width(table: TableFiles, column: str) -> int:
    """Return the numbers of the first step that there is."""
    for batch in table.batches(pa.schema([(column, pa.list_(STEPS))])):
        widths = pc.list_value_length(batch.column(0).flatten()).drop_null()
        if len(widths) and widths[0].as_py():
            return int(widths[0].as_py())
    return 1


def _numbers(values: pa.Array) -> np.ndarray:
    found: np.ndarray = values.to_numpy(zero_copy_only=False)
    return found
