"""Steps within steps: pipelines, columns sent to different steps, and steps side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ihcli.models.estimators.categories import ENCODERS, encoded
from ihcli.models.estimators.columns import Coded, Column, Mixed, Scaled, then_all
from ihcli.models.estimators.imputing import imputed
from ihcli.models.estimators.numbers import SELECTORS, applied, chosen, projected, scaled
from ihcli.models.estimators.reading import (
    MOST_NUMBERS,
    MOST_STEPS,
    BrokenError,
    UnfoldedError,
    broken,
    class_of,
    fitted,
    parameter,
    require_width,
)
from ihcli.models.pickles.allow_list import Record
from ihcli.models.pickles.scikit_learn_names import SCALERS
from ihcli.wording import printable

_DROP = "drop"
_FOLDED: dict[str, Callable[[Record, Sequence[Column]], list[Column]]] = {
    **dict.fromkeys(SCALERS, scaled),
    **dict.fromkeys(ENCODERS, encoded),
    **dict.fromkeys(("PCA", "IncrementalPCA", "TruncatedSVD"), projected),
    **dict.fromkeys(SELECTORS, chosen),
    "FunctionTransformer": applied,
    "SimpleImputer": imputed,
}
NESTING = ("Pipeline", "ColumnTransformer", "FeatureUnion")
FOLDED = (*_FOLDED, *NESTING)
"""Classes of steps that layers stand for."""


@dataclass
class Steps:
    """Steps worked through, which are counted: a file can name one step many times over."""

    left: int = MOST_STEPS
    numbers: int = 0

    def through(self, step: Any, columns: Sequence[Column]) -> list[Column]:
        """Return what a step makes of columns; raises UnfoldedError, BrokenError or UnfittedError."""
        self.left -= 1
        if self.left < 0:
            raise BrokenError(f"it has more than {MOST_STEPS} steps")
        if not isinstance(step, Record):
            if step is not None and step != "passthrough":
                raise UnfoldedError(printable(type(step).__name__))
            return list(columns)
        if step.name == "Pipeline":
            for _, inner in steps_of(step):
                columns = self.through(inner, columns)
            return list(columns)
        if step.name == "ColumnTransformer":
            return self._sent(step, columns)
        if step.name == "FeatureUnion":
            return self._united(step, columns)
        if step.name not in _FOLDED:
            raise UnfoldedError(class_of(step))
        found = _FOLDED[step.name](step, columns)
        self.numbers += sum(_n_numbers(column) for column in found)
        if self.numbers > MOST_NUMBERS:
            raise UnfoldedError(f"{class_of(step)}, which takes more than {MOST_NUMBERS} numbers here")
        return found

    def _sent(self, transformer: Record, columns: Sequence[Column]) -> list[Column]:
        require_width(transformer, len(columns))
        found: list[Column] = []
        names = _names(transformer)
        for entry in _entries(transformer, "transformers_", 3):
            name, inner, selected = entry
            if inner == _DROP:
                continue
            places = selected_places(transformer, _settled(transformer, name, selected), len(columns), names)
            sent = self.through(inner, [columns[place] for place in places]) if places else []
            found += _weighted(transformer, name, sent)
        return found

    def _united(self, union: Record, columns: Sequence[Column]) -> list[Column]:
        found: list[Column] = []
        for name, inner in _entries(union, "transformer_list", 2):
            if inner != _DROP:
                found += _weighted(union, name, self.through(inner, columns))
        return found


def _n_numbers(column: Column) -> int:
    """Return how many numbers a column brings: those of its codes, or its row of a matrix."""
    if isinstance(column, Coded):
        return len(column.numbers)
    return column.mix.weight.shape[1] if isinstance(column, Mixed) else 0


def steps_of(pipeline: Record) -> list[tuple[str, Any]]:
    """Return the named steps of a pipeline."""
    return _entries(pipeline, "steps", 2)


def inner_steps(step: Any) -> list[Any]:
    """Return the steps within a step that has such."""
    if not isinstance(step, Record):
        return []
    attribute, length = {
        "Pipeline": ("steps", 2),
        "ColumnTransformer": ("transformers_", 3),
        "FeatureUnion": ("transformer_list", 2),
    }.get(step.name, ("", 0))
    return [entry[1] for entry in _entries(step, attribute, length)] if attribute in step.attributes else []


def _entries(record: Record, name: str, length: int) -> list[Any]:
    found = fitted(record, name)
    if not isinstance(found, list | tuple) or not all(type(entry) is tuple and len(entry) == length for entry in found):
        raise broken(record, name)
    return list(found)


def _names(transformer: Record) -> list[str] | None:
    found = parameter(transformer, "feature_names_in_")
    if found is None:
        return None
    if not isinstance(found, np.ndarray) or found.ndim != 1 or not all(isinstance(name, str) for name in found):
        raise broken(transformer, "feature_names_in_")
    return [str(name) for name in found]


def _weighted(record: Record, name: Any, columns: list[Column]) -> list[Column]:
    weights = parameter(record, "transformer_weights")
    weight = weights.get(name) if isinstance(weights, dict) and isinstance(name, str) else None
    return columns if weight is None else then_all(columns, [Scaled(float(weight), 0.0)] * len(columns))


def _settled(transformer: Record, name: Any, selected: Any) -> Any:
    """Return the selection as the places that fitting made of it, where it kept them: it may be an index of pandas."""
    settled = parameter(transformer, "_transformer_to_input_indices")
    return settled.get(name, selected) if isinstance(settled, dict) and isinstance(name, str) else selected


def selected_places(transformer: Record, selected: Any, width: int, names: list[str] | None) -> list[int]:
    """Return which columns are sent, chosen by name, index, slice or mask, several or one."""
    if isinstance(selected, Record) and selected.name == "_RemainderColsList":
        selected = selected.attributes.get("data")
    if isinstance(selected, slice):
        return _sliced(transformer, selected, width, names)
    if isinstance(selected, str | int | np.integer):
        selected = [selected]
    chosen = selected.tolist() if isinstance(selected, np.ndarray) else selected
    if not isinstance(chosen, list | tuple):
        raise broken(transformer, "transformers_")
    if chosen and all(isinstance(each, bool | np.bool_) for each in chosen):
        if len(chosen) != width:
            raise broken(transformer, "transformers_")
        return [place for place, is_chosen in enumerate(chosen) if is_chosen]
    return [_place(transformer, each, width, names) for each in chosen]


def _sliced(transformer: Record, selected: slice, width: int, names: list[str] | None) -> list[int]:
    ends = (selected.start, selected.stop)
    if not any(isinstance(end, str) for end in ends):
        return list(range(width)[selected])
    start, stop = (None if end is None else _place(transformer, end, width, names) for end in ends)
    return list(range(width)[start : None if stop is None else stop + 1])  # the last name is one of them


def _place(transformer: Record, name: Any, width: int, names: list[str] | None) -> int:
    if isinstance(name, str) and names is not None and name in names:
        return names.index(name)
    if isinstance(name, int | np.integer) and not isinstance(name, bool) and -width <= name < width:
        return int(name) % width
    raise broken(transformer, "transformers_")
