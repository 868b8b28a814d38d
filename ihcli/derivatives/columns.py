"""Second derivatives of a function of a few numbers, at many points, by automatic differentiation."""

from collections.abc import Callable

import torch
from torch import Tensor

Explained = Callable[[Tensor, Tensor], Tensor]
"""A function of rows (P,) and numbers (P, k) of points, each by itself, that returns (P,)."""


def columns_in_turn(gradient: Tensor, a: Tensor) -> Tensor:
    """Return the derivatives of a gradient (P, k) in `a`, (P, k, k): a backward pass for each column."""
    found = [
        torch.autograd.grad(gradient[:, j].sum(), a, retain_graph=True, materialize_grads=True)[0]
        for j in range(a.shape[1])
    ]
    return torch.stack(found, dim=1)


def columns_at_once(function: Explained, row: Tensor, a: Tensor) -> Tensor:
    """Return the same of a function in one pass over a copy of every point for each column.

    It takes the operations of one column and k times their numbers: what a device, to which a launch costs more than
    numbers do, is quicker at. On CPU it takes up to twice as long.
    """
    k = a.shape[1]
    with torch.enable_grad():
        copies = a.detach().repeat(k, 1).requires_grad_()
        value = function(row.repeat(k), copies)
        (gradient,) = torch.autograd.grad(value.sum(), copies, create_graph=True, materialize_grads=True)
        own = gradient.view(k, -1, k).diagonal(dim1=0, dim2=2).sum()
        (second,) = torch.autograd.grad(own, copies, materialize_grads=True)
    return second.view(k, -1, k).transpose(0, 1)
