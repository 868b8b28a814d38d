"""Layers that torch.nn lacks and folded scikit-learn models need, all of them smooth; and what layers are called."""

import torch
from torch import Tensor, nn


class Affine(nn.Module):
    """Element-wise y = scale * x + shift, a scaler folded into the network.

    scale, shift: (D,) buffers, so that they follow `.to(dtype)` and are not parameters.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return scale * inputs + shift, shape (P, D)."""
        return self.scale * inputs + self.shift


class Complement(nn.Module):
    """Turn the probability p of the second class, (P, 1), into both: (1 - p, p), (P, 2)."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the probabilities of both classes, shape (P, 2)."""
        return torch.cat([1 - inputs, inputs], dim=1)


class Exponential(nn.Module):
    """Element-wise e^x, the output of a network trained on the Poisson loss."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return e^inputs, same shape."""
        return inputs.exp()


def layer_name(module: nn.Module) -> str:
    """Return the class name of a layer, also of one inside a TorchScript file."""
    return str(getattr(module, "original_name", type(module).__name__))
