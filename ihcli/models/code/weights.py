"""Weights in what a file holds, wherever they stand in it, told by what they are and not by what they are called."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ihcli.models.advice.places import parts
from ihcli.models.pickles.allow_list import Record

EXTRA = "_extra_state"
_MOST_PLACES, _MOST_DEPTH = 20_000, 6
_ARGUMENTS, _ARGUMENTS_NAME, _BY_NAME = "hyper_parameters", "hparams_name", "kwargs"
_PLAIN = (bool, int, float, str)


@dataclass(frozen=True)
class Weights:
    """Tensors by name, and the keys that lead to them, such as `ema.shadow`; nothing where they are the whole file."""

    place: str
    tensors: Mapping[str, Tensor]


class Settings(dict[str, Any]):
    """Settings of a network by name, which are read as `settings["width"]` and as `settings.width`."""

    def __getattr__(self, name: str) -> Any:
        """Return a setting."""
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def weights_in(root: Any) -> list[Weights]:
    """Return every dictionary with tensors under names, those nearest to the root first; none of an optimiser."""
    found: list[Weights] = []
    for place, value in _walk(root):
        tensors = _tensors(value)
        if tensors:
            found.append(Weights(place, tensors))
    return found


def stored_arguments(root: Any) -> dict[str, Any]:
    """Return the arguments that a Lightning checkpoint has of its network; those that were not read are left out."""
    stored = root.get(_ARGUMENTS) if isinstance(root, dict) else None
    if not isinstance(stored, dict):
        return {}
    kept = Settings({name: value for name, value in stored.items() if type(name) is str and _is_read(value)})
    name = root.get(_ARGUMENTS_NAME)
    return {name: kept} if type(name) is str and name.isidentifier() and name != _BY_NAME else dict(kept)


def known_values(root: Any) -> dict[str, Any]:
    """Return plain values that stand under a name anywhere in a file beside its weights, the nearest of each name."""
    known: dict[str, Any] = {}
    for _, value in _walk(root):
        items = value.attributes if isinstance(value, Record) else value if isinstance(value, dict) else {}
        for name, each in items.items():
            if type(name) is str and _is_plain(each):
                known.setdefault(name, each)
    return known


def _tensors(value: Any) -> dict[str, Tensor]:
    """Return the entries of a dictionary that can be weights; what a layer keeps beside them (extra state) as it is."""
    if not isinstance(value, dict):
        return {}
    tensors: dict[str, Tensor] = {}
    for name, each in value.items():
        if type(name) is not str:
            return {}
        if isinstance(each, Tensor) or name.endswith(EXTRA):
            tensors[name] = each
        elif isinstance(each, np.ndarray) and each.dtype.kind in "fiub":
            tensors[name] = torch.from_numpy(np.ascontiguousarray(each.astype(each.dtype.newbyteorder("="))))
    return tensors if any(isinstance(each, Tensor) for each in tensors.values()) else {}


def _walk(root: Any) -> Iterator[tuple[str, Any]]:
    """Yield everything within what a file holds, with the keys that lead there, level by level, each object once."""
    level, seen, left = [("", root)], {id(root)}, _MOST_PLACES
    for _ in range(_MOST_DEPTH):
        below = []
        for place, value in level:
            yield place, value
            for step, part in parts(value):
                left -= 1
                if left < 0:
                    return
                if id(part) not in seen:
                    seen.add(id(part))
                    below.append((f"{place}.{_key(step)}".removeprefix("."), part))
        level = below


def _key(step: str) -> str:
    """Return the key or name in a step of Python."""
    return str(json.loads(step[1:-1])) if step.startswith("[") else step[1:]


def _is_read(value: Any) -> bool:
    """Return whether nothing in a value stands for an object that was not made."""
    if isinstance(value, Record):
        return False
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple | set) else ()
    return all(_is_read(each) for each in inner)


def _is_plain(value: Any) -> bool:
    is_list = type(value) in (list, tuple) and len(value) <= 64
    return type(value) in _PLAIN or (is_list and all(type(each) in _PLAIN for each in value))
