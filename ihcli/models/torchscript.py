"""TorchScript files: searched before loading, silenced while loading, probed for dtypes after it."""

import copy
import json
import warnings
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ihcli.errors import ModelError, UnsafeModelError
from ihcli.models.fixed import constant_weights, fixed_dtypes
from ihcli.models.model import Model
from ihcli.models.preflight import refuse_training
from ihcli.models.probing import accepted_width, random_rows, takes_others
from ihcli.models.script_code import refused_in
from ihcli.models.sniffing import Kind
from ihcli.models.wrapping import (
    CARRIED,
    FULL_DTYPES,
    Names,
    Source,
    first_weight,
    named,
    own_dtype,
    place_module,
)
from ihcli.wording import first_line

_EXTRA_FILES = tuple(f"{name}.json" for name in CARRIED)


def read(source: Source) -> Model:
    """Read a TorchScript file.

    Raises UnsafeModelError where its code can read or write files, or runs while it is loaded, and `trust` is off;
    ModelError where it is damaged, holds layers in training mode for ever, or cannot compute in the wanted dtype or on
    the wanted device.
    """
    module, extra = _load(source)
    weight = first_weight(module)
    constants = constant_weights(module) if weight is None else []
    stored = own_dtype(module, weight=next(iter(constants), weight))
    wanted = Source(source.path, source.trust, source.device, source.dtype or stored)
    return _tried(place_module(module, wanted, Kind.TORCHSCRIPT.value, _names(module, extra)))


def _load(source: Source) -> tuple[Any, dict[str, Any]]:
    extra: dict[str, Any] = dict.fromkeys(_EXTRA_FILES, "")
    try:
        if not source.trust:
            _refuse_code(source)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.jit.load(str(source.path), map_location=source.device, _extra_files=extra), extra
    except RuntimeError as error:
        raise ModelError(
            f"{source.path}: cannot be loaded as TorchScript ({first_line(error)}). Try saving or copying it again."
        ) from None


def _refuse_code(source: Source) -> None:
    for words in refused_in(torch._C.PyTorchFileReader(str(source.path))):
        raise UnsafeModelError(
            f"{source.path}: {words}. Nothing of the file was run. Try, only if you trust who made the file, the flag "
            "--trust."
        )


def _names(module: nn.Module, extra: dict[str, Any]) -> Names | None:
    given = {name: json.loads(content) for name, content in extra.items() if content}
    if not given:
        return None
    return Names(*(tuple(given[name]) if name in given else None for name in _EXTRA_FILES))


def _tried(model: Model) -> Model:
    """Return the model with the one D that fits, found by running rows of zeros through.

    Weights that freezing or tracing made constants keep their dtype: that shows here. A model whose width nothing tells
    is left to the checks before a run, which know the data.
    """
    accepted = accepted_width(model)
    if accepted is None or not _is_of(model.dtype, accepted.outputs):
        _refuse_other_dtype(model)
    if accepted is None:
        return model
    refuse_training(model, random_rows(model, accepted.inputs))
    if model.n_inputs is not None or takes_others(model, accepted.inputs):
        return model
    return replace(model, n_inputs=accepted.inputs)


def _is_of(dtype: torch.dtype, outputs: object) -> bool:
    return not isinstance(outputs, Tensor) or not outputs.is_floating_point() or outputs.dtype == dtype


def _refuse_other_dtype(model: Model) -> None:
    """Refuse a model that computes in another dtype than the wanted one, and in no other."""
    for dtype in fixed_dtypes(model.module):
        if dtype in FULL_DTYPES and dtype != model.dtype:
            # A copy: float32 and back would not leave float64 weights as they were.
            converted = replace(model, module=copy.deepcopy(model.module).to(dtype=dtype), dtype=dtype)
            accepted = accepted_width(converted)
            if accepted is not None and _is_of(dtype, accepted.outputs):
                raise ModelError(
                    f"{model.path}: a frozen or traced model that holds its dtype as a constant, so that it cannot run "
                    f"in {named(model.dtype)}. Try --dtype {named(dtype)}, or save it again without torch.jit.freeze "
                    f"or from a model converted to {named(model.dtype)}."
                )
