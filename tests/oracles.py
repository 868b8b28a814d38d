"""Slow definitions to compare with: dense derivatives, the papers' double integral, and truth on a finer mesh."""

import numpy as np
import torch
from problems import MEMORY_BYTES, Function
from torch import Tensor
from torch.autograd.functional import hessian, jacobian

from ihcli.derivatives.autograd import AutogradEngine
from ihcli.derivatives.paths import Paths
from ihcli.integration.certify import Certificate
from ihcli.integration.panels import Panels
from ihcli.integration.quadrature import panel_rule

FINER = 10
"""Into how many panels truth cuts each accepted one: with 8 nodes each, a smooth error falls by about 10^16."""


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


def row_sums(function: Function, paths: Paths, certificate: Certificate) -> np.ndarray:
    """Return the row sums of Gamma, (N, G), as the certificate's mesh gives them, without assembling Gamma."""
    mesh = certificate.panels
    nodes = certificate.rule.on(mesh.a, mesh.b)
    curvature = _along(function, paths, np.broadcast_to(mesh.path[:, None], nodes.t.shape), nodes.t, order=2)
    per_panel = np.einsum("mng,mn->mg", curvature, nodes.log_weights * nodes.t) + mesh.log_integral
    return _mean_over_paths(paths, mesh.path, per_panel)


def relative_error(got: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return ||got - truth||_1 / ||truth||_1 for each row, (N,)."""
    return np.abs(got - truth).sum(1) / np.abs(truth).sum(1)


def _along(function: Function, paths: Paths, path: np.ndarray, t: np.ndarray, order: int = 1) -> np.ndarray:
    engine = AutogradEngine(function, MEMORY_BYTES)
    where = torch.tensor(path.reshape(-1))
    at = torch.tensor(t.reshape(-1), dtype=paths.inputs.dtype)
    some = range(0, len(at), 20_000)
    derivative = engine.gradients if order == 1 else engine.curvatures
    parts = [derivative(paths, where[i : i + 20_000], at[i : i + 20_000])[order] for i in some]
    return torch.cat(parts).double().numpy().reshape(*t.shape, paths.n_groups)


def _mean_over_paths(paths: Paths, path: np.ndarray, per_panel: np.ndarray) -> np.ndarray:
    total = np.zeros((paths.n_rows, paths.n_groups))
    np.add.at(total, path // paths.n_baselines, per_panel)
    return total / paths.n_baselines
