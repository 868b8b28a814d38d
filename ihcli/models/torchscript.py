"""TorchScript files: searched before loading, silenced while loading, probed for dtypes after it."""

import json
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ihcli.errors import ModelError, UnsafeModelError
from ihcli.models.model import Model
from ihcli.models.script_code import refused_in
from ihcli.models.sniffing import Kind
from ihcli.models.wrapping import CARRIED, Names, Source, first_weight, input_count, named, own_dtype, place_module
from ihcli.wording import first_line

_TRAINING_INPUT = {"aten::dropout": 2, "aten::feature_dropout": 2, "aten::alpha_dropout": 2, "aten::batch_norm": 5}
_EXTRA_FILES = tuple(f"{name}.json" for name in CARRIED)


def read(source: Source) -> Model:
    """Read a TorchScript file.

    Raises UnsafeModelError where its code can read or write files, or runs while it is loaded, and `trust` is off;
    ModelError where it is damaged, holds layers in training mode for ever, or cannot compute in the wanted dtype or on
    the wanted device.
    """
    module, extra = _load(source)
    _refuse_training(module, source)
    weight = first_weight(module)
    constants = list(_constants(module)) if weight is None else []
    stored = own_dtype(module, weight=next(iter(constants), weight))
    wanted = Source(source.path, source.trust, source.device, source.dtype or stored)
    model = place_module(module, wanted, Kind.TORCHSCRIPT.value, _names(module, extra))
    n_inputs = _probe(model, stored, constants)
    return model if model.n_inputs is not None else replace(model, n_inputs=n_inputs)


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


def _refuse_training(module: Any, source: Source) -> None:
    """Refuse dropout and batch normalisation whose training flag a trace has frozen to true."""
    graph = module.inlined_graph if hasattr(module, "graph") else None
    for operator, position in _TRAINING_INPUT.items():
        for node in graph.findAllNodes(operator) if graph is not None else ():
            if list(node.inputs())[position].toIValue() is True:
                raise ModelError(
                    f"{source.path}: {operator.removeprefix('aten::')} is fixed in training mode, so that outputs are "
                    "random or depend on other rows. Try model.eval() before torch.jit.trace, and save it again."
                )


def _constants(module: Any) -> Iterator[Tensor]:
    """Yield the floating point tensors that freezing has turned into constants of the graph."""
    graph = module.graph
    for node in graph.findAllNodes("prim::Constant"):
        value = node.output().toIValue()
        if isinstance(value, Tensor) and value.is_floating_point():
            yield value


def _names(module: nn.Module, extra: dict[str, Any]) -> Names | None:
    given = {name: json.loads(content) for name, content in extra.items() if content}
    if not given:
        return None
    return Names(*(tuple(given[name]) if name in given else None for name in _EXTRA_FILES))


def _probe(model: Model, stored: torch.dtype, constants: list[Tensor]) -> int | None:
    """Run rows of zeros through at every width that a weight suggests, and return the one D that fits, or None.

    Weights that freezing or tracing made constants keep their dtype and device: that shows here. A model whose
    width nothing tells is left to the checks before a run, which know the data.
    """
    for width in _widths(model, constants):
        try:
            outputs = _outputs(model, width)
        except RuntimeError as error:
            if "same device" in str(error):
                raise ModelError(_fixed_message(model, str(model.device), "device", "cpu")) from None
            if "dtype" in str(error) or "scalar type" in str(error):
                raise ModelError(_fixed_message(model, named(model.dtype), "dtype", named(stored))) from None
            continue
        if isinstance(outputs, Tensor) and outputs.is_floating_point() and outputs.dtype != model.dtype:
            raise ModelError(_fixed_message(model, named(model.dtype), "dtype", named(outputs.dtype)))
        return None if _accepts(model, width + 1) else width
    return None


def _outputs(model: Model, width: int) -> Any:
    with torch.no_grad(), torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
        return model.module(torch.zeros(2, width, dtype=model.dtype, device=model.device))


def _accepts(model: Model, width: int) -> bool:
    try:
        _outputs(model, width)
    except RuntimeError:
        return False
    return True


def _widths(model: Model, constants: list[Tensor]) -> list[int]:
    known = model.n_inputs or input_count(model.module)
    if known is not None:
        return [known]
    weights = [*model.module.parameters(), *constants]
    return list(dict.fromkeys(width for weight in weights if weight.dim() == 2 for width in reversed(weight.shape)))


def _fixed_message(model: Model, wanted: str, option: str, possible: str) -> str:
    return (
        f"{model.path}: a frozen or traced model that holds its {option} as a constant, so that it cannot run in "
        f"{wanted}. Try --{option} {possible}, or save it again without torch.jit.freeze or from a model "
        f"converted to {wanted}."
    )
