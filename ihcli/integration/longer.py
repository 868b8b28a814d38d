"""Longer rules on whole paths, of rows of one baseline: which paths take one, and which a short rule proves to miss.

A path may take extensions of its rule, which its nodes are a part of, before it is halved: where coefficients of the
integrand shrink by q from one to the next, n + 1 more nodes are expected to bring an error e to e q^(GAIN (n + 1)).
Where that is within the tolerance they cost n + 1 evaluations, and halves 2n or more. Under second order two of them
come first, near the ends of the path, after which the others are mostly not needed: what misses the tolerance is the
integral against -ln t, of which n nodes make far less than of phi. Whatever is expected, what counts is the error that
is found.

What n nodes do not see they cannot tell, be it a bump between two of them. So rules with fewer nodes than NODES are
held to longer ones on some paths: those that they take for certified must be.
"""

import numpy as np

from ihcli.integration.matrix import MatrixErrors
from ihcli.integration.panels import Panels
from ihcli.integration.quadrature import PanelRule

GAIN = 4.0
"""Measured on 29 trained networks of 2 to 16 groups: 2 to 5 take within 2 % of the fewest evaluations. The coefficients
that q is taken of are the slowest of three pairs."""
TRIED = 50.0
"""Times the tolerance of errors for which two more nodes are tried, whatever is expected."""
OF_MATRIX = 3.0
"""How many times the error of row sums that of the matrix is taken for, before there is one."""
UNSETTLED = 5.0
"""Times the tolerance that a longer rule estimates its error at, where a shorter one was certified too soon: estimates
of one row differ by less."""


def worth_extending(panels: Panels, rule: PanelRule, tolerance: float, second_order: bool) -> np.ndarray:
    """Return which paths miss the tolerance, but are expected not to with all nodes of extensions, (M,) bool.

    They were measured by the rule, or by an extension of it.
    """
    error, noise = _relative_errors(panels, rule)
    if second_order and not panels.matrix.size:
        error = OF_MATRIX * error
    expected = error * panels.decay ** (GAIN * (len(rule.extensions[-1].nodes) - panels.n_nodes))
    if second_order:
        is_tried = (panels.n_nodes == len(rule.nodes)) & (error <= TRIED * tolerance)
        expected = np.where(is_tried, 0.0, expected)
    found: np.ndarray = (error > tolerance) & (np.maximum(expected, noise) <= tolerance)
    return found


def missed(panels: Panels, rule: PanelRule, seen: Panels, longer: PanelRule, tolerance: float) -> np.ndarray:
    """Return which paths a rule takes for certified and a longer one does not, or finds elsewhere, (M,) bool."""
    apart = np.abs(panels.integral - seen.integral).sum(1)
    is_off = apart > tolerance * np.abs(seen.integral).sum(1)
    if seen.matrix.size:
        is_off |= _norms(panels, seen) > tolerance * _norms(seen)
    is_certified = _relative_errors(panels, rule)[0] <= tolerance
    found: np.ndarray = is_certified & (is_off | (_relative_errors(seen, longer)[0] > UNSETTLED * tolerance))
    return found


def _relative_errors(panels: Panels, rule: PanelRule) -> tuple[np.ndarray, np.ndarray]:
    """Return the errors of rows, of their matrices too where these are known, and the rounding parts, both (M,)."""
    with np.errstate(divide="ignore", invalid="ignore"):  # infinite where there is nothing, which no rule mends
        size = np.abs(panels.integral).sum(1)
        error, noise = panels.error / size, panels.noise / size
        if not panels.matrix.size:
            return error, noise
        size, of_matrix = _norms(panels), MatrixErrors.of(panels, rule, panels.norms, 1).panels
        return np.maximum(error, of_matrix.error / size), np.maximum(noise, of_matrix.noise / size)


def _norms(panels: Panels, less: Panels | None = None) -> np.ndarray:
    """Return the L1 norms of the matrices that panels have with them, or of their difference to others, (M,)."""
    matrix, beside = panels.matrix.astype(np.float64), panels.log_integral
    if less is not None:
        matrix, beside = matrix - less.matrix, beside - less.log_integral
    each = np.arange(matrix.shape[1])
    matrix[:, each, each] += beside
    found: np.ndarray = np.abs(matrix).sum((1, 2))
    return found
