"""From a module to a Model: dtype, device, names and input count."""

import copy
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ihcli.errors import ModelError, OptionError
from ihcli.models.layers import Affine, layer_name
from ihcli.models.model import Model
from ihcli.wording import first_line, printable

CARRIED: dict[str, type] = {"feature_names": str, "output_names": str, "zero": float}
"""Attributes by which a module says what inputs and outputs are called, and which inputs its network sees as 0."""
_ENTRIES = (str, int, float, np.generic)  # of names and numbers
FULL_DTYPES = (torch.float32, torch.float64)
# Layers whose weight tells D by one of its axes.
_WIDTH_TELLING = {
    "Linear": ("weight", 1),
    "BatchNorm1d": ("running_mean", 0),
    Affine.__name__: ("scale", 0),
}
# Layers that neither change the number of inputs nor hold a weight that tells it.
_SHAPE_KEEPING = frozenset(
    (
        *("Identity", "Dropout", "Flatten"),
        *("ReLU", "ReLU6", "LeakyReLU", "ELU", "CELU", "SELU", "GELU", "SiLU", "Mish", "Softplus", "Softsign"),
        *("Sigmoid", "Tanh", "Hardtanh", "Hardswish"),
    )
)


@dataclass(frozen=True)
class Source:
    """A model file and how it is wanted: dtype None keeps the file's own."""

    path: Path
    trust: bool
    device: torch.device
    dtype: torch.dtype | None


@dataclass(frozen=True)
class Names:
    """What is known of inputs and outputs beside the module; None where nothing is."""

    features: tuple[str, ...] | None = None
    outputs: tuple[str, ...] | None = None
    zero: tuple[float, ...] | None = None

    @classmethod
    def carried_by(cls, module: nn.Module, subject: object = "model") -> "Names":
        """Read the attributes `feature_names`, `output_names` and `zero` that a module may carry."""
        return cls.among({name: getattr(module, name, None) for name in CARRIED}, subject)

    @classmethod
    def among(cls, values: Mapping[str, Any], subject: object) -> "Names":
        """Take what is carried under those names; raises ModelError, which begins with the subject, for other kinds."""
        return cls(*(_carried(values.get(name), name, kind, subject) for name, kind in CARRIED.items()))


def wrap_module(
    module: nn.Module,
    *,
    n_inputs: int | None = None,
    feature_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    zero: Sequence[float] | None = None,
    dtype: torch.dtype | None = None,
) -> Model:
    """Return a Model around a module in memory; the module is neither copied nor changed.

    What is not given is read off the module: `feature_names`, `output_names` and `zero` attributes, the width of its
    first layer, the dtype and device of its first floating point weight. A module without weights is float32 on the
    CPU unless `dtype` says otherwise. Put it in eval mode with `evaluating`.

    Raises ModelError where the module is none, computes in half precision, or its names do not fit its inputs.
    """
    if not isinstance(module, nn.Module):
        remedy = " Try ihcli.load_model(path)." if isinstance(module, str | Path) else ""
        raise ModelError(f"model: not a torch module. Expected an nn.Module, got {type(module).__name__}.{remedy}")
    weight = first_weight(module)
    dtype = dtype or (torch.get_default_dtype() if weight is None else weight.dtype)
    if dtype not in FULL_DTYPES:
        raise ModelError(
            f"model: computes in {named(dtype)}, in which second derivatives are off by percents. "
            "Expected float32 or float64. Try module.float()."
        )
    carried = Names.carried_by(module)
    names = Names(
        tuple(feature_names) if feature_names is not None else carried.features,
        tuple(output_names) if output_names is not None else carried.outputs,
        tuple(zero) if zero is not None else carried.zero,
    )
    device = torch.device("cpu") if weight is None else weight.device
    return _model(module, "torch module", dtype, device, None, n_inputs, names)


def place_module(
    module: nn.Module, source: Source, format_in_words: str, names: Names | None = None, n_inputs: int | None = None
) -> Model:
    """Return a Model around a module that was read: eval mode, no gradients of weights, wanted dtype and device."""
    dtype = source.dtype or own_dtype(module)
    module.eval().to(device=source.device, dtype=dtype)
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    names = names or Names.carried_by(module, source.path)
    return _model(module, format_in_words, dtype, source.device, source.path, n_inputs, names)


