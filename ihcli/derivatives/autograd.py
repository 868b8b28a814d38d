"""Derivatives of any differentiable model by reverse over reverse: a gradient, then gradients of it."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ihcli.derivatives import Engine, Matrices
from ihcli.derivatives.calling import gradient
from ihcli.derivatives.paths import Paths, Runs
from ihcli.errors import ModelCallError

DIRECTIONS = 32
"""Most second-order directions taken in one backward pass on CPU: larger slices gain no speed there and cost memory."""
POINTS_BESIDE = 8
"""Directions are fewer where this many points would not fit beside them: of a large model, points fill a pass as well
as directions do, and what the points save is shared by all passes."""


POINTS_PER_PATH = 6
"""At least so many points of a path come together, and share the matrix that is made of them."""


class AutogradEngine(Engine):
    """Reverse-over-reverse derivatives; see `Engine`.

    function      maps (P, D) to (P, K)
    memory_bytes  bound on what a batch may hold
    batched       whether backward passes may take several directions at once, as pays where there is much to do
    """

    name = "autograd"

    def __init__(self, function: Callable[[Tensor], Tensor], memory_bytes: int, batched: bool = True) -> None:
        self._function = function
        self.memory_bytes = memory_bytes
        self._bytes_per_point: dict[int, float] = {}  # by D, which is a text's length times the embedding's
        self._batched = batched

    def batch_points(self, paths: Paths, directions: int) -> int:
        """Plan from the bytes that one point's forward was seen to save, and the passes that hold them again."""
        passes = 3 if directions == 0 else 6 + 2 * min(directions, self._directions(paths))
        matrix = paths.n_groups**2 * paths.inputs.element_size() / POINTS_PER_PATH if directions > 1 else 0
        return max(1, int(self.memory_bytes / (passes * self._point_bytes(paths) + matrix)))

    def _directions(self, paths: Paths) -> int:
        """Return how many directions a backward pass takes."""
        if not self._batched:
            return 1
        room = self.memory_bytes / (POINTS_BESIDE * self._point_bytes(paths))
        most = DIRECTIONS if paths.inputs.device.type == "cpu" else paths.n_groups
        return int(min(max((room - 6) / 2, 1), most))

    def _point_bytes(self, paths: Paths) -> float:
        width = paths.inputs.shape[1]
        if width not in self._bytes_per_point:
            self._bytes_per_point[width] = self._measure(paths)
        return self._bytes_per_point[width]

    def _measure(self, paths: Paths) -> float:
        """Return what a forward saves for each point: what three save more than one, which leaves out the weights."""
        few, more = (self._saved_bytes(paths, points) for points in (1, 3))
        return (more - few) / 2 + 6 * paths.inputs[0].numel() * paths.inputs.element_size()

    def _saved_bytes(self, paths: Paths, points: int) -> int:
        saved = 0

        def count(tensor: Tensor) -> Tensor:
            nonlocal saved
            saved += tensor.numel() * tensor.element_size()
            return tensor

        path = np.zeros(points, np.int64)
        t = torch.linspace(0, 1, points, dtype=paths.inputs.dtype, device=paths.inputs.device)
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            self._forward(paths, paths.placed(path)[0], t)
        return saved

    def _forward(self, paths: Paths, path: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        start, delta = paths.ends(path)
        z = (start + t[:, None] * delta).requires_grad_()
        return z, delta, self._explained(paths, path, z)

    def _explained(self, paths: Paths, path: Tensor, z: Tensor) -> Tensor:
        return paths.explained(paths.rows(path), self._function(z))

    def _explained_twice(self, paths: Paths, path: Tensor, z: Tensor) -> Tensor:
        """Return f where a backward of a backward is taken of it once."""
        return self._explained(paths, path, z)

    def values(self, paths: Paths, path: np.ndarray, t: Tensor) -> Tensor:
        """Return f(z(t)): one forward."""
        (here,) = paths.placed(path)
        with torch.no_grad():
            start, delta = paths.ends(here)
            return self._explained(paths, here, start + t[:, None] * delta)

    def gradients(self, paths: Paths, path: np.ndarray, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return f(z(t)) and F: one gradient."""
        (here,) = paths.placed(path)
        with torch.enable_grad():
            z, delta, value = self._forward(paths, here, t)
            gradient = _gradient(value.sum(), z)
        return value.detach(), paths.to_groups(gradient * delta, paths.rows(here))

    def curvatures(self, paths: Paths, path: np.ndarray, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return f(z(t)), F and F' = H 1, whose direction in input space is delta: a gradient and one product."""
        (here,) = paths.placed(path)
        with torch.enable_grad():
            start, delta = paths.ends(here)
            z = (start + t[:, None] * delta).requires_grad_()
            value = self._explained_twice(paths, here, z)
            gradient = _gradient(value.sum(), z, create_graph=True)
            product = _gradient((gradient * delta).sum(), z)
        row = paths.rows(here)
        return value.detach(), paths.to_groups(gradient.detach() * delta, row), paths.to_groups(product * delta, row)

    @torch.enable_grad()
    def hessians(self, paths: Paths, path: np.ndarray, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return f(z(t)), F and H: a gradient, and all columns of H at every point."""
        value, first, gates = self._opened(paths, paths.placed(path)[0], t)
        columns = [self._columns(first, gates, some) for some in self._slices(paths)]
        return value.detach(), first.detach(), torch.cat(columns).transpose(0, 1)

    @torch.enable_grad()
    def matrices(
        self, paths: Paths, path: np.ndarray, t: Tensor, weights: Tensor, combinations: Tensor | None = None
    ) -> Matrices:
        """Take columns of H at every point, some at a time, and weigh them into sums and norms; see `Engine`."""
        runs = Runs.of(path)
        here, position = paths.placed(path, runs.point)
        sums = t.new_zeros(paths.n_groups, len(runs.path), paths.n_groups)
        norms = None
        if combinations is not None:
            norms = t.new_zeros(len(path) // combinations.shape[1], len(combinations))
        _, first, gates = self._opened(paths, here, t)
        for some in self._slices(paths):
            columns = self._columns(first, gates, some)
            sums[some.start : some.stop].index_add_(1, position, columns * weights[:, None])
            if norms is not None and combinations is not None:
                norms += _norms(columns * t[:, None], combinations)
        return Matrices(runs.path, sums.transpose(0, 1), norms)

    def _opened(self, paths: Paths, path: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return f(z(t)), F and the gates beyond t that F may be differentiated by, all zero."""
        (start, delta), row = paths.ends(path), paths.rows(path)
        gates = start.new_zeros(len(path), paths.n_groups).requires_grad_()
        z = start + (t[:, None] + paths.to_inputs(gates, row)) * delta
        value = self._explained(paths, path, z)
        gradient = _gradient(value.sum(), z, create_graph=True)
        return value, paths.to_groups(gradient * delta, row), gates

    def _slices(self, paths: Paths) -> list[range]:
        """Return which groups' directions are taken together."""
        size = self._directions(paths)
        return [range(i, min(i + size, paths.n_groups)) for i in range(0, paths.n_groups, size)]

    def _columns(self, first: Tensor, gates: Tensor, groups: range) -> Tensor:
        """Return the columns of these groups at every point, (len(groups), P, G): derivatives of F by the gates."""
        if not first.requires_grad:
            return gates.new_zeros(len(groups), *gates.shape)
        if self._batched and len(groups) > 1:
            units = gates.new_zeros(len(groups), gates.shape[1])
            units.diagonal(groups.start).fill_(1)
            try:
                return _gradient(first, gates, units[:, None].expand(-1, len(gates), -1), retain_graph=True)
            except ModelCallError:  # an operation without a batching rule
                self._batched = False
        return torch.stack([_gradient(first[:, group].sum(), gates, retain_graph=True) for group in groups])


def _norms(columns: Tensor, combinations: Tensor) -> Tensor:
    """Return the L1 norms of combinations (K, n) of columns (k, P, G) on each panel of n points, (P / n, K)."""
    panels = columns.unflatten(1, (-1, combinations.shape[1]))
    return torch.einsum("cn,kmng->mckg", combinations, panels).abs().sum((2, 3))


def _gradient(
    of: Tensor,
    at: Tensor,
    directions: Tensor | None = None,
    *,
    create_graph: bool = False,
    retain_graph: bool | None = None,
) -> Tensor:
    """Return the gradient, and zeros where nothing depends on `at`, as in the second derivative of a linear model."""
    if not of.requires_grad:
        return torch.zeros_like(at)
    found = gradient(of, at, directions, create_graph=create_graph, retain_graph=retain_graph)
    if found is not None:
        return found
    return torch.zeros_like(at) if directions is None else at.new_zeros(len(directions), *at.shape)
