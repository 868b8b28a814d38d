"""Bags of a lookup: vectors of several codes that come as their sum, mean or maximum (nn.EmbeddingBag)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.overrides import enable_reentrant_dispatch

_SUM, _MEAN, _MAX = range(3)
_DEFAULTS: list[Any] = [_SUM, False, None, False, -1]
"""Of torch's op: mode, whether the table is sparse, weights, whether the end of the last bag is given, and padding."""


@dataclass(frozen=True, eq=False)
class Bag:
    """What a call makes of the vectors that it looks up, (n_bags * n, width), of which each bag has n.

    mode     of torch's op: 0 sum, 1 mean, 2 maximum
    padding  the code whose vector is left out of sums; -1: none is
    weights  (n_bags * n,) by which vectors are multiplied before they are summed; None: by nothing
    """

    n: int
    mode: int
    padding: int
    weights: Tensor | None = None

    @classmethod
    def of(cls, args: Sequence[Any]) -> "Bag | None":
        """Return the bags of a call; None of those that leave something out of a mean, or differ in size.

        Bags that differ all the same give other outputs when they are handed their vectors, which is checked.
        """
        index, offsets = args[1], args[2]
        mode, _, weights, has_end, padding = [*args[4:], *_DEFAULTS[len(args) - 4 :]]
        n_bags = len(offsets) - bool(has_end)
        if not n_bags or len(index) % n_bags or (padding >= 0 and mode != _SUM):
            return None
        return cls(len(index) // n_bags, mode, padding, weights)

    def vectors(self, table: Tensor, index: Tensor) -> Tensor:
        """Return what is looked up, zeros for what is left out."""
        found = table.index_select(0, index)
        return found if self.padding < 0 else found * (index != self.padding).unsqueeze(1).to(found.dtype)

    def outputs(self, vectors: Tensor, index: Tensor) -> tuple[Tensor, ...]:
        """Return what torch's op does of these vectors, with their history; beside it nothing, which nobody reads.

        A dispatch mode is called below autograd, which is entered once more here.
        """
        with enable_reentrant_dispatch():
            weighted = vectors if self.weights is None else vectors * self.weights.unsqueeze(1)
            bags = weighted.unflatten(0, (-1, self.n))
            made = bags.amax(1) if self.mode == _MAX else bags.mean(1) if self.mode == _MEAN else bags.sum(1)
        return made, *(index.new_empty(0) for _ in range(3))
