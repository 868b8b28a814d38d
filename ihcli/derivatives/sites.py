"""A step at some points, with the tangents that come to it: what a rule of an operation looks at."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ihcli.derivatives.program import UnknownOperationError
from ihcli.derivatives.recording import Step

Bend = Callable[[Tensor, Tensor], None]


@dataclass(frozen=True)
class Site:
    """A step at P points, and what comes to it.

    values    its arguments: constants, or values with P in front
    tangents  of each argument (G, P, ...), in lists where arguments are; None where it does not move
    result    what it gave;  adjoint df/dresult, None where there is no curvature
    bend      takes the factors of its curvature
    """

    step: Step
    values: tuple[Any, ...]
    tangents: tuple[Any, ...]
    depends: tuple[bool, ...]
    options: dict[str, Any]
    result: Any
    adjoint: Tensor | None
    bend: Bend

    @property
    def lead(self) -> tuple[int, int]:
        """G and P."""
        first = self.tangents[0]
        moving: Tensor = next(t for t in first if t is not None) if isinstance(first, list) else first
        return moving.shape[0], moving.shape[1]

    @property
    def moves_beside_first(self) -> bool:
        """Return whether another argument than the first moves."""
        return moves(self.tangents[1:])

    @property
    def slope(self) -> Tensor:
        """The adjoint, where a rule bends."""
        if self.adjoint is None:
            raise UnknownOperationError(f"{self.step.operation} bends without an adjoint")
        return self.adjoint

    def refuse(self, why: str) -> UnknownOperationError:
        """Return an error that names the operation."""
        return UnknownOperationError(f"{self.step.operation} {why}")


Rule = Callable[[Site], Any]


def moves(tangents: Any) -> bool:
    """Return whether there is a tangent among these, however deep."""
    return any(map(moves, tangents)) if isinstance(tangents, (list, tuple)) else tangents is not None


def aligned(site: Site, tensor: Any, lead: int) -> Any:
    """Return a tensor with as many dimensions behind its leading ones as the result has."""
    if not isinstance(tensor, Tensor):
        return tensor
    missing = site.result.dim() - 1 - (tensor.dim() - lead)
    return tensor.reshape(*tensor.shape[:lead], *(1,) * missing, *tensor.shape[lead:]) if missing > 0 else tensor


def value_at(site: Site, index: int) -> Any:
    """Return an argument as it broadcasts against tangents that are aligned with the result."""
    value = site.values[index]
    if not isinstance(value, Tensor):
        return value
    return aligned(site, value, 1) if site.depends[index] else value


def tangent_at(site: Site, index: int) -> Tensor | None:
    """Return the tangent of an argument, aligned with the result."""
    tangent = site.tangents[index]
    return None if tangent is None else aligned(site, tangent, 2)


def whole(site: Site, tangent: Tensor) -> Tensor:
    """Return a tangent of the result's own shape."""
    shape = (*tangent.shape[:1], *site.result.shape)
    return tangent.to(site.result.dtype).expand(shape)


def plus(left: Tensor | None, right: Tensor | None) -> Tensor:
    """Return the sum of two tangents of which one moves at least."""
    if left is None or right is None:
        found = right if left is None else left
        assert found is not None
        return found
    return left + right


def from_last(site: Site, dim: int) -> int:
    """Return a dimension counted from the last."""
    return dim if dim < 0 else dim - (site.values[0].dim() - 1)


def dims_of(site: Site, dims: Any) -> list[int]:
    """Return the dimensions that are reduced, counted from the last; None or none: all."""
    given = [dims] if isinstance(dims, int) else dims or range(site.values[0].dim() - 1)
    return [from_last(site, dim) for dim in given]


def kept(site: Site, values: Tensor, dims: list[int]) -> Tensor:
    """Return figures of the result with the dimensions that it was reduced by."""
    if values.dim() == site.values[0].dim():
        return values
    for dim in sorted(dim + site.values[0].dim() for dim in dims):
        values = values.unsqueeze(dim)
    return values


def reduced(site: Site, tangent: Tensor) -> Tensor:
    """Return a tangent, whose reduced dimensions are 1, in the result's shape."""
    return tangent.reshape(len(tangent), *site.result.shape)
