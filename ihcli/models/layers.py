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


class Shares(nn.Module):
    """Probabilities of each class against all others, (P, K), as shares of their sum."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the shares, shape (P, K)."""
        return inputs / inputs.sum(dim=1, keepdim=True)


class Exponential(nn.Module):
    """Element-wise e^x, the output of a model trained on the Poisson loss, or behind a logarithm as link."""

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


class Power(nn.Module):
    """Element-wise x^p."""

    def __init__(self, exponent: float) -> None:
        super().__init__()
        self.exponent = exponent

    def forward(self, inputs: Tensor) -> Tensor:
        """Return inputs^p, same shape."""
        return inputs.pow(self.exponent)


class SquaredDistances(nn.Module):
    """Squared distances of inputs, each on a scale of its own, from some points.

    scale   (D,)
    points  (S, D), on that scale. What is subtracted is small beside distances where points lie around 0: they are
            shifted there, and inputs with them.
    """

    scale: Tensor
    shift: Tensor
    points: Tensor
    lengths: Tensor

    def __init__(self, scale: Tensor, points: Tensor) -> None:
        super().__init__()
        shift = points.mean(dim=0)
        self.register_buffer("scale", scale)
        self.register_buffer("shift", -shift)
        self.register_buffer("points", points - shift)
        self.register_buffer("lengths", (points - shift).square().sum(dim=1))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return |u|^2 - 2 u.p + |p|^2 of u = scale * inputs + shift and every point p, shape (P, S)."""
        placed = self.scale * inputs + self.shift
        return placed.square().sum(dim=1, keepdim=True) + functional.linear(placed, -2 * self.points, self.lengths)


class RadialBasis(SquaredDistances):
    """A kernel that falls with the distance from some points."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return e^-d of squared distances d, shape (P, S)."""
        return (-super().forward(inputs)).exp()


class Together(nn.Module):
    """The sum, or the product, of what several modules make of the same inputs."""

    def __init__(self, parts: Sequence[nn.Module], is_product: bool) -> None:
        super().__init__()
        self.parts, self.is_product = nn.ModuleList(parts), is_product

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the sum or product of all outputs, shape (P, n)."""
        found = [part(inputs) for part in self.parts]
        return torch.stack(found).prod(dim=0) if self.is_product else torch.stack(found).sum(dim=0)


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
