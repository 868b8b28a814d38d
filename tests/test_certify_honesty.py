"""The reported relative error is at least the true one, whatever the model, the method and the tolerance.

Truth is a mesh ten times finer in float64, which ig and ih share, as eg and eh do. Rows that did not converge count
too: they may miss the tolerance, but not understate by how much. Run with -s for the table of shares.
"""

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
import torch
from oracles import finer_attributions, relative_error, row_sums
from problems import (
    MEMORY_BYTES,
    NormedNetwork,
    network,
    normal,
    softplus,
    straight_paths,
    trained_classifier,
)
from torch import Tensor, nn

from ihcli.derivatives.autograd import AutogradEngine
from ihcli.derivatives.paths import Paths
from ihcli.integration.certify import Certificate, certify
from ihcli.integration.effort import Effort
from ihcli.methods import METHODS, Method
from ihcli.quality import Status

TOLERANCES = (0.001, 0.01, 0.1)
FLOAT32_TOLERANCES = (0.001, 0.01, 0.1, 1e-5)
FLOAT32_BUDGET = 100
HONEST_SHARE = 0.99
N_ROWS = 100
N_BASELINES = 5
N_INPUTS = 10
WIDTH = 32


@dataclass(frozen=True)
class Family:
    """A model with its rows, and the evaluations it may take for each baseline."""

    build: Callable[[], tuple[nn.Module, Tensor]]
    budget: int = 1000
    second_order: bool = True

    def suits(self, method: Method) -> bool:
        return self.second_order or not method.second_order


@dataclass(frozen=True)
class Shares:
    """What came of one family, method and tolerance; shares of rows, evaluations a baseline."""

    tolerance: float
    honest: float
    converged: float
    true_to_tolerance: float
    evaluations: float

    def __str__(self) -> str:
        return (
            f"tolerance {self.tolerance:<6g} honest {self.honest:.3f}   converged {self.converged:.3f}   "
            f"true error of these within {self.true_to_tolerance:.3f}   evaluations {self.evaluations:.1f}"
        )


def _of_depth(depth: int, activation: Callable[[], nn.Module], scale: float = 1.0) -> tuple[nn.Module, Tensor]:
    module = network([N_INPUTS] + [WIDTH] * depth, activation, seed=depth, scale=scale)
    return module, normal(N_ROWS, N_INPUTS, seed=100 + depth)


def _normed() -> tuple[nn.Module, Tensor]:
    return NormedNetwork(N_INPUTS, WIDTH, seed=7), normal(N_ROWS, N_INPUTS, seed=8)


FAMILIES = {
    **{
        f"SoftPlus beta={beta} depth={depth}": Family(
            lambda beta=beta, depth=depth: _of_depth(depth, lambda: softplus(beta))
        )
        for beta in (1, 10, 50)
        for depth in (2, 5, 10)
    },
    "sharp SoftPlus beta=10 depth=5": Family(lambda: _of_depth(5, lambda: softplus(10), scale=1.6)),
    "sharp SoftPlus beta=50 depth=3": Family(lambda: _of_depth(3, lambda: softplus(50), scale=1.6)),
    "tanh depth=3": Family(lambda: _of_depth(3, nn.Tanh, scale=1.6)),
    "GELU with LayerNorm": Family(_normed),
    "scikit-learn tanh": Family(lambda: trained_classifier("tanh")),
    "scikit-learn SoftPlus beta=50": Family(lambda: trained_classifier("relu", beta=50)),
    "ReLU depth=2": Family(lambda: _of_depth(2, nn.ReLU), budget=300, second_order=False),
    "ReLU depth=5": Family(lambda: _of_depth(5, nn.ReLU), budget=150, second_order=False),
}
IN_FLOAT32 = (
    "SoftPlus beta=1 depth=5",
    "SoftPlus beta=10 depth=5",
    "sharp SoftPlus beta=50 depth=3",
    "scikit-learn tanh",
)

STARTED = ("SoftPlus beta=1 depth=5", "SoftPlus beta=10 depth=5", "tanh depth=3", "scikit-learn tanh")


