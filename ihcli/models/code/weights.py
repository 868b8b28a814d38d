"""Weights in what a file holds, wherever they stand in it, told by what they are and not by what they are called."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ihcli.models.advice.places import Found, found_in, parts
from ihcli.models.pickles.allow_list import Record
from ihcli.models.pickles.plain_layers import unwrapped

EXTRA = "_extra_state"
_MOST_PLACES, _MOST_DEPTH, _MOST_NESTED = 20_000, 6, 50
_ARGUMENTS, _ARGUMENTS_NAME, _BY_NAME = "hyper_parameters", "hparams_name", "kwargs"
_TABLES = ("_parameters", "_buffers", "_modules")
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


def weights_in(root: Any, of_layers: bool = True) -> list[Weights]:
    """Return every dictionary with tensors under names, those nearest to the root first; none of an optimiser.

    Parameters:
        of_layers: whether layers, and what stands for them, are taken apart for theirs.
    """
    found: list[Weights] = []
    for place, value in _walk(root):
        tensors = _tensors(_state(value) if of_layers and not isinstance(value, dict) else value)
        if tensors:
            found.append(Weights(place, tensors))
    return found


def networks_in(root: Any) -> dict[str, nn.Module]:
    """Return every network that is whole, by the keys that lead to it; losses are none."""
    found = {place: unwrapped(value) for place, value in _walk(root)}
    return {
        place: value
        for place, value in found.items()
        if found_in(value) is Found.MODULE and isinstance(value, nn.Module)
    }


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


def _state(layer: Any, prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """Return the state_dict of a layer that is an inert record, or has layers that are; nothing for anything else."""
    attributes = layer.attributes if isinstance(layer, Record) else vars(layer) if isinstance(layer, nn.Module) else {}
    tables = [table for name in _TABLES if isinstance(table := attributes.get(name), dict)]
    if depth > _MOST_NESTED or len(tables) < len(_TABLES):
        return {}
    *numbers, layers = tables
    state = {f"{prefix}{name}": value for table in numbers for name, value in table.items()}
    for name, inner in layers.items():
        state |= _state(inner, f"{prefix}{name}.", depth + 1)
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


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
