"""Estimators in memory as the records that files are read as, and names in records that no reading needs."""

from typing import Any

import numpy as np

from ihcli.models.pickles.allow_list import Record, RecordClass
from ihcli.models.pickles.scikit_learn_names import LINEAR_MODELS, SEARCHES, Named

_MOST_OBJECTS = 200_000
_SELECTION = ("transformers", "_columns", "_remainder", "output_indices_", "verbose_feature_names_out")
_OF_FITTING = (
    "_base_loss",
    "loss_function_",
    "_loss_function_",
    "cv",
    "scoring",
    "covariance_estimator",
    "random_state",
)
_UNREAD = {
    "Pipeline": ("memory",),
    "SelectKBest": ("score_func",),
    "SelectPercentile": ("score_func",),
    "OneHotEncoder": ("feature_name_combiner",),
    "FunctionTransformer": ("feature_names_out",),
    **dict.fromkeys(LINEAR_MODELS, _OF_FITTING),
}
"""Attributes that hold objects of other classes, or of the user's own, and change nothing about what is computed."""


def as_record(estimator: Any) -> Record | None:
    """Return the attributes of a live scikit-learn object, those of objects within it included; None for another."""
    if not _is_estimator(estimator):
        return None
    recorded: Record = _recorded(estimator, {})
    return recorded


def _is_estimator(value: Any) -> bool:
    return type(value).__module__.startswith("sklearn.") and hasattr(value, "__dict__")


def _recorded(value: Any, known: dict[int, Any]) -> Any:
    if id(value) in known:
        return known[id(value)]
    if _is_estimator(value):
        record = known[id(value)] = Record(type(value).__name__)
        record.attributes |= {name: _recorded(part, known) for name, part in vars(value).items()}
        return record
    if type(value) in (list, tuple):
        return type(value)(_recorded(part, known) for part in value)
    if type(value) is dict:
        return {key: _recorded(part, known) for key, part in value.items()}
    return Named(value.__name__) if isinstance(value, np.ufunc) else value


def foreign_name(record: Record) -> str | None:
    """Return a name off the allow-list in what is read of an estimator; None where there is none.

    In an outline such names stand for inert records with dotted names. What a search keeps beside its best estimator,
    how columns were selected where fitting kept their places, and functions that only score or name are not read.
    """
    pending, seen = [record], set()
    while pending:
        value = pending.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if len(seen) > _MOST_OBJECTS:
            return f"more than {_MOST_OBJECTS} objects"
        if isinstance(value, Record | RecordClass) and "." in value.name:
            return value.name
        pending += _parts(value)
    return None


def _parts(value: Any) -> list[Any]:
    if isinstance(value, Record):
        return _read_parts(value)
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, np.ndarray) and value.dtype.hasobject:
        return list(value.ravel())
    return []


def _read_parts(record: Record) -> list[Any]:
    attributes = record.attributes
    if record.name in SEARCHES:
        return [attributes.get(SEARCHES[record.name])]
    if record.name == "ColumnTransformer" and isinstance(attributes.get("_transformer_to_input_indices"), dict):
        entries = attributes.get("transformers_")
        inner = [entry[:2] if type(entry) is tuple else entry for entry in entries] if type(entries) is list else []
        return [*inner, *(part for name, part in attributes.items() if name not in (*_SELECTION, "transformers_"))]
    return [part for name, part in attributes.items() if name not in _UNREAD.get(record.name, ())]
