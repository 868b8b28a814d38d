"""Batches: as many points in one call of the model as its memory budget allows, and fewer when memory runs out."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from ihcli.derivatives import Engine
from ihcli.derivatives.paths import Paths
from ihcli.memory import is_out_of_memory

T = TypeVar("T")


def in_batches(
    engine: Engine, paths: Paths, count: int, points_each: int, directions: int, work: Callable[[slice], T]
) -> Iterator[T]:
    """Yield what `work` makes of consecutive slices of `count` things of `points_each` points.

    Where a batch runs out of memory, the engine's budget is halved until its batches are smaller, and the slice is cut
    and done again; nothing is lost. Raises MemoryError where a single thing does not fit.
    """
    start = 0
    while start < count:
        size = _batch_size(engine, paths, points_each, directions)
        some = slice(start, min(start + size, count))
        try:
            result = work(some)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if size == 1:
                raise MemoryError(str(error)) from error
            _shrink(engine, paths, points_each, directions, size)
            continue
        yield result
        start = some.stop


def points(paths: Paths, path: np.ndarray, t: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return path and t as an engine takes them: on the model's device, t in its dtype."""
    device = paths.inputs.device
    return torch.as_tensor(path, device=device), torch.as_tensor(t, dtype=paths.inputs.dtype, device=device)


def _batch_size(engine: Engine, paths: Paths, points_each: int, directions: int) -> int:
    return max(1, engine.batch_points(paths, directions) // points_each)


def _shrink(engine: Engine, paths: Paths, points_each: int, directions: int, size: int) -> None:
    while engine.memory_bytes > 1 and _batch_size(engine, paths, points_each, directions) >= size:
        engine.memory_bytes //= 2
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
