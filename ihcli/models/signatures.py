"""How the columns of a table reach a network: as one matrix of numbers, or as several arguments, codes as integers."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product
from typing import Any

import torch
from torch import Tensor, nn

from ihcli.errors import ModelCallError, ModelError
from ihcli.models.around import Around, innermost
from ihcli.models.model import RETURNS, Model
from ihcli.models.returned import RETURN_ONE
from ihcli.wording import all_of, column_list, listed, printable

_ROWS = (7, 5)
"""Numbers of rows tried: n rows in must be n rows out."""
_MOST_TRIALS = 256
_MOST_MIXED = 6
"""Arguments of which forms are mixed."""
_ALIKE = 6
"""Forms of arguments that are all alike."""
Inputs = Mapping[str, Sequence[str]]
"""Columns of each argument, by its name."""


@dataclass(frozen=True)
class Argument:
    """An argument of a forward.

    columns   that it takes, by their places
    is_whole  whether as int64;  is_flat whether one column comes as (N,) in place of (N, 1)
    """

    name: str
    columns: tuple[int, ...]
    is_whole: bool = False
    is_flat: bool = False

    def of(self, rows: Tensor) -> Tensor:
        """Return what the argument is of rows (P, C)."""
        taken = rows[:, self.columns[0]] if self.is_flat else rows[:, self.columns]
        return taken.long() if self.is_whole else taken


@dataclass(frozen=True)
class Signature:
    """The arguments of a forward, by "position", by "name", or as one "dictionary"."""

    arguments: tuple[Argument, ...]
    way: str = "position"

    def applied(self, model: Model) -> Model:
        """Return a model that takes one matrix of all columns, in the order of the table."""
        columns = {column for argument in self.arguments for column in argument.columns}
        inner = model.module.module if isinstance(model.module, _Called) else model.module
        return replace(model, module=_Called(inner, self), n_inputs=len(columns))

    def call(self, module: nn.Module, rows: Tensor) -> Any:
        """Return what a module makes of rows (P, C)."""
        given = {argument.name: argument.of(rows) for argument in self.arguments}
        if self.way == "name":
            return module(**given)
        return module(given) if self.way == "dictionary" else module(*given.values())


class _Called(Around):
    """A module that takes one matrix."""

    def __init__(self, module: nn.Module, signature: Signature) -> None:
        super().__init__(module)
        self.signature = signature

    def forward(self, rows: Tensor) -> Any:
        """Return what the inner module makes of the columns of each argument."""
        return self.signature.call(self.module, rows)


def whole_columns(model: Model) -> list[bool]:
    """Return for each column of a model whether it is given as integers."""
    found = [False] * (model.n_inputs or 0)
    if isinstance(model.module, _Called):
        for argument in model.module.signature.arguments:
            for column in argument.columns:
                found[column] = argument.is_whole
    return found


def carried_inputs(model: Model) -> Inputs | None:
    """Return the `inputs` that a module says itself: columns by arguments; raises ModelError for another form."""
    told = getattr(innermost(model.module), "inputs", None)
    if not isinstance(told, Mapping):
        return None
    if not all(
        isinstance(name, str) and isinstance(columns, list | tuple) and all(isinstance(c, str) for c in columns)
        for name, columns in told.items()
    ):
        raise ModelError(
            f"{model.subject}: its inputs are {printable(repr(told))}. Expected a list of columns for each argument."
        )
    return {str(name): tuple(columns) for name, columns in told.items()}


def argument_names(model: Model) -> tuple[str, ...] | None:
    """Return the names of the arguments that a forward takes, None where it does not say so."""
    taken = _taken(model)
    return None if taken is None else taken.names


def features_of(inputs: Inputs) -> tuple[str, ...]:
    """Return the columns of all arguments, each once."""
    return tuple(dict.fromkeys(column for columns in inputs.values() for column in columns))


def find_signature(model: Model, features: Sequence[str], sample: Tensor, inputs: Inputs | None) -> Signature | None:
    """Find how a network is called with rows; None where it takes one matrix of numbers, or nothing that is tried.

    Parameters:
        features: names of the C columns;  sample (n, C) valid rows, in the model's dtype and on its device.
        inputs: the columns of each argument, which together are all features.

    Each argument is tried as numbers first, as integers where all its values are whole, and a single column as (N, 1)
    and as (N,). A network that takes no matrix is tried with a dictionary of columns, by the names of the features.
    Cost: two calls for each way that is tried, all of which but the last fail.
    Raises ModelError where the forward takes several arguments and none are told, or those told do not fit.
    """
    taken = _taken(model)
    if inputs is None:
        return _of_one_matrix(model, features, sample, taken)
    place = {name: i for i, name in enumerate(features)}
    order = taken.names if taken is not None and set(inputs) == set(taken.names) else tuple(inputs)
    told = tuple(Argument(name, tuple(place[column] for column in inputs[name])) for name in order)
    found = _first_that_works(model, [Signature(told, way) for way in _ways(model, inputs, taken)], sample)
    if isinstance(found, Signature):
        return found
    if found.startswith(RETURNS):
        raise ModelError(f"{model.subject}: {found}, called with {_shown(inputs)}. {RETURN_ONE}.")
    raise ModelError(
        f"{model.subject}: cannot be called with {_shown(inputs)}, as numbers or as integers: {found}. Expected "
        f"{_expected(taken)}. Try other columns in `inputs`."
    )


def _of_one_matrix(model: Model, features: Sequence[str], sample: Tensor, taken: "_Taken | None") -> Signature | None:
    if isinstance(model.module, _Called):
        return None
    whole = Argument("x", tuple(range(len(features))))
    if taken is not None and len(taken.required) > 1:
        lines = _guessed(features, sample, taken.required)
        raise ModelError(
            f"{model.subject}: its forward takes {len(taken.required)} arguments, {all_of(taken.required)}. Expected "
            f"the columns of each. Try {lines}."
        )
    found = _first_that_works(model, [Signature((whole,))], sample)
    if isinstance(found, Signature):
        return found if found.arguments[0].is_whole else None
    if found.startswith(RETURNS) or (taken is not None and len(taken.names) != 1):
        return None
    by_name = Signature(tuple(Argument(name, (place,)) for place, name in enumerate(features)), "dictionary")
    found = _first_that_works(model, [by_name], sample, _ALIKE)
    if isinstance(found, Signature):
        return found
    if found.startswith(RETURNS):
        raise ModelError(f"{model.subject}: {found}, called with a dictionary of columns. {RETURN_ONE}.")
    return None


def _first_that_works(
    model: Model, tried: Sequence[Signature], sample: Tensor, most: int = _MOST_TRIALS
) -> Signature | str:
    """Return the first form of these signatures that gives outputs for rows, or why the first one fails.

    A form that returns something else tells more than one that cannot be called.
    """
    reasons = []
    for signature in tried:
        for some in islice(_forms(signature, sample), most):
            reason = _failure(model, some, sample)
            if reason is None:
                return _with_numbers(model, some, sample)
            reasons.append(reason)
    returned = (reason for reason in reasons if reason.startswith(RETURNS))
    return next(returned, reasons[0] if reasons else "there is no way to call it")


def _failure(model: Model, signature: Signature, sample: Tensor) -> str | None:
    """Return why rows have no outputs when a model is called so; None where they have."""
    called = signature.applied(model)
    try:
        for n_rows in _ROWS:
            rows = sample[torch.arange(n_rows, device=sample.device) % len(sample)]
            with torch.no_grad():
                called.outputs(rows)
    except ModelCallError as error:
        return error.reason
    return None


def _with_numbers(model: Model, signature: Signature, sample: Tensor) -> Signature:
    """Return a signature that works with as many arguments as can be given as numbers, through which gradients flow."""
    for place, argument in enumerate(signature.arguments):
        if argument.is_whole:
            arguments = list(signature.arguments)
            arguments[place] = replace(argument, is_whole=False)
            fewer = replace(signature, arguments=tuple(arguments))
            signature = signature if _failure(model, fewer, sample) else fewer
    return signature


def _forms(signature: Signature, sample: Tensor) -> Iterator[Signature]:
    """Yield the signature with its arguments in forms that they may have: numbers first, matrices first.

    All arguments alike come first, as integers those whose values begin like codes; where there are many of them no
    others, which are four times as many with each.
    """
    able = [(_are_whole(sample[:, argument.columns]), len(argument.columns) == 1) for argument in signature.arguments]
    codes = [_may_be_codes(sample[:, argument.columns]) for argument in signature.arguments]
    alike = [
        tuple((whole, flat and may_be_flat) for whole, (_, may_be_flat) in zip(wholes, able, strict=True))
        for flat in (False, True)
        for wholes in ([False] * len(able), codes, [whole for whole, _ in able])
    ]
    mixed: list[tuple[tuple[bool, bool], ...]] = []
    if len(able) <= _MOST_MIXED:
        choices = [[(w, f) for f in sorted({False, flat}) for w in sorted({False, whole})] for whole, flat in able]
        mixed = sorted(product(*choices), key=lambda form: sum(flat for _, flat in form) + sum(w for w, _ in form))
    for form in dict.fromkeys([*alike, *mixed[:_MOST_TRIALS]]):
        pairs = zip(signature.arguments, form, strict=True)
        arguments = (replace(argument, is_whole=whole, is_flat=flat) for argument, (whole, flat) in pairs)
        yield replace(signature, arguments=tuple(arguments))


def _are_whole(values: Tensor) -> bool:
    return bool((values == values.round()).all())


def _may_be_codes(values: Tensor) -> bool:
    """Return whether values are whole numbers from 0 or 1 on."""
    return values.numel() > 0 and _are_whole(values) and 0 <= float(values.min()) <= 1


@dataclass(frozen=True)
class _Taken:
    """Names of a forward's arguments; those that must be given; whether it takes others by any name besides."""

    names: tuple[str, ...]
    required: tuple[str, ...]
    any_name: bool = False


