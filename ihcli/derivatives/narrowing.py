"""Programs narrowed to what is read of them: where one token is read at the end, others are not computed there.

A slice of what an operation gives is what the operation gives for slices of what it takes, where it treats all places
along a dimension alike. So slices move towards the inputs until they meet an operation that mixes places, as attention
mixes tokens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch
from torch import Tensor

from ihcli.derivatives.leading import ELEMENTWISE
from ihcli.derivatives.program import Program, Shape, refs_in
from ihcli.derivatives.recording import Ref, Step

aten = torch.ops.aten


@dataclass(frozen=True)
class Need:
    """Places start to stop along a dimension of a result, of which no others are read."""

    dim: int
    start: int
    stop: int

    def of(self, shape: Shape) -> Shape:
        """Return the shape of what is read."""
        return (*shape[: self.dim], self.stop - self.start, *shape[self.dim + 1 :])


@dataclass(frozen=True)
class Sliced:
    """An argument of which only some places are taken."""

    argument: Any
    need: Need


Rule = Callable[[Step, Need, Shape, Callable[[Any], Shape]], Sequence[Any] | None]
"""The arguments that a step takes to give what is needed of its result, of that shape; None where it takes all."""


def narrowed(program: Program) -> Program:
    """Return a program that gives the same and computes less."""
    needs = _needs(program)
    if not any(needs.values()):
        return program
    return _Narrowing(program, needs).program()


def _needs(program: Program) -> dict[int, Need | None]:
    """Return what is read of each step, from the last to the first; None: everything."""
    asked: dict[int, set[Need | None]] = {program.result.step: {None}}
    needs: dict[int, Need | None] = {}
    for index in reversed(range(len(program.steps))):
        wanted = asked.get(index, {None})
        need = next(iter(wanted)) if len(wanted) == 1 else None
        arguments = _arguments(program, index, need)
        needs[index] = None if arguments is None else need
        taken = program.steps[index].arguments if arguments is None else arguments
        for argument in (*taken, *program.steps[index].options.values()):
            if isinstance(argument, Sliced) and isinstance(argument.argument, Ref):
                asked.setdefault(argument.argument.step, set()).add(argument.need)
            else:
                for ref in refs_in(argument):
                    asked.setdefault(ref.step, set()).add(None)
    return needs


def _arguments(program: Program, index: int, need: Need | None) -> Sequence[Any] | None:
    """Return what a step takes where this is read of it, refs of others being `Sliced`; None: it is computed whole."""
    step, shape = program.steps[index], program.shapes[index][0]
    if step.name in ("select", "slice"):
        return _slice(step, need, shape, program.shape_of)
    rule = NARROWS.get(step.name)
    return None if need is None or rule is None else rule(step, need, shape, program.shape_of)


class _Narrowing:
    """A program written anew with narrowed steps."""

    def __init__(self, program: Program, needs: dict[int, Need | None]) -> None:
        self._old, self._needs = program, needs
        self._steps: list[Step] = []
        self._shapes: list[tuple[Shape, ...]] = []
        self._alive: set[int] = set()
        self._number = {-1: -1}

    def program(self) -> Program:
        for index, step in enumerate(self._old.steps):
            need, shapes = self._needs[index], self._old.shapes[index]
            arguments = _arguments(self._old, index, need)
            taken = tuple(self._taken(argument) for argument in arguments or step.arguments)
            options = {key: self._taken(option) for key, option in step.options.items()}
            narrow = shapes if need is None else tuple(map(need.of, shapes))
            self._number[index] = self._add(Step(step.operation, taken, options), narrow, index in self._old.alive)
        result = Ref(self._number[self._old.result.step], self._old.result.part)
        return Program(tuple(self._steps), result, frozenset(self._alive), tuple(self._shapes), self._old.width)

    def _add(self, step: Step, shapes: tuple[Shape, ...], is_alive: bool) -> int:
        self._steps.append(step)
        self._shapes.append(shapes)
        if is_alive:
            self._alive.add(len(self._steps) - 1)
        return len(self._steps) - 1

    def _taken(self, argument: Any) -> Any:
        if isinstance(argument, list):
            return [self._taken(entry) for entry in argument]
        if isinstance(argument, Ref):
            return replace(argument, step=self._number[argument.step])
        if not isinstance(argument, Sliced):
            return argument
        inner, need = argument.argument, argument.need
        if isinstance(inner, Tensor):
            return inner.narrow(need.dim, need.start, need.stop - need.start)
        if self._needs.get(inner.step) == need and inner.step >= 0:
            return self._taken(inner)
        arguments = (self._taken(inner), need.dim, need.start, need.stop)
        shape = need.of(self._old.shape_of(inner))
        is_alive = inner.step < 0 or inner.step in self._old.alive
        return Ref(self._add(Step(aten.slice.Tensor, arguments, {}), (shape,), is_alive))


def _slice(step: Step, need: Need | None, shape: Shape, shape_of: Callable[[Any], Shape]) -> Sequence[Any] | None:
    """Ask for the slice itself, or for that of the slice which is read."""
    source = step.arguments[0]
    before = shape_of(source)
    given = dict(zip(("dim", "start", "stop", "step"), step.arguments[1:], strict=False))
    dim = int(given.get("dim", 0)) % len(before)
    start, stop, stride = slice(given.get("start"), given.get("stop"), given.get("step", 1)).indices(before[dim])
    if step.name == "select":
        start, stop, stride = (place := int(step.arguments[2]) % before[dim]), place + 1, 1
    if stride != 1 or step.options or (need is not None and (step.name == "select" or need.dim != dim)):
        return None
    if need is not None:
        start, stop = start + need.start, start + need.stop
    if stop - start == before[dim]:
        return None
    asked = Sliced(source, Need(dim, start, stop))
    return (asked, dim, 0) if step.name == "select" else (asked, dim, 0, stop - start)


def _broadcast(step: Step, need: Need, shape: Shape, shape_of: Callable[[Any], Shape]) -> Sequence[Any]:
    """Of element-wise operations: the same places of every argument, but where it is the same for all."""
    return [_along(argument, need, shape, shape_of) for argument in step.arguments]


def _along(argument: Any, need: Need, shape: Shape, shape_of: Callable[[Any], Shape]) -> Any:
    if not isinstance(argument, (Ref, Tensor)):
        return argument
    own = shape_of(argument)
    dim = need.dim - len(shape) + len(own)
    return argument if dim < 0 or own[dim] == 1 else Sliced(argument, replace(need, dim=dim))


def _unary(step: Step, need: Need, shape: Shape, shape_of: Callable[[Any], Shape]) -> Sequence[Any]:
    return [Sliced(step.arguments[0], need), *step.arguments[1:]]


def _view(step: Step, need: Need, shape: Shape, shape_of: Callable[[Any], Shape]) -> Sequence[Any] | None:
    """Find the dimension that has as many places, with as many numbers before them."""
    before = shape_of(step.arguments[0])
    for dim, size in enumerate(before):
        if size == shape[need.dim] > 1 and prod(before[:dim]) == prod(shape[: need.dim]):
            return [Sliced(step.arguments[0], replace(need, dim=dim)), list(need.of(shape))]
    return None


def _expand(step: Step, need: Need, shape: Shape, shape_of: Callable[[Any], Shape]) -> Sequence[Any]:
    return [_along(step.arguments[0], need, shape, shape_of), list(need.of(shape))]


def _turned(step: Step, need: Need, shape: Shape, shape_of: Callable[[Any], Shape]) -> Sequence[Any]:
    """Transpose, permute and t: the dimension that comes to stand there."""
    n = len(shape)
    order = list(range(n))
    if step.name == "permute":
        order = [dim % n for dim in step.arguments[1]]
    else:
        one, other = (0, n - 1) if step.name == "t" else (dim % n for dim in step.arguments[1:])
        order[one], order[other] = order[other], order[one]
    return [Sliced(step.arguments[0], replace(need, dim=order[need.dim])), *step.arguments[1:]]


def _unsqueeze(step: Step, need: Need, shape: Shape, shape_of: Callable[[Any], Shape]) -> Sequence[Any] | None:
    new = step.arguments[1] % len(shape)
    if need.dim == new:
        return None
    return [Sliced(step.arguments[0], replace(need, dim=need.dim - (need.dim > new))), step.arguments[1]]


def _product(step: Step, need: Need, shape: Shape, shape_of: Callable[[Any], Shape]) -> Sequence[Any]:
    """Rows are those of the first factor, columns those of the second, batches those of both."""
    *bias, left, right = step.arguments[:3] if len(step.arguments) > 2 else (*step.arguments[:2],)
    row = len(shape) - 2
    factors = (
        left if need.dim == row + 1 else Sliced(left, need),
        right if need.dim == row else Sliced(right, need),
    )
    return [*(_along(one, need, shape, shape_of) for one in bias), *factors, *step.arguments[len(bias) + 2 :]]


def _normalised(step: Step, need: Need, shape: Shape, shape_of: Callable[[Any], Shape]) -> Sequence[Any] | None:
    """Softmax along another dimension."""
    return None if step.arguments[1] % len(shape) == need.dim else _unary(step, need, shape, shape_of)


def _layer_norm(step: Step, need: Need, shape: Shape, shape_of: Callable[[Any], Shape]) -> Sequence[Any] | None:
    return _unary(step, need, shape, shape_of) if need.dim < len(shape) - len(step.arguments[1]) else None


_ALIKE = """
    add sub rsub mul div pow where maximum minimum masked_fill lerp addcmul addcdiv atan2 hypot logaddexp xlogy
"""
NARROWS: dict[str, Rule] = {
    **dict.fromkeys((*(set(ELEMENTWISE) - {"log_sigmoid_forward"}), "neg", "clone", "alias", "_to_copy"), _unary),
    **dict.fromkeys(_ALIKE.split(), _broadcast),
    **dict.fromkeys(("view", "_unsafe_view"), _view),
    **dict.fromkeys(("transpose", "permute", "t"), _turned),
    **dict.fromkeys(("mm", "bmm", "addmm", "baddbmm"), _product),
    **dict.fromkeys(("_softmax", "_safe_softmax", "_log_softmax"), _normalised),
    "native_layer_norm": _layer_norm,
    "expand": _expand,
    "unsqueeze": _unsqueeze,
}
"""How slices go through operations, by torch's name."""
