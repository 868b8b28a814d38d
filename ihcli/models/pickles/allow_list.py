"""The names a model file may ask for, and what each is read as. Everything else is refused by name.

Three sorts. Values (layer classes, activation functions, dtypes) are put where the file wants them and never called.
`Constructor`s are ours and check their arguments. `RecordClass`es stand for classes that are not imported: of their
instances only the attributes are kept.
"""

import importlib
import math
import pkgutil
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.lazy import LazyModuleMixin

from ihcli.models.pickles import arrays
from ihcli.models.pickles.scikit_learn_names import class_names, named_values

WRAPPERS = ("DataParallel", "DistributedDataParallel", "AveragedModel")
"""Classes of torch around a module, which stands for them; see `plain_layers`."""
PRUNINGS = (
    *("Identity", "RandomUnstructured", "L1Unstructured", "RandomStructured", "LnStructured", "CustomFromMask"),
    "PruningContainer",
)
_LAYERS = "torch.nn.modules."
_KEEPING = ("StateDict", "LoadStateDictPre")
_ACTIVATIONS = (
    *("relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "softsign", "glu"),
    *("sigmoid", "logsigmoid", "tanh", "tanhshrink", "softmax", "softmin", "log_softmax", "hardtanh", "hardswish"),
    *("hardsigmoid", "hardshrink", "softshrink", "threshold"),
)


class ForbiddenError(Exception):
    """The stream asks for something off the allow-list; `str(error)` names it."""


_MOST_BESIDE_NONE = 1 << 20  # of the other side of an empty tensor
_MOST_KEY_PARTS = 16
_SCALARS = (str, int, float, bool, bytes, type(None), torch.dtype)


@dataclass(frozen=True)
class Constructor:
    """A function of ours that the stream may call under the name of theirs."""

    call: Callable[..., Any]


@dataclass(frozen=True)
class RecordClass:
    """A class of another library that is not imported."""

    name: str


@dataclass
class Record:
    """An instance of such a class: its class name and its attributes."""

    name: str
    attributes: dict[str, Any] = field(default_factory=dict)


def checked_keys(values: Iterable[Any]) -> list[Any]:
    """Return what dictionaries and sets may hold as keys: hashing tuples within tuples can take for ever."""
    keys = list(values)
    for key in keys:
        parts = key if type(key) is tuple and len(key) <= _MOST_KEY_PARTS else (key,)
        if not all(type(part) in _SCALARS or isinstance(part, np.generic) for part in parts):
            raise ForbiddenError(f"a {type(key).__name__} as a key")
    return keys


@cache
def module_classes() -> tuple[type[nn.Module], ...]:
    """Return every layer class of torch.nn.modules but the lazy ones, which are no layers yet, and deprecated names."""
    found: dict[type[nn.Module], None] = {}
    package = nn.modules
    for information in pkgutil.iter_modules(package.__path__):
        for value in vars(importlib.import_module(f"{package.__name__}.{information.name}")).values():
            if isinstance(value, type) and issubclass(value, nn.Module) and _is_layer(value):
                found[value] = None
    return tuple(found)


def _is_layer(cls: type[nn.Module]) -> bool:
    is_current = not issubclass(cls, LazyModuleMixin) and "__deprecated__" not in vars(cls)
    return is_current and cls.__module__.startswith(_LAYERS)


@cache
def activation_functions() -> tuple[Callable[..., Tensor], ...]:
    """Return the element-wise functions of torch.nn.functional that layers keep as attributes."""
    return tuple(getattr(functional, name) for name in _ACTIVATIONS)


@cache
def allowed_names() -> dict[tuple[str, str], Any]:
    """Return what every allowed (module, name) is read as."""
    names: dict[tuple[str, str], Any] = {}
    for layer in module_classes():
        names[layer.__module__, layer.__qualname__] = layer
    for function in activation_functions():
        names[function.__module__, function.__qualname__] = function
    for name, value in vars(torch).items():
        if isinstance(value, torch.dtype):
            names["torch", name] = value
    return (
        names
        | _torch_constructors()
        | _wrapper_names()
        | _builtin_constructors()
        | _numpy_names()
        | _scikit_learn_names()
    )


def _torch_constructors() -> dict[tuple[str, str], Any]:
    return {
        ("torch._utils", "_rebuild_tensor_v2"): Constructor(_rebuild_tensor),
        ("torch._utils", "_rebuild_parameter"): Constructor(_rebuild_parameter),
        ("torch", "Size"): Constructor(torch.Size),
        ("torch", "device"): Constructor(_device),
    }


def _wrapper_names() -> dict[tuple[str, str], Any]:
    """Return what torch puts around modules and onto weights, and what these keep."""
    homes = {
        "torch.nn.parallel.data_parallel": ("DataParallel",),
        "torch.nn.parallel.distributed": ("DistributedDataParallel", "_BucketCapacityConfig"),
        "torch.distributed.algorithms.join": ("_JoinConfig",),
        "torch.optim.swa_utils": ("AveragedModel",),
        "torch.nn.utils.weight_norm": ("WeightNorm",),
        "torch.nn.utils.spectral_norm": ("SpectralNorm", *(f"SpectralNorm{use}Hook" for use in _KEEPING)),
        "torch.nn.modules.module": ("_WrappedHook",),
        "torch.nn.utils.prune": PRUNINGS,
        # What torch.compile keeps beside a module; torch.save names its getattr as protocol 2 does.
        "torch._dynamo.eval_frame": ("OptimizeContext",),
        "torch._dynamo.convert_frame": ("CatchErrorsWrapper", *(f"ConvertFrame{use}" for use in ("", "Assert", "Box"))),
        "torch._dynamo.repro.after_dynamo": ("WrapBackendDebug",),
        "torch._dynamo.hooks": ("Hooks",),
        "torch": ("_TorchCompileInductorWrapper",),
        "contextlib": ("nullcontext",),
        "__builtin__": ("getattr",),
    }
    names: dict[tuple[str, str], Any] = {
        (home, name): RecordClass(name) for home, names in homes.items() for name in names
    }
    names["torch._dynamo.eval_frame", "OptimizedModule"] = Constructor(_first)
    return names


def _builtin_constructors() -> dict[tuple[str, str], Any]:
    names: dict[tuple[str, str], Any] = {
        ("collections", "OrderedDict"): Constructor(_ordered),
        ("_codecs", "encode"): Constructor(_encode_latin1),
    }
    for module in ("builtins", "__builtin__"):
        names[module, "set"] = Constructor(_set)
        names[module, "object"] = object
        names[module, "bytearray"] = Constructor(_bytearray)
        names[module, "slice"] = Constructor(_slice)
    return names


def _numpy_names() -> dict[tuple[str, str], Any]:
    names: dict[tuple[str, str], Any] = {
        ("numpy", "dtype"): Constructor(arrays.DType),
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "memmap"): np.ndarray,
        ("joblib.numpy_pickle", "NumpyArrayWrapper"): Constructor(arrays.WrappedArray),
        ("numpy.random.bit_generator", "__pyx_unpickle_SeedSequence"): RecordClass("SeedSequence"),
        ("numpy.random.bit_generator", "SeedSequence"): RecordClass("SeedSequence"),
    }
    for core in ("numpy.core", "numpy._core"):
        names[f"{core}.multiarray", "_reconstruct"] = Constructor(arrays.empty_array)
        names[f"{core}.multiarray", "scalar"] = Constructor(arrays.scalar)
        names[f"{core}.numeric", "_frombuffer"] = Constructor(arrays.from_buffer)
    for name in ("__randomstate_ctor", "__bit_generator_ctor", "__generator_ctor"):
        names["numpy.random._pickle", name] = RecordClass(name)
    for module, name in (("_mt19937", "MT19937"), ("_pcg64", "PCG64"), ("_philox", "Philox"), ("_sfc64", "SFC64")):
        names[f"numpy.random.{module}", name] = RecordClass(name)
    return names


