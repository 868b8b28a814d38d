"""What drawing baselines leaves of a mean over them: its standard error."""

import numpy as np


@np.errstate(over="ignore", invalid="ignore")  # of paths that are not finite, whose rows have no figures
def sampling_error(attributions: np.ndarray, population: int | None) -> np.ndarray:
    """Return the relative L1 standard error of phi over B baselines drawn from `population` without replacement, (N,).

    sum_g s_g / sqrt(B) * sqrt(1 - B / population) / ||phi||_1, with s_g the sample standard deviation of phi_g over
    baselines (Cochran 1977, 2.6). `attributions` is (N, B, G). NaN for B = 1, which says nothing about its spread, and
    without a population: the baselines are all there are.
    """
    b = attributions.shape[1]
    if b == 1 or population is None:
        return np.full(len(attributions), np.nan)
    spread = attributions.std(1, ddof=1) * of_mean(b, population)
    return share_of(spread.sum(1), np.abs(attributions.mean(1)).sum(1))


def of_mean(b: int, population: int) -> float:
    """Return by what the standard deviation over b baselines becomes the standard error of their mean."""
    factor: float = np.sqrt((1 - b / population) / b)
    return factor


def share_of(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return (N,) parts by (N,) wholes, 0 where a whole is 0."""
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
