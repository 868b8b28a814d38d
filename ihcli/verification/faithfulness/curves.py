"""Curves of a ranking of units: what becomes of a model's output while units are kept or removed, the first ones first.

After Erion et al. (2021), whose 18 metrics these are. Where it departs from their code: rows to resample come from the
whole background; nothing is trained here; equal values are put in the order of a seeded draw, whatever their size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ihcli.advance import Tell, unheard, within
from ihcli.verification.faithfulness.filling import Constant, Fill, Imputed, Resampled
from ihcli.verification.faithfulness.masking import Outputs, Units, forwards, points_of, values_along
from ihcli.verification.faithfulness.metrics import IMPUTE, MEAN, METRICS, RESAMPLE, Metric
from ihcli.verification.faithfulness.scoring import Truth, score

DRAWS = 100
"""Rows of the background that stand in for what is resampled."""


@dataclass(frozen=True)
class Curve:
    """One curve of one ranking.

    by      what ranked the units
    shares  (K,) of the units that are kept or removed;  scores (K,) at these, more is better
    area    below the scores, over shares; NaN where they are not known
    low, high  the interval of the area over rows, 95 %
    rows    that it is over
    """

    by: str
    metric: Metric
    shares: np.ndarray
    scores: np.ndarray
    area: float
    low: float
    high: float
    rows: int


@dataclass(frozen=True)
class Block:
    """Rows of one width with their units, what fills these, and rankings of them.

    fills     by name
    rankings  by name, (N, G) values of units, NaN beyond a row's own
    f         the explained output
    """

    f: Outputs
    units: Units
    fills: Mapping[str, Fill]
    rankings: Mapping[str, np.ndarray]


def fills_of(background: np.ndarray, names: Sequence[str], draws: int, seed: int) -> dict[str, Fill]:
    """Return what fills inputs from a background (B, D), of which so many rows are drawn to resample."""
    fills: dict[str, Fill] = {}
    if MEAN in names:
        fills[MEAN] = Constant(background.mean(0, dtype=np.float64).astype(background.dtype))
    if RESAMPLE in names:
        drawn = np.random.default_rng(seed).integers(len(background), size=draws)
        fills[RESAMPLE] = Resampled(background[drawn])
    if IMPUTE in names:
        fills[IMPUTE] = Imputed(background)
    return fills


def curves(
    f: Outputs,
    rows: np.ndarray,
    rankings: Mapping[str, np.ndarray],
    background: np.ndarray,
    *,
    owner: np.ndarray | None = None,
    truth: np.ndarray | None = None,
    metrics: Sequence[Metric] = METRICS,
    draws: int = DRAWS,
    seed: int = 0,
) -> tuple[Curve, ...]:
    """Return the curves of rankings of the units of rows, ranking by ranking.

    Parameters:
        f: the explained output (P,) at points (P, D).
        rows: (N, D).
        rankings: by name, (N, G) values of units, such as attributions.
        background: (B, D) rows, for means, covariances and resampling.
        owner: (D,) unit of every input; None: each is one.
        truth: (N,) that the absolute curves are held against: numbers by R2, bool by ROC AUC; None: f at the rows, by
            R2.
        draws: rows of the background that are resampled.
        seed: of what is drawn.

    Cost: at most 66 (draws + 2) forwards for each row and ranking, of all metrics.
    """
    g = rows.shape[1] if owner is None else int(owner.max()) + 1
    units = Units(rows, owner, np.full(len(rows), g))
    fills = fills_of(background, sorted({metric.fill for metric in metrics}), draws, seed)
    return block_curves([Block(f, units, fills, rankings)], truth, metrics, seed)


def block_curves(
    blocks: Sequence[Block], truth: np.ndarray | None, metrics: Sequence[Metric], seed: int, tell: Tell = unheard
) -> tuple[Curve, ...]:
    """Return the curves of rows in blocks, whose units may be their own; see `curves`."""
    shares, counts = _points(blocks)
    found: dict[tuple[str, Metric], np.ndarray] = {}
    whole, done = curve_forwards(blocks, metrics), 0.0
    for fill in dict.fromkeys(metric.fill for metric in metrics):
        wanted, values = [metric for metric in metrics if metric.fill == fill], []
        for block, own in zip(blocks, counts, strict=True):
            rankings = list(block.rankings.values())
            part = forwards(wanted, rankings, own, block.fills[fill].copies)
            told = within(tell, done / whole, (done + part) / whole)
            values.append(values_along(block.f, block.units, block.fills[fill], wanted, rankings, own, seed, told))
            done += part
        for by, of_ranking in zip(blocks[0].rankings, np.concatenate(values, axis=2), strict=True):
            found |= {(by, metric): outputs for metric, outputs in zip(wanted, of_ranking, strict=True)}
    if truth is None:
        truth = np.concatenate([block.f(block.units.inputs) for block in blocks])
    scored = {key: score(key[1], outputs, shares, Truth(truth), seed) for key, outputs in found.items()}
    return tuple(
        Curve(by, metric, shares, one.scores, one.area, one.low, one.high, len(truth))
        for by in blocks[0].rankings
        for metric in metrics
        if (one := scored[by, metric])
    )


def curve_forwards(blocks: Sequence[Block], metrics: Sequence[Metric]) -> int:
    """Return at most how many forwards `block_curves` takes."""
    _, counts = _points(blocks)
    return sum(
        forwards([metric], list(block.rankings.values()), own, block.fills[metric.fill].copies)
        for block, own in zip(blocks, counts, strict=True)
        for metric in metrics
    )


def _points(blocks: Sequence[Block]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the shares (K,) at which curves are taken, and how many units these are in the rows of each block."""
    shares, counts = points_of(np.concatenate([block.units.n_units for block in blocks]))
    ends = np.cumsum([len(block.units.n_units) for block in blocks])
    return shares, np.split(counts, ends[:-1])
