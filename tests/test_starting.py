"""With how many nodes whole paths begin: as few as take the least on some rows, and miss nothing there."""

from copy import deepcopy
from dataclasses import dataclass, fields, replace

import numpy as np
import pytest
import torch
from judging import Case, judge
from problems import MEMORY_BYTES, network, normal, softplus, straight_paths
from test_longer import Bump, rows
from torch import nn

import ihcli
from ihcli.derivatives.autograd import AutogradEngine
from ihcli.derivatives.paths import Paths
from ihcli.integration.effort import NODES, Effort
from ihcli.integration.starting import chosen_start
from ihcli.quality import Status
from ihcli.readers.tables import MANY_UNITS, REPAYS, REPAYS_FEW_UNITS

ORDERS = pytest.mark.parametrize("second_order", [False, True], ids=["first order", "second order"])
N_INPUTS = 12


def chosen(function: nn.Module, paths: Paths, second_order: bool, tolerance: float = 0.01) -> int:
    return chosen_start(AutogradEngine(function, MEMORY_BYTES).along(paths), second_order, Effort(tolerance))


@ORDERS
@pytest.mark.parametrize("n_inputs", [3, N_INPUTS])
def test_smooth_networks_begin_with_few_nodes_and_sharp_ones_with_as_many_as_ever(second_order, n_inputs) -> None:
    paths = straight_paths(normal(16, n_inputs, seed=1))
    assert chosen(network([n_inputs, 16], lambda: softplus(1), seed=2), paths, second_order, 0.1) < 6
    sharp = network([n_inputs, 16, 16], lambda: softplus(100), seed=3, scale=1.6)
    assert chosen(sharp, paths, second_order, 0.001) == NODES


@ORDERS
def test_no_start_is_taken_that_misses_a_row(second_order) -> None:
    """One row of 16 crosses a band between the nodes of a short rule."""
    ends = np.where(np.arange(16) == 5, 1.0, 0.2)
    assert chosen(Bump(at=50.0, width=0.12), rows(16, ends), second_order) == 4
    assert chosen(Bump(at=1.0, width=0.12), rows(16, ends), second_order) > 4


@pytest.mark.parametrize(("n_inputs", "repays"), [(MANY_UNITS, REPAYS), (MANY_UNITS - 1, REPAYS_FEW_UNITS)])
@pytest.mark.parametrize("method", ["ig", "ih"])
def test_tables_of_many_rows_begin_with_what_some_of_them_chose(method, n_inputs, repays) -> None:
    net, x = network([n_inputs, 16], nn.Tanh, seed=4).float(), normal(repays, n_inputs, seed=5).numpy()
    found = ihcli.explain(net, x, method=method, tolerance=0.05)
    assert np.median(found.evaluations) < NODES
    fewer = ihcli.explain(net, x[: repays - 1], method=method, tolerance=0.05)
    assert fewer.evaluations.min() == NODES
    exact = ihcli.explain(net, x, method=method, tolerance=1e-6)
    apart = np.abs(found.attributions - exact.attributions).sum(1) / np.abs(exact.attributions).sum(1)
    assert (found.status == Status.OK).all()
    assert np.mean(apart <= found.relative_error) >= 0.99


@pytest.mark.parametrize("settings", [{"steps": 6}, {"max_evaluations": NODES}, {"method": "eg", "baseline_rows": 5}])
def test_nothing_is_tried_where_nothing_is_open(settings, monkeypatch) -> None:
    def tried(*_: object) -> int:
        raise AssertionError

    monkeypatch.setattr("ihcli.explainers.settling.chosen_start", tried)
    net, x = network([4, 8], nn.Tanh, seed=6).float(), normal(REPAYS_FEW_UNITS, 4, seed=7).numpy()
    settings = {"method": "ig", **settings}
    ihcli.explain(net, x, **settings)


@dataclass(frozen=True)
class Repeated(Case):
    """The rows of a case again and again, so that there are enough for some of them to choose."""

    def answered(self, method: str, tolerance: float, dtype: torch.dtype) -> ihcli.Explanation:
        times = -(-REPAYS_FEW_UNITS // self.n_rows)
        found = ihcli.explain(
            deepcopy(self.trained.module).to(dtype),
            np.tile(self.rows.numpy(), (times, 1)),
            method=method,
            baseline=self.baselines[0].numpy(),
            tolerance=tolerance,
        )
        of_rows = {each.name: getattr(found, each.name) for each in fields(found)}
        n = times * self.n_rows
        kept = {name: it[: self.n_rows] for name, it in of_rows.items() if isinstance(it, np.ndarray) and len(it) == n}
        return replace(found, **kept)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ihcli.library.IhcliWarning")
@pytest.mark.parametrize("method", ["ig", "ih"])
@pytest.mark.parametrize("name", ["band, width 0.2", "band, width 0.1", "step of 30, nearly equal"])
def test_no_row_of_a_deceiving_network_is_certified_too_soon(name: str, method: str) -> None:
    for tolerance in (0.01, 0.001):
        found = judge(Repeated(name, 40), method, tolerance, torch.float64)
        assert found.is_ok.mean() >= 0.9
        assert found.is_within_tolerance[found.is_ok].all()
        honest = found.is_honest & found.is_honest_of_all
        assert honest.mean() >= 0.95, f"{tolerance}: {honest.mean()}"
