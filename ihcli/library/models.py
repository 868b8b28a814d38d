"""Models that people bring: files, torch modules, estimators of scikit-learn, and functions of tensors."""

import copy
import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ihcli.errors import ModelCallError, ModelError, OptionError
from ihcli.methods import without_gradients
from ihcli.models import Model, load_model, wrap_module
from ihcli.models.advice.by_outputs import described, step_in_memory
from ihcli.models.advice.estimators import unfolded
from ihcli.models.advice.places import find_places
from ihcli.models.around import innermost
from ihcli.models.estimators.convert import EXPECTED as ESTIMATORS
from ihcli.models.estimators.convert import convert, predictor_in
from ihcli.models.estimators.reading import UnfoldedError
from ihcli.models.estimators.recording import as_record
from ihcli.models.pickles.allow_list import Record
from ihcli.models.signatures import Inputs, find_signature
from ihcli.models.wrapping import Source, checked_device, checked_dtype
from ihcli.wording import in_words, listed, printable

Anything = Any
"""Model | nn.Module | str | Path | an estimator of scikit-learn | Callable[..., Tensor]: whatever `model_of` takes."""
FUNCTION = "function of tensors"
MOST_HELD = 1_000
"""Objects that are looked at in search of the networks that a function calls."""
EXPECTED = (
    "a path, a torch module, a function of tensors, or an estimator of scikit-learn that ends in a network, a linear "
    "model, a support vector machine or a Gaussian process"
)


class Function(nn.Module):
    """A function of tensors as a module, with the modules that it calls as far as these can be seen.

    forward  the function itself, so that its arguments are those of the module
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.forward = function
        for place, module in enumerate(_modules_of(function)):
            self.add_module(f"called{place}", module)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Function":
        raise TypeError("a function calls the modules that it was made with, whatever copies of them there are")


def model_of(
    model: Anything, device: str | torch.device | None = None, dtype: str | np.dtype | torch.dtype | None = None
) -> Model:
    """Return what was brought as a Model; nothing of it is changed: it is copied where device or dtype are others.

    Raises ModelError for what is no model that is read, OptionError for a device or a dtype that cannot be had.
    """
    place, precision = None if device is None else checked_device(device), _precision(dtype)
    if isinstance(model, str | Path):
        return load_model(model, device="cpu" if place is None else place, dtype=precision)
    if isinstance(model, Model):
        return _in(_on(model, place), precision)
    if isinstance(model, nn.Module):
        return _in(_on(wrap_module(model), place), precision)
    record = as_record(model)
    if record is not None:
        return _of_estimator(record, place or torch.device("cpu"), precision)
    return _in(_on(_of_function(model), place), precision)


def in_its_precision(
    model: Model, features: tuple[str, ...], sample: Tensor, inputs: Inputs | None, derivatives: int
) -> Model:
    """Return a function of tensors in the precision that it computes in; other models as they are.

    A function that calls no module that can be seen is tried in float64, then in float32. Raises ModelError where it
    can be called in neither, or gradients are needed and do not flow through it.

    Parameters:
        features: names of the C columns;  sample (n, C) complete rows in float64.
        inputs: columns of each argument, where there are several.
        derivatives: the order of those that the method takes; 0: none, as of a function of arrays or of trees.
    """
    if not isinstance(innermost(model.module), Function):
        return model
    is_told = next(model.module.parameters(), None) is not None
    tried = [model] if is_told else [replace(model, dtype=dtype) for dtype in (torch.float64, torch.float32)]
    failure: ModelError | None = None
    for some in tried:
        rows = sample.to(device=some.device, dtype=some.dtype)
        try:
            signature = find_signature(some, features, rows, inputs)
            _require_outputs(some if signature is None else signature.applied(some), rows, derivatives)
            return some
        except ModelError as error:
            failure = failure or error
    if failure is not None and not isinstance(failure, ModelCallError):
        raise failure
    reason = "" if failure is None else f": {failure.reason}"
    raise ModelError(
        f"model: fails where it is called{reason}. Expected a function of a tensor (N, {len(features)}), made of "
        "operations of torch, through which gradients flow. Try it on torch.rand, with torch's functions in place of "
        "numpy's."
    )


def _require_outputs(model: Model, rows: Tensor, derivatives: int) -> None:
    """Raise ModelError where a model gives no tensor, or gradients are needed and do not flow from it."""
    with torch.set_grad_enabled(derivatives > 0):
        outputs = model.call(rows.requires_grad_(derivatives > 0))
    if not isinstance(outputs, Tensor):
        raise ModelError(
            f"model: returns a {printable(type(outputs).__name__)} for a tensor. Expected a tensor, made by operations "
            "of torch, so that gradients flow. Try torch's functions in place of numpy's."
        )
    if derivatives and not outputs.requires_grad:
        raise ModelError(
            "model: gradients do not flow from its outputs to its inputs. Expected operations of torch all the way. "
            "Try it without detach(), numpy() and torch.no_grad(), "
            f"or `method={without_gradients(order=1)}`, which needs none."
        )


def _on(model: Model, device: torch.device | None) -> Model:
    """Return a model on a device: a copy where it is on another."""
    if device is None or device == model.device:
        return model
    try:
        module = copy.deepcopy(model.module).to(device)
    except Exception as error:
        raise OptionError(
            f"`device`: {model.subject} cannot be copied to {device}: {in_words(error)}. Try moving it there before."
        ) from error
    return replace(model, module=module, device=device)


def _precision(dtype: str | np.dtype | torch.dtype | None) -> torch.dtype | None:
    """Return torch's dtype, of what it is called in torch and numpy; raises OptionError for halves of one."""
    if dtype is None or isinstance(dtype, torch.dtype):
        return checked_dtype(dtype)
    named: Any = dtype
    return checked_dtype(getattr(torch, np.dtype(named).name))