def _scikit_learn_names() -> dict[tuple[str, str], Any]:
    return {place: RecordClass(name) for place, name in class_names().items()} | named_values()


def _rebuild_tensor(storage: Tensor, offset: int, size: Any, stride: Any, *_: Any) -> Tensor:
    """Return the tensor over a storage read as a flat tensor; the bounds are checked, hooks are left behind.

    A tensor larger than its storage repeats it, and a few bytes could ask for any memory once it is copied. So could
    the other side of an empty one.
    """
    if type(storage) is not Tensor or type(size) not in (tuple, torch.Size):
        raise ValueError("a tensor without storage and shape")
    if not all(type(length) is int and length >= 0 for length in size):
        raise ValueError("a tensor whose shape is not a list of lengths")
    most = max(storage.numel(), 1)
    if math.prod(size) > most or max(size, default=0) > max(most, _MOST_BESIDE_NONE):
        raise ValueError(f"a tensor of shape {tuple(size)} is out of bounds for storage of {storage.numel()} numbers")
    return torch.as_strided(storage, tuple(size), tuple(stride), offset)


def _first(value: Any, *_: Any) -> Any:
    """Return the module that torch.compile was given."""
    return value


def _rebuild_parameter(tensor: Tensor, requires_grad: bool, *_: Any) -> nn.Parameter:
    if type(tensor) is not Tensor:
        raise ValueError("a parameter that is not a tensor")
    return nn.Parameter(tensor, requires_grad=requires_grad is True)


def _device(name: str, *index: int) -> torch.device:
    if type(name) is not str or any(type(number) is not int for number in index):
        raise ValueError("a device without a name")
    return torch.device(name, *index)


def _ordered(items: Any = ()) -> OrderedDict[Any, Any]:
    pairs = [tuple(pair) for pair in items if type(pair) in (list, tuple)]
    checked_keys([pair[0] for pair in pairs])
    return OrderedDict(pairs)


def _set(items: Any = ()) -> set[Any]:
    return set(checked_keys(items))


def _encode_latin1(text: str, encoding: str) -> bytes:
    if type(text) is not str or encoding != "latin1":
        raise ValueError("text in another encoding than latin1")
    return text.encode("latin1")


def _bytearray(content: bytes = b"") -> bytearray:
    """Return the bytes; a bare number would allocate that many."""
    if type(content) is not bytes:
        raise ValueError("bytes were expected")
    return bytearray(content)


def _slice(start: Any, stop: Any, step: Any) -> slice:
    if not all(end is None or type(end) is str or isinstance(end, int | np.integer) for end in (start, stop, step)):
        raise ValueError("a slice between values that are neither numbers nor names")
    return slice(start, stop, step)
