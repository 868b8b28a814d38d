"""Arguments of functions of Python that they do not have: refused with the word that is meant."""

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from ihcli.errors import UnknownOptionError
from ihcli.wording import OPTIONS_ELSEWHERE, did_you_mean, printable

P = ParamSpec("P")
T = TypeVar("T")


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
