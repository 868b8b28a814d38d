"""Derivatives in gate space agree with a dense Hessian of h(u) = f(x' + (S u) * delta), point by point."""

import io
import warnings

import pytest
import torch
from engine_contract import GROUPINGS, N_INPUTS, EngineContract, assert_agrees, network, some_points
from problems import MEMORY_BYTES, Function, Polynomial, normal, straight_paths
from problems import network as layers
from torch import Tensor, nn

from ihcli.derivatives.autograd import DIRECTIONS, AutogradEngine
from ihcli.derivatives.paths import Paths
from ihcli.models import wrap_module


@pytest.fixture(params=GROUPINGS)
def paths(request) -> Paths:
    return straight_paths(
        normal(4, N_INPUTS, seed=2),
        normal(2, N_INPUTS, seed=3),
        group_of=GROUPINGS[request.param],
        outputs=torch.tensor([2, 0, 1, 0]),
    )


def assert_agrees_with_dense_derivatives(function: Function, paths: Paths, engine: AutogradEngine) -> None:
    assert_agrees(function, paths, engine, *some_points(paths))


class TestAutograd(EngineContract):
    def engine(self, function: Function, paths: Paths, memory_bytes: int = MEMORY_BYTES) -> AutogradEngine:
        return AutogradEngine(function, memory_bytes)


def test_more_groups_than_directions_in_a_slice_agree():
    n = DIRECTIONS + 3
    module = layers([n, 5], nn.Tanh, seed=5)
    paths = straight_paths(normal(2, n, seed=6))
    assert_agrees_with_dense_derivatives(module, paths, AutogradEngine(module, MEMORY_BYTES))


def test_inputs_the_model_ignores_have_zero_derivatives():
    function = Polynomial({(2, 1, 0): 1.0})
    paths = straight_paths(normal(2, 3, seed=8))
    assert_agrees_with_dense_derivatives(function, paths, AutogradEngine(function, MEMORY_BYTES))


def test_a_model_that_is_linear_in_some_inputs_agrees():
    def function(x: Tensor) -> Tensor:
        return torch.stack([x[:, 0] ** 3 + x[:, 1], x[:, 2]], 1)

    paths = straight_paths(normal(2, 3, seed=9), outputs=torch.tensor([0, 1]))
    assert_agrees_with_dense_derivatives(function, paths, AutogradEngine(function, MEMORY_BYTES))


class _Cube(torch.autograd.Function):
    """x^3 with a backward that looks at its values, which batched directions do not have."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, upstream):
        (x,) = ctx.saved_tensors
        return 3 * upstream * x**2 if upstream.any() else upstream


def _cubes(x: Tensor) -> Tensor:
    first = _Cube.apply(x @ normal(N_INPUTS, 5, seed=10)) / 10
    return _Cube.apply(first @ normal(5, 3, seed=11)) / 10


def test_an_operation_without_batching_rule_is_looped_over(paths):
    x = normal(1, N_INPUTS, seed=12).requires_grad_()
    gradient = torch.autograd.grad(_cubes(x).sum(), x, create_graph=True)[0]
    directions = torch.eye(N_INPUTS, dtype=torch.float64)[:, None]
    with pytest.raises(RuntimeError, match=r"Batching rule not implemented|vmap"):
        torch.autograd.grad(gradient, x, directions, is_grads_batched=True)
    assert_agrees_with_dense_derivatives(_cubes, paths, AutogradEngine(_cubes, MEMORY_BYTES))


def _scripted(module: nn.Module) -> nn.Module:
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(module), stream)
        stream.seek(0)
        return torch.jit.load(stream)


def test_a_torchscript_module_agrees_however_often_it_is_called(paths):
    module = network()
    engine = AutogradEngine(wrap_module(_scripted(module)).outputs, MEMORY_BYTES)
    for _ in range(4):
        assert_agrees_with_dense_derivatives(module, paths, engine)


def test_a_batch_grows_with_memory_and_shrinks_with_directions(paths):
    points = [AutogradEngine(network(), 10**k).batch_points(paths, 1) for k in range(2, 9)]
    assert points == sorted(points)
    assert points[-1] >= 100 * points[2] > 100
    engine = AutogradEngine(network(), 10**6)
    assert engine.batch_points(paths, 0) > engine.batch_points(paths, 1) > engine.batch_points(paths, 30) >= 1


def test_a_large_model_takes_fewer_directions_at_once_and_agrees(paths):
    engine, small = (AutogradEngine(network(), memory) for memory in (10**8, 10**4))
    assert small.batch_points(paths, 0) > 1  # a pass over some points fits, one in every direction does not
    path, t = some_points(paths)
    weights = torch.ones_like(t)
    found, expected = (some.assemble(paths, path, t, weights)[1] for some in (small, engine))
    torch.testing.assert_close(found, expected)


def test_inputs_of_another_length_are_measured_anew():
    engine = AutogradEngine(lambda z: z.sin().sum(1, keepdim=True), 10**6)
    short, long = (straight_paths(normal(2, width, seed=14)) for width in (5, 500))
    assert engine.batch_points(short, 1) > 20 * engine.batch_points(long, 1)


def test_a_wider_network_takes_smaller_batches():
    paths = straight_paths(normal(2, N_INPUTS, seed=14))
    narrow, wide = (layers([N_INPUTS, width], nn.Tanh, seed=15) for width in (10, 1000))
    narrow_points, wide_points = (AutogradEngine(m, 10**8).batch_points(paths, 1) for m in (narrow, wide))
    assert wide_points < narrow_points / 3
