"""What captum makes of outputs with gates closed, or of gradients near a record: at points that it chooses or draws.

captum's random numbers begin with the same seed for every row. Where it takes means of draws they are doubled until
twice the standard error is within the tolerance.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from ihcli.advance import Tell, unheard
from ihcli.derivatives import Along
from ihcli.derivatives.paths import Paths
from ihcli.derivatives.transfers import Coming, download
from ihcli.integration.assembly import ExplainedRows
from ihcli.integration.compared.asking import alone, captum
from ihcli.integration.compared.closing import Estimates, Gates, values_at
from ihcli.integration.compared.draws import ERRORS, Draws
from ihcli.integration.compared.points import Directions
from ihcli.integration.effort import Effort
from ihcli.methods import Method
from ihcli.quality import Status

EVALUATIONS = 20_000
"""Of a row over draws, where `max_evaluations` gives none."""
SAMPLES, SAMPLES_PER_GROUP = 200, 10
"""That a linear model of a row is fitted to, where `max_evaluations` gives none."""
NOISE = 0.15
"""Standard deviation of noise, as a share of |x - x'| of each input."""
NOISY_POINTS, FIRST_NOISES, FIRST_ORDERS = 32, 8, 16
_NUMBERS_AT_ONCE = 1 << 21
_POINTS_AT_ONCE = 512


