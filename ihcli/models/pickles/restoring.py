"""The states of layers out of a stream, kept until it has ended; then all of them are checked and set.

What a layer may hold is said by its class: attributes that are no methods of it, plain values, tensors of the shapes
that its sizes ask for, other layers. Of the code of torch only `__setstate__` of the allow-listed class itself runs,
over a state in which there is nothing that could be called.
"""

import math
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ihcli.models.pickles.allow_list import ForbiddenError, Record, activation_functions
from ihcli.models.pickles.building import named
from ihcli.models.pickles.declared import Fields, check_layer, declared_names, reserved_names, weight_lists
from ihcli.models.pickles.own import is_function
from ihcli.models.pickles.plain_layers import fold, unwrap_children
from ihcli.wording import printable

MOST_LAYERS = 10_000
"""Calls of layers in a network: one that stands in it twice counts twice."""
_MOST_DEPTH = 200  # of layers, lists and dictionaries within each other; torch walks through layers by recursion
_MOST_REPETITION, _HARMLESS_ITEMS = 4, 1_000_000
_HOOKS = frozenset(name for name in vars(nn.Module()) if "hook" in name)
_TABLES: dict[str, type] = {"_parameters": nn.Parameter, "_buffers": Tensor, "_modules": nn.Module}
_CALLING = ("TransformerEncoderLayer", "TransformerDecoderLayer")  # keep a function as their attribute `activation`
_PLAIN = (
    *(type(None), bool, int, float, complex, str, bytes, bytearray, Tensor, nn.Parameter, np.ndarray, Record),
    *(torch.dtype, torch.device),
)
_MOST_COUNT, _MOST_AREA = 1 << 20, 1 << 24
# Numbers that stand for themselves and count nothing.
_VALUES = frozenset(("value", "threshold", "min_val", "max_val", "lambd", "alpha", "beta", "negative_slope"))
_AREAS = ("size", "output_size", "kernel_size", "scale_factor")


class ReplacedError(ForbiddenError):
    """A layer has something that could be called where its class has not; `str(error)` names it."""


class Layers:
    """The layers of a stream that have met their states, and the states.

    own  classes of the user's own code that the stream named
    """

    def __init__(self) -> None:
        self._states: dict[int, tuple[nn.Module, Fields]] = {}
        self.own: set[type] = set()

    def keep(self, layer: nn.Module, state: Fields) -> None:
        """Keep the state of a layer; a second one is refused."""
        if id(layer) in self._states:
            raise ForbiddenError(f"a second state for a {named(type(layer))}")
        self._states[id(layer)] = layer, state

    def keep_object(self, instance: Any, state: Fields) -> None:
        """Set the attributes of an object of the user's own classes; those that its class has are refused."""
        for name in state:
            if _is_of_class(type(instance), name):
                raise ReplacedError(f"{printable(name)} of a {type(instance).__name__}")
        vars(instance).update(state)

    def restore(self, content: Any) -> None:
        """Set the states of all layers within the content.

        Raises ForbiddenError for what would be called in place of a layer's own methods; ValueError for layers
        within themselves, too many of them, and whatever does not fit its class.
        """
        found = _Walk(self._states, self.own).layers_within(content)
        layers = [(layer, vars(nn.Module()) | state) for layer, state in found]
        for layer, state in layers:
            _check_tables(layer, state)
        _check_sharing(layers)
        for layer, state in layers:
            fold(state)
            _drop_what_scripting_leaves(state)
            _check_state(layer, state, self.own)
            if isinstance(layer, nn.RNNBase):
                state.update(weight_lists({"proj_size": 0, **state}))
            type(layer).__setstate__(layer, state)
            check_layer(layer)


class _Walk:
    """A walk through a stream's object, however deep: every list, dictionary and layer once, the inner ones first."""

    def __init__(self, states: dict[int, tuple[nn.Module, Fields]], own: set[type]) -> None:
        self._states = states
        self._own = own
        self._layers: list[tuple[nn.Module, Fields]] = []
        self._calls: dict[int, int] = {}  # of layers within each object, where one that is there twice counts twice
        self._items: dict[int, int] = {}  # the same of everything
        self._distinct = 0

    def layers_within(self, content: Any) -> list[tuple[nn.Module, Fields]]:
        """Return the layers with their states; raises ValueError for an object that is its own part, or repeats."""
        open_objects: dict[int, None] = {}
        root = [content]
        stack: list[tuple[Any, Iterator[Any]]] = [(root, iter(root))]
        while stack:
            parent, pending = stack[-1]
            child = next(pending, self)
            if child is self:
                stack.pop()
                open_objects.pop(id(parent), None)
                self._close(parent)
            elif id(child) in open_objects:
                raise ValueError(f"a {type(child).__name__} that holds itself")
            elif id(child) not in self._items and (inner := self._inner(child)) is not None:
                if len(stack) > _MOST_DEPTH:
                    raise ValueError(f"objects are nested more than {_MOST_DEPTH} deep")
                open_objects[id(child)] = None
                stack.append((child, iter(inner)))
        return self._layers

    def _close(self, parent: Any) -> None:
        """Add up what an object holds, now that its parts are known."""
        inner = self._inner(parent) or []
        is_layer = isinstance(parent, nn.Module)
        self._calls[id(parent)] = is_layer + sum(self._calls.get(id(child), 0) for child in inner)
        self._items[id(parent)] = 1 + sum(self._items.get(id(child), 1) for child in inner)
        self._distinct += 1 + len(inner)
        if self._calls[id(parent)] > MOST_LAYERS:
            raise ValueError(f"a network of more than {MOST_LAYERS} layers, counted as often as they are called")
        if self._items[id(parent)] > _MOST_REPETITION * self._distinct + _HARMLESS_ITEMS:
            raise ValueError(f"a {type(parent).__name__} that repeats its parts without end")
        if is_layer:
            self._layers.append(self._states[id(parent)])

    def _inner(self, value: Any) -> list[Any] | None:
        """Return what a container holds, None for anything else."""
        if isinstance(value, nn.Module):
            if id(value) not in self._states:
                raise ValueError(f"a {type(value).__name__} without its state")
            return list(self._states[id(value)][1].values())
        if isinstance(value, Record):
            return list(value.attributes.values())
        if type(value) in self._own:
            return list(vars(value).values())
        if isinstance(value, dict):
            return list(value.values())
        if isinstance(value, list | tuple | set | frozenset):
            return list(value)
        if isinstance(value, np.ndarray) and value.dtype.hasobject:
            return list(value.ravel())
        return None


