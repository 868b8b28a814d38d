"""Modules around another one, which graphs can be rewritten through: they put inputs to it in another form."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Self

from torch import nn

from ihcli.models.model import Model


class Around(nn.Module):
    """A module that calls another, `module`, which is shared and not copied.

    A script or an exported program inside of it is rewritten as if it stood alone; see `through`.

    bends  operations of its own that smoothing replaces
    """

    bends: tuple[str, ...] = ()

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.training = getattr(module, "training", False)  # a frozen script has none

    def around(self, module: nn.Module) -> Self:
        """Return the same around another module."""
        made = copy.copy(self)
        made._modules = {**self._modules, "module": module}
        return made

    def smoothed(self, beta: float) -> Self:
        """Return the same with what bends in it, if anything does, replaced by what SoftPlus_beta is made of."""
        return self


def around(module: nn.Module) -> Iterator[Around]:
    """Yield the modules around another one, the outermost first."""
    while isinstance(module, Around):
        yield module
        module = module.module


def innermost(module: nn.Module) -> nn.Module:
    """Return what modules around it end in."""
    while isinstance(module, Around):
        module = module.module
    return module


def through(
    model: Model, rewrite: Callable[[Model], Model], change: Callable[[Around], Around] = lambda outer: outer
) -> Model:
    """Return a model whose innermost module is rewritten, and those around it are changed."""
    if not isinstance(model.module, Around):
        return rewrite(model)
    inner = through(replace(model, module=model.module.module), rewrite, change)
    return replace(model, module=change(model.module).around(inner.module))