class _Game:
    """v(S) of some rows as captum asks for it: all rows with one set, then all with the next.

    largest  |v| of each row so far
    """

    def __init__(self, along: Along, rows: np.ndarray) -> None:
        self._gates, self._rows = Gates(along), rows
        self.largest = np.zeros(len(rows))

    @property
    def n_rows(self) -> int:
        return len(self._rows)

    def __call__(self, is_open: Tensor) -> Tensor:
        sets = np.zeros((len(is_open), self._gates.along.paths.n_groups), bool)
        sets[:, : is_open.shape[1]] = is_open.numpy() > 0.5
        values = self._gates.each(np.tile(self._rows, len(sets) // len(self._rows)), sets)
        np.maximum(self.largest, np.abs(values).reshape(-1, len(self._rows)).max(0), out=self.largest)
        return torch.from_numpy(values)

    def ends(self, g: int) -> tuple[Tensor, Tensor]:
        """Return all gates open, and all closed, for each row, (R, g)."""
        return torch.ones(len(self._rows), g), torch.zeros(len(self._rows), g)


def sampled(along: Along, method: Method, effort: Effort, tell: Tell = unheard) -> ExplainedRows:
    """Return means of marginal contributions over orders that are drawn. Cost: G + 1 forwards for each order."""
    estimates = _Rows(along)
    for some, g in _alike(along.paths, lambda g: g * g):
        game = _Game(along, some)
        most = effort.max_evaluations or EVALUATIONS

        def drawn(
            active: np.ndarray, orders: int, some: np.ndarray = some, g: int = g, game: _Game = game
        ) -> Iterator[_Drawn]:
            at_once = max(1, _NUMBERS_AT_ONCE // (g * g * len(active)))
            for first in range(0, orders, at_once):
                n = min(at_once, orders - first)
                now = _Game(along, np.tile(some[active], n))
                found = _contributions(now, [torch.randperm(g) for _ in range(n)])
                largest = now.largest.reshape(n, -1).max(0)
                game.largest[active] = np.maximum(game.largest[active], largest)
                for values in found.reshape(n, len(active), g):
                    yield values, values**2

        with alone():
            phi, error, draws = _refined(drawn, (len(some), g), effort.tolerance, 1, g + 1, FIRST_ORDERS, most)
        in_float32 = float(torch.finfo(torch.float32).eps) * game.largest  # that captum sums up in
        estimates.put(some, phi, error + 2 * g * (along.value_rounding(game.largest) + in_float32), draws * (g + 1))
        tell(estimates.share)
    return estimates.explained(effort.tolerance, Status.NOT_CONVERGED)


def _contributions(game: _Game, orders: list[Tensor]) -> np.ndarray:
    """Return marginal contributions, (R, G): of the rows of a game, as many in turn to each order.

    captum draws one order for all rows of a call, and asks for them again for the next: a call an order, which took
    longer than the model did. Here every row has a mask of its own, by which the first feature is that of its order.
    """
    g = len(orders[0])
    masks = torch.stack([torch.argsort(order) for order in orders]).repeat_interleave(game.n_rows // len(orders), 0)
    sampling = captum().ShapleyValueSampling(game)
    sampling.permutation_generator = lambda n_features, _: [range(n_features)]
    at_once = max(1, min(g, _NUMBERS_AT_ONCE // (g * game.n_rows)))
    found = sampling.attribute(*game.ends(g), feature_mask=masks, n_samples=1, perturbations_per_eval=at_once)
    values: np.ndarray = found.double().numpy()
    return values


def ablated(along: Along, method: Method, effort: Effort, tell: Tell = unheard) -> ExplainedRows:
    """Return what closing each gate does. Cost: G + 1 forwards a row."""
    estimates = _Rows(along)
    for some, g in _alike(along.paths, lambda g: g):
        game = _Game(along, some)
        at_once = max(1, min(g, _NUMBERS_AT_ONCE // (g * len(some))))
        with alone():
            found = captum().FeatureAblation(game).attribute(*game.ends(g), perturbations_per_eval=at_once)
        error = 2 * g * along.value_rounding(game.largest)
        estimates.put(some, found.double().numpy(), error, np.full(len(some), g + 1))
        tell(estimates.share)
    return estimates.explained(effort.tolerance, Status.ROUNDING)


def smoothed(along: Along, method: Method, effort: Effort, tell: Tell = unheard) -> ExplainedRows:
    """Return mean gradients at x + NOISE |x - x'| * noise, summed over groups. Cost: a gradient for each draw."""
    estimates, attr = _Rows(along), captum()
    d = along.paths.inputs.shape[1]
    most = effort.max_evaluations or EVALUATIONS
    for some, g in _alike(along.paths, lambda g: NOISY_POINTS * d):

        def drawn(active: np.ndarray, calls: int, some: np.ndarray = some, g: int = g) -> Iterator[_Drawn]:
            for _ in range(calls):
                yield noisy(some[active], g)

        def noisy(rows: np.ndarray, g: int) -> _Drawn:
            kept: list[np.ndarray] = []

            def slopes(forward: object, noise: tuple[Tensor, ...], *rest: object) -> tuple[Tensor]:
                kept.append(_slopes(along, rows, noise[0].detach())[:, :, :g])
                return (torch.from_numpy(kept[-1]),)

            saliency = attr.Saliency(unheard)
            saliency.gradient_func = slopes
            found = attr.NoiseTunnel(saliency).attribute(
                torch.zeros(1, d, dtype=along.paths.inputs.dtype), nt_samples=NOISY_POINTS, stdevs=NOISE, abs=False
            )
            return found[0].numpy() * NOISY_POINTS, (kept[0] ** 2).sum(0)

        with alone():
            phi, error, draws = _refined(
                drawn, (len(some), g), effort.tolerance, NOISY_POINTS, NOISY_POINTS, FIRST_NOISES, most
            )
        estimates.put(some, phi, error, draws)
        tell(estimates.share)
    return estimates.explained(effort.tolerance, Status.NOT_CONVERGED)


def _slopes(along: Along, rows: np.ndarray, noise: Tensor) -> np.ndarray:
    """Return gradients of rows (R,) at draws of noise (n, D), summed over groups, (n, R, G) float64."""
    paths = along.paths

    def taken(some: slice) -> Coming:
        place = np.arange(some.start, some.stop)
        row, draw = paths.placed(rows[place % len(rows)], place // len(rows))
        _, delta = paths.ends(row)
        points = paths.inputs[row] + delta.abs() * noise.to(delta)[draw]
        there = Directions(points, points[:, None], paths.outputs[row], points.shape[1], None)
        _, slopes = Along(along.engine, there).gradients(np.arange(len(place)), np.zeros(len(place)))
        return Coming(paths.to_groups(slopes, row))

    found = [coming.arrays()[0] for coming in along.in_batches(len(rows) * len(noise), 1, 0, taken)]
    return np.concatenate(found, dtype=np.float64).reshape(len(noise), len(rows), -1)


def surrogate(along: Along, method: Method, effort: Effort, tell: Tell = unheard) -> ExplainedRows:
    """Return coefficients of a lasso fitted near each record. Cost: 200 forwards and 10 G, or `max_evaluations`."""
    return _fitted(along, effort, tell, captum().Lime, 1)


def weighted_surrogate(along: Along, method: Method, effort: Effort, tell: Tell = unheard) -> ExplainedRows:
    """Return coefficients of a linear model fitted to v under Shapley's weights, at the same cost."""
    return _fitted(along, effort, tell, captum().KernelShap, 2)


def _fitted(along: Along, effort: Effort, tell: Tell, kind: Callable[..., object], least: int) -> ExplainedRows:
    """Return coefficients of all rows, of those with fewer groups than `least` the whole change of f."""
    paths, own = along.paths, along.paths.own_groups
    prediction, start = along.ends()
    found = np.zeros((paths.n_rows, paths.n_groups))
    samples = np.full(paths.n_rows, effort.max_evaluations or 0)
    if effort.max_evaluations is None:
        samples = SAMPLES + SAMPLES_PER_GROUP * own
    for row in range(paths.n_rows):
        if own[row] < least:
            found[row, 0] = prediction[row] - start[row, 0]
        else:
            found[row, : own[row]] = _coefficients(along, row, int(samples[row]), kind)
        tell((row + 1) / paths.n_rows)
    return ExplainedRows.uncertified(found[:, None], prediction, start, evaluations=samples)


class _NotFiniteError(Exception):
    """The model gives a value of a row that no line can be fitted to."""


def _coefficients(along: Along, row: int, samples: int, kind: Callable[..., object]) -> np.ndarray:
    paths = along.paths
    (here,) = paths.placed(np.array([row]))
    mask = paths.to_inputs(torch.arange(paths.n_groups, device=here.device)[None], here)

    def values(points: Tensor) -> Tensor:
        coming = along.in_batches(
            len(points), 1, 0, lambda some: values_at(along, here.expand(len(points[some])), points[some])
        )
        found = torch.from_numpy(np.concatenate([some.arrays()[0] for some in coming]))
        if not bool(found.isfinite().all()):
            raise _NotFiniteError
        return found.to(points.device)

    try:
        with alone():
            found = kind(values).attribute(  # type: ignore[attr-defined]
                paths.inputs[here],
                baselines=paths.ends(here * paths.n_baselines)[0],
                feature_mask=mask,
                n_samples=samples,
                perturbations_per_eval=_POINTS_AT_ONCE,
                return_input_shape=False,
            )
    except _NotFiniteError:
        return np.array(np.nan)
    return download(found).astype(np.float64).ravel()


_Drawn = tuple[np.ndarray, np.ndarray]
"""Sums of draws and of their squares, both (A, G), of A rows."""


def _refined(
    drawn: Callable[[np.ndarray, int], Iterator[_Drawn]],
    shape: tuple[int, int],
    tolerance: float,
    draws_each: int,
    cost: int,
    first: int,
    most: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Double the draws of rows whose error is more than the tolerance, as long as they may take as many evaluations.

    Return means (R, G), the L1 norms that they may be off by, (R,), and numbers of draws, (R,).

    drawn             gives so many of some rows
    draws_each, cost  of one that it gives, the last in evaluations;  first  how many at the beginning
    """
    sums, count = Draws(*shape), np.zeros(shape[0], np.int64)
    active, more = np.arange(shape[0]), max(1, min(first, most // cost))
    done = 0
    while len(active) and more:
        for each in drawn(active, more):
            sums.add_sums(active, *each)
        done += more
        count[active] += more * draws_each
        mean, error = sums.mean(count), ERRORS * sums.error(count)
        beyond = error > tolerance * np.maximum(np.abs(mean).sum(1), error)
        active, more = np.flatnonzero(beyond & np.isfinite(error)), min(done, most // cost - done)
    return sums.mean(count), ERRORS * sums.error(count), count


class _Rows:
    """What is known of all rows, some of which are done after the other."""

    def __init__(self, along: Along) -> None:
        n, self._along = along.paths.n_rows, along
        self._phi, self._error = np.zeros((n, along.paths.n_groups)), np.zeros(n)
        self._evaluations, self._done = np.zeros(n, np.int64), 0

    def put(self, rows: np.ndarray, phi: np.ndarray, error: np.ndarray, evaluations: np.ndarray) -> None:
        """Keep what was found of rows (R,), whose own groups are as many as phi (R, G) has."""
        self._phi[rows, : phi.shape[1]] = phi
        self._error[rows], self._evaluations[rows] = error, evaluations
        self._done += len(rows)

    @property
    def share(self) -> float:
        """Return how much is done."""
        return self._done / len(self._error)

    def explained(self, tolerance: float, missed: Status) -> ExplainedRows:
        """Return the rows; those whose error is beyond the tolerance end with this status."""
        prediction, start = self._along.ends()
        found = Estimates(self._phi, None, self._error, self._error, self._evaluations, prediction, start)
        return found.explained(self._along, tolerance, missed.value)


def _alike(paths: Paths, numbers: Callable[[int], int]) -> Iterator[tuple[np.ndarray, int]]:
    """Yield rows with as many groups of their own, and these; so many that `numbers` for each of them fit."""
    own = paths.own_groups
    for g in np.unique(own).tolist():
        rows, at_once = np.flatnonzero(own == g), max(1, _NUMBERS_AT_ONCE // numbers(g))
        for first in range(0, len(rows), at_once):
            yield rows[first : first + at_once], g
