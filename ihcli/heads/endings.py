"""The last operations of a model, as they are seen while it runs: squashing functions, and what else bends there.

Every entry of the output is followed back to where numbers come together in a layer. What a layer makes of its inputs
is affine, so that shares of a whole that it weighs, such as the expected grade of a softmax, are part of the end too,
and so is what it only scales; hidden units are not.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ihcli.derivatives.recording import Recorder, Ref, Step

MOST_SHARES, MOST_SCALES = 64, 2
"""Inputs of a layer up to which they are taken for shares of a whole, and up to which it is taken to scale them."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


SQUASHES = _words("sigmoid sigmoid_ tanh tanh_ _softmax _log_softmax log_sigmoid_forward special_expit")
_LAYERS = _words(
    """addmm mm mv bmm baddbmm dot convolution embedding native_layer_norm native_group_norm lstm gru _trilinear
    _scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_efficient_attention _cdist_forward"""
)
_AFFINE = _words(
    """add add_ sub sub_ rsub neg neg_ sum mean cat stack select slice index index_select gather view _unsafe_view
    reshape squeeze squeeze_ unsqueeze unsqueeze_ expand permute transpose t clone alias copy copy_ detach _to_copy
    split split_with_sizes unbind chunk flip repeat constant_pad_nd lift_fresh as_strided native_batch_norm
    _native_batch_norm_legit_no_training mul mul_ div div_ cumsum roll"""
)
_EXACT = _words(
    """exp exp_ exp2 expm1 pow pow_ sqrt log log_ log2 log10 erf erfc atan softplus relu relu_ leaky_relu leaky_relu_
    elu elu_ celu selu hardtanh hardtanh_ hardsigmoid hardswish clamp clamp_ clamp_min clamp_max threshold abs where
    maximum minimum max min amax amin sort topk prelu _prelu_kernel silu gelu mish sin cos sinh cosh reciprocal rsqrt
    linalg_vector_norm masked_fill masked_fill_ log1p argmax scatter eq ne gt lt ge le"""
)
"""Functions whose derivative torch takes to the accuracy of its own size."""
_SHARES = _words("_softmax")
_RESHAPES = _words("view _unsafe_view squeeze unsqueeze clone alias _to_copy t expand")
_SELECTIONS = _RESHAPES | _words("select slice reshape")
_SINGULAR = _words("log log_ log2 log10 pow pow_ sqrt reciprocal rsqrt div")
"""Where a small argument is magnified, and with it the rounding of the larger numbers that it is a difference of."""
_INVERSE = _words("reciprocal rsqrt div pow pow_")


@dataclass(frozen=True)
class Ending:
    """What was seen of a model's last operations.

    squashes  steps of all squashing functions, in order;  final those of them that the output is made of
    unknown   names of operations whose derivatives may carry the rounding of larger numbers than themselves
    size      largest number that the outputs are made of after the last layer
    argument  largest number that one of the final squashing functions takes
    last      name of the operation that gives the outputs, reshapes apart; empty: none does
    """

    squashes: tuple[int, ...]
    final: frozenset[int]
    unknown: tuple[str, ...]
    size: float
    argument: float
    last: str


def watch(function: Callable[[Tensor], Tensor], rows: Tensor) -> tuple[Recorder, Ending]:
    """Run a function on rows (P, D) and return what was noted, and how it ends. Cost: one call of it."""
    inputs = rows.clone()
    recorder = Recorder(inputs)
    with torch.no_grad(), recorder:
        outputs = function(inputs)
    accurate = {ref.step for step in recorder.steps for ref in _accurate(recorder.steps, step)}
    found = (i for i, step in enumerate(recorder.steps) if name_of(step) in SQUASHES and i not in accurate)
    squashes = tuple(found)
    return recorder, _ending(recorder, recorder.ref(outputs), squashes)


def _accurate(steps: Sequence[Step], step: Step) -> Iterator[Ref]:
    """Yield what a step computes the largest share of anew: so are our own forms told from what they are made of."""
    if name_of(step) != "scatter":
        return
    shares, _, position, *_ = step.arguments
    if isinstance(shares, Ref) and isinstance(position, Ref) and name_of(steps[position.step]) == "argmax":
        yield shares


