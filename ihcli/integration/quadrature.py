"""Panels: Gauss-Legendre nodes on intervals of the path, with the three weight vectors that all methods share.

A panel is an interval [a, b] of the path parameter t. On its n nodes we integrate against two densities:

    density 1       int_a^b F dt            Gauss-Legendre weights, exact up to degree 2n - 1
    density -ln t   int_a^b (-ln t) F dt    product integration, exact up to degree n - 1

and, with the second applied to t * H, against -t ln t. -ln t is the density of a product of two uniforms on [0, 1],
which turns the double integral over alpha and beta of Janizek et al. (2021) into one over t = alpha * beta.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.polynomial import legendre

_LOG_NODES = 40
"""Nodes for moments of -ln t where 0 < a: the singularity is at least a panel's width away, which bounds the error
of this rule by about (3 + sqrt 8)^-80 (Trefethen 2013, Approximation Theory and Approximation Practice, thm 19.3)."""

TAIL = 16
"""Degrees beyond those that the rule resolves, of which it is known what it makes of them."""
MOST_EXTENDED = 64
"""Nodes of a rule that has an extension: of some more its table is not exact, and nobody extends such a rule."""
OTHER_PARITY_SHARE = 0.6
"""How much of the coefficient before the last is taken for an error: all of it costs eg a tenth more evaluations."""


@dataclass(frozen=True)
class PanelNodes:
    """Nodes and weights of M panels: each (M, n), float64.

    t            nodes, ascending within a panel; those that an extension adds come after them: two, then the others
    weights      for the density 1
    log_weights  for the density -ln t; multiply by t for -t ln t
    """

    t: np.ndarray
    weights: np.ndarray
    log_weights: np.ndarray


@dataclass(frozen=True)
class PanelRule:
    """The n-node rule on the reference panel [-1, 1]; it checks itself when built.

    nodes, weights       Gauss-Legendre, (n,)
    embedded_difference  (n,): `weights` minus the interpolatory rule on all nodes but a middle one; it vanishes on
                         polynomials of degree below n - 1, so what it gives is how much the last node mattered
    other_parity_difference  (n,): the same for the Legendre coefficient before the last, times OTHER_PARITY_SHARE; of
                         even n, it sees what is symmetric about the panel's middle, where the last coefficient is 0
    coefficients         (n, n): row j gives the Legendre coefficient of degree j of the interpolant
    degree               up to which `weights` are exact
    extensions           rules of n + 2 and of 2n + 1 nodes that begin with these; none: this is one itself, or of many
                         nodes. Those of n + 2 are for -ln t alone: the density 1 has no better rule of them
    """

    nodes: np.ndarray
    weights: np.ndarray
    degree: int
    extensions: tuple["PanelRule", ...]
    embedded_difference: np.ndarray
    other_parity_difference: np.ndarray
    coefficients: np.ndarray
    _log_at_zero: np.ndarray
    _log_inside: np.ndarray
    _beyond_at_nodes: np.ndarray
    _beyond_at_zero: np.ndarray
    _beyond_inside: np.ndarray

    def __post_init__(self) -> None:
        """Raise ValueError when a table does not integrate what it must."""
        for a, b in ((0.0, 1.0), (0.0, 0.125), (0.5, 1.0), (0.625, 0.75)):
            panel = self.on(np.array([a]), np.array([b]))
            for degree in range(self.degree + 1):
                _check(panel.weights[0] @ panel.t[0] ** degree, _power_integral(degree, a, b), b)
            for degree in range(len(self.nodes)):
                _check(panel.log_weights[0] @ panel.t[0] ** degree, _log_power_integral(degree, a, b), b)

    def on(self, a: np.ndarray, b: np.ndarray) -> PanelNodes:
        """Place the rule on M panels [a, b], each (M,), with a = 0 or b <= 2a as bisection makes them.

        Raises ValueError for a panel too close to 0 for its width, where -ln t is not resolved.
        """
        if np.any((a > 0) & (b > 2 * a * (1 + 1e-12))):
            raise ValueError("a panel must start at 0 or at its own width from 0 at least")
        half = (b - a)[:, None] / 2
        middle = (a + b)[:, None] / 2
        log_weights = -np.log(b)[:, None] * self.weights + self._log_at_zero
        inside = a > 0
        log_weights[inside] = self._logarithms(a[inside], b[inside]) @ self._log_inside
        return PanelNodes(t=middle + half * self.nodes, weights=half * self.weights, log_weights=half * log_weights)

    @property
    def last_pairs(self) -> np.ndarray:
        """Return the weights, (2, n), of sums of two Legendre coefficients, one odd, one even: the last, those before.

        A rule of three nodes has no pair before the last: zeros.
        """
        before = self.coefficients[-4:-2].sum(0) if len(self.nodes) > 3 else np.zeros(3)
        return np.stack([self.coefficients[-2:].sum(0), before])

    def leaks(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return what the rule against -ln t gets wrong of the Legendre polynomials of degrees n to n + TAIL - 1.

        (M, TAIL), on M panels as in `on`: the moment of each less what the rule makes of it.
        """
        moments = np.tile(self._beyond_at_zero, (len(a), 1))
        inside = a > 0
        moments[inside] = self._logarithms(a[inside], b[inside]) @ self._beyond_inside
        return (b - a)[:, None] / 2 * moments - self.on(a, b).log_weights @ self._beyond_at_nodes

    @staticmethod
    def _logarithms(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return -ln t at the nodes of `_log_rule` on panels (M,)."""
        log_nodes, _ = _log_rule()
        return -np.log((a + b)[:, None] / 2 + (b - a)[:, None] / 2 * log_nodes)


@cache
def panel_rule(n: int) -> PanelRule:
    """Return the n-node rule, built once.

    Raises ValueError for n < 3, which leaves nothing to estimate errors from.
    """
    if n < 3:
        raise ValueError("a panel needs at least 3 nodes")
    nodes, weights = legendre.leggauss(n)
    return _rule_of(nodes, weights, 2 * n - 1, _extensions(nodes, weights) if n <= MOST_EXTENDED else ())


def _extensions(nodes: np.ndarray, weights: np.ndarray) -> tuple[PanelRule, ...]:
    """Return the rules that these nodes of Gauss and Legendre begin: with the outermost of Kronrod's, and with all.

    The outermost two are where -ln t is steep: what is wrong of degrees beyond is less than of n + 2 nodes of Gauss
    and Legendre, where coefficients shrink by 0.3, and Lebesgue's constant is about 3.
    """
    n, (first, *inner, last) = len(nodes), _kronrod_nodes(len(nodes))
    some = np.concatenate([nodes, [first, last]])
    every = np.concatenate([some, inner])
    kronrod = 2 * np.linalg.inv(legendre.legvander(every, 2 * n))[0]
    pair = _rule_of(some, np.concatenate([weights, [0.0, 0.0]]), 2 * n - 1, ())
    return pair, _rule_of(every, kronrod, 3 * n + 1, ())


def _kronrod_nodes(n: int) -> np.ndarray:
    """Return the zeros of the polynomial E of degree n + 1 with int P_n E P_j = 0 for j up to n (Stieltjes)."""
    nodes, weights = legendre.leggauss(2 * n + 2)
    polynomials = legendre.legvander(nodes, n + 1)
    against = (weights * polynomials[:, n])[:, None] * polynomials[:, : n + 1]
    moments = against.T @ polynomials  # (n + 1, n + 2)
    like = slice((n + 1) % 2, n + 1, 2)  # E is even or odd, as its degree
    series = np.zeros(n + 2)
    series[-1] = 1
    series[like] = np.linalg.lstsq(moments[:, like], -moments[:, -1], rcond=None)[0]
    zeros = np.sort(legendre.legroots(series).real)
    return (zeros - zeros[::-1]) / 2


def _rule_of(nodes: np.ndarray, weights: np.ndarray, degree: int, extensions: tuple[PanelRule, ...]) -> PanelRule:
    n, middle = len(nodes), np.argsort(nodes)[len(nodes) // 2]
    to_coefficients = np.linalg.inv(legendre.legvander(nodes, n - 1)).T  # (n nodes, n degrees)
    log_nodes, log_weights = _log_rule()
    inside = log_weights[:, None] * legendre.legvander(log_nodes, n - 1 + TAIL)
    return PanelRule(
        nodes=nodes,
        weights=weights,
        degree=degree,
        extensions=extensions,
        embedded_difference=_null_rule(to_coefficients, weights, n - 1, middle),
        other_parity_difference=OTHER_PARITY_SHARE * _null_rule(to_coefficients, weights, n - 2, middle),
        coefficients=to_coefficients.T,
        _log_at_zero=to_coefficients @ _log_moments(n),
        _log_inside=inside[:, :n] @ to_coefficients.T,
        _beyond_at_nodes=legendre.legvander(nodes, n - 1 + TAIL)[:, n:],
        _beyond_at_zero=_log_moments(n + TAIL)[n:],
        _beyond_inside=inside[:, n:],
    )


@cache
def _log_rule() -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = legendre.leggauss(_LOG_NODES)
    return nodes, weights


def _null_rule(to_coefficients: np.ndarray, weights: np.ndarray, degree: int, middle: int) -> np.ndarray:
    """Return the rule for the Legendre coefficient of that degree, as large as the last must be to remove a node.

    The last coefficient is the one null rule of degree n - 2; so scaled, it takes the middle weight away.
    """
    return to_coefficients[:, degree] * (weights[middle] / to_coefficients[middle, -1])


def _log_moments(n: int) -> np.ndarray:
    """Integrals of P_j(s) * -ln((1 + s)/2) over [-1, 1], j < n: 2 for j = 0, else 2 (-1)^j / (j (j + 1))."""
    j = np.arange(1, n)
    return np.concatenate([[2.0], 2.0 * (-1.0) ** j / (j * (j + 1))])


def _power_integral(degree: int, a: float, b: float) -> float:
    return (b ** (degree + 1) - a ** (degree + 1)) / (degree + 1)


def _log_power_integral(degree: int, a: float, b: float) -> float:
    def antiderivative(t: float) -> float:
        return 0.0 if t == 0 else t ** (degree + 1) * (1 / (degree + 1) - np.log(t)) / (degree + 1)

    return antiderivative(b) - antiderivative(a)


def _check(got: float, expected: float, b: float) -> None:
    if abs(got - expected) > 1e-12 * (1 - np.log(b)):
        raise ValueError(f"quadrature table is off: {got!r} where {expected!r} is exact")
