"""Lines that a piecewise linear f follows at points of a path, and where two of them meet."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from ihcli.integration.measuring import NOISE

VALUE_NOISE = 4.0
"""Rounding of f in units of eps times the sizes of f and F on the path: a value that close to a line is on it."""
MOST_SLACK = 0.25
"""A meeting point that rounding leaves as uncertain as this share of the span proves nothing."""
CLOSE = 1e-6
"""How far from t*, as a share of the span, the close probes are where rounding lets them."""


@dataclass(frozen=True)
class Nodes:
    """P points at which a gradient was taken: t and f(z(t)) (P,), F (P, G) in the model's dtype."""

    t: np.ndarray
    value: np.ndarray
    gradient: np.ndarray

    def joined(self, other: "Nodes") -> "Nodes":
        """Return these nodes, then the others."""
        return Nodes(*(np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(Nodes)))


@dataclass(frozen=True)
class Lines:
    """The lines that f follows at both ends of M spans, arrays of shape (M,).

    value, slope  of both lines at their own ends, (M, 2)
    jump, size    ||F(a) - F(b)||_1, and the larger of ||F(a)||_1 and ||F(b)||_1
    noise         rounding of f
    is_one        both lines have the same F
    share         (t* - a) / (b - a), one half where the lines do not meet in the span
    slack         its uncertainty by rounding, at most 1
    """

    a: np.ndarray
    width: np.ndarray
    value: np.ndarray
    slope: np.ndarray
    jump: np.ndarray
    size: np.ndarray
    noise: np.ndarray
    is_one: np.ndarray
    share: np.ndarray
    slack: np.ndarray

    @classmethod
    def of(cls, nodes: Nodes, left: np.ndarray, right: np.ndarray, eps: float, scale: np.ndarray) -> "Lines":
        """Draw the lines at nodes `left` and `right` (M,); `scale` (M,) is the size of f and F on their path."""
        at_left, at_right = (nodes.gradient[end].astype(np.float64) for end in (left, right))
        a, width = nodes.t[left], nodes.t[right] - nodes.t[left]
        value, slope = nodes.value[np.stack([left, right], 1)], np.stack([at_left.sum(1), at_right.sum(1)], 1)
        jump = np.abs(at_left - at_right).sum(1)
        size = np.maximum(np.abs(at_left).sum(1), np.abs(at_right).sum(1))
        noise = VALUE_NOISE * eps * scale
        turn = (slope[:, 0] - slope[:, 1]) * width
        meets = value[:, 1] - value[:, 0] - slope[:, 1] * width
        slack = np.minimum(1, np.divide(noise, np.abs(turn), out=np.ones_like(noise), where=turn != 0))
        share = np.divide(meets, turn, out=np.full_like(noise, np.inf), where=turn != 0)
        share = np.where((share >= -slack) & (share <= 1 + slack), np.clip(share, 0, 1), 0.5)
        return cls(a, width, value, slope, jump, size, noise, jump <= NOISE * eps * size, share, slack)

    @property
    def kink(self) -> np.ndarray:
        """Return t*, (M,)."""
        return self.a + self.share * self.width

    @property
    def gap(self) -> np.ndarray:
        """Return |int sum_g F_g dt - (f(b) - f(a))|, which is 0 where the lines meet."""
        rise = (self.share * self.slope[:, 0] + (1 - self.share) * self.slope[:, 1]) * self.width
        return np.abs(rise - (self.value[:, 1] - self.value[:, 0]))

    def at(self, t: np.ndarray) -> np.ndarray:
        """Return the value of the left line up to the kink, of the right one beyond."""
        into = t - self.a
        before = self.value[:, 0] + into * self.slope[:, 0]
        return np.where(t <= self.kink, before, self.value[:, 1] - (self.width - into) * self.slope[:, 1])

    def probes(self) -> Iterator[np.ndarray]:
        """Give where to look, as shares of the width: well away from t*, then close to it, on either side.

        Where t* is close to an end, rounding hides from the close probes a third line that f follows on its long side
        up to a kink near t*; between that and the probe far away another looks.
        """
        share, one = self.share, self.is_one
        near = np.maximum(CLOSE, 2 * self.slack)
        yield np.where(one, 0.9, np.where(share < 0.95, 0.4 + 0.6 * share, 0.2))
        yield np.where(one, 0.13, np.where(share > 0.05, 0.6 * share, 0.8))
        yield np.where(one, 0.382, np.where(share + near < 1, share + near, 0.5))
        yield np.where(one, 0.71, np.where(share - near > 0, share - near, 0.5))
        yield np.where(one, 0.55, np.where(share > 0.5, 0.8 * share, 0.2 + 0.8 * share))
