"""What all formats share of cutting: places in a network, and how what is handed reaches them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

_HANDED: ContextVar[Tensor | None] = ContextVar("handed", default=None)


@dataclass(frozen=True)
class Place:
    """What a layer gives in one of its calls, or takes.

    layer     its name, as in `named_modules`
    is_input  what it takes
    call      which of its calls, from 0
    """

    layer: str
    is_input: bool = False
    call: int = 0


@dataclass(frozen=True)
class Cut:
    """A place, and the shape of what is there for one row."""

    place: Place
    shape: tuple[int, ...]

    @property
    def width(self) -> int:
        """Return how many values it has."""
        return int(torch.Size(self.shape).numel())


class Cutter(Protocol):
    """A network in a format, to be cut at layers; the given one stays as it is."""

    def layers(self) -> list[str]:
        """Return the names of its layers, in order."""

    def serving(self, n_rows: int) -> list[str]:
        """Return the names of those that can be opened, as far as can be told; eager ones are run, on so many rows."""

    def calls(self, place: Place) -> list[Place]:
        """Return the place in each call of the layer."""

    def showing(self, place: Place) -> nn.Module:
        """Return the network with what is at a place for its output."""

    def recording(self, places: Sequence[Place]) -> nn.Module:
        """Return the network whose outputs (n, K) are followed by what is at the places, flat: (n, K + L)."""

    def cut(self, cuts: Sequence[Cut]) -> nn.Module:
        """Return the network that takes what was handed, (P, L), for what is at the places."""


@contextmanager
def handing(values: Tensor) -> Iterator[None]:
    """Hand values (P, L) to the network that is called inside."""
    token = _HANDED.set(values)
    try:
        yield
    finally:
        _HANDED.reset(token)


def handed() -> Tensor:
    """Return what is handed."""
    values = _HANDED.get()
    if values is None:
        raise ValueError("a cut network was called without what it is to be handed")
    return values


def part_of(values: Tensor, cuts: Sequence[Cut], number: int) -> Tensor:
    """Return what is handed for one of the cuts, in its shape."""
    start = sum(cut.width for cut in cuts[:number])
    cut = cuts[number]
    return values[:, start : start + cut.width].reshape(len(values), *cut.shape)
