"""Arrays that are written again for the next points: they stay in cache, and new ones cost page faults as well."""

import math
import threading
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

Out = Callable[[], Tensor | None]
"""Gives an array to write a result to, or None, which leaves it to torch to make one."""


def nowhere() -> None:
    """Leave it to torch."""


class Room(threading.local):
    """Arrays for one block of points after the other: one of a name, or the next in turn; every thread has its own.

    On a device, whose memory is handed out again anyway, they are new.
    """

    def __init__(self) -> None:
        self._held: dict[str | int, Tensor] = {}
        self._last: dict[str | int, Tensor] = {}
        self._turn = 0

    def __reduce__(self) -> tuple[type["Room"], tuple[()]]:
        """Begin anew elsewhere."""
        return Room, ()

    def named(self, name: str, like: Tensor, *shape: int) -> Tensor:
        """Return the array of that name in this shape, with whatever was written there before."""
        return self._array(name, like, shape)

    def next(self, like: Tensor, *shape: int) -> Tensor:
        """Return an array of this shape that was given to nobody since `again`."""
        self._turn += 1
        return self._array(self._turn, like, shape)

    def of_layer(self, values: Tensor) -> Out:
        """Return what gives arrays in the shape of these values: first one that all layers share, then the next.

        What is asked for first is the value of a function, or less, and of no use behind the layer that takes it.
        """
        shared = [partial(self.named, "value", values, *values.shape)]
        following = partial(self.next, values, *values.shape)
        return lambda: (shared.pop() if shared else following)()

    def product(self, left: Tensor, right: Tensor) -> Tensor:
        """Return a product of matrices in the next array."""
        return torch.mm(left, right, out=self.next(left, left.shape[0], right.shape[1]))

    def times(self, left: Tensor, right: Tensor) -> Tensor:
        """Return entries of `left` times those of `right`, whose shape it is, in the next array."""
        return torch.mul(left, right, out=self.next(right, *right.shape))

    def again(self) -> None:
        """Give the same arrays out in turn again, from the first on: what stands in them is no longer needed."""
        self._turn = 0

    def _array(self, key: str | int, like: Tensor, shape: tuple[int, ...]) -> Tensor:
        if not like.is_cpu:
            return like.new_empty(shape)
        last = self._last.get(key)
        if last is not None and last.shape == shape and last.dtype is like.dtype:
            return last
        held, size = self._held.get(key), math.prod(shape)
        if held is None or held.numel() < size or held.dtype != like.dtype:
            held = self._held[key] = like.new_empty(size)
        found = self._last[key] = held[:size].view(shape)
        return found
