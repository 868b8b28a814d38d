"""Why a model fails on rows of numbers: what it says itself, what it would take instead, and what mends it."""

import re
from collections.abc import Iterator

import torch
from torch import Tensor

from ihcli.errors import ModelCallError
from ihcli.methods import names_of
from ihcli.models.checking.probing import accepted_width, sequences_taken, takes_integers, takes_others
from ihcli.models.fixed import FAST_PATHS, fixed_devices, fixed_dtypes
from ihcli.models.model import Model
from ihcli.models.wrapping import FULL_DTYPES, named
from ihcli.wording import all_of, either, listed, quoted

FIRST_ORDER = f"methods {either(names_of(order=1, integrals=True))}"
_SHAPES = re.compile(r"\(\d+x(\d+) and (\d+)x\d+\)")
_MOST_CODES = 64
"""Columns of which each is tried alone."""
_ARGUMENTS = re.compile(r"missing (?:\d+ required positional arguments?|value for argument)")
_UNDERIVED = re.compile(r"derivative for (?:aten::|')(\w+)'? is not implemented")
_OVERWRITTEN = "modified by an inplace operation"
_DISTANCES = "(a.unsqueeze(-2) - b.unsqueeze(-3)).norm(dim=-1) in place of torch.cdist(a, b)"


def count_message(model: Model, expected: int, got: int) -> str:
    """Say that the data have another number of features than the model takes."""
    names = "" if model.feature_names is None else f" ({', '.join(model.feature_names[:10])})"
    return (
        f"{model.subject}: takes {expected} inputs{names} but the data has {got} features. "
        "Try `features` to choose columns, or `exclude`, `key` and `label` to take columns out."
    )


def failure_message(model: Model, rows: Tensor, reason: str) -> str:
    """Say why a forward fails on rows (P, D), in its own words and by what it takes instead."""
    n_inputs = rows.shape[1]
    product = _SHAPES.search(reason)
    if product and int(product[1]) == n_inputs:
        return count_message(model, int(product[2]), n_inputs)
    failed = f"fails on a batch of shape {tuple(rows.shape)} in {named(model.dtype)}: {reason}"
    fixed = next(_fixed(model, failed), None)
    if fixed is not None:
        return fixed
    accepted = accepted_width(model)
    if accepted is not None and accepted.inputs != n_inputs and not takes_others(model, accepted.inputs):
        return count_message(model, accepted.inputs, n_inputs)
    sequences = sequence_message(model, n_inputs)
    if sequences is not None:
        return sequences
    remedy = _codes_remedy(model, rows) or _remedy(model, n_inputs, reason)
    return f"{model.subject}: {failed}. Expected a model from (N, D) numbers to outputs. {remedy}."


def sequence_message(model: Model, n_inputs: int) -> str | None:
    """Say that a model takes sequences in place of rows, None where it does not seem to."""
    taken = sequences_taken(model, n_inputs)
    if taken is None:
        return None
    f = taken.channels
    takes = (
        f"{model.subject}: takes {taken.axes}, sequences of T steps of {f} numbers, but the data has rows of "
        f"{n_inputs} features. "
    )
    if n_inputs % f:
        t = n_inputs // f
        return (
            f"{takes}Expected a multiple of {f}. Try `sequence={t}x{f}` with {t * f} columns, which `features` chooses."
        )
    return f"{takes}Expected the numbers of both. Try `sequence={n_inputs // f}x{f}`."


def training_message(model: Model, operation: str) -> str:
    """Say that an operation is fixed in training mode."""
    is_exported = any(isinstance(part, torch.fx.GraphModule) for part in model.module.modules())
    return (
        f"{model.subject}: {operation} is fixed in training mode, so that outputs are random or depend on other rows. "
        f"Try model.eval() before {'torch.export.export' if is_exported else 'torch.jit.trace'}, and save it again."
    )


def outputs_message(model: Model, dtype: torch.dtype) -> str:
    """Say that the outputs are of another dtype than the inputs."""
    if dtype.is_complex:
        remedy = "Try a module that returns their real part, .real, or their size, .abs()"
    elif dtype in FULL_DTYPES:
        remedy = f"Try taking a cast out of the model, or `dtype={named(dtype)}`"
    elif dtype.is_floating_point:
        remedy = "Try taking .half() and other casts out of the model"
    else:
        remedy = "Try taking an argmax, a comparison or a cast out of the model"
    return f"{model.subject}: returns {named(dtype)} for inputs of {named(model.dtype)}. Expected the same. {remedy}."


