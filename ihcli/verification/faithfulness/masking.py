"""Rows with units masked: which ones a curve masks at each of its points, and the outputs there."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ihcli.advance import Tell, unheard, within
from ihcli.verification.faithfulness.filling import Fill
from ihcli.verification.faithfulness.metrics import SHARES, Metric

Outputs = Callable[[np.ndarray], np.ndarray]
"""The explained output (P,) at points (P, D)."""
POINT_NUMBERS = 1 << 22
"""Numbers of the points that are filled at once."""
MASK_NUMBERS = 1 << 25
"""Entries of the masks of rows that are compared at once."""


@dataclass(frozen=True)
class Units:
    """N rows of one width, and which unit owns each input.

    inputs   (N, D)
    owner    (D,) or (N, D) int64: index of a unit; None: each input is one
    n_units  (N,) of each row
    is_open  (D,) bool: inputs that are ever masked; None: all
    """

    inputs: np.ndarray
    owner: np.ndarray | None
    n_units: np.ndarray
    is_open: np.ndarray | None = None

    def masked_inputs(self, row: np.ndarray, masked: np.ndarray) -> np.ndarray:
        """Return which inputs of rows (P,) are masked where these units (P, G) are, (P, D)."""
        if self.owner is not None:
            own = self.owner[row] if self.owner.ndim > 1 else np.broadcast_to(self.owner, (len(row), len(self.owner)))
            masked = np.take_along_axis(masked, own, 1)
        return masked if self.is_open is None else masked & self.is_open

    def outputs(self, f: Outputs, fill: Fill, row: np.ndarray, masked: np.ndarray, tell: Tell = unheard) -> np.ndarray:
        """Return the mean output of rows (P,) whose units (P, G) are masked and filled, (P,) float64."""
        found = np.empty(len(row))
        size = max(1, POINT_NUMBERS // (fill.copies * self.inputs.shape[1]))
        for first in range(0, len(row), size):
            some = slice(first, first + size)
            points = fill.points(row[some], self.inputs[row[some]], self.masked_inputs(row[some], masked[some]))
            found[some] = f(points).reshape(-1, fill.copies).mean(1)
            tell(min(1.0, (first + size) / len(row)))
        return found


def points_of(n_units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the shares (K,) at which curves are taken, and how many units these are of each row, (N, K)."""
    counts = np.rint(n_units[:, None] * SHARES).astype(np.int64)
    if len(counts) == 0 or (n_units != n_units[0]).any():
        return SHARES, counts
    _, first = np.unique(counts[0], return_index=True)
    return counts[0, first] / n_units[0], counts[:, first]


def first_units(ranked: np.ndarray, counts: np.ndarray, seed: int) -> np.ndarray:
    """Return which units are among the first of a ranking (N, G), at each of the counts (N, K), (N, K, G).

    The largest come first; of equals, those that a draw puts first, the same for all rows. Those below 0 never come,
    nor does NaN, which is no unit.
    """
    noise = np.random.default_rng(seed).random(ranked.shape[1])
    values = np.where(np.isnan(ranked), -np.inf, ranked)
    order = np.lexsort((np.broadcast_to(noise, values.shape), -values), axis=1)
    rank = np.argsort(order, axis=1)
    most = np.minimum(counts, (values >= 0).sum(1, keepdims=True))
    first: np.ndarray = rank[:, None] < most[..., None]
    return first


def values_along(
    f: Outputs,
    units: Units,
    fill: Fill,
    metrics: Sequence[Metric],
    rankings: Sequence[np.ndarray],
    counts: np.ndarray,
    seed: int,
    tell: Tell = unheard,
) -> np.ndarray:
    """Return the outputs of rows along the curves of one fill, (rankings, metrics, N, K).

    rankings  (N, G) values of units, NaN beyond a row's own
    counts    (N, K), see `points_of`

    Cost: a forward for each copy of what is filled, of every two points of a row that mask the same only one.
    """
    n, k = counts.shape
    found = np.empty((len(rankings), len(metrics), n, k))
    per_row = len(rankings) * len(metrics) * k * rankings[0].shape[1]
    for some in _slices(n, max(1, MASK_NUMBERS // max(1, per_row))):
        masked = _masked([values[some] for values in rankings], metrics, counts[some], seed)
        row, distinct, place = _distinct(masked)
        told = within(tell, some.start / n, some.stop / n)
        values = units.outputs(f, fill, row + some.start, distinct, told)
        found[:, :, some] = values[place].reshape(-1, len(rankings), len(metrics), k).transpose(1, 2, 0, 3)
    return found


def forwards(metrics: Sequence[Metric], rankings: Sequence[np.ndarray], counts: np.ndarray, copies: int) -> int:
    """Return at most how many points the outputs are taken at by `values_along`."""
    total = 0
    for values in rankings:
        for metric in metrics:
            most = (metric.ranked(np.nan_to_num(values, nan=-np.inf)) >= 0) & ~np.isnan(values)
            reached = np.minimum(counts, most.sum(1, keepdims=True))
            total += len(reached) + int((np.diff(reached, axis=1) > 0).sum())
    return total * copies


def _masked(rankings: Sequence[np.ndarray], metrics: Sequence[Metric], counts: np.ndarray, seed: int) -> np.ndarray:
    """Return which units are masked at each point of each curve, (N, rankings * metrics * K, G)."""
    masks = []
    for values in rankings:
        for metric in metrics:
            first = first_units(metric.ranked(values), counts, seed)
            masks.append(~first if metric.keeps else first)
    return np.concatenate(masks, axis=1)


def _distinct(masked: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows (P,) and their distinct masks (P, G), and which of these each of the masks (N, J, G) is, (N, J)."""
    n, j, _ = masked.shape
    bits = np.packbits(masked, axis=2)
    rows, kinds, places, start = [], [], np.empty((n, j), np.int64), 0
    for row in range(n):
        _, index, inverse = np.unique(bits[row], axis=0, return_index=True, return_inverse=True)
        rows.append(np.full(len(index), row))
        kinds.append(masked[row, index])
        places[row] = start + inverse.reshape(-1)
        start += len(index)
    return np.concatenate(rows), np.concatenate(kinds), places


def _slices(n: int, size: int) -> Iterator[slice]:
    yield from (slice(first, min(n, first + size)) for first in range(0, n, size))
