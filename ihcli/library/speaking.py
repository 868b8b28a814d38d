"""How functions of Python speak to whoever calls them: of arguments that they do not have, and in warnings."""

import functools
import inspect
import sys
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from ihcli.errors import IhcliWarning, UnknownOptionError
from ihcli.wording import OPTIONS_ELSEWHERE, did_you_mean, printable

P = ParamSpec("P")
T = TypeVar("T")
OURS = ("ihcli.", "torch.utils._contextlib")


def answering(function: Callable[P, T]) -> Callable[P, T]:
    """Make a function answer an argument that it does not have with the one that is meant, before it does anything.

    Calling it so raises UnknownOptionError, which is both an OptionError and a TypeError.
    """
    known = tuple(inspect.signature(function).parameters)

    @functools.wraps(function)
    def answered(*args: P.args, **kwargs: P.kwargs) -> T:
        for name in kwargs:
            if name not in known:
                raise unknown(function.__name__, name, known)
        return function(*args, **kwargs)

    return answered


def unknown(function: str, name: str, known: tuple[str, ...]) -> UnknownOptionError:
    """Return the error of an argument that a function does not have."""
    close = did_you_mean(name, known, OPTIONS_ELSEWHERE)
    advice = close or f" Expected some of {', '.join(known)}."
    return UnknownOptionError(f"`{printable(name)}`: {function}() has no such argument.{advice}")


def warn(text: str) -> None:
    """Warn whoever called the front door."""
    warnings.warn(text, IhcliWarning, stacklevel=_depth())


def _depth() -> int:
    """Return how many calls above the one that warns the first is that is none of ours, nor of torch's decorators."""
    depth, frame = 1, sys._getframe(1)
    while frame.f_back is not None and _is_within(frame.f_globals.get("__name__", "")):
        depth, frame = depth + 1, frame.f_back
    return depth


def _is_within(module: str) -> bool:
    return module.startswith(OURS)
