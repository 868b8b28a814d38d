"""Paths and engines of the workload's nets without the library's front door, for benchmarks of single parts."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.setup import as_tensor
from ihcli.derivatives import Along, Engine
from ihcli.derivatives.autograd import AutogradEngine
from ihcli.derivatives.choosing import choose_engine
from ihcli.derivatives.paths import Paths
from ihcli.memory import default_memory_bytes


def paths_from_zero(rows: np.ndarray, device: str = "cpu") -> Paths:
    """Return the paths of rows (N, D) from a zero baseline, for a net of one output."""
    n, d = rows.shape
    return Paths(
        inputs=as_tensor(rows, device),
        baselines=torch.zeros(1, d, device=device),
        outputs=torch.zeros(n, dtype=torch.int64, device=device),
        n_groups=d,
        group_of=None,
    )


def chosen_engine(net: nn.Module, paths: Paths) -> Engine:
    """Return the engine that the library chooses for a net."""
    memory_bytes = default_memory_bytes(paths.inputs.device) // 2
    return choose_engine(
        net, paths_from_zero(paths.inputs[:8].cpu().numpy(), str(paths.inputs.device)), memory_bytes
    ).engine


def autograd_engine(net: nn.Module, memory_bytes: int) -> Engine:
    """Return the general engine."""
    return AutogradEngine(net, memory_bytes)


@dataclass
class Counted:
    """An engine that counts the points at which gradients and values are asked for."""

    engine: Engine
    gradients_taken: int = 0
    values_taken: int = 0

    @property
    def name(self) -> str:
        return self.engine.name

    def along(self, paths: Paths) -> Along:
        """Return the function along these paths."""
        return Along(self, paths)

    @property
    def batch_points(self) -> Callable[[Paths, int], int]:
        return self.engine.batch_points

    @property
    def assemble(self) -> Callable[[Paths, np.ndarray, Tensor, Tensor], tuple[np.ndarray, Tensor]]:
        return self.engine.assemble

    def values(self, paths: Paths, path: np.ndarray, t: Tensor) -> Tensor:
        self.values_taken += len(t)
        return self.engine.values(paths, path, t)

    def gradients(self, paths: Paths, path: np.ndarray, t: Tensor) -> tuple[Tensor, Tensor]:
        self.gradients_taken += len(t)
        return self.engine.gradients(paths, path, t)

    def curvatures(self, paths: Paths, path: np.ndarray, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self.gradients_taken += len(t)
        return self.engine.curvatures(paths, path, t)

    def hessians(self, paths: Paths, path: np.ndarray, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self.gradients_taken += len(t)
        return self.engine.hessians(paths, path, t)
