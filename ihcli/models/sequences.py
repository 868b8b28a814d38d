"""Models of sequences as models of rows: flat columns are put into steps and channels, as the model takes them."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ihcli.derivatives.calling import WITHOUT_ONEDNN
from ihcli.errors import ModelCallError, ModelError
from ihcli.models.around import Around
from ihcli.models.checking.probing import Sequences, length_axis, random_inputs, sequences_taken, takes
from ihcli.models.fixed import ROWS_SECOND, has_rows_second
from ihcli.models.model import Model

STEPS_FIRST, CHANNELS_FIRST = "(N, T, F)", "(N, F, T)"
TRIED_STEPS, TYPICAL_STEPS = 4, 32
"""Of any length: those that a shape is tried with, and those that a model is looked at with."""


class IntoSteps(Around):
    """A module of sequences that takes rows (P, T F), its numbers step by step or channel by channel.

    channels    F
    by_channel  whether the numbers of a row come channel by channel, and not step by step
    is_turned   whether the module takes the two axes the other way round than they come
    """

    def __init__(self, module: nn.Module, channels: int, by_channel: bool, is_turned: bool) -> None:
        super().__init__(module)
        self.channels = channels
        self.by_channel = by_channel
        self.is_turned = is_turned

    def forward(self, rows: Tensor) -> Tensor:
        """Return the outputs of sequences."""
        steps = rows.shape[1] // self.channels
        shape = (self.channels, steps) if self.by_channel else (steps, self.channels)
        sequences = rows.reshape(len(rows), *shape)
        outputs: Tensor = self.module(sequences.transpose(1, 2) if self.is_turned else sequences)
        return outputs


@dataclass(frozen=True)
class Axes:
    """How rows are put to a model of sequences.

    steps           T; None: any number
    channels        F
    by_channel      whether the rows come channel by channel, and not step by step
    channels_first  whether the model takes (N, F, T), and not (N, T, F)
    either          whether it takes both, so that the data cannot tell
    """

    steps: int | None
    channels: int
    by_channel: bool
    channels_first: bool
    either: bool = False

    @property
    def taken(self) -> str:
        """What the model takes, in words."""
        return CHANNELS_FIRST if self.channels_first else STEPS_FIRST

    def in_words(self) -> str:
        """Return what the model takes, for who has not said what rows are."""
        t, f = "T" if self.steps in (None, TYPICAL_STEPS) else self.steps, self.channels
        shape = f"(N, {f}, {t})" if self.channels_first else f"(N, {t}, {f})"
        return f"sequences {shape}, steps of {f} numbers: see ihcli explain `sequence`"

    def of_rows(self, model: Model) -> Model:
        """Return a model of sequences as one of rows (P, T F)."""
        module = IntoSteps(model.module, self.channels, self.by_channel, self.by_channel != self.channels_first)
        width = None if self.steps is None else self.steps * self.channels
        names = model.feature_names if len(model.feature_names or ()) == width else None
        zero = self._of_columns(model.zero)
        return replace(model, module=module, n_inputs=width, feature_names=names, zero=zero, sequence_shape=None)

    def _of_columns(self, zero: tuple[float, ...] | None) -> tuple[float, ...] | None:
        """Return the network's zero for every column, where it is told of the channels."""
        if zero is None or self.steps is None or len(zero) != self.channels:
            return zero
        return tuple(value for value in zero for _ in range(self.steps)) if self.by_channel else zero * self.steps