def gradient_message(model: Model, what: str, reason: str, is_second: bool) -> str:
    """Say that a derivative fails, and name the operation without one."""
    underived = _UNDERIVED.search(reason)
    operation = underived[1] if underived else ""
    if operation in FAST_PATHS:
        return (
            f"{model.subject}: holds {operation}, torch's fast path of attention, which has no derivative, as it "
            "was traced under torch.no_grad(). Expected the plain path. Try to trace and save it again after "
            "torch.backends.mha.set_fastpath_enabled(False)."
        )
    if "attention" in operation:
        remedy = "Try tracing or exporting it again inside of torch.nn.attention.sdpa_kernel(SDPBackend.MATH)"
        remedy += f", or {FIRST_ORDER}" if is_second else ""
    elif _OVERWRITTEN in reason:
        remedy = (
            "Try taking writes out of the forward pass (x[:, 0] = ..., add_(), inplace=True) that change what a "
            "gradient needs: a new tensor of torch.cat or torch.where in their place"
        )
    elif "cdist" in operation:
        remedy = f"Try {_DISTANCES}, or {FIRST_ORDER}"
    elif is_second:
        remedy = f"Try {FIRST_ORDER}, which need first derivatives only, or replacing the operation named"
    else:
        remedy = "Try replacing the operation named: every method needs its gradient"
    return f"{model.subject}: {what} failed: {reason}. Expected a differentiable model. {remedy}."


def _fixed(model: Model, failed: str) -> Iterator[str]:
    """Yield that a device or a dtype is a constant of the graph, where it is not the wanted one."""
    for device in fixed_devices(model.module):
        if not _is_same(device, model.device):
            yield (
                f"{model.subject}: {failed}. It was traced or frozen on {device} and holds that device as a constant. "
                f"Expected a model that computes on {model.device}. {device_remedy(device, model.device)}."
            )
    others = [named(dtype) for dtype in fixed_dtypes(model.module) if dtype != model.dtype]
    if others:
        yield (
            f"{model.subject}: {failed}. It holds {listed(others)} as a constant, in a cast or a frozen weight. "
            f"Expected {named(model.dtype)} throughout. Try taking the casts out of the model, or converting it with "
            f"{'.double()' if model.dtype == torch.float64 else '.float()'} before it is traced or frozen, and saving "
            "it again."
        )


def _is_same(device: torch.device, wanted: torch.device) -> bool:
    return device.type == wanted.type and (device.index or 0) == (wanted.index or 0)


def device_remedy(device: torch.device, wanted: torch.device) -> str:
    """Say what to do about a graph that holds a device."""
    where = "" if _is_here(device) else " on a machine that has it, which this one does not"
    return (
        f"Try `device={device}`{where}, or tracing or exporting it again on {wanted}: model.to('{wanted}'), and an "
        "example that is there, too"
    )


def _is_here(device: torch.device) -> bool:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        return False
    return True


def _codes_remedy(model: Model, rows: Tensor) -> str | None:
    """Name the columns of whole numbers that a model fails on alone, and that it takes where they are 0, if it does."""
    whole = [place for place in range(rows.shape[1]) if bool((rows[:, place] == rows[:, place].round()).all())]
    without = rows.clone()
    without[:, whole] = 0
    if not whole or len(whole) > _MOST_CODES or fails(model, without):
        return None
    found = []
    for place in whole:
        alone = without.clone()
        alone[:, place] = rows[:, place]
        if fails(model, alone):
            values = f"{rows[:, place].min():g} to {rows[:, place].max():g}"
            names = model.feature_names
            found.append(f"{f'column {place + 1}' if names is None else quoted(names[place])} ({values})")
    if not found:
        return None
    return f"Not all are codes that it has: {all_of(found)}. Try codes from 0 on, which `categories` makes of values"


def fails(model: Model, rows: Tensor) -> bool:
    """Tell whether a model cannot be called on rows."""
    try:
        with torch.no_grad():
            model.outputs(rows)
    except ModelCallError:
        return True
    return False


def _remedy(model: Model, n_inputs: int, reason: str) -> str:
    if _ARGUMENTS.search(reason):
        return "Try saving it inside of a module whose forward takes one matrix and fills in the other arguments"
    if takes_integers(model, n_inputs):
        return (
            "It takes integers, which have no derivatives. Try a model that begins behind its embedding, or one-hot "
            "columns in place of codes"
        )
    return "Try calling it on such a batch"
