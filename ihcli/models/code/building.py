"""A network made by the user's class or function: with which arguments, and what is said where they do not fit."""

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from ihcli.errors import ModelError, OptionError
from ihcli.files.code import Code
from ihcli.models.code.importing import told, untouched
from ihcli.models.pickles.plain_layers import unwrapped
from ihcli.wording import did_you_mean, listed, printable

_COMPILED = "_orig_mod"
_UNKNOWN = "..."


@dataclass(frozen=True)
class Called:
    """What makes a network, and what it is called with.

    by_place, by_name  the arguments, those of the file among them
    """

    code: Code
    make: Callable[..., Any]
    by_place: tuple[Any, ...] = ()
    by_name: Mapping[str, Any] | None = None

    def network(self, changed: Mapping[str, Any] = MappingProxyType({}), seed: int = 0) -> nn.Module:
        """Return what it makes, wrappers taken off; raises ModelError.

        Parameters:
            changed: arguments to change, by name.
            seed: of the random numbers that it draws.
        """
        with told(self.code, "where it is called"), untouched(seed):
            made = self._with(changed) if changed else self.make(*self.by_place, **(self.by_name or {}))
        return network_of(made, self.code)

    def arguments(self) -> dict[str, Any]:
        """Return all arguments by name, those by default among them; none where Python does not tell."""
        signature = _signature(self.make)
        if signature is None:
            return {}
        bound = signature.bind(*self.by_place, **(self.by_name or {}))
        bound.apply_defaults()
        return dict(bound.arguments)

    @property
    def arguments_text(self) -> str | None:
        """The arguments that are given, as JSON, in which other values are as Python shows them; None: none are."""
        placed = dict(zip(self.arguments(), self.by_place, strict=False))
        given = {**placed, **self.by_name} if self.by_name else list(self.by_place)
        return json.dumps(given, ensure_ascii=False, default=repr) if given else None

    def _with(self, changed: Mapping[str, Any]) -> Any:
        bound = inspect.signature(self.make).bind(*self.by_place, **(self.by_name or {}))
        bound.arguments.update(changed)
        return self.make(*bound.args, **bound.kwargs)

    def given(self, changed: Mapping[str, Any]) -> str:
        """Return the option that gives these arguments and changes of some, as far as JSON can say them."""
        if self.code.arguments is not None and not isinstance(self.code.arguments, Mapping):
            named = self.arguments()
            names = [*named][: max(len(self.by_place), *(1 + [*named].index(name) for name in changed))]
            return _option([{**named, **changed}[name] for name in names])
        return _option({**(self.code.arguments or {}), **changed})


def network_of(made: Any, code: Code) -> nn.Module:
    """Return the module in what was made: what torch.compile and DataParallel put around it is taken off."""
    module = unwrapped(made)
    module = unwrapped(getattr(module, _COMPILED, module))
    if isinstance(module, nn.Module):
        return module
    if isinstance(module, type):
        raise ModelError(
            f"{code.option}: gives the class {module.__name__}, not a network. Try its name in place "
            f"of {printable(code.name)}."
        )
    raise ModelError(
        f"{code.option}: gives {_in_words(module)}. Expected a torch module. Try a class or function that makes one."
    )


def called(code: Code, value: Any, stored: Mapping[str, Any], known: Mapping[str, Any]) -> Called:
    """Return how the user's class or function is called: with the arguments told, and those that the file stores.

    Parameters:
        stored: arguments that a Lightning checkpoint has; what the class does not take of them is left out.
        known: values that stand in the file under names, for proposals only.

    Raises OptionError where arguments are missing or are not taken, with the option that gives them.
    """
    if not callable(value):
        raise ModelError(
            f"{code.option}: is {_in_words(value)}. Expected a class or function that makes a torch module. "
            "Try the name of one."
        )
    signature = _signature(value)
    by_place, by_name = _told(code)
    if signature is not None:
        taken = signature.parameters
        placed = [*taken][: len(by_place)]
        takes_all = any(each.kind is each.VAR_KEYWORD for each in taken.values())
        by_name = {
            **{name: each for name, each in stored.items() if (name in taken or takes_all) and name not in placed},
            **by_name,
        }
        _check(Called(code, value, by_place, by_name), signature, known)
    return Called(code, value, by_place, by_name)


def _told(code: Code) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(code.arguments, Mapping):
        return (), dict(code.arguments)
    return code.arguments or (), {}


def _signature(make: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(make)
    except (ValueError, TypeError):
        return None


def _check(call: Called, signature: inspect.Signature, known: Mapping[str, Any]) -> None:
    try:
        signature.bind(*call.by_place, **(call.by_name or {}))
    except TypeError:
        taken = {name: each for name, each in signature.parameters.items() if each.kind not in _VARIABLE}
        _refuse_others(call, [*taken])
        required = [name for name, each in [*taken.items()][len(call.by_place) :] if each.default is each.empty]
        _refuse_missing(call, [name for name in required if name not in (call.by_name or {})], known)


def _refuse_others(call: Called, taken: list[str]) -> None:
    """Refuse arguments that are not taken, or are given twice."""
    called_so, given = printable(call.code.name), call.by_name or {}
    for name in given:
        if name not in taken:
            hint = did_you_mean(name, taken) or " Try one of them."
            raise OptionError(
                f"`code_args`: {called_so} takes no {printable(repr(name))}. Expected of {listed(taken)}.{hint}"
            )
        if name in taken[: len(call.by_place)]:
            raise OptionError(f"`code_args`: gives {name!r} of {called_so} twice. Expected it once. Try without one.")
    if len(call.by_place) > len(taken):
        named = _option(dict(zip(taken, call.by_place, strict=False)))
        raise OptionError(
            f"`code_args`: {len(call.by_place)} values, but {called_so} takes {len(taken)}: {listed(taken)}. Expected "
            f"one for each of them at most. Try naming them: {named}."
        )


def _refuse_missing(call: Called, missing: list[str], known: Mapping[str, Any]) -> None:
    proposed = {name: known.get(name, _UNKNOWN) for name in missing}
    of_file = ", as the file has it" if all(name in known for name in missing) else ", with the values of training"
    values = [*call.by_place, *proposed.values()] if call.by_place else {**(call.by_name or {}), **proposed}
    raise OptionError(
        f"{call.code.option}: {printable(call.code.name)} wants arguments that are not given ({listed(missing)}). "
        f"Try {_option(values)}{of_file}."
    )


_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _option(arguments: Any) -> str:
    """Return the option that gives these arguments, in the quotes of a shell; what JSON cannot say is left open."""
    text = json.dumps(arguments, ensure_ascii=False, default=lambda _: _UNKNOWN)
    quoted = text.replace("'", "\\u0027").replace("`", "\\u0060").replace(f'"{_UNKNOWN}"', _UNKNOWN)
    return f"`code_args='{printable(quoted, None)}'`"


def _in_words(value: Any) -> str:
    if isinstance(value, nn.Module):
        return "a torch module"
    if isinstance(value, torch.Tensor):
        return "a tensor"
    kind = type(value).__name__
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {printable(kind)}"
