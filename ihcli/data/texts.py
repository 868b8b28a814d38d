"""The texts to explain: one column of a table, or a pair of them, streamed like the rows of any table."""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import pyarrow as pa

from ihcli.data.columns import choose_text_columns
from ihcli.data.formats.opening import open_table
from ihcli.data.rows import Dataset
from ihcli.data.sampling import Sampler
from ihcli.data.scan import Missing, Scan
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

    def _scan(self, limit: int | None, sampler: Sampler | None) -> Scan:
        n_rows = n_complete = 0
        first_missing = None
        for chunk in self.chunks(1 << 12, limit):
            complete = have_words(chunk.inputs)
            if first_missing is None and not complete.all():
                first_missing = n_rows + int(complete.argmin())
            if sampler is not None:
                sampler.add(chunk.inputs[complete])
            n_rows += len(complete)
            n_complete += int(complete.sum())
        name, count = self.columns.features[0], n_rows - n_complete
        missing = () if first_missing is None else (Missing(name, count, first_missing, "empty or null"),)
        return Scan(n_rows, n_complete, np.zeros(0), missing)


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
