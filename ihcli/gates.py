"""Gates: from rows, baselines and groups of inputs to points on straight paths.

Let S (D x G, 0/1) put each input into its group and delta = x - x'. For gates u in R^G the model sees
x' + (S u) * delta. The path is u = t * 1, so z(t) = x' + t * delta, and every derivative downstream is taken in u: a
group costs what one input costs, and nothing else knows whether a group was a column or a one-hot block.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Groups:
    """G named groups over D inputs: `index[i]` is the group of input i, or None when every input is its own group."""

    names: tuple[str, ...]
    index: np.ndarray | None

    @classmethod
    def of(cls, features: Sequence[str], groups: Mapping[str, Sequence[str]] | None = None) -> "Groups":
        """Put features into named groups, checked before; the others stay alone. Order: first appearance."""
        if not groups:
            return cls(tuple(features), None)
        group_of = {feature: name for name, members in groups.items() for feature in members}
        labels = [group_of.get(feature, feature) for feature in features]
        names = tuple(dict.fromkeys(labels))
        position = {name: i for i, name in enumerate(names)}
        return cls(names, np.array([position[label] for label in labels]))


@dataclass(frozen=True)
class Paths:
    """N rows times B baselines: path p leads from baseline p % B to row p // B.

    inputs     (N, D)
    baselines  (B, D)
    outputs    (N,) int64: the explained output of every row
    n_groups   G
    group_of   (D,) int64: group of every input, or None when G = D
    """

    inputs: Tensor
    baselines: Tensor
    outputs: Tensor
    n_groups: int
    group_of: Tensor | None

    @property
    def n_rows(self) -> int:
        """N."""
        return len(self.inputs)

    @property
    def n_baselines(self) -> int:
        """B."""
        return len(self.baselines)

    def rows(self, path: Tensor) -> Tensor:
        """Return the row of each path."""
        return torch.div(path, self.n_baselines, rounding_mode="floor")

    def ends(self, path: Tensor) -> tuple[Tensor, Tensor]:
        """Return x' and delta = x - x' of each path, both (P, D)."""
        start = self.baselines[path % self.n_baselines]
        return start, self.inputs[self.rows(path)] - start

    def to_groups(self, per_input: Tensor) -> Tensor:
        """Sum (P, D) values over each group: v -> v S, (P, G)."""
        if self.group_of is None:
            return per_input
        return per_input.new_zeros(len(per_input), self.n_groups).index_add(1, self.group_of, per_input)

    def to_inputs(self, per_group: Tensor) -> Tensor:
        """Give every input its group's value: u -> u S', (P, D)."""
        return per_group if self.group_of is None else per_group[:, self.group_of]
