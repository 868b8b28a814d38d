"""Slow definitions to compare with: dense derivatives, the papers' double integral, and truth on a finer mesh."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.polynomial import legendre
from problems import MEMORY_BYTES, Function
from torch import Tensor
from torch.autograd.functional import hessian, jacobian

from ihcli.derivatives.autograd import AutogradEngine
from ihcli.derivatives.paths import Paths
from ihcli.integration.certify import Certificate, certify
from ihcli.integration.effort import Effort
from ihcli.integration.panels import Panels
from ihcli.integration.quadrature import panel_rule

FINER = 10
"""Into how many panels truth cuts each accepted one: with 8 nodes each, a smooth error falls by about 10^16."""

MOST_POINTS = 20_000
"""At which truth takes derivatives at once."""


def double_integral(function: Function, x: Tensor, baseline: Tensor, n_steps: int) -> np.ndarray:
    """Return Gamma, (D, D), of one row and one baseline, by midpoints in alpha and beta (Janizek et al. 2021, eq. 3).

    Gamma_ij = int int [ delta_i delta_j alpha beta d_ij f + [i = j] delta_i d_i f ](x' + alpha beta delta)
    """
    delta = x - baseline
    midpoints = (torch.arange(n_steps, dtype=x.dtype) + 0.5) / n_steps
    total = torch.zeros(len(x), len(x), dtype=x.dtype)
    for alpha in midpoints:
        for beta in midpoints:
            z = baseline + alpha * beta * delta
            second = hessian(lambda z: function(z[None])[0, 0], z)
            first = jacobian(lambda z: function(z[None])[0, 0], z)
            total += alpha * beta * delta[:, None] * delta * second + torch.diag(delta * first)
    return (total / n_steps**2).numpy()


def expected_double_integral(function: Function, x: Tensor, baselines: Tensor, n_steps: int) -> np.ndarray:
    """Return the mean of `double_integral` over baselines, the same one on both levels."""
    return np.mean([double_integral(function, x, baseline, n_steps) for baseline in baselines], axis=0)


def dense_derivatives(function: Function, paths: Paths, path: int, t: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return h, its gradient and its Hessian at the gates u = t * 1 of one path, from h(u) = f(x' + (S u) * delta)."""
    row, start = path // paths.n_baselines, paths.baselines[path % paths.n_baselines]
    group_of = torch.arange(paths.n_groups) if paths.group_of is None else paths.group_of
    membership = torch.nn.functional.one_hot(group_of, paths.n_groups).to(start.dtype)

    def of_gates(gates: Tensor) -> Tensor:
        z = start + (membership @ gates) * (paths.inputs[row] - start)
        return function(z[None])[0, paths.outputs[row]]

    gates = torch.full((paths.n_groups,), t, dtype=start.dtype)
    return of_gates(gates), jacobian(of_gates, gates), hessian(of_gates, gates)


def finer_attributions(function: Function, paths: Paths, mesh: Panels) -> np.ndarray:
    """Return phi, (N, G), from every panel of the mesh cut in FINER, in the dtype of the paths.

    It is also the truth for the row sums of Gamma, which equal phi.
    """
    rule = panel_rule(8)
    cuts = np.arange(FINER)[:, None] / FINER
    width = (mesh.b - mesh.a) / FINER
    a = mesh.a + cuts * (mesh.b - mesh.a)  # (FINER, M)
    t = a[..., None] + width[:, None] * (1 + rule.nodes) / 2
    gradient = _along(function, paths, np.broadcast_to(mesh.path[:, None], t.shape), t)
    per_panel = np.einsum("fmng,n,m->mg", gradient, rule.weights / 2, width)
    return _mean_over_paths(paths, mesh.path, per_panel)


@dataclass(frozen=True)
class Truth:
    """The integrals of each path, float64: phi (N, B, G), and Gamma (N, B, G, G) unless only phi was asked for."""

    attributions: np.ndarray
    interactions: np.ndarray | None

    @property
    def mean(self) -> "Truth":
        """Over baselines: phi (N, G), and Gamma (N, G, G)."""
        return Truth(self.attributions.mean(1), None if self.interactions is None else self.interactions.mean(1))


def true_integrals(
    function: Function, paths: Paths, second_order: bool, n_nodes: int = 10, budget: int = 3000
) -> Truth:
    """Integrate on a mesh much finer than any that is accepted, with weights and derivatives of its own.

    Each path is cut into 16 equal panels, graded at 0, and wherever the product cuts it for a tolerance of 1e-6 within
    `budget` evaluations a baseline, these panels halved. Nodes are Gauss-Legendre's in t^(1/4), which takes the
    singularity from -ln t, and Hessians are taken whole: neither identity nor product integration is used.
    """
    path, a, b = _fine_panels(function, paths, second_order, budget)
    nodes, weights = legendre.leggauss(n_nodes)
    low, high = a[:, None] ** 0.25, b[:, None] ** 0.25
    root = (low + high) / 2 + (high - low) / 2 * nodes  # (M, n)
    t, density = root**4, 4 * root**3 * (high - low) / 2 * weights
    first = np.searchsorted(path, np.arange(paths.n_rows * paths.n_baselines + 1)) * n_nodes
    where, t, density = np.repeat(path, n_nodes), t.ravel(), density.ravel()
    parts = []
    start = 0
    while start < len(first) - 1:
        stop = max(start + 1, int(np.searchsorted(first, first[start] + MOST_POINTS, side="right")) - 1)
        some = slice(first[start], first[stop])
        at = torch.as_tensor(np.stack([t[some], density[some], -np.log(t[some]) * density[some]]))
        parts.append(_sums(function, paths, torch.as_tensor(where[some]), *at, second_order=second_order))
        start = stop
    shape = (paths.n_rows, paths.n_baselines, paths.n_groups)
    phi, gamma = (np.concatenate(each) for each in zip(*parts, strict=True))
    return Truth(phi.reshape(shape), gamma.reshape(*shape, paths.n_groups) if second_order else None)


def _fine_panels(
    function: Function, paths: Paths, second_order: bool, budget: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return path, a and b of the panels, in order."""
    along = AutogradEngine(function, MEMORY_BYTES).along(paths)
    accepted = certify(along, second_order, Effort(1e-6, budget * paths.n_baselines)).panels
    own = np.union1d(np.arange(17) / 16, 4.0 ** -np.arange(3, 10))
    n_paths = paths.n_rows * paths.n_baselines
    path = np.concatenate([np.repeat(np.arange(n_paths), len(own)), np.tile(accepted.path, 2)])
    ends = np.concatenate([np.tile(own, n_paths), accepted.a, (accepted.a + accepted.b) / 2])
    path, ends = np.unique(np.stack([path, ends], 1), axis=0).T
    is_panel = path[1:] == path[:-1]
    return path[:-1][is_panel].astype(np.int64), ends[:-1][is_panel], ends[1:][is_panel]


def _sums(
    function: Function, paths: Paths, path: Tensor, t: Tensor, plain: Tensor, log: Tensor, second_order: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Sum F and Hessians of whole paths over their points: phi, (paths, G), and Gamma, (paths, G, G), else empty."""
    seen, position = torch.unique(path, return_inverse=True)
    group_of = torch.arange(paths.n_groups) if paths.group_of is None else paths.group_of
    start, delta = paths.ends(path)
    gates = torch.zeros(len(seen), paths.n_groups, dtype=torch.float64, requires_grad=True)
    z = start + (t[:, None] + gates[position][:, group_of]) * delta
    value = function(z).gather(1, paths.outputs[paths.rows(path)][:, None])
    (gradient,) = torch.autograd.grad(value.sum(), z, create_graph=second_order)
    per_group = torch.zeros(len(path), paths.n_groups, dtype=torch.float64).index_add(1, group_of, gradient * delta)
    total = torch.zeros(len(seen), paths.n_groups, dtype=torch.float64)
    phi = total.index_add(0, position, plain[:, None] * per_group).detach().numpy()
    if not second_order:
        return phi, np.zeros((len(seen), 0))
    diagonal = total.index_add(0, position, log[:, None] * per_group).detach()
    weighted = total.index_add(0, position, (t * log)[:, None] * per_group)
    gamma = torch.diag_embed(diagonal) + _hessian_rows(weighted, gates)
    return phi, gamma.numpy()


def _hessian_rows(of: Tensor, gates: Tensor) -> Tensor:
    if not of.requires_grad:  # of a linear function
        return torch.zeros(*gates.shape, gates.shape[1], dtype=gates.dtype)
    rows = [
        torch.autograd.grad(of[:, g].sum(), gates, retain_graph=True, allow_unused=True, materialize_grads=True)[0]
        for g in range(gates.shape[1])
    ]
    return torch.stack(rows, 1)


def row_sums(function: Function, paths: Paths, certificate: Certificate) -> np.ndarray:
    """Return the row sums of Gamma, (N, G), as the certificate's mesh gives them, without assembling Gamma."""
    mesh = certificate.panels
    per_panel = mesh.log_integral.copy()
    for rule, which in mesh.by_rule(certificate.rule):
        nodes = rule.on(mesh.a[which], mesh.b[which])
        at = np.broadcast_to(mesh.path[which, None], nodes.t.shape)
        curvature = _along(function, paths, at, nodes.t, order=2)
        per_panel[which] += np.einsum("mng,mn->mg", curvature, nodes.log_weights * nodes.t)
    return _mean_over_paths(paths, mesh.path, per_panel)


def relative_error(got: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return ||got - truth||_1 / ||truth||_1 for each row, (N,)."""
    return np.abs(got - truth).sum(1) / np.abs(truth).sum(1)


def _along(function: Function, paths: Paths, path: np.ndarray, t: np.ndarray, order: int = 1) -> np.ndarray:
    engine = AutogradEngine(function, MEMORY_BYTES)
    where = path.reshape(-1)
    at = torch.tensor(t.reshape(-1), dtype=paths.inputs.dtype)
    some = range(0, len(at), 20_000)
    derivative = engine.gradients if order == 1 else engine.curvatures
    parts = [derivative(paths, where[i : i + 20_000], at[i : i + 20_000])[order] for i in some]
    return torch.cat(parts).double().numpy().reshape(*t.shape, paths.n_groups)


def _mean_over_paths(paths: Paths, path: np.ndarray, per_panel: np.ndarray) -> np.ndarray:
    total = np.zeros((paths.n_rows, paths.n_groups))
    np.add.at(total, path // paths.n_baselines, per_panel)
    return total / paths.n_baselines
