"""The piecewise-linear operations that SoftPlus replaces, each as a sum of ReLUs: the table behind every rewrite.

A form is data. Whatever reads it (a call in an eager module, a node of a TorchScript graph) puts SoftPlus in the place
of ReLU in the same sum, so that every kind of model gets the same formula.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Coefficient = float | Tensor | str
"""A number, a tensor that broadcasts against z, or the name of a tensor argument in generated TorchScript."""


@dataclass(frozen=True)
class Hinges:
    """A piecewise-linear function f(z) = constant + slope z + sum_k weight_k ReLU(z - knee_k), times z if asked.

    With SoftPlus_beta(z) = ln(1 + e^(beta z)) / beta in place of ReLU (Janizek, Sturmfels, Lee 2021), f changes by at
    most sum_k |weight_k| ln(2) / beta (times |z| where `times_input`).
    """

    bends: tuple[tuple[Coefficient, Coefficient], ...]
    constant: Coefficient = 0.0
    slope: Coefficient = 0.0
    times_input: bool = False

    def smoothed(self, z: Tensor, beta: float) -> Tensor:
        """Return the function at z, every ReLU replaced by SoftPlus_beta; same shape and dtype as z."""
        terms = [
            _scaled(weight, F.softplus(z if _is(0, knee) else z - _value(knee), beta, linear_beyond(z.dtype)))
            for weight, knee in self.bends
        ]
        terms += [] if _is(0, self.slope) else [_scaled(self.slope, z)]
        total = functools.reduce(torch.add, terms)
        total = total if _is(0, self.constant) else total + _value(self.constant)
        return z * total if self.times_input else total

    def source(self, beta: float, threshold: float) -> str:
        """Return the same sum as a TorchScript expression in `z` and the tensor arguments that coefficients name."""
        terms = [
            _scaled_text(weight, f"torch.nn.functional.softplus({_shifted_text(knee)}, {beta!r}, {threshold!r})")
            for weight, knee in self.bends
        ]
        terms += [] if _is(0, self.slope) else [_scaled_text(self.slope, "z")]
        terms += [] if _is(0, self.constant) else [_text(self.constant)]
        total = f"({' + '.join(terms)})"
        return f"z * {total}" if self.times_input else total


def linear_beyond(dtype: torch.dtype) -> float:
    """Return the beta z beyond which SoftPlus is taken as z: where e^(-beta z) is below the rounding of the dtype.

    torch's own 20 is right for float32 and leaves a jump of 2e-9 / beta in float64.
    """
    return 40.0 if dtype == torch.float64 else 20.0


def _value(coefficient: Coefficient) -> float | Tensor:
    if isinstance(coefficient, str):
        raise TypeError(f"the coefficient {coefficient} has a value only in generated TorchScript")
    return coefficient


def _is(number: float, coefficient: Coefficient) -> bool:
    return not isinstance(coefficient, Tensor | str) and coefficient == number


def _scaled(weight: Coefficient, term: Tensor) -> Tensor:
    return term if _is(1, weight) else _value(weight) * term


def _text(coefficient: Coefficient) -> str:
    return coefficient if isinstance(coefficient, str) else f"({float(coefficient)!r})"


def _scaled_text(weight: Coefficient, term: str) -> str:
    return term if _is(1, weight) else f"{_text(weight)} * {term}"


def _shifted_text(knee: Coefficient) -> str:
    return "z" if _is(0, knee) else f"z - {_text(knee)}"


def _relu() -> Hinges:
    return Hinges(bends=((1.0, 0.0),))


def _leaky_relu(negative_slope: float = 0.01) -> Hinges:
    return Hinges(slope=negative_slope, bends=((1.0 - negative_slope, 0.0),))


def _rrelu(lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False) -> Hinges | None:
    return None if training else _leaky_relu((lower + upper) / 2)


def _prelu(weight: Tensor | str) -> Hinges:
    rest = f"(1.0 - {weight})" if isinstance(weight, str) else 1.0 - weight
    return Hinges(slope=weight, bends=((rest, 0.0),))


def _clamp(min: Coefficient | None = None, max: Coefficient | None = None) -> Hinges | None:
    low, high = _finite(min), _finite(max)
    if isinstance(low, float) and isinstance(high, float) and low > high:
        return None
    if low is not None:
        return Hinges(constant=low, bends=((1.0, low),) if high is None else ((1.0, low), (-1.0, high)))
    return None if high is None else Hinges(slope=1.0, bends=((-1.0, high),))


def _finite(bound: Coefficient | None) -> Coefficient | None:
    if bound is None or isinstance(bound, Tensor | str):
        return bound
    return float(bound) if math.isfinite(bound) else None


def _hardtanh(min_val: float = -1.0, max_val: float = 1.0) -> Hinges | None:
    return _clamp(min_val, max_val)


def _threshold(threshold: float, value: float) -> Hinges | None:
    return _clamp(threshold) if threshold == value else None


def _hardsigmoid() -> Hinges:
    return Hinges(bends=((1 / 6, -3.0), (-1 / 6, 3.0)))


def _hardswish() -> Hinges:
    return Hinges(bends=((1 / 6, -3.0), (-1 / 6, 3.0)), times_input=True)


@dataclass(frozen=True)
class Form:
    """An operation by its settings after the input, in order, and the hinges they give.

    `hinges` returns None where no sum of ReLUs equals the operation (a threshold that jumps) or nothing bends.
    """

    settings: tuple[str, ...]
    hinges: Callable[..., Hinges | None]


FORMS: dict[str, Form] = {
    "relu": Form((), _relu),
    "relu6": Form((), lambda: _clamp(0.0, 6.0)),
    "leaky_relu": Form(("negative_slope",), _leaky_relu),
    "rrelu": Form(("lower", "upper", "training"), _rrelu),
    "prelu": Form(("weight",), _prelu),
    "clamp": Form(("min", "max"), _clamp),
    "clip": Form(("min", "max"), _clamp),
    "clamp_min": Form(("min",), lambda min: _clamp(min)),
    "clamp_max": Form(("max",), lambda max: _clamp(None, max)),
    "hardtanh": Form(("min_val", "max_val"), _hardtanh),
    "threshold": Form(("threshold", "value"), _threshold),
    "hardsigmoid": Form((), _hardsigmoid),
    "hardswish": Form((), _hardswish),
}
"""Every operation that SoftPlus replaces. Settings are named and ordered as torch does in all its variants."""
