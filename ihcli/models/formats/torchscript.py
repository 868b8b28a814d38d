"""TorchScript files: looked through before torch loads them and before they run, and probed for dtypes."""

import copy
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ihcli.errors import ModelError, UnsafeModelError
from ihcli.files.foreign import AGAIN, MOST_JSON_BYTES, one_message, parsed_json
from ihcli.models.checking.preflight import refuse_training
from ihcli.models.checking.probing import accepted_width, random_rows, takes_others
from ihcli.models.fixed import constant_weights, fixed_dtypes
from ihcli.models.model import Model
from ihcli.models.scripts.archive import refused_in
from ihcli.models.scripts.code import QUANTIZED
from ihcli.models.scripts.graphs import all_nodes, refused_operators
from ihcli.models.scripts.guards import put_checks
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
from ihcli.wording import printable


def read(source: Source) -> Model:
    """Read a TorchScript file.

    Without `trust` nothing of it runs before its records, and then all that torch has compiled of them, were looked
    through.

    Raises UnsafeModelError where it asks for anything else than to compute with tensors, and `trust` is off;
    ModelError where it is damaged, holds layers in training mode for ever, or cannot compute in the wanted dtype or on
    the wanted device.
    """
    with one_message(source.path, ModelError, "loaded as TorchScript"):
        module = _load(source)
        weight = first_weight(module)
        constants = constant_weights(module) if weight is None else []
        stored = own_dtype(module, weight=next(iter(constants), weight))
        wanted = Source(source.path, source.trust, source.device, source.dtype or stored)
        return _tried(place_module(module, wanted, Kind.TORCHSCRIPT.value, _names(source.path)))


def _load(source: Source) -> Any:
    """Return the module; where it is not trusted, only after both doors."""
    if not source.trust:
        _refuse(source, (_of_quantized(source, words) for words in refused_in(source.path)))
    unit = torch._C.CompilationUnit()
    compiled = torch._C.import_ir_module(unit, str(source.path), source.device, {}, False)  # type: ignore[call-arg]
    if not source.trust:
        _refuse(source, (f"its code {words}" for words in refused_operators(unit)))
        put_checks(unit)
    elif any(node.kind().startswith(f"{QUANTIZED}::") for node in all_nodes(unit)):
        raise _quantized(source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit._recursive.wrap_cpp_module(compiled)


def _of_quantized(source: Source, words: str) -> str:
    """Return why a file is not trusted; raises ModelError where trust would not help, as it has no derivatives."""
    if f"operators of {QUANTIZED}," in words:
        raise _quantized(source)
    return words


def _quantized(source: Source) -> ModelError:
    return ModelError(
        f"{source.path}: a quantized network, which has no derivatives. Expected one of floating point numbers. "
        "Try the network as it was before quantization."
    )


def _refuse(source: Source, refusals: Iterator[str]) -> None:
    for words in refusals:
        raise UnsafeModelError(
            f"{source.path}: {words}. Nothing of the file was run. Try, only if you trust who made the file, the flag "
            "`trust`."
        )


def _names(path: Path) -> Names | None:
    """Return what the extra files of the archive say, or None where it has none."""
    reader: Any = torch._C.PyTorchFileReader(str(path))
    given = [_extra(path, reader, name, kind) for name, kind in CARRIED.items()]
    return None if all(values is None for values in given) else Names(*given)


def _extra(path: Path, reader: Any, name: str, kind: type) -> tuple[Any, ...] | None:
    record = f"extra/{name}.json"
    if not reader.has_record(record):
        return None
    subject = f"{path}: {record}"
    if reader.get_record_size(record) > MOST_JSON_BYTES:
        raise ModelError(f"{subject}: holds more than {MOST_JSON_BYTES} bytes. Expected fewer. {AGAIN}")
    values = parsed_json(reader.get_record(record), subject, ModelError)
    wanted = (str,) if kind is str else (int, float)
    if not isinstance(values, list) or any(type(value) not in wanted for value in values):
        raise ModelError(
            f"{subject}: holds {printable(repr(values))}. Expected a list of {'names' if kind is str else 'numbers'}. "
            f"Try saving it again with _extra_files={{'{name}.json': json.dumps(...)}}."
        )
    with one_message(subject, ModelError, "read"):
        return tuple(kind(value) for value in values)


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
                    f"in {named(model.dtype)}. Try `dtype={named(dtype)}`, or save it again without torch.jit.freeze "
                    f"or from a model converted to {named(model.dtype)}."
                )
