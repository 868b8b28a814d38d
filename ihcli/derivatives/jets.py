"""Jets: a function of one number with its first two derivatives, through the element-wise operations of torch.

A jet holds phi(a), phi'(a) and phi''(a) for every entry of a pre-activation a. With f of phi it becomes

    f(phi),   f'(phi) phi',   f''(phi) phi'^2 + f'(phi) phi''

tests/test_derivatives_jets.py compares every entry of the table with automatic differentiation.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ihcli.derivatives.room import Out, nowhere

aten = torch.ops.aten


@dataclass(frozen=True)
class Jet:
    """Value and derivatives, (P, m) each; `second` is None where it is zero, or was not asked for.

    is_start  the pre-activation itself, whose derivative 1 need not be multiplied with
    """

    value: Tensor
    first: Tensor
    second: Tensor | None
    is_start: bool = False

    @classmethod
    def of(cls, inputs: Tensor) -> "Jet":
        """Return the identity at these inputs."""
        return cls(inputs, inputs.new_ones(1).expand_as(inputs), None, is_start=True)


Parts = tuple[Tensor, Tensor, Callable[[], Tensor] | None]
"""f, f' and what computes f'' (None: zero) at the values of a jet."""


def compose(jet: Jet, parts: Parts, bending: bool) -> Jet:
    """Return the jet of f after phi from f(phi), f'(phi) and f''(phi); without `bending` the last is left out."""
    outer = _jet_of(parts, bending)
    if jet.is_start:
        return outer
    curved = None if outer.second is None else outer.second * jet.first * jet.first
    bent = None if jet.second is None else outer.first * jet.second
    return Jet(outer.value, outer.first * jet.first, _plus(curved, bent))


def _jet_of(parts: Parts, bending: bool) -> Jet:
    value, first, bend = parts
    return Jet(value, first, bend() if bending and bend is not None else None)


def _plus(left: Tensor | None, right: Tensor | None) -> Tensor | None:
    if left is None or right is None:
        return right if left is None else left
    return left + right


def _softplus(v: Tensor, out: Out, beta: float = 1.0, threshold: float = 20.0) -> Parts:
    value = torch.nn.functional.softplus(v, beta, threshold, out=out())  # type: ignore[call-arg]
    first = torch.mul(v, beta, out=out())
    # The switch to the identity, derivatives and all, is less than rounding there.
    linear = None if v.dtype == torch.float32 and threshold >= 20 else first > threshold
    first.sigmoid_()
    if linear is not None:
        first.masked_fill_(linear, 1.0)

    def second() -> Tensor:
        bent = torch.mul(v, -beta, out=out()).sigmoid_().mul_(first).mul_(beta)
        return bent if linear is None else bent.masked_fill_(linear, 0.0)

    return value, first, second


def _tanh(v: Tensor, out: Out) -> Parts:
    value = torch.tanh(v, out=out())
    first = torch.mul(value, value, out=out()).neg_().add_(1)
    return value, first, lambda: torch.mul(value, first, out=out()).mul_(-2)


def _sigmoid(v: Tensor, out: Out) -> Parts:
    value = torch.sigmoid(v, out=out())
    rest = torch.sub(1, value, out=out())
    first = torch.mul(value, rest, out=out())
    return value, first, lambda: rest.sub_(value).mul_(first)


def _silu(v: Tensor, out: Out) -> Parts:
    gate = torch.sigmoid(v, out=out())
    rest = torch.sub(1, gate, out=out())
    slope = torch.mul(gate, rest, out=out())
    first = torch.addcmul(gate, v, slope, out=out())
    return torch.mul(v, gate, out=out()), first, lambda: rest.sub_(gate).mul_(v).add_(2).mul_(slope)


def _gelu(v: Tensor, out: Out, approximate: str = "none") -> Parts:
    if approximate == "tanh":
        return _gelu_tanh(v)
    below = torch.mul(v, -1 / math.sqrt(2), out=out()).erfc_().mul_(0.5)
    square = torch.mul(v, v, out=out())
    density = torch.mul(square, -0.5, out=out()).exp_().mul_(1 / math.sqrt(2 * math.pi))
    first = torch.addcmul(below, v, density, out=out())
    return torch.mul(v, below, out=out()), first, lambda: square.neg_().add_(2).mul_(density)


def _gelu_tanh(v: Tensor) -> Parts:
    scale, cubic = math.sqrt(2 / math.pi), 0.044715
    t = torch.tanh(scale * (v + cubic * v**3))
    slope = 1 - t * t
    inner = scale * (1 + 3 * cubic * v * v)
    first = 0.5 * (1 + t) + 0.5 * v * slope * inner
    return 0.5 * v * (1 + t), first, lambda: slope * (inner + v * (scale * 3 * cubic * v - t * inner * inner))


