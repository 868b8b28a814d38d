"""Shapley values and interaction indices over drawn subsets of gates, each with its complement.

With w as in the definitions, and odd and even halves of v, (v(S) - v(not S)) / 2 and (v(S) + v(not S)) / 2,

    phi_g = sum_S w_g(S) v(S)     depends on the odd half alone, as w_g(not S) = -w_g(S);    I_gh on the even one

Every subset counts for every group and every pair. The smallest sizes are taken whole, with their complements; of the
others subsets are drawn, so that those are likely which count much. A polynomial is fitted to the halves, its values
are known, and what is drawn is only what it leaves of v: the polynomial may be any, the mean is the same. Rounds of
draws know nothing of each other, and of a round that is taken off which was fitted to others, so that the spread of
rounds tells the standard error. Kernel SHAP with paired draws has the polynomial alone, of which no error is known
(Lundberg and Lee 2017, Covert and Lee 2021); that any estimate may be adjusted by a known game is of Witter et al.
(2025). Draws are the same for all rows.
"""

from dataclasses import dataclass, field
from itertools import combinations
from math import comb

import numpy as np

from ihcli.advance import Tell
from ihcli.derivatives import Along
from ihcli.integration.compared.closing import Estimates, Gates, with_diagonal
from ihcli.integration.compared.draws import ERRORS, Draws
from ihcli.integration.compared.polynomials import Polynomial, pieces, richest, signs_of
from ihcli.methods import Method

ROUNDS, FOLDS = 16, 4
MOST_COLUMNS = 1500
"""Of a polynomial: fitting more takes longer than outputs of a small network."""
_DRAWS_PER_COLUMN = 2.0
_FIRST = 12
"""Evaluations for each column of the smallest polynomial that is worth it, before errors are looked at."""
_WHOLE = 1 / 3
"""Share of evaluations that sizes that are taken whole may cost."""
_LEAST_MORE = 1 / 8
"""Of the evaluations so far, for it to be worth going on with what a row may still take."""
_VALUES_HELD = 1 << 24  # 128 MiB


def repay_fitting(g: int, second_order: bool, most: int) -> bool:
    """Return whether subsets of so many evaluations at most say more than permutations would."""
    columns = _least_columns(g, second_order)
    return columns <= MOST_COLUMNS and most >= _FIRST * columns


def _least_columns(g: int, second_order: bool) -> int:
    """Return how many columns the smallest polynomial has that is worth it."""
    return len(Polynomial(g, (0, 2) if second_order else (1,)))


