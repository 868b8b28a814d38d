"""Operations over leading dimensions: what a step does at one point, done at many points, and to many tangents.

A value has its points in front of the shape that it has at one point, and a tangent has its gates before these.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

_NAMES = """
    softplus tanh sigmoid silu gelu elu celu relu leaky_relu hardtanh hardswish mish log_sigmoid_forward threshold
    softshrink clamp clamp_min clamp_max abs exp exp2 expm1 log log2 log10 log1p sin cos tan sinh cosh asinh acosh atanh
    asin acos atan erf erfc sqrt rsqrt reciprocal hardshrink logit sinc lgamma
"""
ELEMENTWISE = tuple(_NAMES.split())
"""Functions of one number."""
BROADCAST = frozenset((*ELEMENTWISE, "neg", "add", "sub", "rsub", "mul", "div", "pow"))
Shaped = Callable[..., Any]
_LAYOUT = frozenset(("memory_format", "implicit"))
"""Options that change no number."""


def over(
    lead: int, operation: Any, arguments: Sequence[Any], options: Mapping[str, Any], leading: Sequence[Tensor]
) -> Any:
    """Return what an operation gives where those of its arguments have so many dimensions before their own.

    Raises RuntimeError where torch cannot do so.
    """
    name = str(operation.overloadpacket.__name__)
    if name in BROADCAST and _is_aligned(lead, arguments, leading):
        return operation(*arguments, **options)
    shaped = SHAPED.get(name)
    if shaped is not None and options.keys() <= _LAYOUT and len(leading) == 1 and arguments[0] is leading[0]:
        return shaped(lead, *arguments)

    if name == "bmm" and len(leading) == 2:
        return torch.matmul(*arguments)
    if name == "addmm" and not options and len(leading) == 1 and arguments[1] is leading[0]:
        bias, x, matrix = arguments
        return torch.nn.functional.linear(x, matrix.T, bias)

    def noted(argument: Any) -> Any:
        if isinstance(argument, list):
            return [noted(entry) for entry in argument]
        return next((_Place(i) for i, tensor in enumerate(leading) if tensor is argument), argument)

    places = [noted(argument) for argument in arguments]
    named = {key: noted(option) for key, option in options.items()}

    def once(*tensors: Tensor) -> Any:
        return operation(*_filled(places, tensors), **{key: _filled(value, tensors) for key, value in named.items()})

    for _ in range(lead):
        once = torch.vmap(once)
    return once(*leading)


def _is_aligned(lead: int, arguments: Sequence[Any], leading: Sequence[Tensor]) -> bool:
    """Return whether leading dimensions stand above each other, and nothing of a constant stands below them."""
    most = leading[0].dim()
    shorter = (x for x in arguments if isinstance(x, Tensor) and all(x is not tensor for tensor in leading))
    return all(tensor.dim() == most for tensor in leading) and all(x.dim() <= most - lead for x in shorter)


class _Place(int):
    """Which of the tensors belongs here."""


def _filled(argument: Any, tensors: Sequence[Tensor]) -> Any:
    if isinstance(argument, list):
        return [_filled(entry, tensors) for entry in argument]
    return tensors[argument] if isinstance(argument, _Place) else argument


def _at(lead: int, dim: int, x: Tensor) -> int:
    return dim + lead if dim >= 0 else dim + x.dim()


def _view(lead: int, x: Tensor, size: Sequence[int]) -> Tensor:
    return x.reshape(*x.shape[:lead], *size)


def _same(lead: int, x: Tensor, *_: Any) -> Tensor:
    return x


def _t(lead: int, x: Tensor) -> Tensor:
    return x.transpose(-1, -2) if x.dim() == lead + 2 else x


def _transpose(lead: int, x: Tensor, first: int, second: int) -> Tensor:
    return x.transpose(_at(lead, first, x), _at(lead, second, x))


def _permute(lead: int, x: Tensor, dims: Sequence[int]) -> Tensor:
    return x.permute(*range(lead), *(_at(lead, dim, x) for dim in dims))


def _unsqueeze(lead: int, x: Tensor, dim: int) -> Tensor:
    return x.unsqueeze(dim + lead if dim >= 0 else dim)


def _select(lead: int, x: Tensor, dim: int, index: int) -> Tensor:
    return x.select(_at(lead, dim, x), index)


def _slice(
    lead: int, x: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    return torch.ops.aten.slice.Tensor(x, _at(lead, dim, x), start, end, step)


def _expand(lead: int, x: Tensor, size: Sequence[int]) -> Tensor:
    before = (1,) * (len(size) - x.dim() + lead)
    return x.reshape(*x.shape[:lead], *before, *x.shape[lead:]).expand(*x.shape[:lead], *size)


def _split(lead: int, x: Tensor, size: int, dim: int = 0) -> list[Tensor]:
    return list(x.split(size, _at(lead, dim, x)))


def _unbind(lead: int, x: Tensor, dim: int = 0) -> list[Tensor]:
    return list(x.unbind(_at(lead, dim, x)))


def _mm(lead: int, x: Tensor, matrix: Tensor) -> Tensor:
    return x @ matrix


def _layer_norm(lead: int, x: Tensor, *settings: Any) -> Any:
    return torch.ops.aten.native_layer_norm.default(x, *settings)


def _softmax(lead: int, x: Tensor, dim: int, *settings: Any) -> Tensor:
    return torch.ops.aten._softmax.default(x, _at(lead, dim, x), *settings)


SHAPED: dict[str, Shaped] = {
    "view": _view,
    "_unsafe_view": _view,
    "reshape": _view,
    "t": _t,
    "transpose": _transpose,
    "permute": _permute,
    "unsqueeze": _unsqueeze,
    "select": _select,
    "slice": _slice,
    "expand": _expand,
    "split": _split,
    "unsafe_split": _split,
    "unbind": _unbind,
    "clone": _same,
    "alias": _same,
    "mm": _mm,
    "native_layer_norm": _layer_norm,
    "_softmax": _softmax,
}
"""Of one tensor with leading dimensions and constants: what torch.vmap does as well, at several times the cost."""
