"""The last operations of a model: probabilities and their kin in a form whose derivatives keep their accuracy."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ihcli.errors import ModelCallError, ModelError
from ihcli.heads.endings import Ending, name_of, watch
from ihcli.heads.forms import Form
from ihcli.heads.rewriting import with_ending
from ihcli.models.model import Model

__all__ = ["Stable", "stabilise"]

_ROWS = 3


@dataclass(frozen=True)
class Stable:
    """A model in the form that is differentiated.

    model     the same function, up to rounding
    final     squashing functions that its outputs are made of, by torch's names
    unknown   last operations whose derivatives may carry the rounding of larger numbers than themselves
    value     rounding of the largest number that its outputs are made of
    argument  largest number that a squashing function takes
    size      largest number that its outputs are made of after the last layer
    """

    model: Model
    final: frozenset[str]
    unknown: tuple[str, ...]
    value: float
    argument: float
    size: float


def stabilise(model: Model, probe: Tensor) -> Stable:
    """Return a model whose last squashing functions are differentiated accurately; the given one stays as it is.

    probe  (P, D) rows in the model's dtype, of which three are run

    Sigmoid, softmax, log-softmax, log-sigmoid and tanh are found wherever the outputs are made of them, called as
    modules, functions or methods, in scripts and in exported programs. Cost: two or three calls of the model.
    """
    rows = probe[:_ROWS]
    recorder, ending = watch(model.outputs, rows)
    if not ending.final:
        return Stable(model, frozenset(), ending.unknown, 0.0, 0.0, 0.0)
    final = frozenset(name_of(recorder.steps[i]) for i in ending.final)
    del recorder  # and with it every array of the call
    try:
        stable, precision = _rewritten(model, rows, ending)
    except (ModelError, RuntimeError):  # a script that cannot be copied, or a graph that will not be edited
        stable, precision = model, model.dtype
    _, again = watch(stable.outputs, rows)
    unknown = (*ending.unknown, *(("a squashing function",) if again.final else ()))
    value = float(torch.finfo(precision).eps) * again.size
    return Stable(stable, final, unknown, value, ending.argument, ending.size)


class _Rounded(nn.Module):
    """A module whose outputs are put into the dtype of its inputs."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.training = getattr(module, "training", False)  # a frozen script has none

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs in it."""
        outputs: Tensor = self.module(inputs).to(inputs.dtype)
        return outputs


def _rewritten(model: Model, rows: Tensor, ending: Ending) -> tuple[Model, torch.dtype]:
    """Return the model rewritten, and what its end computes in: float64 where that can be."""
    if model.dtype == torch.float64:
        return replace(model, module=with_ending(model, rows, ending, Form.ROUNDED)), torch.float64
    wide = replace(model, module=_Rounded(with_ending(model, rows, ending, Form.WIDE)))
    try:
        with torch.no_grad():
            wide.outputs(rows)
    except ModelCallError:  # what follows takes one dtype only, as a product with weights does
        return replace(model, module=with_ending(model, rows, ending, Form.ROUNDED)), model.dtype
    return wide, torch.float64