def axes_of(
    model: Model,
    shape: tuple[int | None, int],
    by_channel: bool,
    channels_first: bool | None,
    tried_steps: int = TRIED_STEPS,
) -> Axes:
    """Return how rows of sequences are put to a model, found by calling it on zeros; the module is in eval mode.

    Parameters:
        shape: T and F; T None: of any length, of which `tried_steps` are tried.
        by_channel: whether the rows come channel by channel, and not step by step.
        channels_first: whether the model takes (N, F, T); None: whichever it takes, (N, T, F) where it takes both.

    Raises ModelError where it takes neither.
    """
    steps, f = shape[0] or tried_steps, shape[1]
    tried = (False, True) if channels_first is None else (channels_first,)
    fitting = [first for first in tried if takes(model, _shape(steps, f, first))]
    if not fitting:
        raise ModelError(_refusal(model, shape, steps, tried))
    if len(tried) > len(fitting):
        _require_length(model, steps, f, fitting[0])
    return Axes(shape[0], f, by_channel, fitting[0], either=len(fitting) > 1)


def likely_axes(model: Model) -> Axes | None:
    """Return how sequences are put to a model, as its file or its weights tell; None where it seems to take none."""
    t, f = model.sequence_shape or (TYPICAL_STEPS, 0)
    taken = sequences_taken(model, t * f or None)
    if taken is None:
        return None if model.sequence_shape is None else Axes(t, f, by_channel=False, channels_first=False)
    steps = max(t, f) if taken.channels == min(t, f) else t * f // taken.channels or TYPICAL_STEPS
    return Axes(steps, taken.channels, by_channel=False, channels_first=taken.channels_first)


def _require_length(model: Model, steps: int, channels: int, channels_first: bool) -> None:
    """Raise ModelError where what are said to be channels can be any number to the model, and steps cannot."""
    shape = _shape(steps, channels, channels_first)
    axis = length_axis(model, shape)
    if axis in (None, 2 if channels_first else 1):
        return
    f = shape[axis % 2]
    taken = f"(N, T, {f})" if axis == 1 else f"(N, {f}, T)"
    raise ModelError(
        f"{model.subject}: takes {taken}, of any number of steps, and `sequence={steps}x{channels}` has {steps}. "
        f"Expected steps and channels the other way round. Try `sequence={channels}x{steps}`"
        f"{', or `channels_first` alone for an array (N, F, T)' if axis == 2 else ''}."
    )


def _refusal(model: Model, shape: tuple[int | None, int], steps: int, tried: tuple[bool, ...]) -> str:
    """Say why a model takes no such sequences, in its own words or by what it takes instead."""
    channels = shape[1]
    shown = " nor ".join(f"(N, {', '.join(map(str, _shape(steps, channels, first)))})" for first in tried)
    form = (
        f"as `sequence={steps}x{channels}` asks for" if shape[0] else f"sequences of {channels} channels as the data's"
    )
    start = f"{model.subject}: takes {'neither ' if len(tried) > 1 else 'no '}{shown}, {form}"
    taken = sequences_taken(model, steps * channels)
    if taken is not None and (taken.channels != channels or taken.channels_first not in tried):
        return f"{start}. Expected what it takes, {taken.axes}. Try {_fitting(shape, taken)}."
    if has_rows_second(model.module):
        return f"{start}: {ROWS_SECOND}"
    return f"{start}: {_reason(model, steps, channels, tried[0])}. Expected outputs (N,) or (N, K) for N rows."


def _fitting(shape: tuple[int | None, int], taken: Sequences) -> str:
    """Return what to try, where a model takes other sequences than these."""
    steps, channels = shape
    f = taken.channels
    if f == channels:
        return "without `channels_first`"
    if steps is None:
        return f"`features` to choose {f} channels"
    n_inputs = steps * channels
    return f"`sequence={n_inputs // f}x{f}`" if n_inputs % f == 0 else f"`features` for T x {f} columns"


def _shape(steps: int, channels: int, channels_first: bool) -> tuple[int, int]:
    return (channels, steps) if channels_first else (steps, channels)


def _reason(model: Model, steps: int, channels: int, channels_first: bool) -> str:
    shape = _shape(steps, channels, channels_first)
    try:
        with torch.no_grad(), WITHOUT_ONEDNN:
            model.outputs(random_inputs(model, shape, 3))
    except ModelCallError as error:
        return error.reason
    return "it loses rows"