def _drop_what_scripting_leaves(state: Fields) -> None:
    """Take out the empty table of overloaded methods that torch.jit.script puts into every layer it reads."""
    overloads = state.get("__overloads__")
    if type(overloads) is dict and not overloads:
        del state["__overloads__"]


def _check_state(layer: nn.Module, state: Fields, own: set[type]) -> None:
    """Refuse what is no state of this class, and what would be called in place of its own methods."""
    cls = type(layer)
    for name, value in state.items():
        if name in _HOOKS:
            if type(value) is not bool and value:
                raise ReplacedError(f"{name} of a {cls.__name__}")
        elif name in _TABLES:
            for key in value:
                if _is_of_class(cls, key):
                    raise ReplacedError(f"{printable(key)} of a {cls.__name__}")
        elif _is_of_class(cls, name):
            raise ReplacedError(f"{printable(name)} of a {cls.__name__}")
        elif not (name == "activation" and cls.__name__ in _CALLING and value in activation_functions()):
            _check_plain(cls, name, value, own)
    if cls not in own:  # whose counts may be of anything
        _check_counts(cls, state)


def _check_tables(layer: nn.Module, state: Fields) -> None:
    """Refuse a layer whose weights or hooks are no tables; children are taken out of what torch wraps around them."""
    kind = type(layer).__name__
    for name in _HOOKS & state.keys():
        if type(state[name]) not in (dict, OrderedDict, bool, type(None)):
            raise ReplacedError(f"{name} of a {kind}")
    for name, wanted in _TABLES.items():
        table = state[name]
        if type(table) not in (dict, OrderedDict) or not all(type(key) is str for key in table):
            raise ValueError(f"a {kind} whose {name} are not a dictionary of names")
        if name == "_modules":
            unwrap_children(state)
        for value in table.values():
            if not (value is None or isinstance(value, wanted)):
                raise ValueError(f"a {kind} with a {type(value).__name__} among its {name}")


def _is_of_class(cls: type, name: str) -> bool:
    """Return whether the class has a method, a property or a name of Python's own by this name."""
    return name in reserved_names(cls) or (name.startswith("__") and name.endswith("__"))


def _check_plain(cls: type[nn.Module], name: str, value: Any, own: set[type]) -> None:
    """Refuse functions, classes and other layers among the attributes of a layer, at any depth."""
    if type(value) in (list, tuple, set, frozenset, torch.Size):
        for part in value:
            _check_plain(cls, name, part, own)
    elif type(value) in (dict, OrderedDict):
        for part in value.values():
            _check_plain(cls, name, part, own)
    elif cls in own and (type(value) in own or is_function(value)):
        return
    elif type(value) not in _PLAIN and not isinstance(value, np.generic):
        raise ReplacedError(f"a {named(value)} as the {printable(name)} of a {cls.__name__}")


def _check_counts(cls: type, state: Fields) -> None:
    """Refuse sizes that no tensor of the layer bears out and no layer without tensors has."""
    tensors = [*state["_parameters"].values(), *state["_buffers"].values()]
    most = max([_MOST_COUNT, *(tensor.numel() for tensor in tensors if tensor is not None)])
    for name in declared_names(cls) & state.keys() - _VALUES:
        numbers = [abs(number) for number in _numbers(state[name])]
        area = math.prod(max(number, 1) for number in numbers)
        if name == "padding":
            area = math.prod(1 + sum(numbers[at : at + 2]) for at in range(0, len(numbers), 2))
        if max(numbers, default=0) > most or (area > _MOST_AREA and name in (*_AREAS, "padding")):
            raise ValueError(f"a {cls.__name__} whose {name} is far beyond what it holds")


def _numbers(value: Any) -> list[Any]:
    parts = value if type(value) in (list, tuple, torch.Size) else [value]
    return [part for part in parts if type(part) in (int, float) and part == part]


def _check_sharing(layers: list[tuple[nn.Module, Fields]]) -> None:
    """Refuse tensors that are far more, taken together, than the storages that they are views of.

    Each would have memory of its own once it is converted, and each computed weight has, in each layer.
    """
    tensors: dict[tuple[int, int], Tensor] = {}
    for layer, state in layers:
        owner = id(layer) if state["_forward_pre_hooks"] else 0
        for tensor in (*state["_parameters"].values(), *state["_buffers"].values()):
            if tensor is not None:
                tensors[id(tensor), owner] = tensor
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors.values()}
    total = sum(tensor.numel() * tensor.itemsize for tensor in tensors.values())
    if total > _MOST_REPETITION * sum(storages.values()) + _HARMLESS_ITEMS:
        raise ValueError("weights that are the same memory many times over")
