"""Outputs so near to 0 or 1 that hardly anything is left of them to explain, and what to do about it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ihcli.errors import ModelCallError
from ihcli.heads import Stable
from ihcli.models.targets import Target
from ihcli.scales import LOG_PROBABILITY, LOGIT, MARGIN, PROBABILITY

SATURATED = 0.999
"""Share of its range beyond which an output is."""
_MOST = 0.5
_FEW, _HARDLY = 8, 0.25
"""Of so few rows, a share that is hardly seen where most of all rows are saturated."""
_LOGARITHMS = frozenset(("_log_softmax", "log_sigmoid_forward"))


_SQUASHED = {
    PROBABILITY: frozenset(("_softmax",)),
    LOG_PROBABILITY: _LOGARITHMS,
    LOGIT: frozenset[str](),
    MARGIN: frozenset[str](),
}
"""What outputs on these scales end in, whatever the model does."""


def saturation_warning(stable: Stable, batches: Sequence[Tensor], target: Target, scale: str) -> tuple[str, ...]:
    """Return a sentence where the explained output is saturated on most rows of a sample, else nothing.

    batches  (n, D) rows of the data. Cost: one forward of each, where outputs come of a squashing function and some of
             the first few, on which all else is checked too, are saturated: what a model does on other rows, and be it
             that it never ends, is the business of those who explain them
    """
    final = _SQUASHED.get(scale, stable.final)
    if not final:
        return ()
    few = batches[0][:_FEW]
    if len(few) == _FEW and _share(stable, [few], target, final) < _HARDLY:
        return ()
    share = _share(stable, batches, target, final)
    if share <= _MOST:
        return ()
    return (
        f"the explained output is saturated, beyond {SATURATED} of its range, on {share:.1%} of a sample of rows: "
        "attributions add up to the little that is left of it there. Try `scale=logit`, or, for a tanh, a model "
        "file that was saved without it.",
    )


def _share(stable: Stable, batches: Sequence[Tensor], target: Target, final: frozenset[str]) -> float:
    """Return the share of rows whose explained output is saturated; 0 where that is not known."""
    try:
        with torch.no_grad():
            outputs = torch.cat([stable.model.outputs(batch.clone()).double() for batch in batches])
    except ModelCallError:  # on a row of the sample, which is told when it is explained
        return 0.0
    explained = outputs[:, target.names.index(target.spec)] if target.spec in target.names else outputs.amax(dim=1)
    position = _position(explained, final)
    return float((position > SATURATED).double().mean()) if position is not None else 0.0


def _position(explained: Tensor, final: frozenset[str]) -> Tensor | None:
    """Return how far up its range the output of every row is, None where the range is not known."""
    if final <= _LOGARITHMS:
        return explained.exp() if bool((explained <= 0).all()) else None
    if final <= {"tanh", "tanh_"}:
        return explained.abs() if bool((explained.abs() <= 1).all()) else None
    is_probability = bool(((explained >= 0) & (explained <= 1)).all())
    return (2 * explained - 1).abs() / 2 + 0.5 if is_probability else None
