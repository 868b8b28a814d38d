"""How functions of Python speak to whoever calls them: of arguments that they do not have, and in warnings."""

import functools
import inspect
import sys
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from ihcli.errors import IhcliWarning, UnknownOptionError
from ihcli.library.arguments import check_arguments
from ihcli.methods import METHODS, names_of
from ihcli.wording import OPTIONS_ELSEWHERE, did_you_mean, printable

P = ParamSpec("P")
T = TypeVar("T")
OURS = ("ihcli.", "torch.utils._contextlib")
_ALWAYS_TOLD = "It is always told: see completeness_gap and relative_error of the explanation."
_AS_METHOD = f"The method says it. Try `method`: of pairs are {', '.join(names_of(order=2))}."
_AS_TARGET = "Try `target=predicted`, the default of several outputs, or `target=all`."
_SLOPES = [method.name for method in METHODS.values() if method.is_slope]
HAD_OTHERWISE: dict[str, str] = {
    **dict.fromkeys(("return_convergence_delta", "check_additivity"), _ALWAYS_TOLD),
    **dict.fromkeys(("precision", "float_type"), "Try `dtype=float64`."),
    **dict.fromkeys(("order", "max_order", "interaction_index", "index", "interactions"), _AS_METHOD),
    **dict.fromkeys(("ranked_outputs", "output_rank_order", "top_labels"), _AS_TARGET),
    **dict.fromkeys(("predict_fn", "forward_func", "predictor"), "The first argument is the model, or a function."),
    "multiply_by_inputs": f"The method says it. Try `method`: not multiplied are {', '.join(_SLOPES)}.",
    "attribute_to_layer_input": "Try `layers=['NAME:input']` with the name of the layer.",
    "sliding_window_shapes": "Try `groups`, with the features of each window.",
    **dict.fromkeys(("stdevs", "nt_type", "nt_samples"), "A method that draws has noise of its own. Try `method`."),
    **dict.fromkeys(("num_features", "top_k", "max_display"), 'All are kept. Try plot("bar", top_k=10).'),
    **dict.fromkeys(("key", "index_col", "id"), "Rows keep their order. Try explanation.to_frame().assign(id=...)."),
    "num_workers": "One process explains here. Try ihcli explain on the command line, which has workers.",
}
"""What captum, shap, alibi and the command line take as an argument, and how it is had here."""


def answering(function: Callable[P, T]) -> Callable[P, T]:
    """Make a function answer an argument that it does not have with the one that is meant, before it does anything.

    Calling it so raises UnknownOptionError, which is both an OptionError and a TypeError; a value of a type that the
    argument cannot have is an OptionError.
    """
    known = tuple(inspect.signature(function).parameters)

    @functools.wraps(function)
    def answered(*args: P.args, **kwargs: P.kwargs) -> T:
        for name in kwargs:
            if name not in known:
                raise unknown(function.__name__, name, known)
        check_arguments(kwargs)
        return function(*args, **kwargs)

    return answered


def unknown(function: str, name: str, known: tuple[str, ...]) -> UnknownOptionError:
    """Return the error of an argument that a function does not have."""
    if name in HAD_OTHERWISE and {"model", "tolerance"} <= set(known):
        return UnknownOptionError(f"`{name}`: {function}() has no such argument. {HAD_OTHERWISE[name]}")
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
