"""What a pickle stream may make: calls, instances and states, each checked, and all of them within bounds."""

from collections import OrderedDict
from typing import Any

import numpy as np
from torch import Tensor, nn

from ihcli.models.pickles import arrays
from ihcli.models.pickles.allow_list import Constructor, ForbiddenError, Record, RecordClass, module_classes
from ihcli.models.pickles.own import OwnClass

MOST_OBJECTS = 500_000
"""Lists, dictionaries, tuples, calls and instances of a stream; a network of 10,000 layers has fewer."""
_COPIES, _HARMLESS_BYTES = 4, 1 << 20
_SIZED = (str, bytes, bytearray, list, tuple, set, dict, OrderedDict)


class Bounds:
    """What a stream of so many bytes may still make.

    A byte or two make an empty container of hundreds, and an argument once read can be copied by ever more calls.
    """

    def __init__(self, stream_bytes: int) -> None:
        self._objects = MOST_OBJECTS
        self._copied = _COPIES * stream_bytes + _HARMLESS_BYTES

    def count(self) -> None:
        """Count one object; raises ValueError beyond the bound."""
        self._objects -= 1
        if self._objects < 0:
            raise ValueError(f"it makes more than {MOST_OBJECTS} objects")

    def copy(self, *arguments: Any) -> None:
        """Count the bytes or items that a call may copy; raises ValueError beyond the bound."""
        self._copied -= sum(len(argument) for argument in arguments if type(argument) in _SIZED)
        if self._copied < 0:
            raise ValueError("its calls copy far more than the stream holds")


def call(function: Any, arguments: Any, bounds: Bounds) -> Any:
    """Return what one of our constructors makes of the arguments of the stream."""
    if type(arguments) is not tuple:
        raise ForbiddenError(f"{named(function)} without a tuple of arguments")
    if type(function) is RecordClass:
        return Record(function.name)
    if type(function) is OwnClass:
        return function.make(arguments)
    if type(function) is not Constructor:
        raise ForbiddenError(f"a call of {named(function)}")
    bounds.copy(*arguments)
    return function.call(*arguments)


def make(cls: Any, arguments: Any, bounds: Bounds) -> Any:
    """Return an empty instance of a layer class, or what stands for one of another allowed class."""
    if type(cls) is RecordClass:
        return Record(cls.name)
    if type(cls) is Constructor:
        return call(cls, arguments, bounds)
    if type(cls) is OwnClass:
        return cls.make(arguments)
    if not isinstance(cls, type) or cls not in module_classes() or arguments:
        raise ForbiddenError(f"a new {named(cls)}")
    return object.__new__(cls)


def set_state(instance: Any, state: Any, bounds: Bounds) -> None:
    """Set the state of anything but a layer, whose states wait until the stream has ended."""
    if type(instance) is Record:
        instance.attributes.update(state if type(state) is dict else {})
    elif type(instance) is OrderedDict:
        plain(state, dict)  # the version notes of a state_dict, which nothing here reads
    elif type(instance) is arrays.WrappedArray:
        instance.state = plain(state, dict)
    elif type(instance) is arrays.DType:
        instance.set_state(plain(state, tuple))
    elif type(instance) is np.ndarray:
        bounds.copy(*plain(state, tuple))
        arrays.set_array_state(instance, state)
    else:
        raise ForbiddenError(f"the state of a {named(type(instance))}")


def layer_state(layer: nn.Module, state: Any) -> dict[str, Any]:
    """Return the state of a layer, where all its keys are names."""
    if not all(type(key) is str for key in plain(state, dict)):
        raise ForbiddenError(f"the state of a {named(type(layer))} with keys that are not names")
    return dict(state)


def plain(container: Any, *types: type) -> Any:
    """Return the container where it is of exactly one of the types."""
    if type(container) not in types:
        raise ForbiddenError(f"a {named(type(container))} in place of a {types[0].__name__}")
    return container


def named(value: Any) -> str:
    """Return the name of a class or function, or of the class of anything else."""
    if isinstance(value, RecordClass):
        return value.name
    if isinstance(value, OwnClass):
        value = value.value
    if isinstance(value, nn.Module | Tensor):  # whose attributes may be of the stream's choosing
        value = type(value)
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    return f"{module}.{name}" if module and name else type(value).__name__
