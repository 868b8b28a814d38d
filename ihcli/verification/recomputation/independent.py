"""A second way to the same integrals: plain gradients, composite Gauss-Legendre, and central differences for H.

Nothing of the engines, panels or weights of a run is used. Of a path z(u) = x' + (S u) * delta,

    phi_g    = int_0^1 F_g dt                                            F_g(u) = sum_{i in g} delta_i d_i f(z(u))
    Gamma_gh = int_0^1 -t ln t H_gh dt + [g = h] int_0^1 -ln t F_g dt    H_gh = dF_g / du_h

(Janizek et al. 2021, with t = alpha * beta, whose density is -ln t). F is a gradient by one backward pass; column h of
H is its central difference (F(u + e e_h) - F(u - e e_h)) / 2e, extrapolated from steps e and 2e (Richardson 1911). The
logarithm is tamed by t = s^3, under which its integrand vanishes like s^2 ln s at 0; s runs over equal panels of NODES
Gauss-Legendre nodes, doubled until two in a row agree. How far they are apart is taken as the uncertainty of the last,
and so is how far both steps are apart: at a kink, or where f is saturated and its gradient rounded, that is much.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.polynomial import legendre
from torch import Tensor

from ihcli.derivatives.calling import gradient

NODES = 8
FIRST_PANELS = 4
MOST_POINTS = 1 << 18
"""Gradients that one doubling may take; beyond, the last one that was affordable counts, with its uncertainty."""
BATCH_NUMBERS = 1 << 19
MOST_BATCH_POINTS = 1 << 12


@dataclass(frozen=True)
class Integral:
    """An integral, and how far it may be off: L1 distances to half as many panels and to steps twice as wide."""

    value: np.ndarray
    uncertainty: float
    panels: int


@dataclass(frozen=True)
class PlainPaths:
    """The paths from B baselines to one row.

    function  maps (P, D) to (P,): the explained output
    row       (D,);  baselines (B, D);  group_of (D,) the group of every input, of n_groups
    """

    function: Callable[[Tensor], Tensor]
    row: Tensor
    baselines: Tensor
    group_of: Tensor
    n_groups: int

    def attributions(self, accuracy: float) -> Integral:
        """Return phi, (G,), until two rules agree to `accuracy` of its L1 norm."""
        return self._refined(lambda panels: self._phi(_rule(panels)), len(self.baselines), accuracy, FIRST_PANELS)

    def interactions(self, columns: np.ndarray, accuracy: float, panels: int) -> Integral:
        """Return these columns of Gamma, (G, C), beginning with so many panels.

        Where a difference is rounded: eps / step of the size of F, about 1e-11 in float64.
        """
        points = len(self.baselines) * (4 * len(columns) + 1)
        return self._refined(lambda panels: self._gamma(columns, _rule(panels)), points, accuracy, panels)

    @property
    def step(self) -> float:
        """Step of the central differences, as a share of the path: small beside a bend that the panels can resolve."""
        return float(torch.finfo(self.row.dtype).eps ** 0.3)

    def _refined(
        self, integrate: Callable[[int], tuple[np.ndarray, float]], points: int, accuracy: float, panels: int
    ) -> Integral:
        """Double the panels; `integrate` gives an integral and its uncertainty beside that of the panels."""
        coarse, _ = integrate(panels)
        while True:
            panels *= 2
            fine, unsure = integrate(panels)
            apart = float(np.abs(fine - coarse).sum())
            is_enough = not apart > accuracy * np.abs(fine).sum()
            if is_enough or 2 * panels * NODES * points > MOST_POINTS:
                return Integral(fine, apart + unsure, panels)
            coarse = fine

    def _phi(self, rule: "_Rule") -> tuple[np.ndarray, float]:
        return self._integral(rule.t, rule.weights), 0.0

    def _gamma(self, columns: np.ndarray, rule: "_Rule") -> tuple[np.ndarray, float]:
        weights = rule.log_weights * rule.t
        near, far = (
            np.stack([self._difference(rule.t, weights, group, step) for group in columns], axis=1)
            for step in (self.step, 2 * self.step)
        )
        gamma = (4 * near - far) / 3
        gamma[columns, np.arange(len(columns))] += self._integral(rule.t, rule.log_weights)[columns]
        return gamma, float(np.abs(near - far).sum())

    def _difference(self, t: np.ndarray, weights: np.ndarray, group: int, step: float) -> np.ndarray:
        """Return the central difference by one gate of the integral of F, (G,)."""
        ahead, behind = (self._integral(t, weights, group, shift) for shift in (step, -step))
        return (ahead - behind) / (2 * step)

    def _integral(self, t: np.ndarray, weights: np.ndarray, group: int = -1, shift: float = 0.0) -> np.ndarray:
        """Return the mean over baselines of the sum of weight * F, (G,), with one gate shifted."""
        total = torch.zeros(self.n_groups, dtype=torch.float64, device=self.row.device)
        moved = shift * (self.group_of == group).to(self.row)  # a number times bool would be float32
        for start in self.baselines:
            delta = self.row - start
            for some in self._batches(len(t)):
                gates = torch.as_tensor(t[some], dtype=delta.dtype, device=delta.device)[:, None]
                z = start + (gates + moved) * delta
                weighted = torch.as_tensor(weights[some], device=delta.device) @ (self._gradient(z) * delta).double()
                total.index_add_(0, self.group_of, weighted)
        return (total / len(self.baselines)).cpu().numpy()

    def _gradient(self, z: Tensor) -> Tensor:
        z.requires_grad_()
        with torch.enable_grad():
            value = self.function(z).sum()
            if not value.requires_grad:
                return torch.zeros_like(z)
            found = gradient(value, z)
        return torch.zeros_like(z) if found is None else found

    def _batches(self, n: int) -> Iterator[slice]:
        size = int(np.clip(BATCH_NUMBERS // len(self.row), 1, MOST_BATCH_POINTS))
        yield from (slice(first, first + size) for first in range(0, n, size))


@dataclass(frozen=True)
class _Rule:
    """Nodes in t, and weights for the densities 1 and -ln t."""

    t: np.ndarray
    weights: np.ndarray
    log_weights: np.ndarray


def _rule(panels: int) -> _Rule:
    nodes, weights = legendre.leggauss(NODES)
    edges = np.arange(panels) / panels
    s = (edges[:, None] + (1 + nodes) / (2 * panels)).ravel()
    in_t = np.tile(weights / (2 * panels), panels) * 3 * s**2
    return _Rule(s**3, in_t, in_t * -3 * np.log(s))
