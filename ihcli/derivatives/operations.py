"""Second derivatives by operation: one backward pass, tangents of all gates forwards, no backward of a backward.

    H_gh = sum over operations k of lambda_k . d2 op_k [T_g, T_h]

with lambda_k the derivative of f by what operation k gives, and T_g that of what it takes by gate g. Derived here;
tests/test_derivatives_operations.py proves it against automatic differentiation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ihcli.derivatives import Matrices
from ihcli.derivatives.autograd import AutogradEngine
from ihcli.derivatives.calling import guarded
from ihcli.derivatives.curvature import CURVED, RULES
from ihcli.derivatives.narrowing import narrowed
from ihcli.derivatives.paths import Paths, Runs
from ihcli.derivatives.program import Program, UnknownOperationError, check, filled, part_of, refs_in, watch
from ihcli.derivatives.recording import Ref
from ihcli.derivatives.sites import Site, moves

CACHE_BYTES = 1 << 20
"""Of so many bytes tangents of the widest step are taken together on CPU, where those of enough points fit."""
FEW_POINTS = 128
MOST_BYTES = 8 << 20
"""So many points are taken together up to so many bytes: of fewer, calls of torch cost more than what they compute.

Measured: residual networks of 8 and 16 features are 1.2 times faster at 1/2 to 2 MiB than at 8, feature transformers of
8 features 1.4 times faster at 128 points than at 56."""
WATCHED_ROWS = 3
"""Points at which a program is tried."""
HELD_MATRICES = 4
"""Matrices that a point holds while they are made, symmetric and weighed."""


class OperationsEngine(AutogradEngine):
    """Matrices by operation, and first derivatives as automatic differentiation takes them; see `Engine`.

    A function takes other steps for another D, as for texts of another length: each is watched when it is first met.
    Where it then does what there is no rule for, or where the tangents of one point do not fit, matrices come from
    automatic differentiation as well.
    """

    name = "operations"

    def __init__(self, function: Callable[[Tensor], Tensor], memory_bytes: int) -> None:
        super().__init__(function, memory_bytes)
        self._programs: dict[int, Program | None] = {}

    def find_program(self, paths: Paths) -> Program:
        """Return the program for rows of such a D; raises UnknownOperationError where there is none."""
        rows = _points_between(paths)
        program = narrowed(watch(self._function, rows))
        check(program, self._function, rows)
        for step in (program.steps[index] for index in sorted(program.alive)):
            if step.name not in RULES:
                raise UnknownOperationError(f"there is no rule for {step.operation}")
            if any(ref.step in program.alive for ref in refs_in(list(step.options.values()))):
                raise UnknownOperationError(f"{step.operation} takes what moves by name")
        self._programs[paths.inputs.shape[1]] = program
        return program

    def batch_points(self, paths: Paths, directions: int) -> int:
        """Plan from what points hold while their matrices are made, beside the tangents of those taken at a time."""
        program = self._program_of(paths) if directions > 1 else None
        if program is None:
            return super().batch_points(paths, directions)
        itemsize = paths.inputs.element_size()
        left = self.memory_bytes - self._tangent_bytes(program, paths)
        each = 3 * self._point_bytes(paths) + HELD_MATRICES * paths.n_groups**2 * itemsize
        return max(1, int(left / each))

    def _explained_twice(self, paths: Paths, path: Tensor, z: Tensor) -> Tensor:
        """Return f by the program, which computes only what is read of it.

        Values and gradients are the function's own: they certify what comes of the program.
        """
        program = self._program_of(paths)
        if program is None:
            return super()._explained_twice(paths, path, z)
        with guarded("model"):
            return paths.explained(paths.rows(path), program.outputs(program.values(z), z))

    def hessians(self, paths: Paths, path: np.ndarray, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return f(z(t)), F and H: values and adjoints of all points, then tangents of as many as stay in cache."""
        program = self._program_of(paths)
        if program is None:
            return super().hessians(paths, path, t)
        (here,) = paths.placed(path)
        (start, delta), row = paths.ends(here), paths.rows(here)
        seen = _seen(program, start + t[:, None] * delta, lambda outputs: paths.explained(row, outputs))
        second = t.new_zeros(len(t), paths.n_groups, paths.n_groups)
        size = self._together(program, paths)
        with torch.no_grad():
            for first in range(0, len(t), size):
                some = slice(first, first + size)
                push(program, seen.of(some), paths.gates(row[some], delta[some]), second[some])
            second = (second + second.transpose(1, 2)).mul_(0.5)
        return seen.value, paths.to_groups(seen.adjoints[-1] * delta, row), second

    def matrices(
        self, paths: Paths, path: np.ndarray, t: Tensor, weights: Tensor, combinations: Tensor | None = None
    ) -> Matrices:
        """Take H at every point, and weigh it into sums and norms; see `Engine`."""
        if self._program_of(paths) is None:
            return super().matrices(paths, path, t, weights, combinations)
        runs = Runs.of(path)
        (position,) = paths.placed(runs.point)
        second = self.hessians(paths, path, t)[2].flatten(1)
        sums = second.new_zeros(len(runs.path), second.shape[1])
        norms = None
        if combinations is not None:
            panels = (second * t[:, None]).unflatten(0, (-1, combinations.shape[1]))
            norms = torch.stack([(one @ panels).abs().sum(1) for one in combinations], dim=1)
        sums.index_add_(0, position, second.mul_(weights[:, None]))
        return Matrices(runs.path, sums.unflatten(1, (paths.n_groups, -1)), norms)

    def _program_of(self, paths: Paths) -> Program | None:
        """Return the program for these paths; None where the tangents of one point do not fit, or there is none."""
        width = paths.inputs.shape[1]
        if width not in self._programs:
            try:
                self.find_program(paths)
            except UnknownOperationError:
                self._programs[width] = None
        program = self._programs[width]
        return program if program and self._tangent_bytes(program, paths) < self.memory_bytes else None

    def _together(self, program: Program, paths: Paths) -> int:
        """Return of how many points tangents are taken at a time."""
        each = program.tangent_numbers * paths.n_groups * paths.inputs.element_size()
        room = max(1, int(self.memory_bytes // 2 // each))
        if paths.inputs.device.type != "cpu":
            return room
        widest = program.widest * paths.n_groups * paths.inputs.element_size()
        return min(room, max(1, CACHE_BYTES // widest, min(FEW_POINTS, MOST_BYTES // widest)))

    def _tangent_bytes(self, program: Program, paths: Paths) -> int:
        each = program.tangent_numbers * paths.n_groups * paths.inputs.element_size()
        return each * self._together(program, paths)


def _points_between(paths: Paths) -> Tensor:
    """Return a few points of paths, away from their ends."""
    n = min(paths.n_rows, WATCHED_ROWS)
    start = paths.baselines[:n, 0] if paths.have_own_baselines else paths.baselines[:1]
    share = torch.linspace(0.3, 0.8, n, dtype=start.dtype, device=start.device)[:, None]
    return start + share * (paths.inputs[:n] - start)


@dataclass(frozen=True)
class Seen:
    """What a program gave at P points.

    points    (P, D);  results of every step
    value     (P,) of f
    adjoints  df by the results of steps with curvature, and by the points under -1; zeros where f does not depend
    """

    points: Tensor
    results: Sequence[Any]
    value: Tensor
    adjoints: dict[int, Tensor]

    def of(self, some: slice) -> "Seen":
        """Return those of some points; results are cut where they are asked for."""
        adjoints = {index: adjoint[some] for index, adjoint in self.adjoints.items()}
        return Seen(self.points[some], [_cut(result, some) for result in self.results], self.value[some], adjoints)

    def at(self, ref: Ref) -> Any:
        """Return what a step gave."""
        return part_of(self.points[:, None] if ref.step < 0 else self.results[ref.step], ref)


def _cut(result: Any, some: slice) -> Any:
    return [_cut(part, some) for part in result] if isinstance(result, (list, tuple)) else result[some]


def _seen(program: Program, points: Tensor, explained: Callable[[Tensor], Tensor]) -> Seen:
    """Run a program at points, and back."""
    bending = [index for index in sorted(program.alive) if program.steps[index].name in CURVED]
    with torch.enable_grad(), guarded("model"):
        points = points.detach().requires_grad_()
        results = program.values(points)
        value = explained(program.outputs(results, points))
        targets = [points, *(part_of(results[index], Ref(index)) for index in bending)]
        found: Sequence[Tensor | None] = [None] * len(targets)
        if value.requires_grad:
            found = torch.autograd.grad(value.sum(), targets, allow_unused=True)
    slopes = [torch.zeros_like(t) if a is None else a for t, a in zip(targets, found, strict=True)]
    adjoints = dict(zip((-1, *bending), slopes, strict=True))
    return Seen(points.detach(), [_detached(result) for result in results], value.detach(), adjoints)


def _detached(result: Any) -> Any:
    return [_detached(part) for part in result] if isinstance(result, (list, tuple)) else result.detach()


def push(program: Program, seen: Seen, gates: Tensor, second: Tensor) -> None:
    """Push tangents of gates (G, P, D) through a program and add what it bends to second derivatives (P, G, G)."""
    tangents: dict[int, Any] = {-1: gates[:, :, None]}

    def bend(left: Tensor, right: Tensor) -> None:
        _add_products(second, left.to(second.dtype), right.to(second.dtype))

    def tangent(argument: Any) -> Any:
        if isinstance(argument, list):
            return [tangent(entry) for entry in argument]
        found = tangents.get(argument.step) if isinstance(argument, Ref) else None
        return None if found is None else part_of(found, argument)

    for index, step in enumerate(program.steps):
        moving = tuple(tangent(argument) for argument in step.arguments)
        if index in program.alive and moves(moving):
            site = Site(
                step=step,
                values=tuple(filled(argument, seen.at) for argument in step.arguments),
                tangents=moving,
                depends=tuple(bool(refs_in(argument)) for argument in step.arguments),
                options={key: filled(option, seen.at) for key, option in step.options.items()},
                result=seen.results[index],
                adjoint=seen.adjoints.get(index),
                bend=bend,
            )
            tangents[index] = RULES[step.name](site)
        for done in program.last_uses.get(index, ()):
            tangents.pop(done, None)


def _add_products(second: Tensor, left: Tensor, right: Tensor) -> None:
    """Add left_g . right_h of tangents (G, P, ...) to (P, G, G), as they lie in memory.

    Products of matrices leave gates between batches and rows, where putting them in front would take a copy.
    """
    g, p = left.shape[:2]
    if left.dim() > 4 and not left.is_contiguous() and left.movedim(0, -3).is_contiguous():
        a, b = (factor.movedim(0, -3).reshape(-1, g, prod(left.shape[-2:])) for factor in (left, right))
        second += torch.bmm(a, b.transpose(1, 2)).unflatten(0, (p, -1)).sum(1)
        return
    a, b = (factor.reshape(g, p, -1).transpose(0, 1) for factor in (left, right))
    second.baddbmm_(a, b.transpose(1, 2))
