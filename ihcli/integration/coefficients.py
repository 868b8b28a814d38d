"""Legendre coefficients of what is seen on panels: how fast they shrink, and what that says of an error."""

import numpy as np

from ihcli.integration.quadrature import PanelRule

DECAY_POWER = 1.75
"""How far the decay of coefficients is trusted, by rules of 7 nodes and more: as this power."""


def embedded_difference(rule: PanelRule, gradient: np.ndarray, resolved: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Return the differences (M, 2, G) to the embedded rule and to its symmetric kin, times rho^p.

    rho, `resolved`, compares the last two Legendre coefficients with the smaller of the two pairs before them: near 1
    at a kink, small where F is resolved and the rule itself is far better than its embedded one. A few nodes tell less
    of it: p is DECAY_POWER, or less.
    """
    seen = np.stack([rule.embedded_difference, rule.other_parity_difference]) @ gradient
    factor = width / 2 * resolved ** _power(len(rule.nodes))
    found: np.ndarray = seen * factor[:, None, None]
    return found


def last_coefficients(rule: PanelRule, values: np.ndarray) -> np.ndarray:
    """Return the last Legendre coefficients of values (M, n, G), up to six of them, (M, 6, G)."""
    found: np.ndarray = rule.coefficients[-6:] @ values
    return found


def decay(coefficients: np.ndarray) -> np.ndarray:
    """Return how the last pair of six coefficients (M, 6, G) compares with the smaller before it, at most 1, (M,).

    Of five or four there is one pair before it; of fewer nothing is known: 1.
    """
    size = np.abs(coefficients).sum(2)
    if size.shape[1] < 4:
        return np.ones(len(size))
    size = size[:, size.shape[1] % 2 :]
    pairs = np.hypot(size[:, 0::2], size[:, 1::2])
    before = pairs[:, :-1].min(1)
    return np.minimum(1, np.divide(pairs[:, -1], before, out=np.ones_like(before), where=before > 0))


def _power(n: int) -> float:
    """Return the power of n nodes: 1 of up to 5, whose decay may be chance, and 1.5 of 6."""
    return min(DECAY_POWER, max(1.0, (n - 3) / 2))
