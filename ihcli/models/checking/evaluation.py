"""Borrowing a module: eval mode and frozen parameters inside, left exactly as it came."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the module with every submodule in eval mode and no parameter that asks for gradients.

    The mode of each submodule and the flag of each parameter are put back on the way out, also after an error: a
    model whose frozen layers were in another mode than the rest comes back that way.
    """
    modes = [(part, part.training) for part in module.modules() if hasattr(part, "training")]
    wanted = [(parameter, parameter.requires_grad) for parameter in module.parameters()]
    try:
        module.eval()
        for parameter, _ in wanted:
            parameter.requires_grad_(False)
        yield module
    finally:
        for part, mode in modes:
            part.training = mode
        for parameter, flag in wanted:
            parameter.requires_grad_(flag)
