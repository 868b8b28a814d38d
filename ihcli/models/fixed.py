"""What a saved graph has fixed: training mode, devices and dtypes, of TorchScript and of exported programs."""

from collections.abc import Collection, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ihcli.models.layers import layer_name

TRAINING_INPUT = {
    **dict.fromkeys(("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"), 2),
    "rrelu": 3,
    "batch_norm": 5,
}
"""Operations, and the position of the argument that says whether they are in training mode."""
FAST_PATHS = ("_transformer_encoder_layer_fwd", "_native_multi_head_attention")
"""Operations for whole layers of attention, which have no derivative."""
_RECURRENT_LAYERS = ("RNN", "LSTM", "GRU")
ROWS_SECOND = (
    "a recurrent layer of it takes (T, N, F), with the rows second. Expected the rows first. Try to save it with "
    "batch_first=True in its recurrent layers, or inside of a module whose forward calls it with x.transpose(0, 1)."
)
_RECURRENT_OPERATIONS = ("lstm", "gru", "rnn_tanh", "rnn_relu")
# How TorchScript writes the dtypes that a network may compute in.
_DTYPES = {5: torch.float16, 6: torch.float32, 7: torch.float64, 15: torch.bfloat16}


def has_recurrence(module: nn.Module) -> bool:
    """Return whether recurrent layers are part of a module."""
    if any(layer_name(part) in _RECURRENT_LAYERS for part in module.modules()):
        return True
    return any(_calls(module, _RECURRENT_OPERATIONS))


def has_rows_second(module: nn.Module) -> bool:
    """Return whether a recurrent layer takes (T, N, F), as it does where nobody asked for batch_first."""
    return any(
        layer_name(part) in _RECURRENT_LAYERS and getattr(part, "batch_first", None) is False
        for part in module.modules()
    )


def has_fast_path(module: nn.Module) -> bool:
    """Return whether a graph holds a fast path of attention, be it in a branch that is taken without gradients only."""
    return any(_calls(module, FAST_PATHS))


def fixed_in_training(module: nn.Module) -> str | None:
    """Return the first operation that a graph has fixed in training mode, None where there is none.

    It need not do anything: a branch may never be taken. Dropout of probability 0 does nothing for certain.
    """
    for name, arguments in _calls(module, TRAINING_INPUT):
        if arguments[TRAINING_INPUT[name] :][:1] == (True,) and (name == "batch_norm" or arguments[1] != 0):
            return name
    return None


def fixed_devices(module: nn.Module) -> list[torch.device]:
    """Return the devices that are constants of a module's graphs."""
    return list(dict.fromkeys(value for value in _constants(module) if isinstance(value, torch.device)))


def fixed_dtypes(module: nn.Module) -> list[torch.dtype]:
    """Return the floating point dtypes that casts and constants of a module's graphs hold."""
    found = [value for value in _constants(module) if isinstance(value, torch.dtype) and value.is_floating_point]
    return list(dict.fromkeys([*found, *(weight.dtype for weight in constant_weights(module))]))


def constant_weights(module: nn.Module) -> list[Tensor]:
    """Return the floating point tensors that freezing has turned into constants of the graphs."""
    return [value for value in _constants(module) if isinstance(value, Tensor) and value.is_floating_point()]


def _graphs(module: nn.Module) -> Iterator[Any]:
    """Yield the graphs of exported programs, and of scripts: those die with the reference to them."""
    if isinstance(module, torch.jit.ScriptModule):
        if hasattr(module, "graph"):
            yield module.inlined_graph
    elif isinstance(module, torch.fx.GraphModule):
        yield module.graph
    else:
        for child in module.children():
            yield from _graphs(child)


def _calls(module: nn.Module, names: Collection[str]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the operations of these names: which, and its constant arguments by position, None for all others."""
    for graph in _graphs(module):
        if isinstance(graph, torch.fx.Graph):
            for node in graph.nodes:
                if (name := _exported_name(node)) in names:
                    yield name, tuple(None if isinstance(value, torch.fx.Node) else value for value in node.args)
        else:
            for name in names:
                for found in graph.findAllNodes(f"aten::{name}"):
                    yield name, tuple(value.toIValue() for value in found.inputs())


def _constants(module: nn.Module) -> Iterator[Any]:
    """Yield constants of the graphs: tensors, devices, and dtypes where they are arguments of that name."""
    for graph in _graphs(module):
        if isinstance(graph, torch.fx.Graph):
            yield from (value for node in graph.nodes for value in (*node.args, *node.kwargs.values()))
        else:
            for node in graph.findAllNodes("prim::Constant"):
                yield from _values(node.output())


def _values(constant: torch.Value) -> Iterator[Any]:
    """Yield what a constant of a script stands for; TorchScript writes dtypes as numbers."""
    kind = constant.type().kind()
    if kind in ("TensorType", "DeviceObjType"):
        yield constant.toIValue()
    elif kind == "IntType" and constant.toIValue() in _DTYPES and any(_is_dtype(use) for use in constant.uses()):
        yield _DTYPES[constant.toIValue()]  # type: ignore[index]


def _is_dtype(use: Any) -> bool:
    schema = use.user.schema()
    return "dtype" in schema and torch._C.parse_schema(schema).arguments[use.offset].name == "dtype"


def _exported_name(node: torch.fx.Node) -> str:
    return node.target._schema.name.removeprefix("aten::") if isinstance(node.target, torch._ops.OpOverload) else ""
