"""Derivatives of the model along paths, in gate space: one interface, an engine chosen by the model."""

from typing import Protocol

from torch import Tensor

from ihcli.derivatives.paths import Paths


class Engine(Protocol):
    """Derivatives of h(u) = f(x' + (S u) * delta) at u = t * 1, for P points given as (path, t).

        F_g(t)  = dh/du_g          F'(t) = H 1          H_gh(t) = d2h/du_g du_h

    `path` is (P,) int64 into `paths`, `t` is (P,) in the model's dtype. Every call is one batch: the caller keeps P
    within `batch_points`, and lowers `memory_bytes` when memory runs out.
    """

    name: str
    memory_bytes: int

    def batch_points(self, paths: Paths, directions: int) -> int:
        """Return how many points fit into the memory budget with that many second-order directions at once."""
        ...

    def values(self, paths: Paths, path: Tensor, t: Tensor) -> Tensor:
        """Return f(z(t)), (P,): one forward."""
        ...

    def gradients(self, paths: Paths, path: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return f(z(t)), (P,), and F, (P, G): one gradient."""
        ...

    def curvatures(self, paths: Paths, path: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return f(z(t)), F and F', the last two (P, G): one gradient and one Hessian-vector product."""
        ...

    def assemble(self, paths: Paths, path: Tensor, t: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows (R,) and the sums over their points of weight * H, (R, G, G): G Hessian-vector products."""
        ...
