"""Which weights of a file go into a network: those that fit, or those that were asked for; else what does not fit."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from ihcli.errors import ModelError, OptionError
from ihcli.files.code import Code
from ihcli.models.code.building import Called
from ihcli.models.code.fitting import Fit, Shape, Wanted, fits
from ihcli.models.code.weights import Weights
from ihcli.wording import did_you_mean, listed, printable

_SHOWN = 3
_MOST_GUESSES = 3


def chosen(found: Sequence[Weights], wanted: Wanted, code: Code, subject: object, call: Called | None) -> Fit:
    """Return how the weights of a file go into a network.

    Parameters:
        subject: the file, for messages.
        call: what made the network, to try other arguments where weights do not fit; None where nothing was called.

    Raises ModelError where none fit, with what differs; OptionError where several do, or none where asked for.
    """
    if not found:
        raise ModelError(
            f"{subject}: holds no tensors by name. Expected a state_dict, alone or in a checkpoint, for {code.option}. "
            "Try torch.save(model.state_dict(), path)."
        )
    ways = [fit for weights in found for fit in fits(weights, wanted)]
    if code.weights is not None:
        ways = _asked_for(ways, code.weights, subject)
    whole = _different(fit for fit in ways if fit.is_whole)
    if not whole:
        raise ModelError(f"{subject}: {_difference(max(ways, key=lambda fit: len(fit.names)), code, call, wanted)}")
    if len(whole) > 1:
        places = [fit.place for fit in whole]
        raise OptionError(
            f"{subject}: holds {len(whole)} sets of weights that fit {printable(code.name)}, {listed(places, _SHOWN)}. "
            f"Try `code_weights={printable(places[0])}`, or another of them."
        )
    _refuse_untied(whole[0], wanted, code, subject)
    return whole[0]


def _refuse_untied(fit: Fit, wanted: Wanted, code: Code, subject: object) -> None:
    """Refuse weights that are different in the file and the same tensor in the code."""
    tensors = fit.tensors()
    for name, first in wanted.tied.items():
        if name != first and name in tensors and first in tensors and not _is_same(tensors[name], tensors[first]):
            raise ModelError(
                f"{subject}: has different weights for {_quoted(first)} and {_quoted(name)}, which are one tensor in "
                f"{printable(code.name)} of {printable(code.place)}. Try the class of training, where they are two."
            )


def _asked_for(ways: list[Fit], key: str, subject: object) -> list[Fit]:
    """Return the ways whose weights stand at a key."""
    right = [fit for fit in ways if fit.place == key] or [fit for fit in ways if fit.place.startswith(f"{key}.")]
    right = right or [fit for fit in ways if f".{fit.place}".endswith(f".{key}")]
    if right:
        return right
    places = [fit.place for fit in ways if fit.place]
    hint = did_you_mean(key, places) or " Try without `code_weights`."
    there = f"one of {listed(places)}" if places else "none, as the file is one state_dict"
    raise OptionError(f"`code_weights={printable(key)}`: {subject} has no weights there. Expected {there}.{hint}")


def _different(whole: Iterable[Fit]) -> list[Fit]:
    """Return the ways that lead to different numbers."""
    different: list[Fit] = []
    for fit in whole:
        if not any(_are_same(fit, other) for other in different):
            different.append(fit)
    return different


def _are_same(one: Fit, other: Fit) -> bool:
    ours, theirs = one.tensors(), other.tensors()
    return ours.keys() == theirs.keys() and all(_is_same(ours[name], theirs[name]) for name in ours)


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    return bool(one is other)


def _difference(fit: Fit, code: Code, call: Called | None, wanted: Wanted) -> str:
    """Return in words what does not fit, and what may help."""
    at = f" at {fit.place!r}" if fit.place else ""
    differing = [
        f"{_quoted(name)} is {_size(there)} in the file, {_size(here)} in the code"
        for name, (there, here) in fit.others.items()
    ]
    said = [
        *([f"{_counted(fit.missing, 'is', 'are')} not in the file ({_some(fit.missing)})"] if fit.missing else []),
        *([f"{_counted(fit.strange, 'is', 'are')} not in the code ({_some(fit.strange)})"] if fit.strange else []),
        *(
            [f"{len(differing)} of another shape ({'; '.join(differing[:_SHOWN])}{_more(differing)})"]
            if differing
            else []
        ),
    ]
    step = _arguments_step(fit, call) or _names_step(fit) or _class_step(code, fit)
    return (
        f"its weights{at} do not fit {printable(code.name)} of {printable(code.place)}: of {len(wanted.shapes)} "
        f"tensors {', '.join(said)}. Expected every tensor of the code, and no other. {step}"
    )


def _arguments_step(fit: Fit, call: Called | None) -> str:
    """Return which arguments differ, where others are seen to make a network that fits."""
    if call is None:
        return ""
    sizes = _sizes(fit)
    guesses = {name: guess for name, value in call.arguments().items() if (guess := _resized(value, sizes)) != value}
    if not guesses:
        return ""
    tries = [guesses, *({name: guess} for name, guess in guesses.items())] if len(guesses) > 1 else [guesses]
    for changed in tries[: _MOST_GUESSES + 1]:
        if _is_right(call, changed, fit.weights):
            values = ", ".join(
                f"{name} {_value(value)} in the file, {_value(call.arguments()[name])} in the code"
                for name, value in changed.items()
            )
            return f"{printable(values)}: try {call.given(changed)}."
    return ""


def _is_right(call: Called, changed: dict[str, Any], weights: Weights) -> bool:
    try:
        return any(fit.is_whole for fit in fits(weights, Wanted.by(call.network(changed))))
    except ModelError:
        return False


def _sizes(fit: Fit) -> dict[int, int]:
    """Return sizes of the file by those of the code, where shapes differ, and numbers of layers."""
    sizes: dict[int, int] = {}
    for there, here in fit.others.values():
        if there is not None and here is not None and len(there) == len(here):
            sizes |= {ours: theirs for ours, theirs in zip(here, there, strict=True) if ours != theirs}
    depth_here, depth_there = _depth([*fit.names, *fit.missing]), _depth([*fit.names, *fit.strange])
    if depth_here != depth_there:
        sizes.setdefault(depth_here, depth_there)
    return sizes


def _depth(names: Sequence[str]) -> int:
    """Return how many parts are numbered, at most, among those of one place."""
    numbers = [int(part) for name in names for part in name.split(".") if part.isdecimal() and len(part) < 6]
    return max(numbers, default=-1) + 1


def _resized(value: Any, sizes: dict[int, int]) -> Any:
    if type(value) is int:
        return sizes.get(value, value)
    return [_resized(each, sizes) for each in value] if type(value) in (list, tuple) else value


def _names_step(fit: Fit) -> str:
    """Return what to look at where names differ by what computes a weight."""
    names = " ".join((*fit.missing, *fit.strange))
    for signs, function in (
        (("weight_g", "original0"), "weight_norm"),
        (("weight_orig", "weight_u", "parametrizations"), "spectral_norm"),
    ):
        if any(sign in names for sign in signs):
            return f"One side computes its weights (torch.nn.utils.{function}): try the class as it was trained."
    return ""


def _class_step(code: Code, fit: Fit) -> str:
    if fit.strange and not fit.missing and not fit.others:
        return "Try the class as it was trained: a smaller one would leave weights out."
    return f"Try the class and the arguments of training, by {code.option} and `code_args`."


def _counted(names: Sequence[str], one: str, many: str) -> str:
    return f"{len(names)} {one if len(names) == 1 else many}"


def _some(names: Sequence[str]) -> str:
    return listed(names, _SHOWN)


def _more(entries: Sequence[str]) -> str:
    return f" and {len(entries) - _SHOWN} more" if len(entries) > _SHOWN else ""


def _quoted(name: str) -> str:
    return repr(printable(name))


def _size(shape: Shape) -> str:
    return "unknown" if shape is None else str(shape)


def _value(value: Any) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)
