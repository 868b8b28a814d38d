"""Where chains are analytic is bounded from below: a bound that is too wide would hide a kink."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from problems import network, normal, softplus, straight_paths
from scipy.special import erf
from torch import Tensor, nn

from ihcli.derivatives.chain import Chain, find_chain
from ihcli.derivatives.jets import UNARY, aten
from ihcli.derivatives.paths import Paths
from ihcli.derivatives.room import nowhere
from ihcli.derivatives.strips import POWERED, STRIPS, analytic_within, norm_bound

D = 4
ROUNDING = 1e-9


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


SLOPES: dict[str, tuple[Any, tuple[Any, ...], Callable[[np.ndarray], np.ndarray]]] = {
    "softplus": (aten.softplus.default, (), sigmoid),
    "sharp softplus": (aten.softplus.default, (30.0, 40.0), lambda z: sigmoid(30 * z)),
    "tanh": (aten.tanh.default, (), lambda z: 1 / np.cosh(z) ** 2),
    "sigmoid": (aten.sigmoid.default, (), lambda z: sigmoid(z) * sigmoid(-z)),
    "silu": (aten.silu.default, (), lambda z: sigmoid(z) + z * sigmoid(z) * sigmoid(-z)),
    "gelu": (
        aten.gelu.default,
        (),
        lambda z: (1 + erf(z / 2**0.5)) / 2 + z * np.exp(-(z**2) / 2) / (2 * np.pi) ** 0.5,
    ),
}


def test_every_function_in_the_table_is_held_against_a_grid() -> None:
    named = {operation.name().rstrip("_") for operation in STRIPS}
    assert named == {operation.name() for operation, _, _ in SLOPES.values()}


@pytest.mark.parametrize("name", SLOPES)
def test_slopes_within_a_strip_are_no_larger_than_the_table_says(name: str) -> None:
    operation, settings, slope = SLOPES[name]
    width, most = STRIPS[operation](*settings)
    real = np.linspace(-20, 20, 4001)
    ours = UNARY[operation](torch.as_tensor(real), nowhere, *settings)[1].numpy()
    np.testing.assert_allclose(slope(real.astype(complex)), ours, rtol=0, atol=1e-7)
    found = [np.abs(slope(real + 1j * y)).max() for y in np.linspace(0, width, 50)]
    assert max(found) <= most + ROUNDING


def chain_of(module: nn.Module) -> Chain:
    return find_chain(module, normal(7, D, seed=5))


def paths() -> Paths:
    return straight_paths(normal(6, D, seed=1), normal(2, D, seed=2))


@pytest.mark.parametrize("activation", [nn.Tanh, nn.Sigmoid, nn.SiLU, lambda: softplus(10)])
@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_no_unit_leaves_its_strip_within_the_bound(activation: Callable[[], nn.Module], scale: float) -> None:
    chain, among = chain_of(network([D, 9, 7, 8], activation, seed=3, scale=scale)), paths()
    (every,) = among.placed(np.arange(among.n_rows * among.n_baselines))
    start, delta = among.ends(every)
    y = analytic_within(chain, among)
    assert y > 0
    step = chain.activations[0].steps[0]
    width, _ = STRIPS[step.operation](*step.arguments[1:])
    functions: dict[Any, Callable[[Tensor], Tensor]] = {
        aten.tanh.default: torch.tanh,
        aten.sigmoid.default: torch.sigmoid,
        aten.silu.default: lambda a: a * torch.sigmoid(a),
        aten.softplus.default: lambda a: torch.log(1 + torch.exp(10 * a)) / 10,
    }
    for t in np.linspace(0, 1, 41):
        a = (start + complex(t, y) * delta) @ chain.affines[0].weight.T.to(torch.complex128) + chain.affines[0].bias
        for affine in chain.affines[1:]:
            assert a.imag.abs().max() <= width + ROUNDING
            a = functions[step.operation](a) @ affine.weight.T.to(torch.complex128) + affine.bias


def test_one_unit_is_analytic_up_to_half_its_pole() -> None:
    module = nn.Sequential(nn.Linear(1, 1), softplus(5), nn.Linear(1, 1)).double()
    module[0].weight.data.fill_(3.0)
    along = straight_paths(torch.tensor([[2.0]]).double(), torch.zeros(1, 1).double())
    pole = math.pi / (5 * 3 * 2)
    assert analytic_within(find_chain(module, along.inputs), along) == pytest.approx(pole / 2)


KINKED: dict[str, nn.Module] = {
    "a kink": network([D, 6, 6], nn.ReLU, seed=3),
    "a kink in one layer": nn.Sequential(
        nn.Linear(D, 5), nn.Tanh(), nn.Linear(5, 5), nn.ELU(), nn.Linear(5, 1)
    ).double(),
    "a switch that shows": network([D, 6, 6], lambda: nn.Softplus(1, 3), seed=3),
    "a head": nn.Sequential(network([D, 6], nn.Tanh, seed=3, n_outputs=3), nn.Softmax(1)),
    "not a number": network([D, 6, 6], nn.Tanh, seed=3),
}
KINKED["not a number"][2].weight.data[0, 0] = torch.nan


@pytest.mark.parametrize("name", KINKED)
def test_of_what_is_not_known_nothing_is_said(name: str) -> None:
    chain = chain_of(KINKED[name])
    assert analytic_within(chain, paths()) == 0


@pytest.mark.parametrize("shape", [(1, 128), (128, 128), (128, 3), (POWERED + 1, POWERED + 8), (5, 5)])
@pytest.mark.parametrize("size", [1e-12, 1.0, 1e12])
def test_norms_are_bounded_from_above(shape: tuple[int, int], size: float) -> None:
    for weight in (normal(*shape, seed=1), normal(*shape, seed=2).abs(), torch.eye(*shape).double()):
        norm = float(torch.linalg.matrix_norm(size * weight, 2))
        bound = norm_bound(size * weight)
        assert norm * (1 - ROUNDING) <= bound
        assert min(shape) > POWERED or bound <= 1.2 * norm
    assert norm_bound(torch.zeros(shape)) == 0
