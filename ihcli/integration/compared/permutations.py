"""Shapley values and interaction indices over orders in which gates open one by one, drawn until they are exact enough.

An order gives a marginal contribution of every group, and with its neighbours exchanged a second difference of every
two groups that are neighbours in it. In a round every two groups are neighbours once: a complete graph of an even
number of nodes is made of G / 2 paths through all of them, and the nodes are drawn anew for each round. A player that
does nothing makes an odd number even. Draws are the same for all rows.
"""

from dataclasses import dataclass

import numpy as np

from ihcli.advance import Tell
from ihcli.derivatives import Along
from ihcli.integration.compared.closing import Estimates, Gates, with_diagonal
from ihcli.integration.compared.draws import ERRORS, Draws
from ihcli.methods import Method

_FIRST_ROUNDS, _LEAST_ROUNDS = 4, 2


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


def over_permutations(along: Along, method: Method, tolerance: float, most: int, tell: Tell) -> Estimates:
    """Return what was found once twice the standard errors are within the tolerance, or a row took `most` evaluations.

    The draws of the rows that are not done are doubled. Cost: G forwards for each order, and under second order 2 G.
    """
    n, g = along.paths.n_rows, along.paths.n_groups
    prediction, start = along.ends()
    phi, pairs = Draws(n, g), Draws(n, g, g) if method.second_order else None
    count, evaluations = np.zeros(n, np.int64), np.zeros(n, np.int64)
    gates, active, number = Gates(along), np.arange(n), 0
    more = max(_LEAST_ROUNDS, min(_FIRST_ROUNDS, most // len(_Round.drawn(g, 0, method.second_order).sets)))
    while len(active) and more > 0:
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
