"""What every engine of derivatives promises: tests that the file of each inherits.

The truth is a dense Hessian of h(u) = f(x' + (S u) * delta), point by point.
"""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from oracles import dense_derivatives
from problems import MEMORY_BYTES, Function, normal, softplus, straight_paths
from problems import network as layers
from torch import Tensor, nn

from ihcli.derivatives import Engine
from ihcli.derivatives.paths import Paths

N_INPUTS, N_OUTPUTS = 6, 3
EXACT = {"rtol": 1e-10, "atol": 1e-12}
"""Float64: the same terms, in another order."""
GROUPINGS: dict[str, list[int] | None] = {
    "ungrouped": None,
    "grouped": [0, 1, 0, 2, 1, 1],
    "one group": [0] * N_INPUTS,
}
in_every_grouping = pytest.mark.parametrize("group_of", GROUPINGS.values(), ids=GROUPINGS)


def network() -> nn.Module:
    return layers([N_INPUTS, 9, 8], lambda: softplus(3), seed=1, n_outputs=N_OUTPUTS)


def paths_of(group_of: list[int] | None = None, n_baselines: int = 2) -> Paths:
    inputs, baselines = normal(4, N_INPUTS, seed=2), normal(n_baselines, N_INPUTS, seed=3)
    return straight_paths(inputs, baselines, group_of=group_of, outputs=torch.tensor([2, 0, 1, 0]))


def some_points(paths: Paths) -> tuple[np.ndarray, Tensor]:
    """Put three points on every path, both ends among them."""
    n_paths = paths.n_rows * paths.n_baselines
    t = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64).repeat(n_paths)
    return np.arange(n_paths).repeat(3), t


def assert_agrees(function: Function, paths: Paths, engine: Engine, path: np.ndarray, t: Tensor) -> None:
    """Compare all that an engine says of a function at some points with dense derivatives."""
    dense = [dense_derivatives(function, paths, p, s) for p, s in zip(path.tolist(), t.tolist(), strict=True)]
    value, first, second = (torch.stack(part) for part in zip(*dense, strict=True))
    torch.testing.assert_close(engine.values(paths, path, t), value, **EXACT)
    torch.testing.assert_close(engine.gradients(paths, path, t), (value, first), **EXACT)
    torch.testing.assert_close(engine.curvatures(paths, path, t), (value, first, second.sum(2)), **EXACT)
    torch.testing.assert_close(engine.hessians(paths, path, t), (value, first, second), **EXACT)
    weights = normal(len(t), seed=4)
    rows, sums = engine.assemble(paths, path, t, weights)
    expected = torch.zeros(paths.n_rows, *second.shape[1:], dtype=second.dtype)
    expected.index_add_(0, torch.tensor(paths.rows(path)), weights[:, None, None] * second)
    assert set(rows) == set(paths.rows(path))
    torch.testing.assert_close(torch.zeros_like(expected).index_add_(0, torch.tensor(rows), sums), expected, **EXACT)


class EngineContract:
    """Which engine serves makes no difference to the derivatives, beyond rounding."""

    def engine(self, function: Function, paths: Paths, memory_bytes: int = MEMORY_BYTES) -> Engine:
        """Return the engine of a function that, where it needs to look at some, is asked about such paths."""
        raise NotImplementedError

    def assert_agrees(self, function: Function, paths: Paths, path: np.ndarray, t: Tensor) -> None:
        assert_agrees(function, paths, self.engine(function, paths), path, t)

    @in_every_grouping
    def test_a_network_agrees_with_its_dense_hessian(self, group_of: list[int] | None) -> None:
        paths = paths_of(group_of)
        self.assert_agrees(network(), paths, *some_points(paths))

    @in_every_grouping
    def test_a_linear_model_has_zero_second_derivatives(self, group_of: list[int] | None) -> None:
        paths = paths_of(group_of)
        linear = nn.Linear(N_INPUTS, N_OUTPUTS).double().requires_grad_(False)
        self.assert_agrees(linear, paths, *some_points(paths))

    def test_rows_of_a_batch_are_returned_as_they_are_numbered(self) -> None:
        t = torch.tensor([0.9, 0.2, 0.4], dtype=torch.float64)
        self.assert_agrees(network(), paths_of(n_baselines=1), np.array([1, 3, 3]), t)

    def test_paths_out_of_order_agree(self) -> None:
        """As bisection leaves them: left halves of all panels, then right halves."""
        path = np.tile([0, 2, 5], 2).repeat(3)
        self.assert_agrees(network(), paths_of(), path, torch.linspace(0, 1, len(path)).double())

    @in_every_grouping
    def test_a_row_equal_to_its_baseline_has_exactly_zero_derivatives(self, group_of: list[int] | None) -> None:
        x = normal(4, N_INPUTS, seed=14)
        paths = straight_paths(x, x[1:2], group_of, torch.tensor([2, 0, 1, 0]))
        path, t = some_points(paths)
        engine = self.engine(network(), paths)
        _, gradient, curvature = engine.curvatures(paths, path, t)
        _, matrices = engine.assemble(paths, path, t, torch.ones_like(t))
        for found in (engine.gradients(paths, path, t)[1], gradient, curvature):
            assert not found[path == 1].any()
            assert found[path != 1].abs().sum() > 0
        assert not matrices[1].any()

    def test_nothing_gathers_gradients(self) -> None:
        module, paths = network().requires_grad_(True), paths_of()
        path, t = some_points(paths)
        with torch.no_grad():
            engine = self.engine(module, paths)
            asked: tuple[Callable[..., tuple[Tensor, ...]], ...] = (
                engine.gradients,
                engine.curvatures,
                engine.hessians,
            )
            found = [engine.values(paths, path, t), *(part for ask in asked for part in ask(paths, path, t))]
            found.append(engine.assemble(paths, path, t, torch.ones_like(t))[1])
        assert not any(tensor.requires_grad for tensor in found)
        assert all(parameter.grad is None for parameter in module.parameters())

    def test_memory_bounds_a_batch_and_changes_nothing(self) -> None:
        paths = paths_of()
        path, t = some_points(paths)
        roomy, small = (self.engine(network(), paths, memory) for memory in (10**8, 10**4))
        assert self.engine(network(), paths, 1).batch_points(paths, 100) == 1
        points = [self.engine(network(), paths, 10**k).batch_points(paths, 1) for k in range(2, 9)]
        assert points == sorted(points)
        assert points[-1] > 10 * points[3] > 10
        weights = torch.ones_like(t)
        found, expected = (engine.assemble(paths, path, t, weights)[1] for engine in (small, roomy))
        torch.testing.assert_close(found, expected)
