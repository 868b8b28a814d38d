"""Shapley values and the Shapley interaction index of the game v(S) = f(x on the groups in S, x' elsewhere).

    phi_g    = sum over S without g of      |S|! (G - |S| - 1)! / G!       (v(S + g) - v(S))              Shapley (1953)
    I_gh     = sum over S without g, h of   |S|! (G - |S| - 2)! / (G - 1)! (v(S + g + h) - v(S + g) - v(S + h) + v(S))
    Gamma_gh = I_gh / 2, so that the effect of a pair is I_gh              Grabisch and Roubens (1999)
    Gamma_gg = phi_g - sum_h Gamma_gh, the n-Shapley value of order 2      Bordt and von Luxburg (2023)

Up to 12 groups all subsets are taken. Of more they are drawn until twice the standard error is within the tolerance, or
until all subsets would have cost no more, which are then taken: subsets with their complements, see
`ihcli.integration.compared.subsets`, and permutations of so many groups, or so few evaluations, that nothing can be
fitted.
"""

from math import comb

import numpy as np

from ihcli.advance import Tell, unheard, within
from ihcli.derivatives import Along
from ihcli.integration.assembly import ExplainedRows
from ihcli.integration.compared.closing import Estimates, Gates, rounding_of, with_diagonal
from ihcli.integration.compared.permutations import over_permutations
from ihcli.integration.compared.subsets import over_subsets, repay_fitting
from ihcli.integration.effort import Effort
from ihcli.methods import Method
from ihcli.quality import Status

EXACT_GROUPS, MOST_GROUPS = 12, 20
"""All subsets are taken at once up to the first; up to the second where drawing them has cost as much in vain."""
EVALUATIONS = 200_000
"""Of a row over draws, where `max_evaluations` gives none."""
_VALUES_AT_ONCE = 1 << 20


def shapley(along: Along, method: Method, effort: Effort, tell: Tell = unheard) -> ExplainedRows:
    """Return Shapley values, and under second order interactions.

    Rows with as many groups of their own are taken together, so that a text's draws are its own.
    Cost: 2^G forwards a row up to 12 groups, else as many as it takes to meet the tolerance.
    """
    paths, parts = along.paths, []
    own = paths.own_groups
    kinds = np.unique(own).tolist()
    missed = np.full(paths.n_rows, "", object)
    for number, g in enumerate(kinds):
        rows = np.flatnonzero(own == g)
        alike = along if kinds == [paths.n_groups] else Along(along.engine, paths.of_rows(rows, g))
        told = within(tell, number / len(kinds), (number + 1) / len(kinds))
        found, missed[rows] = _of_as_many_groups(alike, method, effort, told)
        parts.append((rows, found))
    return Estimates.joined(parts, paths.n_groups).explained(along, effort.tolerance, missed)


def _of_as_many_groups(along: Along, method: Method, effort: Effort, tell: Tell) -> tuple[Estimates, str]:
    """Return what was found of rows that have G groups each, and how those end that miss the tolerance."""
    g, rows = along.paths.n_groups, np.arange(along.paths.n_rows)
    most = EVALUATIONS if effort.max_evaluations is None else effort.max_evaluations
    if g <= EXACT_GROUPS and 2**g <= most:
        return _of_all_subsets(along, method, rows, tell), Status.ROUNDING.value
    can_all = g <= MOST_GROUPS and 2 ** (g + 1) <= most
    drawing = over_subsets if repay_fitting(g, method.second_order, most) else over_permutations
    found = drawing(along, method, effort.tolerance, 2**g if can_all else most, within(tell, 0, 0.5))
    rows = rows[~found.is_within(effort.tolerance)]
    if can_all and len(rows):
        found = found.replaced(rows, _of_all_subsets(along, method, rows, within(tell, 0.5, 1)))
    return found, Status.NOT_CONVERGED.value


def _of_all_subsets(along: Along, method: Method, rows: np.ndarray, tell: Tell) -> Estimates:
    n, g = len(rows), along.paths.n_groups
    prediction, start = (ends[rows] for ends in along.ends())
    sets = (np.arange(2**g)[:, None] >> np.arange(g)) & 1 == 1
    phi, pairs, rounding = np.zeros((n, g)), np.zeros((n, g, g)) if method.second_order else None, np.zeros(n)
    at_once = max(1, _VALUES_AT_ONCE >> g)
    for first in range(0, n, at_once):
        some = np.arange(first, min(first + at_once, n))
        values = Gates(along).values(rows[some], sets)
        phi[some] = _values_of(values, g)
        rounding[some] = rounding_of(along, values)
        if pairs is not None:
            pairs[some] = with_diagonal(_indices_of(values, g) / 2, phi[some])
        tell((some[-1] + 1) / n)
    return Estimates(
        attributions=phi,
        matrices=pairs,
        error=2 * g * rounding,
        matrix_error=2 * g * (2 * g - 1) * rounding,
        evaluations=np.full(n, 2**g),
        prediction=prediction,
        baseline_prediction=start,
    )


def _values_of(values: np.ndarray, g: int) -> np.ndarray:
    """Return Shapley values (N, G), given v of all subsets, (N, 2^G), the bits of whose numbers say what is open."""
    sets, size = np.arange(2**g), _sizes(g)
    weights = np.array([1 / (g * comb(g - 1, k)) for k in range(g)])
    found = np.empty((len(values), g))
    for i in range(g):
        without = sets[sets >> i & 1 == 0]
        found[:, i] = (values[:, without | 1 << i] - values[:, without]) @ weights[size[without]]
    return found


def _indices_of(values: np.ndarray, g: int) -> np.ndarray:
    """Return the interaction index of all pairs (N, G, G), 0 on the diagonal."""
    sets, size = np.arange(2**g), _sizes(g)
    weights = np.array([1 / ((g - 1) * comb(g - 2, k)) for k in range(g - 1)])
    found = np.zeros((len(values), g, g))
    for i in range(g):
        for j in range(i):
            without = sets[(sets >> i | sets >> j) & 1 == 0]
            with_i, with_j = without | 1 << i, without | 1 << j
            difference = values[:, with_i | with_j] - values[:, with_i] - values[:, with_j] + values[:, without]
            found[:, i, j] = found[:, j, i] = difference @ weights[size[without]]
    return found


def _sizes(g: int) -> np.ndarray:
    sizes: np.ndarray = ((np.arange(2**g)[:, None] >> np.arange(g)) & 1).sum(1)
    return sizes