@dataclass
class _Subsets:
    """Subsets of up to half of G gates, each of which stands for its complement as well.

    whole     (W, G) all those of 1 to `border` gates
    drawn     (ROUNDS, M, G) of any others
    expected  (G // 2 + 1,) how many of each size a round was to have
    """

    g: int
    second_order: bool
    border: int = 0
    whole: np.ndarray = field(init=False)
    drawn: np.ndarray = field(init=False)
    expected: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.whole = np.zeros((0, self.g), bool)
        self.drawn = np.zeros((ROUNDS, 0, self.g), bool)
        self.expected = np.zeros(self.g // 2 + 1)

    @property
    def evaluations(self) -> int:
        """Return how many evaluations of v they cost."""
        return 2 * len(self.whole) + 2 * ROUNDS * self.drawn.shape[1]

    def grow(self, evaluations: int) -> tuple[np.ndarray, np.ndarray]:
        """Add subsets for about so many evaluations; return new ones, those taken whole and the drawn."""
        total, before = self.evaluations + evaluations, len(self.whole)
        most = min(_WHOLE * total / 2, before + evaluations / 4)
        while self.border < self.g // 2 - 1 and len(self.whole) + comb(self.g, self.border + 1) <= most:
            self.border += 1
            self.whole = np.concatenate([self.whole, _of_size(self.g, self.border)])
        drawn = self._draw((total - self.evaluations) // (2 * ROUNDS))
        self.drawn = np.concatenate([self.drawn, drawn], axis=1)
        return self.whole[before:], drawn

    def _draw(self, count: int) -> np.ndarray:
        """Draw so many subsets for each round, whose sizes are spread evenly over the likely ones."""
        likely = self._likely()
        self.expected = self.expected + count * likely
        rng = np.random.default_rng((self.g, self.drawn.shape[1]))
        at = (np.arange(count) + rng.random((ROUNDS, 1))) / max(1, count)
        size = np.minimum(np.searchsorted(np.cumsum(likely), at, side="right"), self.g // 2)
        return rng.permuted(np.arange(self.g) < size[..., None], axis=2)

    def _likely(self) -> np.ndarray:
        """Return how likely each size is: as the root of what the squares of its weights come to."""
        size = np.arange(self.g // 2 + 1)
        n, s = self.g, np.maximum(size, 1)
        if self.second_order:
            of_both = np.where(s > 1, 1 / (s * np.maximum(s - 1, 1)), 0)
            found = np.sqrt(of_both + 1 / ((n - s) * (n - s - 1)) + 2 / (s * (n - s)))
        else:
            found = np.sqrt(1 / s + 1 / (n - s))
        found = np.where(size > self.border, found * self._share(size), 0)
        likely: np.ndarray = found / found.sum()
        return likely

    def _share(self, size: np.ndarray) -> np.ndarray:
        """Return 1, and of half of the gates 1/2, as the complement is of that size too."""
        return np.where(2 * size == self.g, 0.5, 1.0)

    def stands_for(self) -> tuple[np.ndarray, np.ndarray]:
        """Return which share of its size a subset stands for, of those taken whole (W,) and drawn (ROUNDS, M)."""
        whole, drawn = self.whole.sum(1), self.drawn.sum(2)
        all_of = np.array([comb(self.g, size) for size in range(self.g // 2 + 1)], np.float64)
        is_drawn = (np.arange(len(all_of)) > self.border) & (self.expected > 0)
        each = np.divide(self._share(np.arange(len(all_of))), self.expected, out=np.zeros_like(all_of), where=is_drawn)
        return 1 / all_of[whole], each[drawn]


def _of_size(g: int, size: int) -> np.ndarray:
    places = np.array(list(combinations(range(g), size)))
    sets = np.zeros((len(places), g), bool)
    np.put_along_axis(sets, places, True, axis=1)
    return sets


@dataclass
class _Half:
    """The odd or the even half of v of R rows: at all gates (R,), and at subsets taken whole and drawn."""

    is_odd: bool
    at_all: np.ndarray
    whole: np.ndarray
    drawn: np.ndarray

    @classmethod
    def of(cls, is_odd: bool, end: np.ndarray, start: np.ndarray) -> "_Half":
        rows = len(end)
        return cls(is_odd, _half(is_odd, end, start), np.zeros((rows, 0)), np.zeros((rows, ROUNDS, 0)))

    def add(self, values: tuple[np.ndarray, np.ndarray], count: int) -> None:
        """Add v of subsets and of their complements (R, S); the first of them, so many, are taken whole."""
        found = _half(self.is_odd, *values)
        drawn = found[:, count:].reshape(len(found), ROUNDS, -1)
        self.whole = np.concatenate([self.whole, found[:, :count]], axis=1)
        self.drawn = np.concatenate([self.drawn, drawn], axis=2)

    def of_rows(self, rows: np.ndarray) -> "_Half":
        """Return that of some of the rows."""
        return _Half(self.is_odd, self.at_all[rows], self.whole[rows], self.drawn[rows])

    def estimates(self, subsets: _Subsets) -> list[np.ndarray]:
        """Return what each round gives: Shapley values (R, G) of the odd half, indices (R, G, G) of the even one."""
        g, n_drawn = subsets.g, ROUNDS * subsets.drawn.shape[1]
        fitted_to = n_drawn * (1 - 1 / FOLDS) / _DRAWS_PER_COLUMN
        polynomial = richest(g, self.is_odd, min(MOST_COLUMNS, fitted_to))
        folds = [np.arange(fold, ROUNDS, FOLDS) for fold in range(FOLDS)]
        rows = len(self.at_all)
        parts = [(subsets.drawn[fold].reshape(-1, g), self.drawn[:, fold].reshape(rows, -1)) for fold in folds]
        of_whole, of_drawn = subsets.stands_for()
        found: dict[int, np.ndarray] = {}
        for fold, fitted in zip(folds, polynomial.fitted(parts), strict=True):
            base = polynomial.values(fitted) if self.is_odd else polynomial.indices(fitted)
            everything = self.at_all - (polynomial.columns(np.ones((1, g))) @ fitted)[0]
            ends = 2 * everything / (g if self.is_odd else g - 1)
            base = base + ends.reshape(-1, *[1] * (base.ndim - 1))
            base = base + self._left(polynomial, fitted, subsets.whole, self.whole, of_whole)
            for number in fold:
                left = self._left(polynomial, fitted, subsets.drawn[number], self.drawn[:, number], of_drawn[number])
                found[int(number)] = base + left
        if not self.is_odd:  # groups with themselves
            for indices in found.values():
                indices[:, np.arange(g), np.arange(g)] = 0
        return [found[number] for number in range(ROUNDS)]

    def _left(
        self, polynomial: Polynomial, fitted: np.ndarray, sets: np.ndarray, values: np.ndarray, stands_for: np.ndarray
    ) -> np.ndarray:
        """Return what of values at subsets (R, S) a polynomial leaves comes to, weighed."""
        g = polynomial.g
        found = np.zeros((len(values), g) if self.is_odd else (len(values), g, g))
        for some in pieces(len(sets)):
            signs = signs_of(sets[some])
            left = values[:, some] - (polynomial.columns(signs) @ fitted).T
            weighed = 2 * left * stands_for[some]
            size = sets[some].sum(1)
            found += _values(weighed, signs, size) if self.is_odd else _indices(weighed, signs, size)
        return found


def _half(is_odd: bool, values: np.ndarray, of_complement: np.ndarray) -> np.ndarray:
    found: np.ndarray = (values - of_complement) / 2 if is_odd else (values + of_complement) / 2
    return found


def _values(weighed: np.ndarray, signs: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return sums (R, G) of values (R, S), times 1 / |S| for a group in S and -1 / (G - |S|) for others."""
    inside, outside = 1 / size, -1 / (signs.shape[1] - size)
    found: np.ndarray = (weighed * (inside - outside) / 2) @ signs + (weighed @ (inside + outside))[:, None] / 2
    return found


def _indices(weighed: np.ndarray, signs: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return sums (R, G, G) of values (R, S), times what two groups count for: both in S, one, or none."""
    g = signs.shape[1]
    both = np.where(size > 1, g / (size * np.maximum(size - 1, 1)), 0)
    one, none = -g / (size * (g - size)), g / ((g - size) * (g - size - 1))
    alone = (weighed * (both - none)) @ signs / 4
    found = (weighed @ (both + none + 2 * one))[:, None, None] / 4 + alone[:, :, None] + alone[:, None, :]
    for row, values in enumerate(weighed * (both + none - 2 * one) / 4):
        found[row] += (signs.T * values) @ signs
    return found


def over_subsets(along: Along, method: Method, tolerance: float, most: int, tell: Tell) -> Estimates:
    """Return what was found once twice the standard errors are within the tolerance, or a row took `most` evaluations.

    The evaluations of the rows that are not done are doubled. Cost: a forward for each subset and its complement.

    Parameters:
        most: as in `repay_fitting`.
    """
    n, parts = along.paths.n_rows, []
    at_once = max(1, _VALUES_HELD // most)
    for first in range(0, n, at_once):
        rows = np.arange(first, min(first + at_once, n))
        parts.append((rows, _of_rows(along, method, tolerance, most, rows)))
        tell((rows[-1] + 1) / n)
    return Estimates.joined(parts, along.paths.n_groups)


def _of_rows(along: Along, method: Method, tolerance: float, most: int, rows: np.ndarray) -> Estimates:
    g, gates = along.paths.n_groups, Gates(along)
    prediction, start = (ends[rows] for ends in along.ends())
    subsets = _Subsets(g, method.second_order)
    halves = [
        _Half.of(is_odd, prediction, start[:, 0]) for is_odd in ([True, False] if method.second_order else [True])
    ]
    active, more = np.arange(len(rows)), _FIRST * _least_columns(g, method.second_order)
    found: Estimates | None = None
    while found is None or (len(active) and more >= max(2 * ROUNDS, subsets.evaluations * _LEAST_MORE)):
        whole, drawn = subsets.grow(more)
        sets = np.concatenate([whole, drawn.reshape(-1, g)])
        values = gates.values(rows[active], np.concatenate([sets, ~sets]))
        values = np.where(np.isfinite(values), values, np.nan)
        for half in halves:
            half.add((values[:, : len(sets)], values[:, len(sets) :]), len(whole))
        taken = np.full(len(active), 2 * len(sets))
        estimates = _estimates(halves, subsets, taken, prediction[active], start[active])
        found = estimates if found is None else found.replaced(active, estimates)
        is_left = ~estimates.is_within(tolerance)
        active, halves = active[is_left], [half.of_rows(np.flatnonzero(is_left)) for half in halves]
        more = min(subsets.evaluations, most - subsets.evaluations)
    return found


def _estimates(
    halves: list[_Half], subsets: _Subsets, evaluations: np.ndarray, prediction: np.ndarray, start: np.ndarray
) -> Estimates:
    rows, g = np.arange(len(prediction)), subsets.g
    count = np.full(len(rows), ROUNDS)
    phi, pairs = Draws(len(rows), g), Draws(len(rows), g, g)
    values, *indices = [half.estimates(subsets) for half in halves]
    for number, drawn in enumerate(values):
        phi.add(rows, drawn)
        if indices:
            pairs.add(rows, with_diagonal(indices[0][number] / 2, drawn))
    error = ERRORS * phi.error(count)
    return Estimates(
        attributions=phi.mean(count),
        matrices=pairs.mean(count) if indices else None,
        error=error,
        matrix_error=ERRORS * pairs.error(count) if indices else error,
        evaluations=evaluations,
        prediction=prediction,
        baseline_prediction=start,
    )
