"""What drawing baselines leaves of a mean over them: its standard error."""

import numpy as np

from ihcli.data.thinning import Balance


@np.errstate(over="ignore", invalid="ignore")  # of paths that are not finite, whose rows have no figures
def sampling_error(attributions: np.ndarray, population: int | None, balance: Balance | None = None) -> np.ndarray:
    """Return the relative L1 standard error of phi over B baselines drawn from `population` without replacement, (N,).

    sum_g s_g / sqrt(B) * sqrt(1 - B / population) / ||phi||_1, with s_g the sample standard deviation of phi_g over
    baselines (Cochran 1977, 2.6). Of baselines that were thinned from n drawn ones, phi_g is split into what is linear
    in Q directions of the baselines, of which it is known how far they are off the n, and a rest with deviation r_g
    (ibid., 7.3, the regression estimate, and 12.5, of rows that were drawn in two phases):

        variance of the mean of phi_g = r_g^2 (1 / B - 1 / n) + off_g^2 + s_g^2 (1 / n - 1 / population)

    `attributions` is (N, B, G). NaN for B = 1, which says nothing about its spread, and without a population: the
    baselines are all there are.
    """
    b = attributions.shape[1]
    if b == 1 or population is None:
        return np.full(len(attributions), np.nan)
    variance = attributions.var(1, ddof=1)
    if balance is None or len(balance.basis) != b:
        error = standard_error(variance, b, population)
    else:
        error = balanced_error(variance, balance.basis.T @ attributions, b, population, balance)
    return share_of(error.sum(1), np.abs(attributions.mean(1)).sum(1))


def standard_error(variance: np.ndarray, b: int, population: int) -> np.ndarray:
    """Return the standard error of means over b baselines with these variances, s_g^2, drawn at random."""
    found: np.ndarray = np.sqrt(variance * (1 / b - 1 / population))
    return found


def balanced_error(variance: np.ndarray, along: np.ndarray, b: int, population: int, balance: Balance) -> np.ndarray:
    """Return that of thinned baselines, (N, G); see `sampling_error`.

    along  (N, Q, G): the products of the basis with phi
    """
    rest = np.maximum(variance * (b - 1) - (along**2).sum(1), 0) / (b - 1 - along.shape[1])
    off = balance.lack @ along
    found: np.ndarray = np.sqrt(
        rest * (1 / b - 1 / balance.rows) + off**2 + variance * (1 / balance.rows - 1 / population)
    )
    return found


def share_of(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return (N,) parts by (N,) wholes, 0 where a whole is 0."""
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
