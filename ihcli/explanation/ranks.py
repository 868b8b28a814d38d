"""Rank correlation (Spearman 1904): in how far values stand in the same order, whatever their sizes."""

import numpy as np


def average_ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of every value in its row (m, n), from 1 for the least; equal values share the mean of theirs."""
    from scipy import stats  # not at the start of a run that ranks nothing

    ranks: np.ndarray = stats.rankdata(values, axis=1)
    return ranks


def correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the correlation of the ranks of two (m, n), (m,); NaN where one is constant.

    Ranks about their mean are halves of whole numbers, so that sums are exact and equal orders give exactly 1.
    """
    middle = (first.shape[1] + 1) / 2
    ours, theirs = first - middle, second - middle
    sizes = np.sqrt(_dots(ours, ours) * _dots(theirs, theirs))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = _dots(ours, theirs) / sizes
    return np.where(sizes > 0, found, np.nan)


def spearman(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return Spearman's rank correlation of the rows of two (m, n), (m,); NaN where one is constant."""
    return correlations(average_ranks(first), average_ranks(second))


def _dots(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", first, second)