def _elu(v: Tensor, out: Out, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Parts:
    grown = alpha * torch.exp(torch.clamp(input_scale * v, max=0))
    positive = v > 0
    value = scale * torch.where(positive, v, grown - alpha)
    first = (scale * input_scale * grown).masked_fill_(positive, scale)
    return value, first, lambda: (scale * input_scale**2 * grown).masked_fill_(positive, 0.0)


def _celu(v: Tensor, out: Out, alpha: float = 1.0) -> Parts:
    return _elu(v, out, alpha, 1.0, 1 / alpha)


def _relu(v: Tensor, out: Out) -> Parts:
    return torch.clamp(v, min=0, out=out()), (v > 0).to(v.dtype), None


def _leaky_relu(v: Tensor, out: Out, negative_slope: float = 0.01) -> Parts:
    slope = torch.full_like(v, negative_slope).masked_fill_(v > 0, 1.0)
    return v * slope, slope, None


def _hardtanh(v: Tensor, out: Out, low: float = -1.0, high: float = 1.0) -> Parts:
    return torch.clamp(v, low, high), ((v > low) & (v < high)).to(v.dtype), None


def _pow(v: Tensor, out: Out, exponent: float) -> Parts:
    def second() -> Tensor:
        return exponent * (exponent - 1) * v ** (exponent - 2)

    return v**exponent, exponent * v ** (exponent - 1), None if exponent == 1 else second


def _reciprocal(v: Tensor) -> Parts:
    inverse = 1 / v
    return inverse, -(inverse**2), lambda: 2 * inverse**3


UNARY: dict[Any, Callable[..., Parts]] = {
    aten.softplus.default: _softplus,
    aten.tanh.default: _tanh,
    aten.sigmoid.default: _sigmoid,
    aten.silu.default: _silu,
    aten.gelu.default: _gelu,
    aten.elu.default: _elu,
    aten.celu.default: _celu,
    aten.relu.default: _relu,
    aten.leaky_relu.default: _leaky_relu,
    aten.hardtanh.default: _hardtanh,
    aten.pow.Tensor_Scalar: _pow,
}


def _scaled(jet: Jet, factor: Any) -> Jet:
    second = None if jet.second is None else jet.second * factor
    return Jet(jet.value * factor, jet.first * factor, second)


def _shifted(jet: Jet, shift: Any) -> Jet:
    return Jet(jet.value + shift, jet.first, jet.second)


def _mul(left: Any, right: Any) -> Jet:
    if isinstance(left, Jet) and isinstance(right, Jet):
        bent = _plus(
            None if left.second is None else left.second * right.value,
            None if right.second is None else left.value * right.second,
        )
        second = _plus(2 * left.first * right.first, bent)
        return Jet(left.value * right.value, left.first * right.value + left.value * right.first, second)
    return _scaled(left, right) if isinstance(left, Jet) else _scaled(right, left)


def _add(left: Any, right: Any, alpha: float = 1) -> Jet:
    if isinstance(left, Jet) and isinstance(right, Jet):
        right = right if alpha == 1 else _scaled(right, alpha)
        return Jet(left.value + right.value, left.first + right.first, _plus(left.second, right.second))
    if isinstance(left, Jet):
        return _shifted(left, right * alpha)
    return _shifted(_scaled(right, alpha), left)


def _sub(left: Any, right: Any, alpha: float = 1) -> Jet:
    return _add(left, right, alpha=-alpha)


def _rsub(left: Any, right: Any, alpha: float = 1) -> Jet:
    return _sub(right, left, alpha=alpha)


def _div(left: Any, right: Any) -> Jet:
    if not isinstance(right, Jet):
        return _scaled(left, 1 / right)
    return _mul(left, compose(right, _reciprocal(right.value), bending=True))


def _neg(jet: Jet) -> Jet:
    return _scaled(jet, -1)


def _same(jet: Jet, **_: Any) -> Jet:
    return jet


def _copied(_: Jet, source: Jet, *__: Any) -> Jet:
    """Return what `copy_` writes over a jet; smoothing puts in-place activations that way."""
    return source


def _batch_norm(
    jet: Jet,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    training: bool,
    momentum: float,
    eps: float,
) -> Jet:
    """Return batch normalisation in eval mode, an affine map of every feature."""
    scale = torch.rsqrt(variance + eps) * (1 if weight is None else weight)
    return _shifted(_scaled(jet, scale), (0 if bias is None else bias) - mean * scale)


ARITHMETIC: dict[Any, Callable[..., Jet]] = {
    aten.mul.Tensor: _mul,
    aten.mul.Scalar: _mul,
    aten.add.Tensor: _add,
    aten.add.Scalar: _add,
    aten.sub.Tensor: _sub,
    aten.sub.Scalar: _sub,
    aten.rsub.Tensor: _rsub,
    aten.rsub.Scalar: _rsub,
    aten.div.Tensor: _div,
    aten.div.Scalar: _div,
    aten.neg.default: _neg,
    aten.clone.default: _same,
    aten.alias.default: _same,
    aten.copy_.default: _copied,
    aten.native_batch_norm.default: _batch_norm,
}


def with_in_place_forms(table: dict[Any, Any]) -> dict[Any, Any]:
    """Add relu_ beside relu and so on: on jets, which are never overwritten, they mean the same."""
    added = {}
    for operation, rule in table.items():
        packet = getattr(aten, f"{operation.overloadpacket.__name__}_", None)
        if packet is not None and operation._overloadname in packet.overloads():
            added[getattr(packet, operation._overloadname)] = rule
    return {**table, **added}


UNARY = with_in_place_forms(UNARY)
ARITHMETIC = with_in_place_forms(ARITHMETIC)


def jet_of(
    operation: Any, inputs: Tensor, settings: tuple[Any, ...], options: dict[str, Any], bending: bool, out: Out
) -> Jet:
    """Return the jet of a function of one number at these inputs; see `apply`."""
    return _jet_of(UNARY[operation](inputs, out, *settings, **options), bending)


def apply(
    operation: Any, arguments: tuple[Any, ...], options: dict[str, Any], bending: bool = True, out: Out = nowhere
) -> Jet:
    """Return what an element-wise operation makes of its arguments, of which at least one is a Jet.

    Without `bending` second derivatives may be left out. `out` gives arrays for what functions of one number compute.

    Raises KeyError for an operation that is not in the tables, TypeError for a jet where a constant must stand.
    """
    if operation in UNARY:
        jet, *settings = arguments
        return compose(jet, UNARY[operation](jet.value, out, *settings, **options), bending)
    return ARITHMETIC[operation](*arguments, **options)
