"""What each layer class of torch asks of its own parts: shapes of weights, kinds of children, counts."""

import inspect
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from torch import nn
from torch.nn import functional
from torch.nn.modules import batchnorm, conv, instancenorm, rnn

Fields = dict[str, Any]
"""The attributes of a layer by name."""
Shapes = Iterator[tuple[str, tuple[int, ...], bool]]
"""Names of tensors, their shapes, and whether the layer may do without."""
_UNDECLARED = ("_size", "shortlist_size", "n_clusters", "head_size")  # counts that classes set without saying so
_GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "LSTM": 4, "GRU": 3}
_CELL_GATES = {nn.RNNCell: 1, nn.LSTMCell: 4, nn.GRUCell: 3}
_NORMS = (batchnorm._NormBase, instancenorm._InstanceNorm)
_CHILDREN: dict[type[nn.Module], dict[str, type[nn.Module]]] = {
    nn.MultiheadAttention: {"out_proj": nn.Linear},
    nn.TransformerEncoder: {"layers": nn.ModuleList},
    nn.TransformerDecoder: {"layers": nn.ModuleList},
    nn.TransformerEncoderLayer: {
        **dict.fromkeys(("linear1", "linear2"), nn.Linear),
        **dict.fromkeys(("norm1", "norm2"), nn.LayerNorm),
        "self_attn": nn.MultiheadAttention,
    },
}
"""Children whose weights torch reads past their own forward, where it takes a shorter way."""


@cache
def declared_names(cls: type) -> frozenset[str]:
    """Return the names of the attributes that a class and its bases say their instances have."""
    names = set(_UNDECLARED)
    for base in cls.__mro__:
        if issubclass(base, nn.Module) and base is not nn.Module:
            names.update(vars(base).get("__annotations__", ()), vars(base).get("__constants__", ()))
            names.update(inspect.signature(base.__init__).parameters if "__init__" in vars(base) else ())
    return frozenset(names - {"self", "args", "kwargs"})


@cache
def reserved_names(cls: type) -> frozenset[str]:
    """Return the names of a class's methods and properties, which no attribute of an instance may stand for."""
    attributes = ((name, inspect.getattr_static(cls, name, None)) for name in dir(cls))
    methods = {name for name, attribute in attributes if callable(attribute) or hasattr(attribute, "__get__")}
    return frozenset(methods | {"_compiled_call_impl"})


def check_layer(layer: nn.Module) -> None:
    """Refuse a layer whose parts are not those that its sizes ask for.

    Raises ValueError that names the part.
    """
    kind = type(layer).__name__
    for name, wanted in _CHILDREN.get(type(layer), {}).items():
        child = layer._modules.get(name)
        if not isinstance(child, wanted):
            raise ValueError(f"a {kind} whose {name} is a {type(child).__name__} instead of a {wanted.__name__}")
    for name, shape, is_optional in _shapes(layer):
        tensor = layer._parameters.get(name, layer._buffers.get(name))
        if vars(layer).get(name) is not None:
            raise ValueError(f"a {kind} whose {name} is not a weight of it")
        if tensor is None and is_optional:
            continue
        if tensor is None or tuple(tensor.shape) != shape:
            found = "none" if tensor is None else str(tuple(tensor.shape))
            raise ValueError(f"a {kind} whose {name} has the shape {found}, but its sizes ask for {shape}")
    for name, parameter in layer._parameters.items():
        if parameter is not None and not parameter.is_floating_point():
            raise ValueError(f"a {kind} whose {name} are not floating point numbers")
    _check_activation(layer)


def weight_lists(state: Fields) -> Fields:
    """Return what a recurrent layer remembers of its own weights: the lists by which it finds them when it is called.

    Raises ValueError for more layers than there are weights.
    """
    layers, parameters = state.get("num_layers"), state["_parameters"]
    if type(layers) is not int or not 0 < layers <= len(parameters):
        raise ValueError("a recurrent layer of more layers than it has weights")
    kinds = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if state.get("bias") else ())]
    kinds += ["weight_hr"] if state.get("proj_size") else []
    suffixes = [f"_l{at}{way}" for at in range(layers) for way in ("", "_reverse")[: 1 + bool(state["bidirectional"])]]
    names = [[f"{kind}{suffix}" for kind in kinds] for suffix in suffixes]
    flat = [name for each in names for name in each]
    return {
        "_all_weights": names,
        "_flat_weights_names": flat,
        "_flat_weights": [parameters.get(name) for name in flat],
    }


def _shapes(layer: nn.Module) -> Shapes:
    for classes, shapes in _SHAPES.items():
        if isinstance(layer, classes):
            yield from shapes(layer)


def _linear(layer: Any) -> Shapes:
    outputs, inputs = _sizes(layer, "out_features", "in_features")
    yield "weight", (outputs, inputs), False
    yield "bias", (outputs,), True


def _bilinear(layer: Any) -> Shapes:
    outputs, left, right = _sizes(layer, "out_features", "in1_features", "in2_features")
    yield "weight", (outputs, left, right), False
    yield "bias", (outputs,), True


def _embedding(layer: Any) -> Shapes:
    yield "weight", _sizes(layer, "num_embeddings", "embedding_dim"), False


