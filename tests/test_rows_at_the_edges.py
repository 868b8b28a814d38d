"""Rows without finite derivatives, and rows that rounding or effort keeps from the tolerance, through explain."""

import copy

import numpy as np
import pytest
import torch
from problems import network, normal, softplus
from torch import Tensor, nn

import ihcli
from ihcli.models import wrap_module
from ihcli.quality import Status

SPREAD = 1e-12
"""Float64: the same figures from batches of other sizes."""


class Overflowing(nn.Module):
    """Grows beyond every number where the first input exceeds about 700, and is the square of the sum elsewhere."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sum(1) ** 2 + torch.exp(x[:, 0] ** 2 - 500_000)


class Singular(nn.Module):
    """Has a value at 0 and no gradient there: every path to a row with a first input of 0 lies on it."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 1] ** 2 + (x[:, 0] ** 2).sqrt() * x[:, 1]


@pytest.mark.filterwarnings("ignore:the output of .* is not finite")
@pytest.mark.parametrize("method", ["ig", "ih"])
@pytest.mark.parametrize(("module", "bad"), [(Overflowing(), 800.0), (Singular(), 0.0)])
def test_rows_without_finite_derivatives_are_flagged_and_leave_the_others_alone(
    module: nn.Module, bad: float, method: str
) -> None:
    rows = normal(40, 3, seed=1).abs().numpy() + 0.1
    model = wrap_module(module.eval(), dtype=torch.float64, n_inputs=3)
    alone = ihcli.explain(model, rows, method=method, smooth="none")
    mixed = rows.copy()
    mixed[[20, 30], 0] = bad
    explanation = ihcli.explain(model, mixed, method=method, smooth="none")
    flagged = explanation.status == Status.NON_FINITE
    assert np.flatnonzero(flagged).tolist() == [20, 30]
    assert not np.isfinite(explanation.attributions[flagged]).all(axis=1).any()
    assert (explanation.status[~flagged] == Status.OK).all()
    scale = abs(alone.attributions).max()
    assert abs(explanation.attributions - alone.attributions)[~flagged].max() <= SPREAD * scale


def test_rounding_is_told_from_slow_convergence() -> None:
    rows, module = normal(6, 10, seed=2).numpy(), network([10, 32, 32], lambda: softplus(10), seed=5)
    single = ihcli.explain(copy.deepcopy(module).float(), rows, tolerance=1e-9)
    hurried = ihcli.explain(module, rows, tolerance=1e-9, max_evaluations=8)
    patient = ihcli.explain(module, rows, tolerance=1e-9)
    assert [set(explanation.status) for explanation in (single, hurried, patient)] == [
        {Status.ROUNDING},
        {Status.NOT_CONVERGED},
        {Status.OK},
    ]
