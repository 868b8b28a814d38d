"""Ten pairs of five columns with known effects: the data of Table 3 and of the sanity checks."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from benchmarks.paper.networks import Recipe, fit, mlp

COLUMNS = 5
FIRST, SECOND = np.triu_indices(COLUMNS, 1)
COEFFICIENTS = np.arange(10, 0, -1) * np.where(np.arange(10) % 2, -1, 1)
KINDS = PRODUCTS, EXTREMES = "products", "min and max"
RECIPE = Recipe(
    epochs=60,
    batch=128,
    optimizer=torch.optim.Adam,
    schedule=lambda optimizer, steps: torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=steps),
)


@dataclass(frozen=True)
class Problem:
    """Rows (N, 5), what each pair adds (N, 10), and its second difference from zeros (N, 10)."""

    x: np.ndarray
    terms: np.ndarray
    differences: np.ndarray

    @property
    def y(self) -> np.ndarray:
        """What is learned."""
        total: np.ndarray = self.terms.sum(1)
        return total

    @classmethod
    def drawn(cls, kind: str, n: int, seed: int, part: int = 0) -> "Problem":
        """Draw a part of the rows of the problem of that number; its parts are of the same pairs."""
        x = np.random.default_rng((seed, part)).standard_normal((n, COLUMNS), dtype=np.float32)
        a, b = x[:, FIRST], x[:, SECOND]
        value = partial(_value, kind, _maxima(seed))
        differences = value(a, b) - value(a, 0 * b) - value(0 * a, b) + value(0 * a, 0 * b)
        return cls(x, COEFFICIENTS * value(a, b), COEFFICIENTS * differences)


def _maxima(seed: int) -> np.ndarray:
    """Return which pairs are a maximum: the paper prints max, min, min, ..., max; the rest is drawn."""
    return np.array([True, False, False, *(np.random.default_rng(seed).random(6) < 0.5), True])


def _value(kind: str, is_max: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a * b if kind == PRODUCTS else np.where(is_max, np.maximum(a, b), np.minimum(a, b))


def network(seed: int, width: int = 64) -> nn.Sequential:
    """Return the network before it is trained: two hidden layers of tanh."""
    return mlp([COLUMNS, width, width, 1], nn.Tanh, seed=seed)


def trained(problem: Problem, seed: int, recipe: Recipe = RECIPE, y: np.ndarray | None = None) -> nn.Module:
    """Return it trained, on y in the place of the problem's where that is given."""
    return fit(network(seed), problem.x, problem.y if y is None else y, recipe, seed)