def name_of(step: Step) -> str:
    """Return torch's name of an operation, with the mark of an in-place variant."""
    return str(step.operation.overloadpacket.__name__)


@dataclass(frozen=True)
class _Place:
    """A step on the way back from the output.

    is_magnified  whether something singular is made of it;  is_squashed whether a squashing function is
    is_weighed    whether fewer numbers are made of it by a layer
    """

    step: int
    is_magnified: bool = False
    is_squashed: bool = False
    is_weighed: bool = False


def _ending(recorder: Recorder, result: Ref | None, squashes: tuple[int, ...]) -> Ending:
    steps = recorder.steps
    pending = [] if result is None else [_Place(result.step)]
    seen: set[_Place] = set()
    unknown: dict[str, None] = {}
    final = set()
    while pending:
        place = pending.pop()
        if place.step < 0 or place in seen:
            continue
        seen.add(place)
        step = steps[place.step]
        name, width = name_of(step), _layer_width(step)
        if place.step in squashes and (not place.is_weighed or name in _SHARES):
            final.add(place.step)
            place = replace(place, is_squashed=True)
        elif (place.is_weighed and name not in _RESHAPES) or (width is not None and width.inputs > MOST_SHARES):
            continue
        elif not place.is_squashed and not _is_known(steps, place):
            unknown[name] = None
        place = replace(
            place,
            is_magnified=place.is_magnified or name in _SINGULAR,
            is_weighed=place.is_weighed or (width is not None and width.inputs > min(width.outputs, MOST_SCALES)),
        )
        pending += [replace(place, step=ref.step) for ref in _refs(step.arguments)]
    size = max((_size(recorder.result(Ref(place.step))) for place in seen), default=0.0)
    taken = (ref for i in final for ref in _refs(steps[i].arguments))
    argument = max((_size(recorder.result(ref)) for ref in taken), default=0.0)
    return Ending(squashes, frozenset(final), tuple(unknown), size, argument, _last(steps, result))


def _last(steps: Sequence[Step], result: Ref | None) -> str:
    while result is not None and result.step >= 0:
        step = steps[result.step]
        if name_of(step) not in _SELECTIONS and not _is_scaled(step):
            return name_of(step)
        result = next(_refs(step.arguments), None)
    return ""


def _is_scaled(step: Step) -> bool:
    """Return whether a step multiplies by one number."""
    return name_of(step) in ("mul", "mul_") and any(isinstance(argument, int | float) for argument in step.arguments)


def _size(result: Any) -> float:
    if not isinstance(result, Tensor) or not result.is_floating_point():
        return 0.0
    finite = result.detach()[result.isfinite()]
    return float(finite.abs().max()) if finite.numel() else 0.0


@dataclass(frozen=True)
class _Width:
    inputs: int
    outputs: int


def _layer_width(step: Step) -> _Width | None:
    """Return how many numbers a layer makes of how many, as far as it can be told; None where a step is no layer."""
    if name_of(step) not in _LAYERS:
        return None
    weights = [argument for argument in step.arguments if isinstance(argument, Tensor)]
    if name_of(step) in ("addmm", "mm") and weights:
        return _Width(*weights[-1].shape)
    return _Width(len(weights[-1]), 1) if name_of(step) == "mv" and weights else _Width(MOST_SHARES + 1, 1)


def _is_known(steps: Sequence[Step], place: _Place) -> bool:
    step = steps[place.step]
    name, refs = name_of(step), list(_refs(step.arguments))
    if name in ("mul", "mul_") and len(refs) > 1:
        return not any(name_of(steps[ref.step]) in _INVERSE for ref in refs if ref.step >= 0)
    if name in ("div", "div_"):
        return not isinstance(step.arguments[1], Ref) or len(refs) == 1
    if name in ("sub", "sub_", "rsub"):
        return not place.is_magnified
    return name in _AFFINE or name in _EXACT or name in _LAYERS


def _refs(arguments: Any) -> Iterator[Ref]:
    for argument in arguments:
        if isinstance(argument, Ref):
            yield argument
        elif isinstance(argument, list):
            yield from _refs(argument)
