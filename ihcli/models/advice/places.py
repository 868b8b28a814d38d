"""Where in the outline of a file a network or its weights stand: the expression that leads there from the whole."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from torch import Tensor, nn

from ihcli.models.estimators.convert import predictor_in
from ihcli.models.pickles.allow_list import Record
from ihcli.models.steps import quoted
from ihcli.wording import MOST_LETTERS

_STACKED = "final_estimator"
_LOSSES = "torch.nn.modules.loss"
_MOST_PLACES, _MOST_DEPTH = 20_000, 6


class Found(Enum):
    """What stands at a place; the value says it in words."""

    MODULE = "a torch module"
    PREDICTOR = "a scikit-learn predictor"
    SKORCH = "a skorch net"
    WEIGHTS = "a state_dict, the weights without the network"


@dataclass(frozen=True)
class Place:
    """Something in a file: how Python gets there from what is loaded, such as `["model"]` or `.best_estimator_`."""

    expression: str
    value: Any
    found: Found


def find_places(root: Any) -> list[Place]:
    """Return the places of networks nearest to the root; where there are none, those of weights."""
    places = list(_places(root))
    networks = [place for place in places if place.found is not Found.WEIGHTS]
    return networks or places


def found_in(value: Any) -> Found | None:
    """Return what the value itself is, if anything that leads to a model."""
    if isinstance(value, nn.Module):
        return None if type(value).__module__ == _LOSSES else Found.MODULE
    if isinstance(value, Record):
        return _found_in_record(value)
    if isinstance(value, dict) and value and all(type(key) is str for key in value):
        return Found.WEIGHTS if all(isinstance(weight, Tensor) for weight in value.values()) else None
    return None


def short(record: Record) -> str:
    """Return the name of a class without its module."""
    return record.name.rpartition(".")[2]


def _found_in_record(record: Record) -> Found | None:
    if record.name.startswith("skorch."):
        return Found.SKORCH
    if {"_modules", "_parameters"} <= set(record.attributes):
        return Found.MODULE
    return Found.PREDICTOR if network_step(record) is not None else None


def network_step(record: Record) -> tuple[str, Record] | None:
    """Return the network that an estimator ends in and its place within the last step, or None.

    Looks at the last step and at what that step keeps, no deeper: steps within each other may repeat without end.
    """
    if predictor_in(record) is not None:
        return "", record
    last = last_step(record)
    if last is None:
        return None
    innermost = _innermost(last)
    if _is_end(innermost):
        return "", last
    return next(((step, part) for step, part in _held(last) if predictor_in(part) is not None), None)


def _held(record: Record) -> Iterator[tuple[str, Record]]:
    """Yield the estimators that one keeps, the first of many, and what is calibrated in it."""
    for step, part in parts(record):
        first = part[0] if isinstance(part, list) and part else None
        if isinstance(part, Record):
            yield step, part
        elif isinstance(first, Record):
            inner = first.attributes.get("estimator")
            yield f"{step}[0]", first
            yield from [(f"{step}[0].estimator", inner)] if isinstance(inner, Record) else []


def last_step(record: Record) -> Record | None:
    """Return the last step of a pipeline."""
    steps = record.attributes.get("steps") if short(record) == "Pipeline" else None
    last = steps[-1] if isinstance(steps, list) and steps else None
    step = last[1] if isinstance(last, tuple) and len(last) == 2 else None
    return step if isinstance(step, Record) else None


def _innermost(record: Record) -> Record:
    """Return the last step of the last step, and so on."""
    for _ in range(_MOST_DEPTH):
        record = last_step(record) or record
    return record


def _is_end(record: Record) -> bool:
    return record.name.startswith("skorch.") or predictor_in(record) is not None


def _places(root: Any) -> Iterator[Place]:
    """Yield what stands nearest, level by level, and all of its level."""
    level, seen, left = [("", root)], {id(root)}, _MOST_PLACES
    for _ in range(_MOST_DEPTH):
        found = [Place(expression, value, what) for expression, value in level if (what := found_in(value))]
        yield from found
        if any(place.found is not Found.WEIGHTS for place in found):
            return
        below = []
        for expression, value in level:
            for step, part in parts(value):
                left -= 1
                if left < 0:
                    return
                if id(part) not in seen:
                    seen.add(id(part))
                    below.append((expression + step, part))
        level = below


def parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a container or record holds; an optimiser's state is full of tensors and holds no weights.

    What is stacked on other estimators takes their outputs in the place of a table.
    """
    if isinstance(value, dict) and "param_groups" not in value and found_in(value) is None:
        yield from ((f"[{_key(key)}]", part) for key, part in value.items() if _is_key(key))
    elif isinstance(value, (list, tuple)):
        yield from ((f"[{index}]", part) for index, part in enumerate(value))
    elif isinstance(value, Record) and short(value) != "Pipeline":
        yield from ((f".{name}", part) for name, part in value.attributes.items() if _is_name(name))


def _is_key(key: Any) -> bool:
    return type(key) is int or (type(key) is str and len(key) <= MOST_LETTERS)


def _key(key: str | int) -> str:
    return quoted(key) if isinstance(key, str) else str(key)


def _is_name(name: Any) -> bool:
    return (
        type(name) is str and len(name) <= MOST_LETTERS and name.isidentifier() and not name.startswith(("_", _STACKED))
    )
