"""How the columns of a table reach a network: as one matrix of numbers, or as several arguments, codes as integers."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from ihcli.errors import ModelCallError, ModelError
from ihcli.models.around import Around, innermost
from ihcli.models.model import Model
from ihcli.wording import all_of, column_list, listed, printable

_ROWS = (7, 5)
"""Numbers of rows tried: n rows in must be n rows out."""
_MOST_TRIALS = 256
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
    and as (N,). Cost: two calls for each way that is tried, all of which but the last fail.
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
    return found if isinstance(found, Signature) and found.arguments[0].is_whole else None


def _first_that_works(model: Model, tried: Sequence[Signature], sample: Tensor) -> Signature | str:
    """Return the first form of these signatures that gives outputs for rows, or why the first one fails."""
    reasons = []
    for signature in tried:
        for some in _forms(signature, sample):
            called = some.applied(model)
            try:
                for n_rows in _ROWS:
                    rows = sample[torch.arange(n_rows, device=sample.device) % len(sample)]
                    with torch.no_grad():
                        called.outputs(rows)
                return some
            except ModelCallError as error:
                reasons.append(error.reason)
    return reasons[0] if reasons else "there is no way to call it"


def _forms(signature: Signature, sample: Tensor) -> Iterator[Signature]:
    """Yield the signature with each argument in every form that it may have: numbers first, matrices first."""
    choices = []
    for argument in signature.arguments:
        values = sample[:, argument.columns]
        is_whole = (False, True) if bool((values == values.round()).all()) else (False,)
        is_flat = (False, True) if len(argument.columns) == 1 else (False,)
        choices.append([(whole, flat) for flat in is_flat for whole in is_whole])
    forms = sorted(product(*choices), key=lambda form: sum(flat for _, flat in form) + sum(whole for whole, _ in form))
    for form in forms[:_MOST_TRIALS]:
        pairs = zip(signature.arguments, form, strict=True)
        arguments = (replace(argument, is_whole=whole, is_flat=flat) for argument, (whole, flat) in pairs)
        yield replace(signature, arguments=tuple(arguments))


@dataclass(frozen=True)
class _Taken:
    """Names of a forward's arguments; those that must be given."""

    names: tuple[str, ...]
    required: tuple[str, ...]


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
    return _Taken(tuple(parameter.name for parameter in named), required)


def _ways(model: Model, inputs: Inputs, taken: _Taken | None) -> list[str]:
    """Return the ways in which these arguments may be given, the likeliest first."""
    is_program = hasattr(innermost(model.module), "argument_names")
    by_name = ["name"] if taken is None or set(inputs) <= set(taken.names) else []
    return (["position"] if is_program else [*by_name, "position", "dictionary"]) or ["position"]


def _shown(inputs: Inputs) -> str:
    return all_of([f"{name}={column_list(columns)}" for name, columns in inputs.items()])


def _expected(taken: _Taken | None) -> str:
    if taken is None:
        return "its arguments by name, or a dictionary"
    return f"its arguments {listed(taken.names)}"


def _guessed(features: Sequence[str], sample: Tensor, names: Sequence[str]) -> str:
    """Return options with the columns that each argument is likely to take: codes are whole numbers from 0 or 1 on."""
    is_code = [bool((column == column.round()).all()) and 0 <= column.min() <= 1 for column in sample.T]
    codes = [name for name, code in zip(features, is_code, strict=True) if code]
    numbers = [name for name, code in zip(features, is_code, strict=True) if not code]
    wants = [any(word in name.lower() for word in ("cat", "code", "id", "emb", "disc")) for name in names]
    if len(names) != 2 or sum(wants) != 1 or not codes or not numbers:
        return all_of([f"`inputs={name}=COLUMNS`" for name in names])
    pairs = [(name, codes if wanted else numbers) for name, wanted in zip(names, wants, strict=True)]
    return all_of([f"`inputs={name}={column_list(columns)}`" for name, columns in pairs])