def _cases(names: tuple[str, ...], many_baselines: bool = True) -> list[object]:
    return [
        pytest.param(FAMILIES[name], method, id=f"{name}, {method.name}")
        for name in names
        for method in METHODS.values()
        if method.is_integral and FAMILIES[name].suits(method) and many_baselines >= method.many_baselines
    ]


def _paths(rows: Tensor, many_baselines: bool) -> Paths:
    if not many_baselines:
        return straight_paths(rows[:N_ROWS])
    drawn = torch.randperm(len(rows), generator=torch.Generator().manual_seed(3))[:N_BASELINES]
    return straight_paths(rows[:N_ROWS], rows[drawn])


@cache
def _truth(family: Family, many_baselines: bool, dtype: torch.dtype) -> np.ndarray:
    """Return phi, which the row sums of Gamma equal, from the mesh of the strictest tolerance, in float64."""
    module, rows = family.build()
    paths = _paths(rows.to(dtype).double(), many_baselines)
    effort = Effort(min(TOLERANCES), family.budget * paths.n_baselines)
    mesh = certify(AutogradEngine(module, MEMORY_BYTES).along(paths), second_order=False, effort=effort).panels
    return finer_attributions(module, paths, mesh)


def _table(family: Family, method: Method, dtype: torch.dtype, efforts: Iterable[Effort]) -> list[Shares]:
    """Certify with each effort for one baseline, in that dtype."""
    module, rows = family.build()
    module, paths = deepcopy(module).to(dtype), _paths(rows.to(dtype), method.many_baselines)
    truth, table = _truth(family, method.many_baselines, dtype), []
    for each in efforts:
        effort = replace(each, max_evaluations=(each.max_evaluations or 0) * paths.n_baselines)
        certificate = certify(AutogradEngine(module, MEMORY_BYTES).along(paths), method.second_order, effort)
        got = row_sums(module, paths, certificate) if method.second_order else certificate.attributions.mean(1)
        table.append(_shares(certificate, effort.tolerance, relative_error(got, truth)))
    return table


def _shares(certificate: Certificate, tolerance: float, error: np.ndarray) -> Shares:
    converged = certificate.status == Status.OK
    return Shares(
        tolerance=tolerance,
        honest=np.mean(error <= certificate.relative_error),
        converged=np.mean(converged),
        true_to_tolerance=np.mean(error[converged] <= tolerance) if converged.any() else 1.0,
        evaluations=certificate.evaluations.mean() / certificate.baseline_prediction.shape[1],
    )


def _hold(table: list[Shares], title: str) -> None:
    lines = "\n".join([f"\n{title}", *(f"  {shares}" for shares in table)])
    print(lines)
    assert all(shares.honest >= HONEST_SHARE for shares in table), f"the error is understated:{lines}"
    assert all(shares.true_to_tolerance >= HONEST_SHARE for shares in table), f"the tolerance is missed:{lines}"


@pytest.mark.parametrize(("family", "method"), _cases(tuple(FAMILIES)))
def test_the_reported_error_is_at_least_the_true_one(family, method, request):
    efforts = [Effort(tolerance, family.budget) for tolerance in TOLERANCES]
    _hold(_table(family, method, torch.float64, efforts), request.node.callspec.id)


@pytest.mark.parametrize(("family", "method"), _cases(IN_FLOAT32))
def test_the_reported_error_covers_the_rounding_of_float32(family, method, request):
    efforts = [Effort(tolerance, FLOAT32_BUDGET) for tolerance in FLOAT32_TOLERANCES]
    _hold(_table(family, method, torch.float32, efforts), request.node.callspec.id)


@pytest.mark.parametrize("start", [4, 5, 6])
@pytest.mark.parametrize(("family", "method"), _cases(STARTED, many_baselines=False))
def test_the_reported_error_of_paths_that_begin_with_few_nodes_is_at_least_the_true_one(family, method, start, request):
    efforts = [Effort(tolerance, family.budget, start=start) for tolerance in TOLERANCES]
    _hold(_table(family, method, torch.float64, efforts), request.node.callspec.id)
