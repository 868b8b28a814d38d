"""Columns that the output moves with and no gradient reaches: cast to whole numbers, looked up, rounded, compared."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ihcli.derivatives.calling import gradient
from ihcli.errors import ModelCallError
from ihcli.models.model import Model

_PLACES = (0.05, 0.5, 0.95)
"""Of a path, where gradients are taken: a column that one of them reaches is none of these."""
_ROWS, _ROLLS = 8, 4
"""Rows in which a column gets the values of others: the lowest, the highest and the start's, and so many others."""
_HALVINGS = 160
"""Of the way from one value of a column to another, towards the larger change of the output, at most: from 1e30, where
units are saturated, to 1 they are 100, to the nearest of two numbers of float32 24, of float64 53."""
_CHANGE = 1e-6
"""Smallest change of the output that counts, relative to its size."""
_BATCH_NUMBERS = 1 << 22


@dataclass(frozen=True)
class Blindness:
    """Which of D columns the output moves with and no gradient reaches, and whether gradients reach any other."""

    columns: tuple[int, ...]
    is_total: bool


def find_blind(model: Model, rows: Tensor, starts: Tensor, is_open: Tensor | None = None) -> Blindness:
    """Find the columns for which every explanation is wrong, as it lacks what they do.

    A column is looked at where its gradient is exactly 0 at points of the paths from a start to a row. It is blind
    where the output changes with its value alone, among those that were seen, and the gradient stays 0 all along the
    way from one value to the other, on which every halving goes to where the output changes more. On the way through a
    unit that is off elsewhere, or an output that is saturated elsewhere, a gradient shows.

    Parameters:
        rows: (n, D) real rows, in the model's dtype and on its device
        starts: (m, D) where paths to them start
        is_open: (D,) bool: columns to look at; None: all

    Cost: 3 gradients for each of 8 rows. Where columns are looked at, 7 forwards for each of these rows; only where the
    output changes, about as many for each such column, and up to 160 gradients. A model that fails on any of it is not
    looked at.
    """
    try:
        reached = _reached(model, rows[:_ROWS], starts)
        suspected = ~reached if is_open is None else ~reached & is_open
        suspects = _moving(model, rows, starts, suspected) if suspected.any() else []
        blind = [suspect.column for suspect in suspects if not _is_reached_on_the_way(model, suspect)]
    except ModelCallError:
        return Blindness((), False)
    return Blindness(tuple(sorted(blind)), bool(blind) and not bool(reached.any()))


@dataclass(frozen=True)
class _Way:
    """Two rows (D,) that differ in one column, with different outputs."""

    column: int
    start: Tensor
    end: Tensor


def _reached(model: Model, rows: Tensor, starts: Tensor) -> Tensor:
    """Return which columns a gradient reaches at a point of a path, (D,) bool."""
    start = starts[torch.arange(len(rows), device=rows.device) % len(starts)]
    return (_gradients(model, torch.cat([start + t * (rows - start) for t in _PLACES])) != 0).any(0)


def _gradients(model: Model, points: Tensor) -> Tensor:
    """Return the gradient of all outputs under different weights, (P, D): no softmax makes it constant."""
    inputs = points.detach().requires_grad_()
    with torch.enable_grad():
        outputs = model.outputs(inputs)
        weights = torch.cos(torch.arange(outputs.shape[1], dtype=outputs.dtype, device=outputs.device))
        value = (outputs * weights).sum()
        found = gradient(value, inputs) if value.requires_grad else None
    return torch.zeros_like(inputs) if found is None else found


def _moving(model: Model, rows: Tensor, starts: Tensor, columns: Tensor) -> list[_Way]:
    """Return a way for each of these columns (D,) bool along which the output changes; tried together, then halved."""
    some, others = rows[:_ROWS], torch.cat(list(_other_values(rows, starts)))
    start = some.repeat(len(others) // len(some), 1)
    before = _outputs(model, start)
    found, pending = [], [columns.nonzero()[:, 0]]
    while pending:
        tried = pending.pop()
        end = start.clone()
        end[:, tried] = others[:, tried]
        change = _changes(before, _outputs(model, end))
        if change.any() and len(tried) > 1:
            pending.extend(tried.tensor_split(2))
        elif change.any():
            most = int(change.argmax())
            found.append(_Way(int(tried[0]), start[most], end[most]))
    return found


def _other_values(rows: Tensor, starts: Tensor) -> Iterator[Tensor]:
    """Yield values that columns may have in the first rows: (_ROWS, D), or as many as there are."""
    some = rows[:_ROWS]
    for values in (rows.amin(0), rows.amax(0), starts[0]):
        yield values.expand_as(some)
    for i in range(1, _ROLLS + 1):
        yield rows.roll(max(1, i * len(rows) // (_ROLLS + 1)), 0)[: len(some)]


def _outputs(model: Model, rows: Tensor) -> Tensor:
    size = max(1, _BATCH_NUMBERS // rows.shape[1])
    with torch.no_grad():
        return torch.cat([model.outputs(some) for some in rows.split(size)])


def _changes(before: Tensor, after: Tensor) -> Tensor:
    """Return how much outputs (P, K) change, (P,), 0 where it is no more than rounding."""
    change = (after - before).abs().amax(1)
    least = max(_CHANGE, 64 * torch.finfo(before.dtype).eps) * before.abs().amax()
    return torch.where(change > least, change, 0.0)


def _is_reached_on_the_way(model: Model, way: _Way) -> bool:
    """Return whether the column has a gradient anywhere on the way, halved towards where the output changes more."""
    ends = torch.stack([way.start, way.end])
    if _gradients(model, ends)[:, way.column].any():
        return True
    values = _outputs(model, ends)
    for _ in range(_HALVINGS):
        middle = ends.mean(0, keepdim=True)
        if (ends == middle).all(1).any():
            return False
        if _gradients(model, middle)[0, way.column] != 0:
            return True
        value = _outputs(model, middle)
        nearer = int((values - value).abs().amax(1).argmax())
        ends, values = torch.cat([ends[nearer : nearer + 1], middle]), torch.cat([values[nearer : nearer + 1], value])
    return False
