"""A model on another scale: probabilities, logits, margins, made of what it gives without losing digits.

How a model ends is told by trying: without its last sigmoid or softmax it must give numbers u of which these make its
outputs, on a sample of rows. Where that fails, outputs that are probabilities by their values are inverted in float64.

    outputs                              probabilities     logits
    sigmoid(u), ln sigmoid(u)            sigmoid(u)        u
    1 - sigmoid(u), sigmoid(u)           the same          -u, u
    softmax(u), ln softmax(u)            softmax(u)        u
    one number u, or many labels         sigmoid(u)        u
    several numbers u                    softmax(u)        u
    p or ln p, made in another way       p                 ln p - ln (1 - p)

The margin of a class is its logit less the highest other one; of a single logit u, or of one beside its complement, u.
tests/test_scales.py compares every scale of every ending with models built by hand.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from ihcli.errors import ModelCallError, ModelError, OptionError
from ihcli.heads.endings import Ending, name_of, watch
from ihcli.heads.forms import Form, log_sigmoid, log_softmax, sigmoid, softmax
from ihcli.heads.rewriting import with_ending
from ihcli.models.around import Around
from ihcli.models.model import MANY_LABELS, REGRESSION, Model
from ihcli.scales import (
    LOG_PROBABILITY,
    LOGIT,
    MARGIN,
    MODEL,
    PROBABILITY,
    TAKEN_FOR_LOGITS,
    TAKEN_FOR_PROBABILITIES,
)
from ihcli.wording import either

Function = Callable[[Tensor], Tensor]

_AGREEMENT = {torch.float32: 1e-5, torch.float64: 1e-10}
_SUMS_TO_ONE = 1e-4
_FEW_ROWS, _MOST_ROWS = 8, 64
_OF_ANY_SIZE = frozenset(
    ("addmm", "mm", "mv", "bmm", "baddbmm", "convolution", "add", "add_", "sub", "mul", "mul_", "")
)
"""Last operations whose results are numbers, even where those of a sample lie between 0 and 1."""


@dataclass(frozen=True)
class Finish:
    """How a model ends.

    words     the same for users
    gives     the scale of what it gives
    module    gives what `logits` reads: the model's module, or that without its last squashing functions
    logits    from what the module gives, (P, K) in float64, to u (P, K)
    is_share  whether probabilities are the softmax of u, or the sigmoid of each
    is_raw    whether u are the numbers that the network squashes, else known up to a number for each row
    """

    words: str
    gives: str
    n_outputs: int
    module: nn.Module
    logits: Function
    is_share: bool
    is_raw: bool = True


def finish_of(model: Model, rows: Tensor) -> Finish:
    """Return how a model ends, as seen on rows (P, D) in its dtype.

    A few are run, and 64 where values decide: those of a last sum or product may have any size, whatever they are here.
    Raises ModelError where its outputs are neither probabilities nor what they are made of. Cost: some four calls.
    """
    recorder, ending = watch(model.outputs, rows[:_FEW_ROWS])
    squashes = tuple(dict.fromkeys(name_of(recorder.steps[i]).strip("_") for i in sorted(ending.final)))
    del recorder  # and with it every array of the call
    is_bounded = bool(squashes) or ending.last not in _OF_ANY_SIZE
    outputs = _called(model, rows[:_FEW_ROWS])
    if model.task == REGRESSION:
        raise ModelError(f"{model.subject}: is a regressor, whose outputs are numbers on a scale of their own.")
    found = _squashed(model, rows[:_FEW_ROWS], ending, outputs) if squashes else None
    if found is None:
        outputs = _called(model, rows[:_MOST_ROWS]) if is_bounded else outputs
        found = _by_value(model, outputs, is_bounded)
    if found is None and squashes:
        raise ModelError(f"{model.subject}: ends in {either(squashes, 'and')}, but its outputs are not probabilities.")
    return found or _numbers(model, outputs.shape[1])


def on_scale(model: Model, scale: str, rows: Tensor) -> tuple[Model, Finish | None]:
    """Return the model on a scale, and how it ends as `finish_of` sees it on rows (P, D); None under "model".

    The given model comes back where it is on the scale already. Raises OptionError where it has no such scale.
    """
    if scale == MODEL:
        return model, None
    try:
        finish = finish_of(model, rows)
    except ModelCallError:
        raise
    except ModelError as error:
        raise OptionError(
            f"`scale`: {error} Expected a classifier, got outputs without a {scale}. Try `scale=model`."
        ) from None
    if finish.gives == scale:
        return model, finish
    return replace(model, module=OnScale(finish, scale)), finish


class OnScale(Around):
    """A module whose outputs are on another scale, in the dtype of its inputs.

    beta  sharpness of what stands in the place of the highest other logit, under margin; None: that itself
    """

    def __init__(self, finish: Finish, scale: str, beta: float | None = None) -> None:
        super().__init__(finish.module)
        self._finish, self._scale, self._beta = finish, scale, beta
        if scale == MARGIN and finish.n_outputs > 2 and beta is None:
            self.bends = ("max",)

    def smoothed(self, beta: float) -> Self:
        """Return the same with (1 / beta) ln sum_j e^(beta u_j) for the highest other logit."""
        made = copy.copy(self)
        made._beta, made.bends = beta, ()
        return made

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs on the scale, (P, K)."""
        outputs: Tensor = self.module(inputs)
        with torch._C.DisableTorchFunction():  # what is done here is none of the model's operations
            wide = outputs.double() if outputs.dim() == 2 else outputs.double()[:, None]
            return self._of(self._finish.logits(wide)).to(inputs.dtype)

    def _of(self, logits: Tensor) -> Tensor:
        is_share = self._finish.is_share
        if self._scale == PROBABILITY:
            return softmax(logits, 1) if is_share else sigmoid(logits)
        if self._scale == LOG_PROBABILITY:
            return log_softmax(logits, 1) if is_share else log_sigmoid(logits)
        if self._scale == MARGIN and self._finish.n_outputs > 1:
            return logits - highest_other(logits, self._beta)
        return logits if self._finish.is_raw else logits - highest_other(logits, 1.0)


