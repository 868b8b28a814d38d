"""Networks of the papers, and how they are trained."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    optimizer  of parameters
    schedule   of the optimizer and the number of batches, stepped after each of them
    patience   epochs without a lower loss on a fifth of the rows after which it ends; None: all epochs are done
    """

    epochs: int
    batch: int
    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer]
    loss: Loss = nn.functional.mse_loss
    schedule: Callable[[Optimizer, int], LRScheduler] | None = None
    patience: int | None = None


def mlp(
    widths: Sequence[int],
    activation: Callable[[], nn.Module],
    *,
    seed: int,
    glorot: bool = False,
    end: Sequence[nn.Module] = (),
) -> nn.Sequential:
    """Return affine layers with an activation between them, from torch's start or from Glorot's, biases 0."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.Linear(inputs, outputs), activation()]
            if glorot:
                nn.init.xavier_uniform_(layers[-2].weight)
                nn.init.zeros_(layers[-2].bias)
        return nn.Sequential(*layers[:-1], *end).eval()


def fit(net: nn.Module, x: np.ndarray, y: np.ndarray, recipe: Recipe, seed: int) -> nn.Module:
    """Train a network of one output in place, in an order of rows that the seed tells, and return it."""
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        inputs, wanted = as_tensor(x), as_tensor(y)
        held = len(inputs) // 5 if recipe.patience is not None else 0
        order = torch.randperm(len(inputs)) if held else torch.arange(len(inputs))
        _train(
            net.train(),
            inputs[order[held:]],
            wanted[order[held:]],
            (inputs[order[:held]], wanted[order[:held]]),
            recipe,
        )
    return net.eval().requires_grad_(False)


def _train(net: nn.Module, x: Tensor, y: Tensor, held: tuple[Tensor, Tensor], recipe: Recipe) -> None:
    optimizer = recipe.optimizer(net.parameters())
    batches = -(-len(x) // recipe.batch) * recipe.epochs
    schedule = None if recipe.schedule is None else recipe.schedule(optimizer, batches)
    lowest, waited = float("inf"), 0
    for _ in range(recipe.epochs):
        for rows in torch.randperm(len(x)).split(recipe.batch):
            optimizer.zero_grad()
            recipe.loss(net(x[rows])[:, 0], y[rows]).backward()
            optimizer.step()
            if schedule is not None:
                schedule.step()
        if recipe.patience is None:
            continue
        with torch.no_grad():
            reached = recipe.loss(net(held[0])[:, 0], held[1]).item()
        lowest, waited = (reached, 0) if reached < lowest else (lowest, waited + 1)
        if waited == recipe.patience:
            return


def outputs(net: nn.Module, x: np.ndarray) -> np.ndarray:
    """Return what a network of one output says of rows, (N,)."""
    with torch.no_grad():
        found: np.ndarray = net(as_tensor(x))[:, 0].numpy()
    return found


def explained_variance(net: nn.Module, x: np.ndarray, y: np.ndarray) -> float:
    """Return R2."""
    return float(1 - np.mean((outputs(net, x) - y) ** 2) / np.var(y))


def as_tensor(values: np.ndarray) -> Tensor:
    """Return float32 values."""
    return torch.as_tensor(np.asarray(values), dtype=torch.float32)
