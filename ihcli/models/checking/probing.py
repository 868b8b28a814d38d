"""Probing a model with rows of zeros: how many inputs it takes, and what it wants in place of rows of numbers."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ihcli.derivatives.calling import WITHOUT_ONEDNN
from ihcli.errors import ModelCallError
from ihcli.models.fixed import constant_weights
from ihcli.models.model import Model
from ihcli.models.wrapping import input_count

_ROWS = (2, 3)
"""Numbers of rows tried: n rows in must be n rows out, which a reshape to a fixed width may give for one of them."""

MOST_TRIED = 256
"""Inputs that are tried one number after the other."""


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


def only_width(model: Model) -> int | None:
    """Return the one width up to MOST_TRIED that a model takes, of numbers or of integers; None: none, or others too.

    Cost: a call for each width and of each kind, most of which fail in the first layers.
    """
    for dtype in (model.dtype, torch.int64):
        for width in range(1, MOST_TRIED + 1):
            if _outputs(model, (width,), dtype) is not None:
                return None if takes_others(model, width, dtype) else width
    return None


def takes_others(model: Model, width: int, dtype: torch.dtype | None = None) -> bool:
    """Return whether a model takes rows of other widths too: a network over steps, or one that broadcasts."""
    return any(_outputs(model, (d,), dtype) for d in (width + 1, 2 * width, 3 * width))


@dataclass(frozen=True)
class Sequences:
    """What a model of sequences takes: F channels, as (N, T, F) or, `channels_first`, as (N, F, T)."""

    channels: int
    channels_first: bool

    @property
    def axes(self) -> str:
        """The shape in words."""
        return f"(N, {self.channels}, T)" if self.channels_first else f"(N, T, {self.channels})"

    def shape(self, steps: int) -> tuple[int, int]:
        """Return that of one row of so many steps."""
        return (self.channels, steps) if self.channels_first else (steps, self.channels)


def sequences_taken(model: Model, n_inputs: int | None = None) -> Sequences | None:
    """Return what sequences a model takes, None where no weight suggests any that it does.

    Tried are steps of any number, and those that rows of `n_inputs` would have, where there are rows.
    """
    steps_first = [Sequences(f, channels_first=False) for f in _suggested(model)]
    channels_first = [Sequences(f, channels_first=True) for f in _suggested_channels(model)]
    of_any_length = (each for each in (*steps_first, *channels_first) if takes(model, each.shape(32), each.shape(33)))
    of_that_length = (
        each
        for each in (*steps_first, *channels_first)
        if n_inputs is not None
        and n_inputs % each.channels == 0
        and takes(model, each.shape(n_inputs // each.channels))
    )
    return next(of_any_length, None) or next(of_that_length, None)


def length_axis(model: Model, shape: tuple[int, int]) -> int | None:
    """Return which axis of sequences (N, *shape), that a model takes, may be longer: 1 or 2; None: neither, or both."""
    longer = [takes(model, (shape[0] + 1, shape[1])), takes(model, (shape[0], shape[1] + 1))]
    return longer.index(True) + 1 if sum(longer) == 1 else None


def takes(model: Model, *shapes: tuple[int, ...]) -> bool:
    """Return whether a model takes rows of all these shapes."""
    return all(_outputs(model, shape) for shape in shapes)


def takes_integers(model: Model, n_inputs: int) -> bool:
    """Return whether a model takes integers in rows of that width."""
    return bool(_outputs(model, (n_inputs,), torch.int64))


def random_rows(model: Model, width: int, n_rows: int = 64) -> Tensor:
    """Return rows of standard normal numbers, the same ones every time."""
    return random_inputs(model, (width,), n_rows)


def random_inputs(model: Model, shape: tuple[int, ...], n_rows: int = 64) -> Tensor:
    """Return rows of that shape, of standard normal numbers, the same ones every time."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n_rows, *shape, generator=generator, dtype=torch.float64).to(model.device, model.dtype)


def _outputs(model: Model, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> list[object] | None:
    """Return what comes of rows of zeros of that shape for each of _ROWS, None where the model raises or loses rows."""
    found = []
    for n_rows in _ROWS:
        zeros = torch.zeros(n_rows, *shape, dtype=dtype or model.dtype, device=model.device)
        try:
            with torch.no_grad(), WITHOUT_ONEDNN:
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


def _suggested_channels(model: Model) -> Iterator[int]:
    """Yield each number of channels that a convolution over steps may take, whole or in groups of one."""
    weights = [*model.module.parameters(), *constant_weights(model.module)]
    kernels = [weight for weight in weights if weight.dim() == 3]
    yield from dict.fromkeys(size for kernel in kernels for size in (kernel.shape[1], kernel.shape[0]))
