"""True values of rows, as what outputs are held against: read as runs read labels."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ihcli.data.formats.opening import open_table
from ihcli.errors import DataError, OptionError
from ihcli.explainers.explainer import Explainer
from ihcli.explanation.seen import Meaning
from ihcli.explanation.truth import truth_of
from ihcli.verification.faithfulness.sampled import Entries
from ihcli.wording import did_you_mean, listed, quoted

FLAGS = (-1.0, 0.0, 1.0)
"""Numbers that say whether the class of a single output is the true one."""


@dataclass(frozen=True)
class TrueValues:
    """What the labels of some rows say.

    row     (N,) ascending;  values (N,) see `ihcli.explanation.seen.Truth`
    column  their name
    """

    row: np.ndarray
    values: np.ndarray
    meaning: Meaning
    column: str

    @classmethod
    def read(cls, explainer: Explainer, data: str, column: str, row: np.ndarray) -> "TrueValues":
        """Read the labels of rows.

        Raises OptionError for a column that is not there; DataError for a row without a label, or with one that is
        neither an output nor a number.
        """
        if explainer.meaning is None:
            raise ValueError("an explainer that was not told to see the model")
        labels = _labels(data, column, row)
        names, truth = explainer.target.names, truth_of(labels, explainer.meaning).settled
        values, unread = truth.values, np.isnan(truth.values)
        if unread.any():
            place = int(unread.argmax())
            wanted = f"one of {listed(names)}" if len(names) > 1 else f"a number, 1 where {quoted(names[0])} is true"
            raise DataError(
                f"`label={column}`: row {row[place]} of {data} holds {labels[place]!r}. Expected {wanted}. Try another "
                "column, or without `label`."
            )
        return cls(row, values, explainer.meaning, column)

    def of(self, entries: Entries) -> np.ndarray:
        """Return those of the rows of a target: bool, whether it is the true class; else numbers."""
        values = self.values[np.searchsorted(self.row, entries.row)]
        if len(self.meaning.names) > 1 and self.meaning.are_classes:
            return values == self.meaning.names.index(entries.target)
        return values > 0 if self._are_flags else values

    def in_words(self, target: str) -> str:
        """Return what the absolute curves of a target are."""
        if len(self.meaning.names) > 1 and self.meaning.are_classes:
            return f"ROC AUC of the output, for rows whose {quoted(self.column)} is {quoted(target)}"
        return f"{'ROC AUC' if self._are_flags else 'R2'} of the output, for {quoted(self.column)}"

    @property
    def _are_flags(self) -> bool:
        return len(self.meaning.names) == 1 and bool(np.isin(self.values, FLAGS).all()) and len(set(self.values)) == 2


def _labels(data: str, column: str, row: np.ndarray) -> np.ndarray:
    """Return the labels of rows, up to the last of which the data is read."""
    table = open_table(data)
    names = table.schema.names
    if column not in names:
        raise OptionError(
            f"`label={column}`: {data} has no such column. Expected one of {listed(names)}."
            f"{did_you_mean(column, names)}"
        )
    found, first = [], 0
    for batch in table.batches(pa.schema([(column, table.carried_types([column])[column])])):
        values = np.array(batch.column(0).to_pylist(), object)
        start, stop = np.searchsorted(row, (first, first + len(values)))
        found.append(values[row[start:stop] - first])
        first += len(values)
        if stop == len(row):
            break
    return np.concatenate(found)
