"""Layers that torch.nn lacks and folded scikit-learn models need; and what layers are called."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


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


class Function(nn.Module):
    """An element-wise function of numpy, by its name there."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the function of the inputs, same shape."""
        return FUNCTIONS[self.name](inputs)


class Columns(nn.Module):
    """Some columns of the inputs, in their order: the runs of neighbours from `start` to `stop`."""

    def __init__(self, runs: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        self.runs = tuple(runs)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the columns, shape (P, n)."""
        found = [inputs[:, start:stop] for start, stop in self.runs]
        return found[0] if len(found) == 1 else torch.cat(found, dim=1)


class Lookup(nn.Module):
    """The numbers that stand for the code in one column: its row of a table (codes, n)."""

    table: Tensor

    def __init__(self, column: int, table: Tensor) -> None:
        super().__init__()
        self.column = column
        self.register_buffer("table", table)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the rows of the table, shape (P, n)."""
        return functional.embedding(inputs[:, self.column].long(), self.table)


class Beside(nn.Module):
    """What several modules make of the same inputs, side by side."""

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return all outputs, shape (P, n)."""
        return torch.cat([part(inputs) for part in self.parts], dim=1)


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "log": torch.log,
    "log2": torch.log2,
    "log10": torch.log10,
    "log1p": torch.log1p,
    "exp": torch.exp,
    "exp2": torch.exp2,
    "expm1": torch.expm1,
    "sqrt": torch.sqrt,
    "square": torch.square,
    "absolute": torch.abs,
    "fabs": torch.abs,
    "negative": torch.neg,
    "positive": torch.positive,
    "reciprocal": torch.reciprocal,
    "sin": torch.sin,
    "cos": torch.cos,
    "tanh": torch.tanh,
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "arctan": torch.arctan,
    "arcsinh": torch.arcsinh,
    "arctanh": torch.arctanh,
}
"""Functions of numpy in torch."""


def layer_name(module: nn.Module) -> str:
    """Return the class name of a layer, also of one inside a TorchScript file."""
    return str(getattr(module, "original_name", type(module).__name__))
