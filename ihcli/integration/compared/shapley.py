"""Shapley values and the Shapley interaction index of the game v(S) = f(x on the groups in S, x' elsewhere).

    phi_g    = sum over S without g of      |S|! (G - |S| - 1)! / G!       (v(S + g) - v(S))              Shapley (1953)
    I_gh     = sum over S without g, h of   |S|! (G - |S| - 2)! / (G - 1)! (v(S + g + h) - v(S + g) - v(S + h) + v(S))
    Gamma_gh = I_gh / 2, so that the effect of a pair is I_gh              Grabisch and Roubens (1999)
    Gamma_gg = phi_g - sum_h Gamma_gh, the n-Shapley value of order 2      Bordt and von Luxburg (2023)

Up to 12 groups all subsets are taken. Of more, permutations are drawn until twice the standard error is within the
tolerance, or until all subsets would have cost no more, which are then taken. A permutation gives a marginal
contribution of every group, and with its neighbours exchanged a second difference of every two groups that are
neighbours in it. In a round every two groups are neighbours once: a complete graph of an even number of nodes is made
of G / 2 paths through all of them, and the nodes are drawn anew for each round. A player that does nothing makes an odd
number even. Draws are the same for all rows.
"""

from dataclasses import dataclass
from math import comb

import numpy as np

from ihcli.advance import Tell, unheard, within
from ihcli.derivatives import Along
from ihcli.integration.assembly import ExplainedRows
from ihcli.integration.compared.closing import Estimates, Gates, rounding_of, with_diagonal
from ihcli.integration.compared.draws import ERRORS, Draws
from ihcli.integration.effort import Effort
from ihcli.methods import Method
from ihcli.quality import Status

EXACT_GROUPS, MOST_GROUPS = 12, 20
"""All subsets are taken at once up to the first; up to the second where permutations have cost as much in vain."""
EVALUATIONS = 200_000
"""Of a row over permutations, where `max_evaluations` gives none."""
_VALUES_AT_ONCE = 1 << 20
_FIRST_ROUNDS = 4


def shapley(along: Along, method: Method, effort: Effort, tell: Tell = unheard) -> ExplainedRows:
    """Return Shapley values, and under second order interactions.

    Rows with as many groups of their own are taken together, so that a text's draws are its own.
    Cost: 2^G forwards a row up to 12 groups, else G for each draw, and under second order 2 G.
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
    found = _over_permutations(along, method, effort.tolerance, 2**g if can_all else most, within(tell, 0, 0.5))
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


@dataclass(frozen=True)
class _Round:
    """Orders in which gates open one by one, (K, n) of n players, those of G and more that do nothing.

    sets  (S, G) that are open on the way, all but none and all of them
    """

    orders: np.ndarray
    sets: np.ndarray
    has_pairs: bool

    @classmethod
    def drawn(cls, g: int, number: int, has_pairs: bool) -> "_Round":
        """Return the round of that number: an order, or as many as make every two neighbours once, and their reverses.

        With its reverse an order gives phi without error where f has no more than pairs.
        """
        n = g + g % 2 if has_pairs else g
        nodes = np.random.default_rng(number).permutation(n)
        orders = nodes[_paths_through_all(n)] if has_pairs else nodes[None]
        orders = np.concatenate([orders, orders[:, ::-1]])
        place = np.argsort(orders, axis=1)[:, None, :g]
        opened = place < np.arange(1, n)[:, None]  # (K, n - 1, G): of 1 to n - 1 gates
        sets = [opened]
        if has_pairs:  # with the next one in the place of the last
            last, following = np.arange(n - 1)[:, None], np.arange(1, n)[:, None]
            sets.append((place < last) | (place == following))
        return cls(orders, np.concatenate(sets, axis=1).reshape(-1, g), has_pairs)

    def read(self, values: np.ndarray, start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return phi (R, G) and Gamma (R, G, G) of a draw, given v of the sets (R, S), of none (R,) and of all (R,)."""
        k, n = self.orders.shape
        g, r = self.sets.shape[1], len(values)
        per_order = values.reshape(r, k, -1)
        ends = (np.broadcast_to(value[:, None, None], (r, k, 1)) for value in (start, end))
        first, last = ends
        chain = np.concatenate([first, per_order[:, :, : n - 1], last], axis=2)
        steps = np.diff(chain, axis=2)
        phi = np.zeros((r, n))
        for order, step in zip(self.orders, steps.transpose(1, 0, 2), strict=True):
            phi[:, order] += step / k
        if not self.has_pairs:
            return phi[:, :g], None
        exchanged = per_order[:, :, n - 1 :]
        second = chain[:, :, 2:] - chain[:, :, 1:-1] - exchanged + chain[:, :, :-2]
        pairs = np.zeros((r, n, n))
        pairs[:, self.orders[:, :-1], self.orders[:, 1:]] = second  # the reverse of an order fills the other triangle
        pairs = (pairs + pairs.transpose(0, 2, 1)) / 2
        return phi[:, :g], with_diagonal(pairs[:, :g, :g] / 2, phi[:, :g])


def _paths_through_all(n: int) -> np.ndarray:
    """Return n / 2 orders of an even number of nodes in which every two are neighbours once (Walecki), (n / 2, n)."""
    steps = np.concatenate([[0], np.repeat(np.arange(1, n // 2 + 1), 2)])[:n] * np.where(np.arange(n) % 2, 1, -1)
    return (np.arange(n // 2)[:, None] + steps) % n


def _over_permutations(along: Along, method: Method, tolerance: float, most: int, tell: Tell) -> Estimates:
    """Double the draws of the rows that are not done, as long as they may take as many evaluations."""
    n, g = along.paths.n_rows, along.paths.n_groups
    prediction, start = along.ends()
    phi, pairs = Draws(n, g), Draws(n, g, g) if method.second_order else None
    count, evaluations = np.zeros(n, np.int64), np.zeros(n, np.int64)
    gates, active, number, more = Gates(along), np.arange(n), 0, _FIRST_ROUNDS
    while len(active) and more:
        for _ in range(more):
            drawn = _Round.drawn(g, number, method.second_order)
            found = drawn.read(gates.values(active, drawn.sets), start[active, 0], prediction[active])
            phi.add(active, found[0])
            if pairs is not None and found[1] is not None:
                pairs.add(active, found[1])
            count[active] += 1
            evaluations[active] += len(drawn.sets)
            number += 1
        estimates = _estimates(phi, pairs, count, evaluations, prediction, start)
        active = np.flatnonzero(~estimates.is_within(tolerance))
        more = min(number, (most - number * len(drawn.sets)) // len(drawn.sets))
        tell(1 - len(active) / n)
    return estimates


def _estimates(
    phi: Draws,
    pairs: Draws | None,
    count: np.ndarray,
    evaluations: np.ndarray,
    prediction: np.ndarray,
    start: np.ndarray,
) -> Estimates:
    error = ERRORS * phi.error(count)
    return Estimates(
        attributions=phi.mean(count),
        matrices=None if pairs is None else pairs.mean(count),
        error=error,
        matrix_error=error if pairs is None else ERRORS * pairs.error(count),
        evaluations=evaluations,
        prediction=prediction,
        baseline_prediction=start,
    )
