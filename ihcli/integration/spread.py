"""What drawing baselines leaves of a mean over them: its standard error."""

import numpy as np


@np.errstate(over="ignore", invalid="ignore")  # of paths that are not finite, whose rows have no figures
def sampling_error(attributions: np.ndarray, population: int | None, drawn_from: int | None = None) -> np.ndarray:
    """Return the relative L1 standard error of phi over B baselines drawn from `population` without replacement, (N,).

    sum_g s_g / sqrt(B) * sqrt(1 - B / population) / ||phi||_1, with s_g the sample standard deviation of phi_g over
    baselines (Cochran 1977, 2.6). Baselines that were thinned from n drawn ones, neighbours one after another, are off
    the mean of these by no more than neighbours differ (ibid., 5A.12), and these off the whole as drawn ones are:

        variance of the mean of phi_g = d_g^2 (1 / B - 1 / n) + s_g^2 (1 / n - 1 / population)

    with d_g^2 half the mean square of how phi_g differs from one baseline to the next. `attributions` is (N, B, G).
    NaN for B = 1, which says nothing about its spread, and without a population: the baselines are all there are.
    """
    b = attributions.shape[1]
    if b == 1 or population is None:
        return np.full(len(attributions), np.nan)
    between = (np.diff(attributions, axis=1) ** 2).mean(1) / 2
    error = standard_error(attributions.var(1, ddof=1), b, population, drawn_from, between)
    return share_of(error.sum(1), np.abs(attributions.mean(1)).sum(1))


def standard_error(
    variance: np.ndarray,
    b: int,
    population: int,
    drawn_from: int | None = None,
    between: np.ndarray | None = None,
) -> np.ndarray:
    """Return the standard error of means over b baselines with these variances, s_g^2; see `sampling_error`.

    between  d_g^2; None: it is not known, and as s_g^2, which it is not above
    """
    if drawn_from is None or between is None:
        return np.sqrt(variance * (1 / b - 1 / population))
    return np.sqrt(between * (1 / b - 1 / drawn_from) + variance * (1 / drawn_from - 1 / population))


def share_of(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return (N,) parts by (N,) wholes, 0 where a whole is 0."""
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
