"""What a saved graph has fixed: training mode, devices and dtypes, of TorchScript and of exported programs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ihcli.models.layers import layer_name

TRAINING_INPUT = {"dropout": 2, "feature_dropout": 2, "alpha_dropout": 2, "batch_norm": 5}
"""Operations, and the position of the argument that says whether they are in training mode."""
FAST_PATHS = ("_transformer_encoder_layer_fwd", "_native_multi_head_attention")
"""Operations for whole layers of attention, which have no derivative."""
_RECURRENT_LAYERS = ("RNN", "LSTM", "GRU")
_RECURRENT_OPERATIONS = ("lstm", "gru", "rnn_tanh", "rnn_relu")
# How TorchScript writes the dtypes that a network may compute in.
_DTYPES = {5: torch.float16, 6: torch.float32, 7: torch.float64, 15: torch.bfloat16}


@dataclass(frozen=True)
class Operation:
    """One operation of a graph: its plain name, and its constant arguments by position, None for all others."""

    name: str
    arguments: tuple[Any, ...]
    dtypes: tuple[torch.dtype, ...]


def operations(module: nn.Module) -> Iterator[Operation]:
    """Yield the operations of the saved graphs within a module, in TorchScript or of torch.export."""
    for graph in _graphs(module):
        if isinstance(graph, torch.fx.Graph):
            yield from (_exported_operation(node) for node in graph.nodes)
        else:
            yield from (_script_operation(node) for node in _script_nodes(graph))


def has_recurrence(module: nn.Module) -> bool:
    """Return whether recurrent layers are part of a module."""
    if any(layer_name(part) in _RECURRENT_LAYERS for part in module.modules()):
        return True
    return any(operation.name in _RECURRENT_OPERATIONS for operation in operations(module))


def has_fast_path(module: nn.Module) -> bool:
    """Return whether a graph holds a fast path of attention, be it in a branch that is taken without gradients only."""
    return any(operation.name in FAST_PATHS for operation in operations(module))


def fixed_in_training(module: nn.Module) -> str | None:
    """Return the first operation that a graph has fixed in training mode, None where there is none.

    It need not do anything: a branch may never be taken. Dropout of probability 0 does nothing for certain.
    """
    for operation in operations(module):
        position = TRAINING_INPUT.get(operation.name)
        if position is None or operation.arguments[position : position + 1] != (True,):
            continue
        if operation.name == "batch_norm" or operation.arguments[1] != 0:
            return operation.name
    return None


def fixed_devices(module: nn.Module) -> list[torch.device]:
    """Return the devices that are constants of a module's graphs."""
    found = (value for operation in operations(module) for value in operation.arguments)
    return list(dict.fromkeys(value for value in found if isinstance(value, torch.device)))


def fixed_dtypes(module: nn.Module) -> list[torch.dtype]:
    """Return the floating point dtypes that casts and constants of a module's graphs hold."""
    cast = [dtype for operation in operations(module) for dtype in operation.dtypes]
    return list(dict.fromkeys([*cast, *(weight.dtype for weight in constant_weights(module))]))


def constant_weights(module: nn.Module) -> list[Tensor]:
    """Return the floating point tensors that freezing has turned into constants of the graphs."""
    found = (value for operation in operations(module) for value in operation.arguments)
    return [value for value in found if isinstance(value, Tensor) and value.is_floating_point()]


def _graphs(module: nn.Module) -> Iterator[torch.fx.Graph | torch.Graph]:
    if isinstance(module, torch.jit.ScriptModule):
        if hasattr(module, "graph"):
            yield module.inlined_graph
    elif isinstance(module, torch.fx.GraphModule):
        yield module.graph
    else:
        for child in module.children():
            yield from _graphs(child)


def _exported_operation(node: torch.fx.Node) -> Operation:
    name = node.target._schema.name.removeprefix("aten::") if isinstance(node.target, torch._ops.OpOverload) else ""
    given = (*node.args, *node.kwargs.values())
    arguments = tuple(None if isinstance(value, torch.fx.Node) else value for value in given)
    dtypes = (value for value in arguments if isinstance(value, torch.dtype) and value.is_floating_point)
    return Operation(name, arguments, tuple(dtypes))


def _script_nodes(block: torch.Graph | torch.Block) -> Iterator[torch.Node]:
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _script_nodes(inner)


def _script_operation(node: torch.Node) -> Operation:
    """Read a node; TorchScript writes dtypes as numbers, which its schema tells from others."""
    arguments = tuple(_constant(value) for value in node.inputs())
    dtypes: list[torch.dtype] = []
    if any(type(argument) is int and argument in _DTYPES for argument in arguments) and "dtype" in node.schema():
        names = [argument.name for argument in torch._C.parse_schema(node.schema()).arguments]
        dtypes = [_DTYPES[a] for name, a in zip(names, arguments, strict=False) if name == "dtype" and a in _DTYPES]
    return Operation(node.kind().removeprefix("aten::"), arguments, tuple(dtypes))


def _constant(value: torch.Value) -> Any:
    return value.toIValue() if value.node().kind() == "prim::Constant" else None