def _taken(model: Model) -> _Taken | None:
    """Return what a forward takes, None where it does not say so."""
    module = innermost(model.module)
    if isinstance(module, torch.jit.ScriptModule):
        forward: Any = module.forward
        arguments = forward.schema.arguments[1:]
        return _Taken(
            tuple(argument.name for argument in arguments),
            tuple(argument.name for argument in arguments if not argument.has_default_value()),
        )
    names = getattr(module, "argument_names", None)  # of an exported program
    if names is not None:
        return _Taken(names, names)
    try:
        given = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in given):
        return None
    named = [parameter for parameter in given if parameter.kind is not parameter.VAR_KEYWORD]
    required = tuple(parameter.name for parameter in named if parameter.default is parameter.empty)
    return _Taken(tuple(parameter.name for parameter in named), required, len(named) < len(given))


def _ways(model: Model, inputs: Inputs, taken: _Taken | None) -> list[str]:
    """Return the ways in which these arguments may be given, the likeliest first."""
    is_program = hasattr(innermost(model.module), "argument_names")
    by_name = ["name"] if taken is None or taken.any_name or set(inputs) <= set(taken.names) else []
    return (["position"] if is_program else [*by_name, "position", "dictionary"]) or ["position"]


def _shown(inputs: Inputs) -> str:
    return all_of([f"{name}={column_list(columns)}" for name, columns in inputs.items()])


def _expected(taken: _Taken | None) -> str:
    if taken is None or taken.any_name:
        return "its arguments by name, or a dictionary"
    return f"its arguments {listed(taken.names)}"


def _guessed(features: Sequence[str], sample: Tensor, names: Sequence[str]) -> str:
    """Return options with the columns that each argument is likely to take."""
    is_code = [_may_be_codes(column) for column in sample.T]
    codes = [name for name, code in zip(features, is_code, strict=True) if code]
    numbers = [name for name, code in zip(features, is_code, strict=True) if not code]
    wants = [any(word in name.lower() for word in ("cat", "code", "id", "emb", "disc")) for name in names]
    if len(names) != 2 or sum(wants) != 1 or not codes or not numbers:
        return all_of([f"`inputs={name}=COLUMNS`" for name in names])
    pairs = [(name, codes if wanted else numbers) for name, wanted in zip(names, wants, strict=True)]
    return all_of([f"`inputs={name}={column_list(columns)}`" for name, columns in pairs])
