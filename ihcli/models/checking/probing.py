"""Probing a model with rows of zeros: how many inputs it takes, and what it wants in place of rows of numbers."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ihcli.errors import ModelCallError
from ihcli.models.fixed import constant_weights
from ihcli.models.model import Model
from ihcli.models.wrapping import input_count

_ROWS = (2, 3)
"""Numbers of rows tried: n rows in must be n rows out, which a reshape to a fixed width may give for one of them."""


@dataclass(frozen=True)
class Width:
    """What a model makes of rows of one width: `outputs` of the first number of rows."""

    inputs: int
    outputs: object


def accepted_width(model: Model) -> Width | None:
    """Return the first width that a weight suggests and that the model takes, None where there is none.

    Outputs that are no tensor are for the checks before a run to tell of.
    """
    for width in _widths(model):
        outputs = _outputs(model, (width,))
        if outputs is not None:
            return Width(width, outputs[0])
    return None


def takes_others(model: Model, width: int) -> bool:
    """Return whether a model takes rows of other widths too: a network over steps, or one that broadcasts."""
    return any(_outputs(model, (d,)) for d in (width + 1, 2 * width, 3 * width))


def step_width(model: Model) -> int | None:
    """Return F where a model takes (N, T, F), sequences of T steps, None where no weight suggests an F that works."""
    for width in _suggested(model):
        if all(_outputs(model, (t, width)) for t in (4, 5)):
            return width
    return None


def takes_integers(model: Model, n_inputs: int) -> bool:
    """Return whether a model takes integers in rows of that width."""
    return bool(_outputs(model, (n_inputs,), torch.int64))


def random_rows(model: Model, width: int, n_rows: int = 64) -> Tensor:
    """Return rows of standard normal numbers, the same ones every time."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n_rows, width, generator=generator, dtype=torch.float64).to(model.device, model.dtype)


def _outputs(model: Model, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> list[object] | None:
    """Return what comes of rows of zeros of that shape for each of _ROWS, None where the model raises or loses rows."""
    found = []
    for n_rows in _ROWS:
        zeros = torch.zeros(n_rows, *shape, dtype=dtype or model.dtype, device=model.device)
        try:
            with torch.no_grad():
                outputs = model.call(zeros)
        except ModelCallError:
            return None
        if isinstance(outputs, Tensor) and (outputs.dim() == 0 or len(outputs) != n_rows):
            return None
        found.append(outputs)
    return found


def _widths(model: Model) -> Iterator[int]:
    """Yield each D that may be right: the one that is known, or all that a weight suggests."""
    known = model.n_inputs or input_count(model.module)
    yield from _suggested(model) if known is None else (known,)


def _suggested(model: Model) -> Iterator[int]:
    weights = [*model.module.parameters(), *constant_weights(model.module)]
    yield from dict.fromkeys(width for weight in weights if weight.dim() == 2 for width in reversed(weight.shape))
