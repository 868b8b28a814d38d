"""Derivatives of the model along paths, in gate space: one interface, an engine chosen by the model.

`engine.along(paths)` is the function along these paths, `Along`: what all integration asks for values and derivatives.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ihcli.derivatives.paths import Paths
from ihcli.derivatives.transfers import Coming, download
from ihcli.memory import is_out_of_memory

T = TypeVar("T")

FEW_GROUPS = 8
"""Up to so many H is taken whole at every point while a mesh is certified: F' comes with it, and so do the matrices.

Measured on 5 x 128 SoftPlus networks: 1.5 times faster at 5 groups, 1.2 at 8 and 16, slower at 30. Of 9 and more the
closed form draws rows of H, whose norms are taken with a margin (`ihcli.derivatives.drawn`): without it the error of 1
of 12 rows of a saturated sigmoid of 10 inputs, under eh, was .0243 at a reported .0241."""


USUAL_ARGUMENT = 4.0
"""Up to which an exponential magnifies the rounding of its argument to no more than the 16 eps of all gradients:
arguments are off by 4 eps of their size, as a layer adds up some products, and a softmax takes two of them."""


@dataclass(frozen=True)
class Carried:
    """Rounding that is larger than the number it is of, because it comes of larger numbers on the way.

    Near 1 the derivative p (1 - p) of a probability has the rounding of p, not that of 1 - p; that of an affine last
    operation, or of a form of the probability that is computed from its logits, has none of it. The value of 1 - p has
    it in any form.

    share     of the rounding of f that a gradient carries along a path, in units of eps times the size of f
    size      of f on a sample, below which its operations compute with larger numbers than f
    value     rounding of f itself, absolute, beside that of its size
    argument  largest number of which probabilities at the end are exponentials, as they are where they saturate
    largest   size of f there, or of what it is made of, where they do not saturate
    """

    share: float = 0.0
    size: float = 0.0
    value: float = 0.0
    argument: float = 0.0
    largest: float = 1.0

    def of(self, value: np.ndarray) -> np.ndarray:
        """Return what a gradient carries, in units of eps, for values of f."""
        if self.share == 0:
            return np.zeros_like(value)  # also where f is not finite
        return self.share * np.maximum(np.abs(value), self.size)

    def magnified(self, gradient: np.ndarray) -> np.ndarray:
        """Return by what factor gradients of these sizes, (...), are rounded more than usual.

        Where a probability saturates at a logit u, it is an exponential of u, and so is its slope, e^-|u| of the
        largest there is: that u is rounded by c eps |u| moves both by as much, relative to themselves.
        """
        if self.argument <= USUAL_ARGUMENT:
            return np.ones_like(gradient)
        with np.errstate(divide="ignore", over="ignore"):
            argument = np.minimum(self.argument, np.log(self.largest / gradient))
        return np.maximum(1.0, argument / USUAL_ARGUMENT)


@dataclass(frozen=True)
class Matrices:
    """Sums of second derivatives along U paths.

    path   (U,) int64 of the host, in the order of their points
    sums   (U, G, G): sum over the path's points of weight * H
    norms  (M, K): L1 norms over all entries of the combinations of t * H on every panel; None unless asked for
    """

    path: np.ndarray
    sums: Tensor
    norms: Tensor | None


class Network(Protocol):
    """What an engine takes derivatives of, as a network of layers; models have this form."""

    @property
    def module(self) -> nn.Module:
        """The layers."""
        ...

    @property
    def subject(self) -> str:
        """What messages call it."""
        ...

    def outputs(self, inputs: Tensor) -> Tensor:
        """Return the outputs (P, K) at inputs (P, D), which run through the layers."""
        ...

    def around(self, module: nn.Module) -> "Network":
        """Return the same with other layers."""
        ...


class Engine(Protocol):
    """Derivatives of h(u) = f(x' + (S u) * delta) at u = t * 1, for P points given as (path, t).

        F_g(t)  = dh/du_g          F'(t) = H 1          H_gh(t) = d2h/du_g du_h

    `path` is (P,) int64 into `paths`, an array of the host, which knows what points come together without asking the
    device; `t` is (P,) in the model's dtype, beside the inputs, as all that is returned. Nothing here waits for the
    device (`tests/test_waiting.py`). Every call is one batch: `Along` keeps P within `batch_points`, and lowers
    `memory_bytes` when memory runs out. Engines inherit from here.

    rounding  of what is differentiated where it computes in less than its inputs are in, eps; else 0
    carried   rounding of derivatives and values beyond that of their own size
    network   layers of what is differentiated, for methods that propagate through them; None: nobody said
    """

    name: str
    memory_bytes: int
    rounding: float = 0.0
    carried: Carried = Carried()
    network: Network | None = None

    def along(self, paths: Paths) -> "Along":
        """Return the function along these paths."""
        return Along(self, paths)

    def batch_points(self, paths: Paths, directions: int) -> int:
        """Return how many points fit into the memory budget with that many second-order directions at once."""
        ...

    def values(self, paths: Paths, path: np.ndarray, t: Tensor) -> Tensor:
        """Return f(z(t)), (P,): one forward."""
        ...

    def gradients(self, paths: Paths, path: np.ndarray, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return f(z(t)), (P,), and F, (P, G): one gradient."""
        ...

    def curvatures(self, paths: Paths, path: np.ndarray, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return f(z(t)), F and F', the last two (P, G): one gradient and one Hessian-vector product."""
        ...

    def hessians(self, paths: Paths, path: np.ndarray, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return f(z(t)), F and H, (P, G, G): one gradient and G Hessian-vector products at every point."""
        ...

    def core_width(self, n_groups: int, n_baselines: int) -> int | None:
        """Return m where H is P' S P with P (m, G), m far less than G, of which `cores` gives S; else None."""
        return None

    def maps(self, paths: Paths, path: np.ndarray) -> Tensor:
        """Return P of paths, (U, m, G); without a core width that is the identity, and S is H itself."""
        g, like = paths.n_groups, paths.inputs
        return torch.eye(g, dtype=like.dtype, device=like.device).expand(len(path), -1, -1)

    def cores(
        self, paths: Paths, path: np.ndarray, t: Tensor, weights: Tensor, combinations: Tensor | None = None
    ) -> Matrices:
        """Return the same as `matrices`, but of S, (U, m, m); norms are of H."""
        return self.matrices(paths, path, t, weights, combinations)

    def matrices(
        self, paths: Paths, path: np.ndarray, t: Tensor, weights: Tensor, combinations: Tensor | None = None
    ) -> Matrices:
        """Return the sums over each path's points of weight * H: G Hessian-vector products at every point.

        combinations  (K, n) where points come as panels of n, one after the other: weights of K sums of t * H over each
                      panel, whose L1 norms are returned, or estimates from above that take fewer products; those after
                      the first may be NaN where they would take more
        """
        ...

    def assemble(self, paths: Paths, path: np.ndarray, t: Tensor, weights: Tensor) -> tuple[np.ndarray, Tensor]:
        """Return rows (R,) and the sums over their points of weight * H, (R, G, G)."""
        found = self.matrices(paths, path, t, weights)
        rows, position = np.unique(paths.rows(found.path), return_inverse=True)
        if len(rows) == len(found.path):
            return paths.rows(found.path), found.sums
        (there,) = paths.placed(position)
        return rows, found.sums.new_zeros(len(rows), *found.sums.shape[1:]).index_add_(0, there, found.sums)


@dataclass(frozen=True)
class Along:
    """A function along paths, at points (path, t), arrays (P,) of numpy.

    `values`, `gradients`, `curvatures`, `hessians` and `matrices` are those of `Engine`, each one batch; `in_batches`
    cuts work so that it fits. `all_values` and `all_gradients` take any number of points.

    in_factors  whether whoever asks for matrices takes them as products of smaller ones, where they are
    """

    engine: Engine
    paths: Paths
    in_factors: bool = False

    @property
    def core_width(self) -> int | None:
        """Return m where matrices may stay products P' S P and are, see `Engine.core_width`; else None."""
        return self.engine.core_width(self.paths.n_groups, self.paths.n_baselines) if self.in_factors else None

    @property
    def has_few_groups(self) -> bool:
        """Return whether H is taken whole at every point: see FEW_GROUPS."""
        return self.paths.n_groups <= FEW_GROUPS

    @property
    def dtype(self) -> type[np.floating]:
        """The model's dtype, as numpy calls it."""
        return np.float64 if self.paths.inputs.dtype == torch.float64 else np.float32

    @property
    def eps(self) -> float:
        """Rounding of the model's dtype, or of what it computes in inside."""
        return max(float(torch.finfo(self.paths.inputs.dtype).eps), self.engine.rounding)

    def carried(self, value: np.ndarray) -> np.ndarray:
        """Return the rounding of f that derivatives carry per unit of t where f has these values, (...), absolute."""
        return self.eps * self.engine.carried.of(value)

    def value_rounding(self, value: np.ndarray) -> np.ndarray:
        """Return the rounding of these values of f, (...), absolute."""
        return self.eps * np.abs(value) + self.engine.carried.value

    def values(self, path: np.ndarray, t: np.ndarray) -> Tensor:
        """Return f(z(t)), (P,)."""
        return self.engine.values(self.paths, path, *self.placed(t))

    def gradients(self, path: np.ndarray, t: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return f(z(t)), (P,), and F, (P, G)."""
        return self.engine.gradients(self.paths, path, *self.placed(t))

    def curvatures(self, path: np.ndarray, t: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Return f(z(t)), F and F', the last two (P, G)."""
        return self.engine.curvatures(self.paths, path, *self.placed(t))

    def hessians(self, path: np.ndarray, t: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Return f(z(t)), F, (P, G), and H, (P, G, G)."""
        return self.engine.hessians(self.paths, path, *self.placed(t))

    def matrices(self, path: np.ndarray, t: np.ndarray, weights: np.ndarray, combinations: np.ndarray) -> Matrices:
        """Return the sums over each path's points of weight * H, and norms of combinations (K, n) on their panels."""
        return self.engine.matrices(self.paths, path, *self.placed(t, weights, combinations))

    def cores(self, path: np.ndarray, t: np.ndarray, weights: np.ndarray, combinations: np.ndarray) -> Matrices:
        """Return the same of the cores S of H = P' S P, where there is a core width."""
        return self.engine.cores(self.paths, path, *self.placed(t, weights, combinations))

    def maps(self, path: np.ndarray) -> Tensor:
        """Return P of paths, (U, m, G), where there is a core width."""
        return self.engine.maps(self.paths, path)

    def all_values(self, path: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Return f(z(t)), (P,) float64: one forward each."""
        found = self.in_batches(len(path), 1, 0, lambda some: self.values(path[some], t[some]))
        return download(torch.cat(list(found))).astype(np.float64)

    def all_gradients(self, path: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return f(z(t)), (P,) float64, and F, (P, G) in the model's dtype: one gradient each."""

        coming = self.in_batches(len(path), 1, 0, lambda some: Coming(*self.gradients(path[some], t[some])))
        values, per_group = zip(*(some.arrays() for some in coming), strict=True)
        return np.concatenate(values, dtype=np.float64), np.concatenate(per_group)

    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Return f(x), (N,), and f(x'), (N, B): shared baselines once for each explained output, not for each row."""
        n, b = self.paths.n_rows, self.paths.n_baselines
        alike = np.arange(n) if self.paths.have_own_baselines else download(self.paths.outputs)
        _, first_row, position = np.unique(alike, return_index=True, return_inverse=True)
        starts = (first_row[:, None] * b + np.arange(b)).ravel()
        prediction = self.all_values(np.arange(n) * b, np.ones(n))
        baseline = self.all_values(starts, np.zeros(len(starts))).reshape(len(first_row), b)
        return prediction, baseline[position]

    def in_batches(self, count: int, points_each: int, directions: int, work: Callable[[slice], T]) -> Iterator[T]:
        """Yield what `work` makes of consecutive slices of `count` things of `points_each` points.

        Where a batch runs out of memory, the engine's budget is halved until its batches are smaller, and the slice is
        cut and done again; nothing is lost. Raises MemoryError where a single thing does not fit.

        On a device the next batch is begun before one is yielded, so that whoever waits for it does not let it idle.
        """
        start, begun, ahead = 0, deque[T](), 0 if self.paths.inputs.device.type == "cpu" else 1
        while start < count:
            size = self._batch_size(points_each, directions)
            some = slice(start, min(start + size, count))
            try:
                result = work(some)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                if size == 1:
                    raise MemoryError(str(error)) from error
                self._shrink(points_each, directions, size)
                continue
            begun.append(result)
            start = some.stop
            if len(begun) > ahead:
                yield begun.popleft()
        yield from begun

    def _batch_size(self, points_each: int, directions: int) -> int:
        return max(1, self.engine.batch_points(self.paths, directions) // points_each)

    def _shrink(self, points_each: int, directions: int, size: int) -> None:
        while self.engine.memory_bytes > 1 and self._batch_size(points_each, directions) >= size:
            self.engine.memory_bytes //= 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def placed(self, *values: np.ndarray) -> tuple[Tensor, ...]:
        """Return numbers beside the inputs, in the model's dtype, and indices as they are."""
        return self.paths.placed(
            *(part.astype(self.dtype, copy=False) if part.dtype.kind == "f" else part for part in values)
        )
