"""Chains: affine maps with element-wise functions between them, found by watching a model run.

The model is run once on a few rows while every operation that torch dispatches is noted; eager modules, TorchScript
and smoothed models of either kind come out alike. What follows the last affine map (a softmax, a complement, nothing)
is the head: it is replayed, and differentiated automatically in its few inputs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ihcli.derivatives.front import MOST_INPUTS, Front, is_linear, used_steps
from ihcli.derivatives.jets import ARITHMETIC, UNARY, Jet, apply, jet_of
from ihcli.derivatives.recording import Recorder, Ref, Step
from ihcli.derivatives.room import Out, nowhere
from ihcli.errors import ModelCallError
from ihcli.memory import is_out_of_memory
from ihcli.wording import first_line

aten = torch.ops.aten
PROBE_ROWS = 7  # no width that a reshape could be mistaken for
_REPLAY_ROWS = 3
_REPLAY = {torch.float32: 1e-3, torch.float64: 1e-7}
_RESHAPES = (aten.view.default, aten._unsafe_view.default, aten.reshape.default)


class NotAChainError(Exception):
    """The model is something else; `str` says what stood in the way."""


@dataclass(frozen=True)
class Affine:
    """a = h W' + b, with W (m, k) and b (m,)."""

    weight: Tensor
    bias: Tensor

    @cached_property
    def transposed(self) -> Tensor:
        """Return W', rows contiguous: products with it are a seventh faster than with a view of W."""
        return self.weight.T.contiguous()


@dataclass(frozen=True)
class Elementwise:
    """Steps from a pre-activation to the function of it that the next affine map gets."""

    steps: tuple[Step, ...]
    result: Ref

    def jet(self, inputs: Tensor, bending: bool = True, out: Out = nowhere) -> Jet:
        """Return the function and its two derivatives at (P, m) pre-activations; without `bending` only the first.

        out  gives arrays of the shape of the pre-activations for what is computed
        """
        if (step := self.one_function) is not None:
            return jet_of(step.operation, inputs, step.arguments[1:], step.options, bending, out)
        jets: list[Jet] = []
        start = Jet.of(inputs)
        for step in self.steps:
            arguments, options = _resolved(step, lambda ref: start if ref.step < 0 else jets[ref.step])
            jets.append(apply(step.operation, arguments, options, bending, out))
        return start if self.result.step < 0 else jets[self.result.step]

    @cached_property
    def one_function(self) -> Step | None:
        """The step that it is, where it is a single function of one number, as of most networks; else None."""
        if len(self.steps) != 1 or self.result.step != 0 or self.steps[0].operation not in UNARY:
            return None
        return self.steps[0] if self.steps[0].arguments[0] == Ref(-1) else None


@dataclass(frozen=True)
class Head:
    """Steps from the last pre-activations (P, m) to the outputs (P, K)."""

    steps: tuple[Step, ...]
    result: Ref

    def outputs(self, inputs: Tensor) -> Tensor:
        """Return the outputs, replayed."""
        results: list[Any] = []
        inputs = inputs.clone()  # its steps may work in place

        def of(ref: Ref) -> Any:
            if ref.step < 0:
                return inputs
            result = results[ref.step]
            return result[ref.part] if isinstance(result, (list, tuple)) else result

        for step in self.steps:
            arguments, options = _resolved(step, of)
            if step.operation in _RESHAPES and arguments[1][0] == PROBE_ROWS:
                arguments = (arguments[0], [len(inputs), *arguments[1][1:]])
            results.append(step.operation(*arguments, **options))
        outputs: Tensor = of(self.result)
        return outputs


@dataclass(frozen=True)
class Chain:
    """L affine maps with L - 1 element-wise functions between them, and a head."""

    affines: tuple[Affine, ...]
    activations: tuple[Elementwise, ...]
    head: Head

    @property
    def widths(self) -> tuple[int, ...]:
        """Return the width of every pre-activation."""
        return tuple(len(affine.bias) for affine in self.affines)

    def outputs(self, inputs: Tensor) -> Tensor:
        """Return the outputs (P, K) at inputs (P, D)."""
        first, *others = self.affines
        a = torch.addmm(first.bias, inputs, first.weight.T)
        for affine, activation in zip(others, self.activations, strict=True):
            a = torch.addmm(affine.bias, activation.jet(a, bending=False).value, affine.transposed)
        return self.head.outputs(a)


def find_chain(function: Callable[[Tensor], Tensor], rows: Tensor) -> Chain:
    """Return the chain that a function from (P, D) to (P, K) computes.

    rows  (P, D) a few rows, on the device and in the dtype that it computes in

    Raises NotAChainError where it computes anything else. What comes back was only watched on these rows: compare it.
    """
    probe = rows[torch.arange(PROBE_ROWS, device=rows.device) % len(rows)]
    recorder = Recorder(probe)
    try:
        with torch.no_grad(), recorder:
            outputs = function(probe)
    except ModelCallError as error:
        raise NotAChainError(f"it fails while it is watched ({error.reason})") from None
    if recorder.looked:
        raise NotAChainError("Python code looks at the values that it computes")
    result = recorder.ref(outputs)
    if result is None:
        raise NotAChainError("its output does not depend on its inputs")
    chain = _cut(recorder.steps, result, probe, function)
    _check_replay(chain, function, 2 * probe[:_REPLAY_ROWS] + 1)
    return chain


