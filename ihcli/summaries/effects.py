"""Moments of the effects of rows, and how far these may be off: in one pass over bands of the rows' matrices.

A mean of effects is off by the means of the rows' error bars, and of their standard errors, at most: errors of rows are
not taken to be independent of each other, as rows are alike, and share the baselines.
"""

from dataclasses import dataclass

import numpy as np

from ihcli.bars import Shares, margins_of
from ihcli.explanation import Explanation
from ihcli.explanation.factors import Factored, Matrices, above, above_in_product, diagonals, runs_of_rows
from ihcli.summaries.moments import Means, Moments

BLOCK_VALUES = 1 << 16  # of the entries summed at once: 512 KiB in float64, which stay in cache while passed over
LEAST_OF_PRODUCTS = 1 << 17  # of one matrix, for a product not to read a factor once for every few rows of it
ERROR_BAR, STANDARD_ERROR = "error_bar", "standard_error"
MAINS_OPPOSED = "mains.opposed"


@dataclass(frozen=True)
class Effects:
    """Matrices of N rows with how far they may be off, as far as that is known.

    gamma   (N, G, G);  spread: standard errors, like it
    shares  what error bars are made of
    """

    gamma: Matrices
    shares: Shares | None
    spread: Matrices | None

    @classmethod
    def of(cls, explanation: Explanation, chosen: np.ndarray) -> "Effects":
        """Return those of some rows of an explanation that has interactions."""
        assert explanation.interactions is not None
        gamma = _rows(explanation.interactions, chosen)
        error, spread = explanation.interaction_error, explanation.interaction_spread
        shares = None if error is None else Shares.of(_margins(gamma), error[chosen])
        return cls(gamma, shares, None if spread is None else _rows(spread, chosen))

    def mains(self) -> tuple[Moments, dict[str, Means]]:
        """Return the moments of main effects, Gamma_gg, and what these are off."""
        values, off, n = diagonals(self.gamma), {}, len(self.gamma)
        if self.shares is not None:
            bars = np.abs(values) * self.shares.by_size[:, None] + self.shares.roots**2
            off[ERROR_BAR] = bars.mean(axis=0) + self.shares.evenly.mean()
        if self.spread is not None:
            off[STANDARD_ERROR] = diagonals(self.spread).mean(axis=0, dtype=np.float64)
        return Moments.of(values), {f"mains.{name}": Means(n, figures) for name, figures in off.items()}

    def opposed(self, attributions: np.ndarray, error: np.ndarray) -> Means:
        """Return in which share of rows a main effect has not the sign of the attribution (N, G), and both have one.

        A figure has a sign where it is larger than the error of the row, which is at most `error` (N,), relative, of
        all attributions together.
        """
        mains = diagonals(self.gamma)
        least = np.nan_to_num(error)[:, None] * np.abs(attributions).sum(axis=1, keepdims=True)
        are_sure = np.minimum(np.abs(attributions), np.abs(mains)) > least
        return Means(len(mains), (are_sure & (np.sign(attributions) != np.sign(mains))).mean(axis=0))

    def pairs(self) -> tuple[Moments, dict[str, Means]]:
        """Return the moments of pair effects, 2 Gamma_gh for g < h as Gamma is symmetric, and what these are off."""
        n, g, _ = self.gamma.shape
        names = [name for name, known in ((ERROR_BAR, self.shares), (STANDARD_ERROR, self.spread)) if known is not None]
        mean, mean_abs, squares, *off = (np.empty(g * (g - 1) // 2) for _ in range(3 + len(names)))
        least = LEAST_OF_PRODUCTS if isinstance(self.gamma, Factored) else 1
        start = 0
        for some in runs_of_rows(g, max(least, BLOCK_VALUES // n)):
            values = above(self.gamma, some).astype(np.float64)
            here = slice(start, start := start + values.shape[1])
            mean[here], sizes = values.mean(axis=0), np.abs(values)
            mean_abs[here] = sizes.mean(axis=0)
            values -= mean[here]
            squares[here] = np.einsum("ij,ij->j", values, values)
            for figures, found in zip(off, self._off(sizes, some), strict=True):
                figures[here] = found
        for figures, times in zip((mean, mean_abs, squares, *off), (2, 2, 4, *[2] * len(off)), strict=True):
            figures *= times  # a pair's effect is twice an entry
        bars = {f"pairs.{name}": Means(n, figures) for name, figures in zip(names, off, strict=True)}
        return Moments(n, mean, mean_abs, squares), bars

    def _off(self, sizes: np.ndarray, some: range) -> list[np.ndarray]:
        """Return the means of what is known of how far entries of these sizes (N, P) may be off."""
        off = []
        if self.shares is not None:
            shares, n = self.shares, len(sizes)
            by_margins = above_in_product(shares.roots, shares.roots, some)
            off.append((shares.by_size @ sizes + by_margins) / n + shares.evenly.mean())
        if self.spread is not None:
            off.append(above(self.spread, some).mean(axis=0, dtype=np.float64))
        return off


def _rows(matrices: Matrices, chosen: np.ndarray) -> Matrices:
    """Return some rows; nothing is copied where these are all."""
    return matrices if len(chosen) == len(matrices) else matrices[chosen]


def _margins(gamma: Matrices) -> np.ndarray:
    """Return the sums of the sizes of every row of the matrices, (N, G), block by block."""
    if isinstance(gamma, Factored):
        return gamma.margins
    rows = max(1, BLOCK_VALUES // gamma[0].size)
    return np.concatenate([margins_of(np.abs(gamma[start : start + rows])) for start in range(0, len(gamma), rows)])
