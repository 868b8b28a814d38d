"""A function of one point as operations that can be done again at many points: found by watching it at one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import torch
from torch import Tensor

from ihcli.derivatives.calling import WITHOUT_LOOPS, WITHOUT_ONEDNN
from ihcli.derivatives.front import used_steps
from ihcli.derivatives.leading import over
from ihcli.derivatives.recording import Recorder, Ref, Step
from ihcli.errors import ModelCallError
from ihcli.memory import is_out_of_memory
from ihcli.wording import first_line

_REPLAY = {torch.float32: 1e-3, torch.float64: 1e-7}


Shape = tuple[int, ...]
WORKING = 3
"""Arrays as large as what it takes or gives that an operation holds while it makes a tangent."""


class UnknownOperationError(Exception):
    """A model does what there is no rule for; `str` says what."""


@dataclass(frozen=True)
class Program:
    """Steps of a function from (1, D) to (1, K), of which none works in place.

    result   what it returns;  alive the steps through which derivatives go
    shapes   of all that each step gives at one point;  width D
    """

    steps: tuple[Step, ...]
    result: Ref
    alive: frozenset[int]
    shapes: tuple[tuple[Shape, ...], ...]
    width: int

    def values(self, points: Tensor) -> list[Any]:
        """Return what every step gives at points (P, D), with P in front of its own shape."""
        results: list[Any] = []
        start = points[:, None]

        def value(ref: Ref) -> Any:
            return part_of(start if ref.step < 0 else results[ref.step], ref)

        for step in self.steps:
            arguments = [filled(argument, value) for argument in step.arguments]
            options = {key: filled(option, value) for key, option in step.options.items()}
            taken = {ref: value(ref) for ref in refs_in((step.arguments, list(step.options.values())))}
            results.append(over(1, step.operation, arguments, options, list(taken.values())))
        return results

    def outputs(self, results: Sequence[Any], points: Tensor) -> Tensor:
        """Return the outputs (P, K) among these values."""
        outputs: Tensor = points[:, None] if self.result.step < 0 else part_of(results[self.result.step], self.result)
        return outputs[:, 0]

    def shape_of(self, argument: Ref | Tensor) -> Shape:
        """Return the shape of an argument at one point."""
        if isinstance(argument, Tensor):
            return tuple(argument.shape)
        return (1, self.width) if argument.step < 0 else self.shapes[argument.step][argument.part]

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """Numbers in the result of each step."""
        return tuple(sum(map(prod, shapes)) for shapes in self.shapes)

    @cached_property
    def widest(self) -> int:
        """Numbers in the largest tangent of a gate."""
        return max((self.numbers[index] for index in self.alive), default=1)

    @cached_property
    def tangent_numbers(self) -> int:
        """Most numbers that the tangents of a gate hold at once, with what an operation holds meanwhile."""
        held: dict[int, int] = {}
        most = 0
        for index in range(len(self.steps)):
            if index in self.alive:
                held[index] = self.numbers[index]
                taken = sum(held.get(ref.step, 0) for ref in refs_in(self.steps[index].arguments))
                most = max(most, sum(held.values()) + WORKING * max(taken, held[index]))
            for done in self.last_uses.get(index, ()):
                held.pop(done, None)
        return max(1, most)

    @cached_property
    def last_uses(self) -> dict[int, list[int]]:
        """After which steps nothing takes which earlier steps any more."""
        last: dict[int, int] = {}
        for index, step in enumerate(self.steps):
            for ref in refs_in((step.arguments, list(step.options.values()))):
                last[ref.step] = index
        found: dict[int, list[int]] = {}
        for step_index, index in last.items():
            if step_index != self.result.step:
                found.setdefault(index, []).append(step_index)
        return found


def watch(function: Callable[[Tensor], Tensor], rows: Tensor) -> Program:
    """Return the program of a function from (P, D) to (P, K), seen at the first of some rows: see `check`.

    Raises UnknownOperationError where what it does there does not say what it does elsewhere.
    """
    recorder = Recorder(start := rows[:1].clone())
    try:
        with torch.no_grad(), WITHOUT_ONEDNN, recorder:
            outputs = function(start)
    except ModelCallError as error:
        raise UnknownOperationError(f"it fails while it is watched ({error.reason})") from None
    if recorder.looked:
        raise UnknownOperationError("Python code looks at the values that it computes")
    if recorder.overwritten is not None:
        raise UnknownOperationError(f"{recorder.overwritten} takes what is written over through a view")
    result = recorder.ref(outputs)
    if result is None:
        raise UnknownOperationError("its output does not depend on its inputs")
    return _program(recorder, result)


def _program(recorder: Recorder, result: Ref) -> Program:
    """Keep what the result is made of, out of place."""
    used = sorted(used_steps(recorder.steps, result))
    number = {old: new for new, old in enumerate(used)} | {-1: -1}

    def renumbered(ref: Ref) -> Ref:
        return Ref(number[ref.step], ref.part)

    steps: list[Step] = []
    alive: set[int] = {-1}
    shapes: list[tuple[Shape, ...]] = []
    for index in used:
        step = recorder.steps[index]
        arguments = tuple(filled(argument, renumbered) for argument in step.arguments)
        options = {key: filled(recorder.ref(option) or option, renumbered) for key, option in step.options.items()}
        is_reached = any(ref.step in alive for ref in refs_in((arguments, list(options.values()))))
        if is_reached and step.name not in STEPWISE and recorder.result(Ref(index)).is_floating_point():
            alive.add(len(steps))
        shapes.append(tuple(tuple(part.shape) for part in recorder.results(index)))
        steps.append(out_of_place(Step(step.operation, arguments, options), recorder.results(index)[0]))
    return Program(
        tuple(steps), renumbered(result), frozenset(alive - {-1}), tuple(shapes), recorder.result(Ref(-1)).shape[1]
    )


_STEPS = """
    detach sign floor ceil round trunc argmax argmin eq ne lt le gt ge zeros_like ones_like full_like empty_like
    new_zeros new_ones new_full new_empty isnan isinf isfinite any all logical_and logical_or logical_not heaviside
    bucketize searchsorted floor_divide
