"""Rank correlations, many at once."""

import numpy as np
from scipy.stats import rankdata


def spearman(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return Spearman's correlation along an axis; NaN where one of them does not change."""
    first, second = (rankdata(values, axis=axis) for values in (a, b))
    first, second = (ranks - ranks.mean(axis, keepdims=True) for ranks in (first, second))
    size = np.sqrt((first**2).sum(axis) * (second**2).sum(axis))
    with np.errstate(invalid="ignore"):
        found: np.ndarray = (first * second).sum(axis) / size
    return found


def roc_area(score: np.ndarray, positive: np.ndarray) -> float:
    """Return the area under the ROC curve."""
    ranks = rankdata(score)
    n, m = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))