def highest_other(logits: Tensor, beta: float | None) -> Tensor:
    """Return for each of K >= 2 logits (P, K) the highest of the others, or (1 / beta) ln sum_j e^(beta u_j) of them.

    The last is computed so that nothing cancels: as the sum of all less the one where another is at least as large.
    """
    if logits.shape[1] == 2:
        return logits.flip(1)
    highest = logits.argmax(1, keepdim=True)
    without = logits.scatter(1, highest, -torch.inf)
    if beta is None:
        first, second = logits.gather(1, highest), without.amax(1, keepdim=True)
        return torch.where(torch.zeros_like(logits).scatter(1, highest, 1.0) > 0, second, first)
    total = torch.logsumexp(beta * logits, 1, keepdim=True)
    share = torch.exp(beta * logits - total).scatter(1, highest, 0.0)
    others = (total + torch.log1p(-share)).scatter(1, highest, torch.logsumexp(beta * without, 1, keepdim=True))
    return others / beta


def _called(model: Model, rows: Tensor) -> Tensor:
    with torch.no_grad():
        return model.outputs(rows.clone()).double()


def _squashed(model: Model, rows: Tensor, ending: Ending, outputs: Tensor) -> Finish | None:
    """Return how a model ends whose last squashing functions make its outputs of what they are given, else None."""
    try:
        module = with_ending(model, rows, ending, Form.LEFT_OUT)
        given = _called(replace(model, module=module), rows)
    except (ModelError, RuntimeError):  # a script that cannot be copied, or a graph that will not be edited
        return None
    if given.shape != outputs.shape:
        return None
    for words, gives, is_share, logits, made in _ENDINGS:
        again = made(logits(given))
        if again.shape == outputs.shape and torch.allclose(again, outputs, rtol=0, atol=_AGREEMENT[model.dtype]):
            return Finish(words, gives, outputs.shape[1], module, logits, is_share, is_raw=logits is _same)
    return None


def _by_value(model: Model, outputs: Tensor, is_bounded: bool) -> Finish | None:
    """Return how a model ends whose outputs can be nothing but probabilities, or their logarithms, else None."""
    n_outputs = outputs.shape[1]

    def add_up(shares: Tensor) -> bool:
        return n_outputs > 1 and bool(((shares.sum(1) - 1).abs() < _SUMS_TO_ONE).all())

    if is_bounded and bool(((outputs >= 0) & (outputs <= 1)).all()):
        if add_up(outputs):
            return Finish("shares that add up to 1", PROBABILITY, n_outputs, model.module, torch.log, True, False)
        return Finish(TAKEN_FOR_PROBABILITIES, PROBABILITY, n_outputs, model.module, _log_odds, False)
    if bool((outputs <= 0).all()) and add_up(outputs.exp()):
        return Finish("logarithms of shares", LOG_PROBABILITY, n_outputs, model.module, _same, True, False)
    return None


def _numbers(model: Model, n_outputs: int) -> Finish:
    is_share = n_outputs > 1 and model.task != MANY_LABELS
    return Finish(TAKEN_FOR_LOGITS, LOGIT, n_outputs, model.module, _same, is_share)


def _same(outputs: Tensor) -> Tensor:
    return outputs


def _log_odds(outputs: Tensor) -> Tensor:
    return torch.log(outputs) - torch.log1p(-outputs)


def _of_second(outputs: Tensor) -> Tensor:
    """Return logits of (1 - u, u), what a sigmoid and its complement leave."""
    return torch.stack([-outputs[:, -1], outputs[:, -1]], 1) / 2


def _of_first(outputs: Tensor) -> Tensor:
    return torch.stack([outputs[:, 0], -outputs[:, 0]], 1) / 2


def _softmax(logits: Tensor) -> Tensor:
    return softmax(logits, 1)


def _log_softmax(logits: Tensor) -> Tensor:
    return log_softmax(logits, 1)


_ENDINGS: tuple[tuple[str, str, bool, Function, Function], ...] = (
    ("a sigmoid", PROBABILITY, False, _same, sigmoid),
    ("a softmax", PROBABILITY, True, _same, _softmax),
    ("the logarithm of a sigmoid", LOG_PROBABILITY, False, _same, log_sigmoid),
    ("the logarithm of a softmax", LOG_PROBABILITY, True, _same, _log_softmax),
    ("a sigmoid and its complement", PROBABILITY, True, _of_second, _softmax),
    ("a sigmoid and its complement", PROBABILITY, True, _of_first, _softmax),
)
"""Words, what is given, whether probabilities are shares, logits of what is left, and what is made of these."""