def in_float64(model: Model) -> Model | None:
    """Return a copy of a model that computes in float64, None where it does already, or none can be made."""
    if model.dtype == torch.float64:
        return None
    try:
        # A copy: float32 and back would not leave float64 constants as they were. Somebody's module may refuse it.
        return replace(model, module=copy.deepcopy(model.module).to(dtype=torch.float64), dtype=torch.float64)
    except Exception:
        return None


def checked_device(device: str | torch.device) -> torch.device:
    """Return the device; raises OptionError where this torch or this machine has none of that name."""
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise OptionError(
            f"`device`: {str(device)!r} cannot be used ({first_line(error)}). Try `device=cpu`."
        ) from None


def checked_dtype(dtype: torch.dtype | None) -> torch.dtype | None:
    """Return the dtype; raises OptionError for one that attributions cannot be computed in."""
    if dtype is not None and dtype not in FULL_DTYPES:
        raise OptionError(f"`dtype`: {named(dtype)} is not supported. Expected float32 or float64.")
    return dtype


def own_dtype(module: nn.Module, weight: torch.Tensor | None = None) -> torch.dtype:
    """Return the dtype of the first floating point weight, float32 for half precisions."""
    weight = first_weight(module) if weight is None else weight
    if weight is None:
        return torch.get_default_dtype()
    return weight.dtype if weight.dtype in FULL_DTYPES else torch.float32


def first_weight(module: nn.Module) -> torch.Tensor | None:
    """Return the first floating point parameter, or else buffer, or None."""
    weights = [*module.parameters(), *module.buffers()]
    return next((weight for weight in weights if weight.is_floating_point()), None)


def named(dtype: torch.dtype) -> str:
    """Return the dtype without torch's prefix."""
    return str(dtype).removeprefix("torch.")


def input_count(module: nn.Module) -> int | None:
    """Return D where the module is a sequence of layers whose first weight tells it, else None."""
    for layer in _leaves(module):
        name = layer_name(layer)
        if name in _WIDTH_TELLING:
            attribute, axis = _WIDTH_TELLING[name]
            weight = getattr(layer, attribute, None)
            return int(weight.shape[axis]) if isinstance(weight, torch.Tensor) else None
        if name not in _SHAPE_KEEPING:
            return None
    return None


def _leaves(module: nn.Module) -> Iterator[nn.Module]:
    if layer_name(module) != "Sequential":
        yield module
        return
    for child in module.children():
        yield from _leaves(child)


def _carried(value: Any, name: str, kind: type, subject: object) -> tuple[Any, ...] | None:
    if value is None or callable(value):
        return None
    try:
        entries = value.tolist() if isinstance(value, torch.Tensor | np.ndarray) else value
        if isinstance(entries, str | bytes | dict) or not all(isinstance(entry, _ENTRIES) for entry in entries):
            raise TypeError
        carried = tuple(kind(entry) for entry in entries)
        "".join(map(str, carried)).encode()  # half of a pair of surrogates is no letter, and cannot be written
        return carried
    except (TypeError, ValueError):
        entries = "names" if kind is str else "numbers"
        raise ModelError(f"{subject}: its {name} are {printable(repr(value))}. Expected a list of {entries}.") from None


def _model(
    module: nn.Module,
    format_in_words: str,
    dtype: torch.dtype,
    device: torch.device,
    path: Path | None,
    n_inputs: int | None,
    names: Names,
) -> Model:
    subject = path or "model"
    counted = input_count(module) if n_inputs is None else n_inputs
    for what, given in (("feature names", names.features), ("zeros", names.zero)):
        if given is not None and counted is not None and len(given) != counted:
            raise ModelError(f"{subject}: takes {counted} inputs but carries {len(given)} {what}.")
    for what, given in (("feature", names.features), ("output", names.outputs)):
        if given is not None and len(set(given)) < len(given):
            twice = printable(Counter(given).most_common(1)[0][0])
            raise ModelError(f"{subject}: carries the {what} name {twice!r} twice. Expected every name once.")
    if counted is None and names.features is not None:
        counted = len(names.features)
    return Model(
        module=module,
        format=format_in_words,
        dtype=dtype,
        device=device,
        path=path,
        n_inputs=counted,
        feature_names=names.features,
        output_names=names.outputs,
        zero=names.zero,
    )
