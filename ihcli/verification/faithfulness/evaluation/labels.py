"""Labels of rows, as what outputs are held against."""

import numpy as np
import pyarrow as pa

from ihcli.data.formats.opening import open_table
from ihcli.errors import DataError, OptionError
from ihcli.explainers.explainer import Explainer
from ihcli.models.targets import LABEL, Target
from ihcli.wording import listed


def label_truth(explainer: Explainer, data: str, column: str, row: np.ndarray, target: str) -> np.ndarray:
    """Return what rows (N,) of a target are held against: bool, whether a label is the target; or numbers.

    Of a model of one output two different labels are classes, of which the larger is the explained one. Raises
    DataError for labels that name no output, and where there are none; OptionError for a column that is not there.
    """
    labels, kinds = _labels(data, column, row)
    names = explainer.target.names
    if len(names) > 1:
        classes = Target(LABEL, names)
        some = [classes.select(np.zeros((1, len(names))), labels[i : i + 1], int(row[i]))[1] for i in range(len(row))]
        return np.concatenate(some) == names.index(target)
    if len(kinds) == 2:
        return np.array([label == max(kinds, key=_place) for label in labels], bool)
    try:
        return np.array([float(label) for label in labels], np.float64)
    except ValueError:
        raise DataError(
            f"`label={column}`: has {len(kinds)} or more different words. Expected numbers, or two classes, as the "
            "model has one output. Try another column, or without `label`."
        ) from None


def _place(label: object) -> tuple[float, str]:
    """Return where a label stands among others: numbers by size, words by their letters."""
    return (float(label), "") if isinstance(label, int | float) else (0.0, str(label))


def _labels(data: str, column: str, row: np.ndarray) -> tuple[np.ndarray, set[object]]:
    """Return the labels of rows, and up to three different ones of the whole column."""
    table = open_table(data)
    if column not in table.schema.names:
        raise OptionError(f"`label={column}`: {data} has no such column. Expected one of {listed(table.schema.names)}.")
    kinds: set[object] = set()
    found, first = [], 0
    for batch in table.batches(pa.schema([(column, table.carried_types([column])[column])])):
        values = np.array(batch.column(0).to_pylist(), object)
        start, stop = np.searchsorted(row, (first, first + len(values)))
        found.append(values[row[start:stop] - first])
        first += len(values)
        if len(kinds) < 3:
            kinds |= set(values.tolist()) - {None}
    labels = np.concatenate(found)
    without = [int(each) for each, label in zip(row, labels, strict=True) if label is None or label != label]
    if without:
        raise DataError(f"`label={column}`: {data} has no label in row {without[0]}. Try another column, or without.")
    return labels, kinds
