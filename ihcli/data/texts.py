"""The texts to explain: one column of a table, or a pair of them, streamed like the rows of any table."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from ihcli.data.columns import choose_text_columns
from ihcli.data.formats.opening import open_table
from ihcli.data.survey import Missing, Scan, Tally
from ihcli.data.tables import Dataset
from ihcli.errors import DataError
from ihcli.files.locations import Location


class TextDataset(Dataset):
    """Texts in files: inputs are (n, 1) Python strings, (n, 2) for pairs, None for nulls; `open_texts` makes one."""

    def _input_type(self, name: str) -> pa.DataType:
        return pa.string()

    def _batches(self, wanted: pa.Schema) -> Iterator[pa.RecordBatch]:
        return self._table.batches(wanted)

    def _inputs_of(self, batch: pa.RecordBatch, order: Literal["C", "F"] = "C") -> np.ndarray:
        texts = np.empty((batch.num_rows, len(self.columns.features)), dtype=object, order=order)
        for i, name in enumerate(self.columns.features):
            texts[:, i] = batch.column(name).to_pylist()
        return texts

    def _tally(self) -> Tally:
        return TextTally(self.columns.features[0])


class TextTally:
    """Counts texts, or pairs of them, and those without words."""

    def __init__(self, column: str) -> None:
        self.n_rows = self.n_complete = 0
        self._column = column
        self._first_missing: int | None = None

    def add(self, block: np.ndarray) -> np.ndarray:
        """Add (n, 1 or 2) texts that follow those added before, and return those with words."""
        complete = have_words(block)
        if self._first_missing is None and not complete.all():
            self._first_missing = self.n_rows + int(complete.argmin())
        self.n_rows += len(block)
        self.n_complete += int(complete.sum())
        return block[complete]

    def scan(self) -> Scan:
        """Return what was seen so far; texts have no mean."""
        missing: tuple[Missing, ...] = ()
        if self._first_missing is not None:
            missing = (Missing(self._column, self.n_rows - self.n_complete, self._first_missing, "empty or null"),)
        return Scan(self.n_rows, self.n_complete, np.zeros(0), missing)


def have_words(texts: np.ndarray) -> np.ndarray:
    """Return which texts, or pairs (n, 1 or 2), are neither null nor nothing but space, (n,) bool."""
    return np.array([all(text is not None and text.strip() for text in row) for row in texts], dtype=bool)


def open_texts(
    path: str | Location, text: str, pair: str | None = None, *, keys: Sequence[str] = (), label: str | None = None
) -> TextDataset:
    """Open a Parquet or CSV file, a directory of them or a glob, with its texts in a column or a pair of columns.

    Raises:
        DataError: no such file, an unreadable or empty one, or a column that holds no text.
        OptionError: a column that is named but not there, or has two roles.
    """
    table = open_table(str(path))
    columns = choose_text_columns(table, (text,) if pair is None else (text, pair), keys, label)
    return TextDataset(table, columns)


def as_texts(texts: Sequence[str | None], pairs: Sequence[str | None] | None) -> np.ndarray:
    """Return N strings as (N, 1), N pairs as (N, 2), None for nulls; raises DataError for anything else."""
    if isinstance(texts, str) or isinstance(pairs, str):
        raise DataError("texts: is one string. Expected a sequence of strings. Try [text].")
    for column in (texts, pairs):
        if hasattr(column, "columns") or isinstance(column, Mapping):
            raise DataError("texts: is a table. Expected one column of it. Try texts['COLUMN'].")
    if not isinstance(texts, Iterable):
        raise DataError("texts: are not given. Expected a sequence of strings. Try ['a text'].")
    columns = [[_given(text) for text in column] for column in (texts, pairs) if column is not None]
    if not columns[0] or len(columns[0]) != len(columns[-1]):
        raise DataError(
            f"texts: has {len(columns[0])} strings and {len(columns[-1])} pairs. "
            "Expected one pair for each text, and at least one text."
        )
    if not all(text is None or isinstance(text, str) for column in columns for text in column):
        raise DataError("texts: holds something that is not a string. Expected strings, and None where there is none.")
    rows = np.empty((len(columns[0]), len(columns)), dtype=object)
    for i, column in enumerate(columns):
        rows[:, i] = column
    return rows


def _given(text: Any) -> Any:
    """Return a text, None where a frame says in its own way that there is none."""
    is_nan = isinstance(text, float) and text != text
    return None if is_nan or type(text).__name__ == "NAType" else text
