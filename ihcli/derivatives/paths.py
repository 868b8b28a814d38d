"""Gates: from rows, baselines and groups of inputs to points on straight paths.

Let S (D x G, 0/1) put each input into its group and delta = x - x'. For gates u in R^G the model sees
x' + (S u) * delta. The path is u = t * 1, so z(t) = x' + t * delta, and every derivative downstream is taken in u: a
group costs what one input costs, and nothing else knows whether a group was a column or a one-hot block.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from ihcli.derivatives.transfers import download, upload

AnyPath = TypeVar("AnyPath", np.ndarray, Tensor)


@dataclass(frozen=True)
class Runs:
    """P points in U runs of neighbours on the same path, as the host knows them.

    path    (U,) int64;  point (P,) int64 into it
    block   largest number of points of which every run has a multiple
    """

    path: np.ndarray
    point: np.ndarray
    block: int

    @classmethod
    def of(cls, path: np.ndarray) -> "Runs":
        """Find the runs in the paths of points (P,)."""
        first = np.flatnonzero(np.diff(path, prepend=-1))
        count = np.diff(first, append=len(path))
        return cls(path[first], np.repeat(np.arange(len(first)), count), int(np.gcd.reduce(count)))


@dataclass(frozen=True)
class Paths:
    """N rows times B baselines: path p leads from baseline p % B to row p // B.

    inputs     (N, D)
    baselines  (B, D), or (N, B, D) where every row has its own
    outputs    (N,) int64: the explained output of every row
    n_groups   G; of rows that have their own, the most
    group_of   int64 group of every input: (D,), or (N, D) where every row has its own, or None when G = D
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
        return self.baselines.shape[-2]

    @property
    def have_own_baselines(self) -> bool:
        """Return whether every row has baselines of its own."""
        return self.baselines.dim() == 3

    @property
    def own_groups(self) -> np.ndarray:
        """How many groups each row has, (N,)."""
        if self.group_of is None or self.group_of.dim() == 1:
            return np.full(self.n_rows, self.n_groups)
        found: np.ndarray = download(self.group_of).max(1) + 1
        return found

    def lead_nowhere(self) -> np.ndarray:
        """Return which rows are their baselines in every input, (N,) bool."""
        starts = self.baselines if self.have_own_baselines else self.baselines[None]
        found: np.ndarray = download((self.inputs[:, None] == starts).flatten(1).all(1))
        return found

    def of_rows(self, rows: np.ndarray, n_groups: int | None = None) -> "Paths":
        """Return the paths of some of the rows, which have so many groups at most; None: as many as these."""
        (here,) = self.placed(rows)
        own = self.group_of is not None and self.group_of.dim() == 2
        return Paths(
            inputs=self.inputs[here],
            baselines=self.baselines[here] if self.have_own_baselines else self.baselines,
            outputs=self.outputs[here],
            n_groups=self.n_groups if n_groups is None else n_groups,
            group_of=self.group_of[here] if own and self.group_of is not None else self.group_of,
        )

    def placed(self, *arrays: np.ndarray) -> tuple[Tensor, ...]:
        """Return arrays of the host as tensors beside the inputs."""
        return upload(self.inputs.device, *arrays)

    def rows(self, path: AnyPath) -> AnyPath:
        """Return the row of each path, where the paths are."""
        return path // self.n_baselines

    def ends(self, path: Tensor) -> tuple[Tensor, Tensor]:
        """Return x' and delta = x - x' of each path, both (P, D)."""
        row, baseline = self.rows(path), path % self.n_baselines
        start = self.baselines[row, baseline] if self.have_own_baselines else self.baselines[baseline]
        return start, self.inputs[row] - start

    def explained(self, row: Tensor, outputs: Tensor) -> Tensor:
        """Return the explained one of the outputs (P, K) at points of these rows, (P,)."""
        return outputs.gather(1, self.outputs[row][:, None])[:, 0]

    def to_groups(self, per_input: Tensor, row: Tensor) -> Tensor:
        """Sum (P, D) values, of points of these rows, over each group: v -> v S, (P, G)."""
        if self.group_of is None:
            return per_input
        sums = per_input.new_zeros(len(per_input), self.n_groups)
        if self.group_of.dim() == 1:
            return sums.index_add(1, self.group_of, per_input)
        return sums.scatter_add(1, self.group_of[row], per_input)

    def to_inputs(self, per_group: Tensor, row: Tensor) -> Tensor:
        """Give every input of these rows its group's value: u -> u S', (R, D) from (R, G)."""
        if self.group_of is None:
            return per_group
        return per_group[:, self.group_of] if self.group_of.dim() == 1 else per_group.gather(1, self.group_of[row])

    def gates(self, row: Tensor, delta: Tensor) -> Tensor:
        """Return the derivative of inputs at points of these rows by each gate, (G, P, D): S' and delta (P, D)."""
        index = torch.arange(self.n_groups, device=delta.device)
        owner = index if self.group_of is None else self.group_of if self.group_of.dim() == 1 else self.group_of[row]
        return delta * (owner == index.view(-1, *(1,) * delta.dim()))