def _check_replay(chain: Chain, function: Callable[[Tensor], Tensor], rows: Tensor) -> None:
    """Raise NotAChainError where other rows, and another number of them, come out differently."""
    try:
        with torch.no_grad():
            got, expected = chain.outputs(rows), function(rows.clone())
        agrees = torch.allclose(got, expected, rtol=_REPLAY[rows.dtype], atol=_REPLAY[rows.dtype], equal_nan=True)
    except ModelCallError as error:
        raise NotAChainError(f"it fails on other rows ({error.reason})") from None
    except (RuntimeError, TypeError, AttributeError, IndexError) as error:
        if is_out_of_memory(error):
            raise
        raise NotAChainError(f"its operations cannot be replayed on other rows ({first_line(error)})") from None
    if not agrees:
        raise NotAChainError("its operations, replayed on other rows, give other outputs")


def _resolved(step: Step, value: Callable[[Ref], Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return tuple([_resolved_argument(argument, value) for argument in step.arguments]), step.options


def _resolved_argument(argument: Any, value: Callable[[Ref], Any]) -> Any:
    if isinstance(argument, Ref):
        return value(argument)
    return [_resolved_argument(entry, value) for entry in argument] if isinstance(argument, list) else argument


@dataclass
class _Section:
    """Steps between two affine maps, renumbered from their start."""

    start: Ref
    steps: list[Step] = field(default_factory=list)
    numbers: dict[int, Ref] = field(default_factory=dict)

    def renumbered(self, argument: Any) -> Any:
        if isinstance(argument, list):
            return [self.renumbered(entry) for entry in argument]
        if not isinstance(argument, Ref):
            return argument
        if argument == self.start:
            return Ref(-1)
        if argument.step not in self.numbers:
            raise NotAChainError("a layer takes more than the layer before it, as in a skip connection")
        return replace(self.numbers[argument.step], part=argument.part)

    def add(self, index: int, step: Step) -> None:
        arguments = tuple(self.renumbered(argument) for argument in step.arguments)
        self.numbers[index] = Ref(len(self.steps))
        self.steps.append(Step(step.operation, arguments, step.options))


def _cut(steps: Sequence[Step], result: Ref, probe: Tensor, function: Callable[[Tensor], Tensor]) -> Chain:
    """Cut the steps at affine maps; the first section must be affine itself and is folded into the first of them."""
    used = used_steps(steps, result)
    section = _Section(Ref(-1))
    sections: list[Elementwise] = []
    affines: list[Affine] = []
    for index, step in enumerate(steps):
        if index not in used:
            continue
        affine = _as_affine(step)
        if affine is None:
            section.add(index, step)
            continue
        if affines:
            sections.append(_elementwise(section, section.renumbered(_input_of(step)), affine.weight.shape[1]))
            affines.append(affine)
        else:
            affines.append(_first(affine, section, section.renumbered(_input_of(step)), probe, function, index))
        section = _Section(Ref(index))
    if not affines:
        raise NotAChainError("it has no affine layer")
    return Chain(tuple(affines), tuple(sections), Head(tuple(section.steps), section.renumbered(result)))


def _first(
    affine: Affine,
    front: _Section,
    result: Ref,
    probe: Tensor,
    function: Callable[[Tensor], Tensor],
    index: int,
) -> Affine:
    """Return the first affine map with all that stands before it: scalers, or lookups and numbers put side by side."""
    try:
        before = _elementwise(front, result, affine.weight.shape[1])
    except NotAChainError:
        if not all(map(is_linear, front.steps)) or probe.shape[1] > MOST_INPUTS:
            raise
        return _through(affine, Front(function, index, _input_of_affine), probe)
    return _folded(affine, before, probe)


def _through(affine: Affine, front: Front, probe: Tensor) -> Affine:
    """Fold a front into the affine map behind it."""
    try:
        columns, at_zero = front.read_off(probe)
    except LookupError:
        raise NotAChainError("it takes other steps for other rows") from None
    return Affine((columns @ affine.weight.T).T.contiguous(), affine.bias + affine.weight @ at_zero)


def _input_of_affine(step: Step) -> Ref | None:
    return None if _as_affine(step) is None else _input_of(step)


def _as_affine(step: Step) -> Affine | None:
    """Return the map of a matrix product with constants, None for another operation."""
    if step.operation is aten.addmm.default and not step.options:
        bias, inputs, matrix = step.arguments
        if isinstance(inputs, Ref) and _is_constant(bias, 1) and _is_constant(matrix, 2):
            return Affine(matrix.T.contiguous(), bias)
    if step.operation is aten.mm.default:
        inputs, matrix = step.arguments
        if isinstance(inputs, Ref) and _is_constant(matrix, 2):
            return Affine(matrix.T.contiguous(), matrix.new_zeros(matrix.shape[1]))
    return None


def _is_constant(argument: Any, dimensions: int) -> bool:
    return isinstance(argument, Tensor) and argument.dim() == dimensions


def _input_of(step: Step) -> Ref:
    return step.arguments[1 if step.operation is aten.addmm.default else 0]


def _elementwise(section: _Section, result: Ref, width: int) -> Elementwise:
    for step in section.steps:
        if step.operation not in UNARY and step.operation not in ARITHMETIC:
            raise NotAChainError(f"{step.operation} stands between its layers")
        for argument in step.arguments:
            if (
                isinstance(argument, Tensor)
                and argument.numel() != 1
                and (argument.numel() != width or argument.shape[-1] != width)
            ):
                raise NotAChainError(f"{step.operation} mixes widths or rows")
    return Elementwise(tuple(section.steps), result)


def _folded(first: Affine, before: Elementwise, probe: Tensor) -> Affine:
    """Fold scalers before the first layer into it: W (s z + c) + b."""
    jet = before.jet(probe)
    if jet.second is not None or any(step.operation in UNARY for step in before.steps):
        raise NotAChainError("its inputs pass through a function that is not affine before the first layer")
    scale = jet.first[0]
    shift = before.jet(torch.zeros_like(probe)).value[0]
    return Affine(first.weight * scale, first.bias + first.weight @ shift)
