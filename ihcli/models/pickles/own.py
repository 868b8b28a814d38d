"""Classes and functions of the user's own code, which a pickle may ask for once the user has named that code.

An instance is made as Python's own reader makes one, without its constructor; its attributes are plain values, layers,
and other instances. Nothing is called but `__new__`, and `__setstate__` of a layer that has one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import FunctionType
from typing import Any

import torch

from ihcli.models.pickles.allow_list import Constructor, ForbiddenError, Record, RecordClass, activation_functions

_ELEMENTWISE = ("abs", "atan", "cos", "erf", "exp", "log1p", "sin", "square")
Own = Callable[[str, str], Any]
"""Returns what the user's code calls so, by module and name; None where it has nothing of the kind."""


@dataclass(frozen=True)
class OwnClass:
    """A class of the user's code, of which a stream may make instances, and nothing else."""

    value: Any

    def make(self, arguments: Any) -> Any:
        """Return an empty instance."""
        if arguments:
            raise ForbiddenError(f"a {self.value.__name__} with arguments")
        return self.value.__new__(self.value)


def no_code(_: str, __: str) -> None:
    """Know of no code."""


def as_read(found: Any) -> Any:
    """Return what stands in the stream for something of the user's code; None for what a file may not ask for."""
    if isinstance(found, type):
        return OwnClass(found)
    return found if isinstance(found, FunctionType) else None


def is_function(value: Any) -> bool:
    """Return whether a value is a function that an attribute of the user's own layers may be."""
    known = (*activation_functions(), *torch_functions().values())
    return isinstance(value, FunctionType) or any(value is each for each in known)


@cache
def torch_functions() -> dict[str, Any]:
    """Return the functions of torch itself that act element by element, as activations do."""
    names = {function.__name__ for function in activation_functions()} | {*_ELEMENTWISE}
    return {name: getattr(torch, name) for name in sorted(names) if hasattr(torch, name)}


def _attribute(owner: Any, name: Any) -> Any:
    """Return a function of torch, which Python pickles as an attribute; of anything else a record."""
    if owner == _TORCH and type(name) is str and name in torch_functions():
        return torch_functions()[name]
    return Record("getattr")


_TORCH = RecordClass("torch._C._VariableFunctionsClass")
NAMES: dict[tuple[str, str], Any] = {
    **{(module, "getattr"): Constructor(_attribute) for module in ("builtins", "__builtin__")},
    ("torch._C", "_VariableFunctionsClass"): _TORCH,
}
"""What else is read where there is code of the user's own: how a class keeps `torch.tanh`."""
