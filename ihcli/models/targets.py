"""Which output of a model is explained, for every row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ihcli.errors import DataError, ModelError, OptionError

PREDICTED, ALL, LABEL = "predicted", "all", "label"
_SHOWN = 10


@dataclass(frozen=True)
class Target:
    """The outputs to explain.

    spec   "predicted", "all", "label", or the name of one output
    names  the K output names; their indices where the model has no names
    """

    spec: str
    names: tuple[str, ...]

    def select(
        self, outputs: np.ndarray, labels: np.ndarray | None, first_row: int = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return which output of which row is explained, one entry for each (row, target) pair.

        outputs  (N, K)
        labels   (N,) values of the label column; needed by "label" only
        first_row  index in the data of the first of the N, for messages
        returns  rows (M,) int64 and output indices (M,) int64; M = N * K for "all", row by row, else N

        The predicted output is the largest, the first of them where several are. A label is a class name or an index.
        Raises DataError where a label is missing or names no output.
        """
        n_rows, n_outputs = outputs.shape
        rows = np.arange(n_rows, dtype=np.int64)
        if self.spec == ALL:
            return np.repeat(rows, n_outputs), np.tile(np.arange(n_outputs, dtype=np.int64), n_rows)
        if self.spec == PREDICTED:
            return rows, outputs.argmax(axis=1).astype(np.int64)
        if self.spec == LABEL:
            return rows, self._labelled(labels, first_row)
        return rows, np.full(n_rows, self.names.index(self.spec), dtype=np.int64)

    def _labelled(self, labels: np.ndarray | None, first_row: int) -> np.ndarray:
        if labels is None:
            raise DataError("`target=label`: the data has no label column. Try `label=COLUMN`.")
        chosen = [_label_index(value, self.names) for value in labels]
        if None in chosen:
            row = chosen.index(None)
            raise DataError(
                f"`label`: row {first_row + row} of the data holds {labels[row]!r}, which is not an output of the "
                f"model. Expected {_listed(self.names)}, or an index below {len(self.names)} where these are not "
                "numbers."
            )
        return np.array(chosen, dtype=np.int64)


def resolve_target(spec: str | int | None, n_outputs: int, output_names: Sequence[str] | None) -> Target:
    """Return the target that an option names.

    spec  None (the predicted output, or the only one), "predicted", "all", "label", an output name, or an index;
          a word that is both a name and an index is the name

    Raises OptionError for anything else, with what is valid; ModelError where the number of names is
    not the number of outputs.
    """
    names = _checked_names(n_outputs, output_names)
    if spec is None:
        return Target(PREDICTED if n_outputs > 1 else names[0], names)
    word = str(spec)
    if word == LABEL and n_outputs == 1:
        raise OptionError("`target=label`: the model has one output, which no label chooses. Try leaving it out.")
    if word in (PREDICTED, ALL, LABEL) or word in names:
        return Target(word, names)
    if word.isdecimal() and int(word) < n_outputs:
        return Target(names[int(word)], names)
    raise OptionError(
        f"`target`: {spec!r} is not an output of the model. Expected one of {_listed(names)}, an index from 0 to "
        f"{n_outputs - 1}, {PREDICTED}, {ALL} or {LABEL}."
    )


def _checked_names(n_outputs: int, output_names: Sequence[str] | None) -> tuple[str, ...]:
    if output_names is None:
        return tuple(str(index) for index in range(n_outputs))
    if len(output_names) != n_outputs:
        raise ModelError(
            f"model: carries {len(output_names)} output names but has {n_outputs} outputs. Expected one name for each."
        )
    return tuple(output_names)


def _label_index(value: Any, names: tuple[str, ...]) -> int | None:
    """Return the output that a label value names; where all names are numbers, an index would be a guess."""
    candidates = [str(value)]
    if isinstance(value, (int, float, np.integer, np.floating)) and float(value).is_integer():
        candidates.append(str(int(value)))
    for candidate in candidates:
        if candidate in names:
            return names.index(candidate)
    index = candidates[-1]
    if any(name.lstrip("-").isdecimal() for name in names) or not index.isdecimal() or int(index) >= len(names):
        return None
    return int(index)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown}, ... ({len(names)} in all)"
