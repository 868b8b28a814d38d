"""Sixty inputs of which ten matter: the two data sets of Erion et al. (2021), after Lundberg's, and their network."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from benchmarks.paper.networks import Recipe, fit, mlp

ROWS, INPUTS = 1000, 60
IMPORTANT = np.arange(0, 30, 3)
CORRELATION = 0.99
KINDS = CORRELATED, INDEPENDENT = "correlated groups 60", "independent linear 60"
RECIPE = Recipe(epochs=30, batch=32, optimizer=torch.optim.Adam)


@dataclass(frozen=True)
class Linear60:
    """Rows (1000, 60) and their sums of ten inputs, with a little noise.

    Of the correlated groups three inputs each, {0, 1, 2} ... {27, 28, 29}, have a sample correlation of 0.99, and the
    first of each matters.
    """

    x: np.ndarray
    y: np.ndarray

    @classmethod
    def drawn(cls, kind: str) -> "Linear60":
        """Draw the published rows, of numpy's old stream 0."""
        random = np.random.RandomState(0)
        x = random.randn(ROWS, INPUTS)
        x -= x.mean(0)
        if kind == CORRELATED:
            target = np.eye(INPUTS)
            for first in IMPORTANT:
                target[first : first + 3, first : first + 3] = CORRELATION
            np.fill_diagonal(target, 1)
            white = x @ np.linalg.cholesky(np.linalg.inv(x.T @ x / ROWS))
            x = white @ np.linalg.cholesky(target).T
        return cls(x, x[:, IMPORTANT].sum(1) + 0.01 * random.randn(ROWS))


def trained(x: np.ndarray, y: np.ndarray, seed: int, epochs: int = RECIPE.epochs) -> nn.Module:
    """Return the network of 32, 20 and 20 ReLU units, trained from Glorot's start, as Keras does."""
    recipe = Recipe(epochs, RECIPE.batch, RECIPE.optimizer)
    return fit(mlp([INPUTS, 32, 20, 20, 1], nn.ReLU, seed=seed, glorot=True), x, y, recipe, seed)
