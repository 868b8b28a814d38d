"""What people run today for Integrated and Expected Hessians, written plainly in torch.

Both sum over points of a path, for x' the start of the path, delta = x - x' and z_q = x' + t_q delta:

    Gamma_ij = sum_q second_q delta_i delta_j d_ij f(z_q) + [i = j] sum_q first_q delta_i d_i f(z_q)

The published procedure (Janizek, Sturmfels and Lee 2021, eq. 4 and 5) has t = alpha * beta on a grid of alpha = l / k
and beta = p / m, second = t / (k m), first = 1 / (k m), and one more backward pass for each feature.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ihcli.integration.quadrature import panel_rule

GRID = (20, 10)


@dataclass(frozen=True)
class Points:
    """Q points of every row's paths: start (Q, D), t (Q,), and the weights of second and first derivatives (Q,)."""

    start: Tensor
    t: Tensor
    second: Tensor
    first: Tensor

    def __len__(self) -> int:
        return len(self.t)


def published_grid(start: Tensor) -> Points:
    """Return the published grid of 200 points on the path from one baseline (1, D)."""
    k, m = GRID
    t = torch.outer(torch.arange(1, k + 1) / k, torch.arange(1, m + 1) / m).flatten().to(start)
    even = torch.full_like(t, 1 / (k * m))
    return Points(start.expand(len(t), -1), t, t * even, even)


def published_draws(baselines: Tensor, draws: int = 200, seed: int = 0) -> Points:
    """Return the published expectation: alpha, beta and the baseline drawn at random for each point."""
    random = np.random.default_rng(seed)
    t = torch.as_tensor(random.random(draws) * random.random(draws)).to(baselines)
    even = torch.full_like(t, 1 / draws)
    chosen = torch.as_tensor(random.integers(len(baselines), size=draws), device=baselines.device)
    return Points(baselines[chosen], t, t * even, even)


def gauss_nodes(baselines: Tensor, n: int) -> Points:
    """Return n Gauss-Legendre nodes with the weights of -t ln t and -ln t, on the path from each baseline (B, D)."""
    nodes = panel_rule(n).on(np.zeros(1), np.ones(1))
    b = len(baselines)
    t, log_weights = (torch.as_tensor(v[0]).to(baselines).repeat(b) for v in (nodes.t, nodes.log_weights / b))
    return Points(baselines.repeat_interleave(n, 0), t, log_weights * t, log_weights)


def by_second_backward(net: nn.Module, x: Tensor, points: Points, batch_points: int) -> Tensor:
    """Return Gamma (N, D, D) by a gradient and, for each feature, a backward pass through it."""
    rows = max(1, batch_points // len(points))
    return torch.cat([_second_backward(net, some, points) for some in x.split(rows)])


def _second_backward(net: nn.Module, x: Tensor, points: Points) -> Tensor:
    delta = x[:, None] - points.start
    z = (points.start + points.t[:, None] * delta).requires_grad_()
    (gradient,) = torch.autograd.grad(net(z).sum(), z, create_graph=True)
    gamma = x.new_empty(len(x), x.shape[1], x.shape[1])
    weighted = points.second[:, None] * delta
    for i in range(x.shape[1]):
        (column,) = torch.autograd.grad(gradient[:, :, i].sum(), z, retain_graph=True)
        gamma[:, :, i] = torch.einsum("rqd,rq->rd", column.mul_(weighted), delta[:, :, i])
    diagonal = torch.einsum("rqd,rqd,q->rd", gradient.detach(), delta, points.first)
    gamma.diagonal(dim1=1, dim2=2).add_(diagonal)
    return gamma


def by_vmap_of_hessian(net: nn.Module, x: Tensor, points: Points, batch_points: int) -> Tensor:
    """Return Gamma (N, D, D) by vmap(torch.func.hessian) over points, as a user would write it."""

    def value(z: Tensor) -> Tensor:
        return net(z)[0]

    hessians = torch.func.vmap(torch.func.hessian(value))
    gradients = torch.func.vmap(torch.func.grad(value))
    gamma = x.new_zeros(len(x), x.shape[1], x.shape[1])
    row = torch.arange(len(x), device=x.device).repeat_interleave(len(points))
    point = torch.arange(len(points), device=x.device).repeat(len(x))
    for some in torch.arange(len(row), device=x.device).split(batch_points):
        r, q = row[some], point[some]
        delta = x[r] - points.start[q]
        z = points.start[q] + points.t[q, None] * delta
        weighted = hessians(z) * (points.second[q, None, None] * delta[:, :, None] * delta[:, None, :])
        weighted.diagonal(dim1=1, dim2=2).add_(gradients(z) * delta * points.first[q, None])
        gamma.index_add_(0, r, weighted)
    return gamma
