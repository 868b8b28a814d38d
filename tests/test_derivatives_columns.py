"""Second derivatives at many points are the same column by column and all at once."""

from collections.abc import Callable

import pytest
import torch
from problems import normal
from torch import Tensor

from ihcli.derivatives.columns import columns_at_once, columns_in_turn

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": lambda a: a.softmax(1),
    "product": lambda a: a * a.roll(1, 1),
    "linear in some": lambda a: torch.cat([a[:, :1].exp(), a[:, 1:]], 1),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("k", [1, 2, 7])
def test_columns_at_once_are_those_in_turn(name: str, k: int) -> None:
    row = torch.arange(5) % k

    def explained(row: Tensor, a: Tensor) -> Tensor:
        return FUNCTIONS[name](a).gather(1, row[:, None])[:, 0]

    a = normal(5, k, seed=1).requires_grad_()
    (gradient,) = torch.autograd.grad(explained(row, a).sum(), a, create_graph=True)
    in_turn = columns_in_turn(gradient, a)
    dense = [
        torch.autograd.functional.hessian(lambda x, i=i: explained(row[i : i + 1], x[None])[0], a[i]) for i in range(5)
    ]
    torch.testing.assert_close(in_turn, torch.stack(dense))
    torch.testing.assert_close(columns_at_once(explained, row, a), in_turn)
