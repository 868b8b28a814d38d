"""The two data sets of Erion et al. (2021), and the network that they explain there."""

import numpy as np
import torch
from torch import nn

N_ROWS, N_COLUMNS = 1000, 60
INFORMATIVE = range(0, 30, 3)
"""Columns with weight 1, one of each group of three; the others have none."""


def independent_linear() -> tuple[np.ndarray, np.ndarray]:
    """Return independent columns and what is linear in ten of them, with a little noise."""
    drawn, noise = _drawn()
    return _labelled(drawn - drawn.mean(0), noise)


def correlated_groups() -> tuple[np.ndarray, np.ndarray]:
    """Return the same where the first 30 columns are ten groups of three, with sample correlations of exactly 0.99."""
    drawn, noise = _drawn()
    centred = drawn - drawn.mean(0)
    white = centred @ np.linalg.cholesky(np.linalg.inv(centred.T @ centred / N_ROWS))
    wanted = np.eye(N_COLUMNS)
    for first in INFORMATIVE:
        wanted[first : first + 3, first : first + 3] = 0.99
    np.fill_diagonal(wanted, 1.0)
    return _labelled(white @ np.linalg.cholesky(wanted).T, noise)


def _drawn() -> tuple[np.ndarray, np.ndarray]:
    stream = np.random.RandomState(0)
    return stream.randn(N_ROWS, N_COLUMNS), stream.randn(N_ROWS)


def _labelled(x: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x, x[:, INFORMATIVE].sum(1) + 0.01 * noise


def trained(x: np.ndarray, y: np.ndarray, seed: int) -> nn.Module:
    """Return 60-32-20-20-1 with ReLU, trained for 30 epochs in batches of 32 by Adam."""
    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for before, after in ((N_COLUMNS, 32), (32, 20), (20, 20), (20, 1)):
        layer = nn.Linear(before, after)
        nn.init.xavier_uniform_(layer.weight, generator=generator)
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.ReLU()]
    network = nn.Sequential(*layers[:-1])
    rows, labels = torch.as_tensor(x, dtype=torch.float32), torch.as_tensor(y, dtype=torch.float32)[:, None]
    optimizer = torch.optim.Adam(network.parameters())
    for _ in range(30):
        for some in torch.randperm(len(rows), generator=generator).split(32):
            optimizer.zero_grad()
            ((network(rows[some]) - labels[some]) ** 2).mean().backward()
            optimizer.step()
    return network.eval()
