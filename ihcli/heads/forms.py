"""Squashing functions in forms whose first and second derivatives keep their accuracy near 0 and near 1.

torch takes the derivative of a sigmoid from its rounded value, p (1 - p), and of softmax, log-softmax and tanh alike:
near 1 it has the rounding of p, though it is as small as 1 - p. Here

    sigmoid(u) = e^-softplus(-u),     p_m = 1 - sum_{j != m} p_j,     ln p_m = ln(1 - sum_{j != m} p_j)

for the largest p_m of a softmax, so that no derivative subtracts numbers that are nearly equal. Values are float64:
what follows may as well be, and is rounded once at the very end. TorchScript compiles these functions as they stand.
tests/test_heads.py compares them with exact derivatives.
"""

from collections.abc import Callable
from enum import Enum

import torch
from torch import Tensor


class Form(Enum):
    """What squashing functions are computed as."""

    ROUNDED = "accurately, in the dtype of what they are given"
    WIDE = "accurately, in float64"
    LEFT_OUT = "not at all: they give what they are given"


def sigmoid(inputs: Tensor) -> Tensor:
    """Return 1 / (1 + e^-u)."""
    return torch.exp(-torch.nn.functional.softplus(-inputs.double(), 1.0, 40.0))


def log_sigmoid(inputs: Tensor) -> Tensor:
    """Return -ln(1 + e^-u)."""
    return -torch.nn.functional.softplus(-inputs.double(), 1.0, 40.0)


def tanh(inputs: Tensor) -> Tensor:
    """Return (1 - e^-2|u|) / (1 + e^-2|u|) with the sign of u."""
    u = inputs.double()
    is_negative = u < 0
    decayed = torch.exp(-2.0 * torch.where(is_negative, -u, u))
    value = (1.0 - decayed) / (1.0 + decayed)
    return torch.where(is_negative, -value, value)


def softmax(inputs: Tensor, dim: int) -> Tensor:
    """Return the shares of e^u along an axis."""
    shares = torch.softmax(inputs.double(), dim)
    largest = shares.argmax(dim, keepdim=True)
    others = shares.scatter(dim, largest, 0.0).sum(dim, keepdim=True)
    return shares.scatter(dim, largest, 1.0 - others)


def log_softmax(inputs: Tensor, dim: int) -> Tensor:
    """Return the logarithms of the shares of e^u along an axis."""
    logs = torch.log_softmax(inputs.double(), dim)
    largest = logs.argmax(dim, keepdim=True)
    others = torch.exp(logs).scatter(dim, largest, 0.0).sum(dim, keepdim=True)
    return logs.scatter(dim, largest, torch.log1p(-others))


def sigmoid_in_place(inputs: Tensor) -> Tensor:
    """Overwrite u with its sigmoid."""
    return inputs.copy_(sigmoid(inputs.clone()))


def tanh_in_place(inputs: Tensor) -> Tensor:
    """Overwrite u with its tanh."""
    return inputs.copy_(tanh(inputs.clone()))


def softmin(inputs: Tensor, dim: int) -> Tensor:
    """Return the softmax of -u along an axis."""
    return softmax(-inputs, dim)


def rounded(values: Tensor, like: Tensor) -> Tensor:
    """Return values in the dtype of another tensor."""
    return values.to(like.dtype)


ELEMENTWISE: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": sigmoid,
    "sigmoid_": sigmoid_in_place,
    "special_expit": sigmoid,
    "logsigmoid": log_sigmoid,
    "log_sigmoid": log_sigmoid,
    "tanh": tanh,
    "tanh_": tanh_in_place,
}
"""By torch's names of the functions."""
ALONG_AXIS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "softmax": softmax,
    "_softmax": softmax,
    "special_softmax": softmax,
    "softmin": softmin,
    "log_softmax": log_softmax,
    "_log_softmax": log_softmax,
    "special_log_softmax": log_softmax,
}
"""Those that normalise along an axis."""