def _in(model: Model, dtype: torch.dtype | None) -> Model:
    """Return a model in a precision: a copy where it is in another."""
    if dtype is None or dtype == model.dtype:
        return model
    try:
        module = copy.deepcopy(model.module).to(dtype=dtype)
    except Exception as error:
        name = str(dtype).removeprefix("torch.")
        raise OptionError(
            f"`dtype`: {model.subject} cannot be copied to {name}: {in_words(error)}. Try what it calls in {name}."
        ) from error
    return replace(model, module=module, dtype=dtype)


def _of_estimator(record: Record, device: torch.device, dtype: torch.dtype | None) -> Model:
    try:
        return replace(convert(record, Source(Path("model"), False, device, dtype)), path=None)
    except UnfoldedError as error:
        if predictor_in(record) is None:
            raise ModelError(_without_layers(record)) from None
        steps = listed(unfolded(record) or [str(error)], 3)
        raise ModelError(
            f"model: {printable(record.name)} has steps that no layers stand for: {steps}. Expected {ESTIMATORS}. Try "
            "its steps before the predictor on the data, and the predictor alone."
        ) from None


def _without_layers(record: Record) -> str:
    """Return what an estimator is that no layers stand for, and what to try: a part of it that is read, its outputs."""
    words = described(record) or f"a {printable(record.name)}, which is not read"
    places = find_places(record)
    part = f"a part of it, model{places[0].expression}, or its outputs: " if places else ""
    step = f" Try {part}{step_in_memory(record)}." if described(record) else ""
    return f"model: {words}. Expected {ESTIMATORS}.{step}"


def _of_function(model: object) -> Model:
    name = printable(type(model).__name__)
    if inspect.isclass(model):
        raise ModelError(f"model: {printable(model.__name__)} is a class. Expected {EXPECTED}. Try an instance of it.")
    if isinstance(getattr(model, "module_", None), nn.Module):
        raise ModelError(f"model: a {name}. Expected {EXPECTED}. Try its network, model.module_.")
    owner = getattr(model, "__self__", None)
    record = as_record(owner)
    if record is not None:
        step = "the estimator itself" if predictor_in(record) else step_in_memory(record)
        raise ModelError(
            f"model: a method of {printable(type(owner).__name__)}, through which no gradients flow. Expected "
            f"{EXPECTED}. Try {step}."
        )
    if not callable(model):
        raise ModelError(f"model: a {name}. Expected {EXPECTED}.")
    function = Function(model)
    return replace(wrap_module(function, dtype=_dtype_of(function)), format=FUNCTION)


def _dtype_of(function: Function) -> torch.dtype | None:
    """Return None where weights tell it."""
    return None if next(function.parameters(), None) is not None else torch.float64


def _modules_of(function: Any) -> Iterator[nn.Module]:
    """Yield the modules that a function holds, or a function that it calls: see `_held_by`."""
    seen: set[int] = set()
    pending = [function]
    while pending and len(seen) < MOST_HELD:
        for value in _held_by(pending.pop(0)):
            if id(value) in seen:
                continue
            seen.add(id(value))
            if isinstance(value, nn.Module):
                yield value
            elif inspect.isfunction(value) or isinstance(value, functools.partial):
                pending.append(value)


def _held_by(function: Any) -> Iterator[Any]:
    """Yield what a function was made with: its own object, what is in its closure, and what names in it stand for."""
    if isinstance(function, functools.partial):
        yield from (*function.args, *function.keywords.values())
        yield from _held_by(function.func)
        return
    yield getattr(function, "__self__", None)
    yield from vars(function).values() if hasattr(function, "__dict__") else ()
    plain: Any = function if inspect.isroutine(function) else vars(type(function)).get("__call__")
    if inspect.isfunction(plain) or inspect.ismethod(plain):
        try:
            held = inspect.getclosurevars(plain)
        except (TypeError, ValueError):
            return
        yield from (*held.nonlocals.values(), *held.globals.values())
