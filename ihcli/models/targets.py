"""Which output of a model is explained, for every row."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ihcli.errors import DataError, ModelError, OptionError
from ihcli.vocabulary import label_index
from ihcli.wording import column_list

PREDICTED, ALL, LABEL = "predicted", "all", "label"
KEYWORDS = (PREDICTED, ALL, LABEL)
SOLE = "prediction"
"""What the output of a model is called that has one, where nobody says."""
_SHOWN = 10


@dataclass(frozen=True)
class OutputNames:
    """What the outputs are called by somebody beside the model's file.

    stated  names of all; None: the model's own, else their indices
    sole    name of the output of a model that has one and no name for it
    """

    stated: tuple[str, ...] | None = None
    sole: str = SOLE

    @classmethod
    def of(cls, stated: Sequence[str] | None, label: str | None = None) -> "OutputNames":
        """Return the names that are stated, of outputs whose true value is in that column; raises OptionError."""
        names = None if stated is None else _stated(stated)
        return cls(names, SOLE if label is None or label in KEYWORDS else label)

    def resolve(self, n_outputs: int, own: Sequence[str] | None) -> tuple[str, ...]:
        """Return the K names, given those of the model's file.

        Raises OptionError where not as many are stated as there are outputs, ModelError where the file is wrong.
        """
        if self.stated is not None:
            if len(self.stated) != n_outputs:
                raise OptionError(
                    f"`output_names`: has {len(self.stated)} of them. Expected one for each of the {n_outputs} outputs "
                    f"of the model, got {_listed(self.stated)}."
                )
            return self.stated
        if own is not None:
            return _own(n_outputs, own)
        return (self.sole,) if n_outputs == 1 else _indices(n_outputs)


UNNAMED = OutputNames()


@dataclass(frozen=True)
class Target:
    """The outputs to explain.

    spec   "predicted", "all", "label", or the name of one output
    names  the K output names; their indices where the model has no names
    chosen  (N,) output that counts as predicted of each row of the data, whatever the model says; None: its largest
    """

    spec: str
    names: tuple[str, ...]
    chosen: np.ndarray | None = field(default=None, compare=False)

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
        if self.spec == PREDICTED and self.chosen is not None:
            return rows, self.chosen[first_row + rows]
        if self.spec == PREDICTED:
            return rows, outputs.argmax(axis=1).astype(np.int64)
        if self.spec == LABEL:
            return rows, self._labelled(labels, first_row)
        return rows, np.full(n_rows, self.names.index(self.spec), dtype=np.int64)

    def _labelled(self, labels: np.ndarray | None, first_row: int) -> np.ndarray:
        if labels is None:
            raise DataError("`target=label`: the data has no label column. Try `label=COLUMN`.")
        chosen = [label_index(value, self.names) for value in labels]
        if None in chosen:
            row = chosen.index(None)
            raise DataError(
                f"`label`: row {first_row + row} of the data holds {labels[row]!r}, which is not an output of the "
                f"model. Expected {_listed(self.names)}, or an index below {len(self.names)} where these are not "
                f"numbers.{self._advice(labels)}"
            )
        return np.array(chosen, dtype=np.int64)

    def _advice(self, labels: np.ndarray) -> str:
        """Return what helps where labels are words, and nobody said how the outputs are called."""
        if self.names != _indices(len(self.names)) or not all(isinstance(each, str) for each in labels):
            return ""
        words = sorted(set(labels))
        names = words if len(words) == len(self.names) else [f"name{index}" for index in range(len(self.names))]
        return f" Try `output_names={column_list(names)}`, with the names of the outputs in their order."


def resolve_target(
    spec: str | int | None, n_outputs: int, output_names: Sequence[str] | None, named: OutputNames = UNNAMED
) -> Target:
    """Return the target that an option names.

    output_names  those of the model's file;  named: what somebody else says of them
    spec  None (the predicted output, or the only one), "predicted", "all", "label", an output name, or an index;
          a word that is both a name and an index is the name

    Raises OptionError for anything else, with what is valid; ModelError where the number of names is
    not the number of outputs.
    """
    names = named.resolve(n_outputs, output_names)
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


def _stated(names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str) or not all(isinstance(name, str) and name.strip() for name in names):
        raise OptionError(f"`output_names`: {names!r} cannot be. Expected a name for each output. Try no,yes.")
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise OptionError(f"`output_names`: {repeated[0]!r} occurs twice. Expected a name for each output.")
    for name in names:
        if name in KEYWORDS:
            raise OptionError(
                f"`output_names`: {name!r} is a word of `target`. Expected none of {', '.join(KEYWORDS)}. Try another."
            )
    return tuple(names)


def _own(n_outputs: int, output_names: Sequence[str]) -> tuple[str, ...]:
    if len(output_names) != n_outputs:
        raise ModelError(
            f"model: carries {len(output_names)} output names but has {n_outputs} outputs. Expected one name for each."
        )
    return tuple(output_names)


def _indices(n_outputs: int) -> tuple[str, ...]:
    return tuple(map(str, range(n_outputs)))


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown}, ... ({len(names)} in all)"