def _convolution(layer: Any) -> Shapes:
    inputs, outputs, groups = _sizes(layer, "in_channels", "out_channels", "groups")
    if groups < 1 or inputs % groups or outputs % groups:
        raise ValueError(f"a {type(layer).__name__} of {inputs} and {outputs} channels in {groups} groups")
    if isinstance(layer, conv._ConvTransposeNd):
        inputs, outputs = outputs, inputs
    yield "weight", (outputs, inputs // groups, *layer.kernel_size), False
    yield "bias", _sizes(layer, "out_channels"), True


def _norm(layer: Any) -> Shapes:
    for name in ("weight", "bias", "running_mean", "running_var"):
        yield name, _sizes(layer, "num_features"), True
    yield "num_batches_tracked", (), True


def _layer_norm(layer: Any) -> Shapes:
    yield "weight", tuple(layer.normalized_shape), True
    yield "bias", tuple(layer.normalized_shape), True


def _group_norm(layer: Any) -> Shapes:
    groups, channels = _sizes(layer, "num_groups", "num_channels")
    if groups < 1 or channels % groups:
        raise ValueError(f"a GroupNorm of {channels} channels in {groups} groups")
    yield "weight", (channels,), True
    yield "bias", (channels,), True


def _prelu(layer: Any) -> Shapes:
    yield "weight", _sizes(layer, "num_parameters"), False


def _attention(layer: Any) -> Shapes:
    width, heads, head = _sizes(layer, "embed_dim", "num_heads", "head_dim")
    keys, values = (getattr(layer, name, None) or width for name in ("kdim", "vdim"))
    if heads * head != width or (keys == values == width) != layer._qkv_same_embed_dim:
        raise ValueError(f"a MultiheadAttention of width {width} in {heads} heads of {head}")
    yield "in_proj_bias", (3 * width,), True
    yield "bias_k", (1, 1, width), True
    yield "bias_v", (1, 1, width), True
    if layer._qkv_same_embed_dim:
        yield "in_proj_weight", (3 * width, width), False
    else:
        for name, size in (("q", width), ("k", keys), ("v", values)):
            yield f"{name}_proj_weight", (width, size), False


def _recurrent(layer: Any) -> Shapes:
    inputs, hidden, projected = _sizes(layer, "input_size", "hidden_size", "proj_size")
    rows = _gates(layer) * hidden
    directions = 2 if layer.bidirectional else 1
    for at in range(layer.num_layers * directions):
        suffix = f"_l{at // directions}{'_reverse' if at % directions else ''}"
        width = inputs if at < directions else directions * (projected or hidden)
        yield f"weight_ih{suffix}", (rows, width), False
        yield f"weight_hh{suffix}", (rows, projected or hidden), False
        if layer.bias:
            yield f"bias_ih{suffix}", (rows,), False
            yield f"bias_hh{suffix}", (rows,), False
        if projected:
            yield f"weight_hr{suffix}", (projected, hidden), False


def _cell(layer: Any) -> Shapes:
    inputs, hidden = _sizes(layer, "input_size", "hidden_size")
    rows = _CELL_GATES.get(type(layer), 1) * hidden
    yield "weight_ih", (rows, inputs), False
    yield "weight_hh", (rows, hidden), False
    yield "bias_ih", (rows,), True
    yield "bias_hh", (rows,), True


_SHAPES: dict[Any, Callable[[Any], Shapes]] = {
    nn.Linear: _linear,
    nn.Bilinear: _bilinear,
    (nn.Embedding, nn.EmbeddingBag): _embedding,
    conv._ConvNd: _convolution,
    _NORMS: _norm,
    (nn.LayerNorm, nn.RMSNorm): _layer_norm,
    nn.GroupNorm: _group_norm,
    nn.PReLU: _prelu,
    nn.MultiheadAttention: _attention,
    rnn.RNNBase: _recurrent,
    rnn.RNNCellBase: _cell,
}


def _gates(layer: Any) -> int:
    """Return the rows of weights that one hidden unit takes; the class and its mode must say the same."""
    if not str(layer.mode).startswith(type(layer).__name__.removesuffix("Base")) or layer.mode not in _GATES:
        raise ValueError(f"a {type(layer).__name__} whose mode is another's")
    return _GATES[layer.mode]


def _check_activation(layer: Any) -> None:
    """Refuse a transformer layer whose note on its activation is another's: the shorter way heeds the note."""
    if isinstance(layer, nn.TransformerEncoderLayer):
        kinds: dict[int, tuple[Any, type]] = {1: (functional.relu, nn.ReLU), 2: (functional.gelu, nn.GELU)}
        noted = getattr(layer, "activation_relu_or_gelu", 0)
        function, cls = kinds.get(noted, (layer.activation, object))
        if noted not in (0, *kinds) or not (layer.activation is function or isinstance(layer.activation, cls)):
            raise ValueError("a TransformerEncoderLayer that says another activation than it has")


def _sizes(layer: Any, *names: str) -> tuple[int, ...]:
    sizes = []
    for name in names:
        size = getattr(layer, name, None)
        if type(size) is not int or size < 0:
            raise ValueError(f"a {type(layer).__name__} whose {name} is not a count")
        sizes.append(size)
    return tuple(sizes)