"""
STEPWISE = frozenset(_STEPS.split())
"""Operations that are constant but for jumps, or made so."""


def out_of_place(step: Step, result: Tensor) -> Step:
    """Return the step that gives the same and writes to nothing; raises UnknownOperationError where there is none."""
    operation = step.operation
    if not operation._schema.is_mutable:
        return step
    if step.name == "copy_" and isinstance(step.arguments[1], Ref):
        return Step(torch.ops.aten.expand.default, (step.arguments[1], list(result.shape)), {})
    packet = getattr(torch.ops.aten, step.name.removesuffix("_"), None)
    takes = [argument.name for argument in operation._schema.arguments]
    overloads = [] if packet is None or operation.namespace != "aten" else packet.overloads()
    for overload in sorted(overloads, key=lambda name: name != operation._overloadname):
        plain = getattr(packet, overload)
        if not plain._schema.is_mutable and [argument.name for argument in plain._schema.arguments] == takes:
            return Step(plain, step.arguments, step.options)
    raise UnknownOperationError(f"{operation} works in place")


def check(program: Program, function: Callable[[Tensor], Tensor], rows: Tensor) -> None:
    """Raise UnknownOperationError where the program comes to something else, or cannot be done again."""
    try:
        with torch.no_grad(), WITHOUT_LOOPS:
            got, expected = program.outputs(program.values(rows), rows), function(rows)
        tolerance = _REPLAY.get(rows.dtype, 1e-3)
        agrees = got.shape == expected.shape and torch.allclose(
            got, expected, rtol=tolerance, atol=tolerance, equal_nan=True
        )
    except ModelCallError as error:
        raise UnknownOperationError(f"it fails on other rows ({error.reason})") from None
    except (RuntimeError, TypeError, AttributeError, IndexError, ValueError, NotImplementedError) as error:
        if is_out_of_memory(error):
            raise
        raise UnknownOperationError(f"its operations cannot be done at several rows ({first_line(error)})") from None
    if not agrees:
        raise UnknownOperationError("its operations, done again, give other outputs")


def part_of(result: Any, ref: Ref) -> Any:
    """Return the part of a step's result that is meant."""
    return result[ref.part] if isinstance(result, (list, tuple)) else result


def filled(argument: Any, value: Callable[[Ref], Any]) -> Any:
    """Return an argument with values in the place of its refs."""
    if isinstance(argument, Ref):
        return value(argument)
    return [filled(entry, value) for entry in argument] if isinstance(argument, list) else argument


def refs_in(argument: Any) -> list[Ref]:
    """Return all refs of an argument, however deep."""
    if isinstance(argument, Ref):
        return [argument]
    return [ref for entry in argument for ref in refs_in(entry)] if isinstance(argument, (list, tuple)) else []
