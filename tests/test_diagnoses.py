"""What a function is like: steep and rounded is not kinked, saturated is not piecewise linear, kinks are kinks."""

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from problems import MEMORY_BYTES, Function, network, normal, straight_paths
from test_certify_kinks import kinked_functions
from torch import Tensor, nn

from ihcli.derivatives import Along
from ihcli.derivatives.autograd import AutogradEngine
from ihcli.integration.certify import certify
from ihcli.integration.diagnoses import find_kinks, find_steps, is_piecewise_linear
from ihcli.integration.effort import Effort
from ihcli.integration.kinks import certify_piecewise

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
GAINS = (1.7, 2.0, 3.0)


def along(function: Function, x: Tensor, baselines: Tensor | None = None) -> Along:
    return AutogradEngine(function, MEMORY_BYTES).along(straight_paths(x, baselines))


def both(
    function: Callable[[torch.dtype], Function], x: Tensor, dtype: torch.dtype
) -> tuple[Along, Callable[[], Along]]:
    """The function in that dtype, and what gives it in float64."""
    return along(function(dtype), x.to(dtype)), lambda: along(function(torch.float64), x.double())


def deep(gain: float) -> Callable[[torch.dtype], nn.Module]:
    """Twenty layers of tanh, which make much of what float32 rounds."""

    def build(dtype: torch.dtype) -> nn.Module:
        module = network([8] + [24] * 20, nn.Tanh, seed=1)
        with torch.no_grad():
            for layer in module[::2]:
                layer.weight.copy_(normal(*layer.weight.shape, seed=2) * gain / layer.weight.shape[1] ** 0.5)
        return module.to(dtype)

    return build


STEEP: dict[str, tuple[float, Function]] = {
    "log of large amounts": (1e6, lambda z: torch.log1p(z[:, :1]) * (1 + z[:, 1:])),
    "log of very large amounts": (1e9, lambda z: torch.log1p(z[:, :1]) + z[:, 1:]),
    "square root near 0": (1.0, lambda z: torch.sqrt(z[:, :1] + 1e-10) * z[:, 1:]),
    "sharp sigmoid": (1.0, lambda z: torch.sigmoid(1e3 * (z[:, :1] - 0.3)) * z[:, 1:]),
    "very sharp sigmoid": (1.0, lambda z: torch.sigmoid(1e5 * (z[:, :1] - 0.3)) * z[:, 1:]),
    "GELU of large weights": (1.0, lambda z: nn.functional.gelu(1e4 * (z[:, :1] - 0.3)) * z[:, 1:]),
    "reciprocal near 0": (1.0, lambda z: z[:, 1:] / (z[:, :1] + 1e-6)),
    "normalisation near 0": (1.0, lambda z: z[:, :1] / torch.sqrt((z**2).sum(1, keepdim=True) + 1e-12)),
}


def steep(name: str) -> tuple[Tensor, Function]:
    scale, function = STEEP[name]
    return (torch.rand(8, 2, generator=torch.Generator().manual_seed(3)) + 1) / 2 * torch.tensor([scale, 1.0]), function


@DTYPES
@pytest.mark.parametrize("name", STEEP)
def test_steep_functions_have_no_kinks(name: str, dtype: torch.dtype) -> None:
    x, function = steep(name)
    own, exact = both(lambda dtype: function, x, dtype)
    assert not find_kinks(own, exact).any()


@DTYPES
@pytest.mark.parametrize("gain", GAINS)
def test_what_float32_rounds_of_a_deep_smooth_network_is_no_kink(gain: float, dtype: torch.dtype) -> None:
    own, exact = both(deep(gain), normal(20, 8, seed=3), dtype)
    assert not find_kinks(own, exact).any()
    assert not find_kinks(own).any()  # nor where no other precision can be had


@pytest.mark.parametrize("name", kinked_functions())
def test_kinks_in_float32_are_there_in_float64_as_well(name: str) -> None:
    function, x = kinked_functions()[name], torch.tensor([[1.0, 0.5], [0.25, 0.5], [0.4, -2.0], [-1.0, 1.0]])
    own, exact = both(lambda dtype: function, x, torch.float32)
    assert find_kinks(own, exact)[:, 0].tolist() == (x[:, 0] > 0.3).tolist()


@DTYPES
@pytest.mark.parametrize("depth", [1, 6])
def test_kinks_of_networks_are_there_in_float64_as_well(depth: int, dtype: torch.dtype) -> None:
    own, exact = both(
        lambda dtype: network([8] + [16] * depth, nn.ReLU, seed=2).to(dtype), normal(20, 8, seed=1), dtype
    )
    assert find_kinks(own, exact).mean() > 0.9


@DTYPES
@pytest.mark.parametrize("edge", [0.3, 0.5])
def test_a_step_of_the_function_counts_as_a_kink(edge: float, dtype: torch.dtype) -> None:
    x = torch.tensor([[1.0, 0.5], [0.25, 0.5], [0.7, -2.0]])
    own, exact = both(lambda dtype: lambda z: (z[:, :1] > edge) * (1 + z[:, 1:]) + z[:, 1:] ** 2, x, dtype)
    assert find_kinks(own, exact)[:, 0].tolist() == (x[:, 0] > edge).tolist()


def test_only_the_largest_jumps_are_looked_at_again_where_few_are_enough() -> None:
    x = torch.tensor([[1.0, 0.5], [2.0, 0.5], [0.4, -2.0], [-1.0, 1.0]], dtype=torch.float64)
    found = find_kinks(along(kinked_functions()["ReLU"], x), most=1)
    assert found.sum() == 1
    assert not found[3]


@DTYPES
@pytest.mark.parametrize("size", [1e-3, 0.1])
def test_kinks_are_found_wherever_they_lie_on_the_path(size: float, dtype: torch.dtype) -> None:
    x = torch.rand(400, 2, generator=torch.Generator().manual_seed(4)) * torch.tensor([20.0, 1.0]) + 0.32
    own, exact = both(lambda _: lambda z: size * torch.relu(z[:, :1] - 0.3) + torch.exp(z[:, 1:]), x, dtype)
    found = find_kinks(own, exact)
    assert found.mean() >= 0.99  # of 400 that lie anywhere, one may lie in a corner of a panel


@DTYPES
def test_a_path_from_a_row_to_itself_holds_nothing(dtype: torch.dtype) -> None:
    """As every row of data that are their own baselines has one: what it leaves is rounding, beside a phi of 0."""
    for seed in range(20):
        x = normal(20, 4, seed=seed)
        own, exact = both(lambda dtype, seed=seed: network([4, 16, 16, 2], nn.Tanh, seed=seed).to(dtype), x, dtype)
        itself, exact_itself = (Along(a.engine, replace(a.paths, baselines=a.paths.inputs)) for a in (own, exact()))
        assert not find_kinks(itself, lambda there=exact_itself: there).any()
        assert not find_steps(itself, lambda there=exact_itself: there).any()


def test_smooth_paths_are_left_early() -> None:
    asked = []

    def watched(z: Tensor) -> Tensor:
        asked.append(len(z))
        return torch.tanh(z[:, :1] * z[:, 1:])

    n = 4
    assert not find_kinks(along(watched, normal(n, 2, seed=5))).any()
    assert sum(asked) < n * 8 * 17  # as for 8 bisections, of 17 evaluations each; there may be 16


SATURATED: dict[str, Function] = {
    "sigmoid from 10 on": lambda z: torch.sigmoid(20 * z[:, :1] + 5 * z[:, 1:] + 10),
    "sigmoid to -30": lambda z: torch.sigmoid(-20 * z[:, :1] - 5 * z[:, 1:] - 5),
    "sigmoid in between": lambda z: torch.sigmoid(80 * (z[:, :1] - 0.4) + 5 * z[:, 1:]),
    "sigmoid of a thousand": lambda z: torch.sigmoid(1e5 * (z[:, :1] - 0.3)) * (1 + z[:, 1:]),
    "tanh": lambda z: torch.tanh(20 * z[:, :1] + 5 * z[:, 1:] + 4),
    "softmax": lambda z: torch.softmax(torch.cat([30 * z[:, :1], 5 * z[:, 1:], 0 * z[:, 1:]], 1), 1),
}


@DTYPES
@pytest.mark.parametrize("name", SATURATED)
def test_saturated_functions_are_not_piecewise_linear(name: str, dtype: torch.dtype) -> None:
    x = (torch.rand(8, 2, generator=torch.Generator().manual_seed(3)) + 1) / 2
    own, exact = both(lambda dtype: SATURATED[name], x, dtype)
    assert not is_piecewise_linear(own, exact)


def test_following_a_saturated_function_would_waste_evaluations() -> None:
    x = (torch.rand(8, 2, generator=torch.Generator().manual_seed(3)) + 1) / 2
    own = along(SATURATED["sigmoid from 10 on"], x)
    followed, covered = certify_piecewise(own, Effort(0.01)), certify(own, False, Effort(0.01))
    assert 10 * covered.evaluations.mean() < followed.evaluations.mean()


@DTYPES
@pytest.mark.parametrize(("depth", "width"), [(1, 4), (2, 16), (5, 32), (2, 512)])
def test_networks_of_relus_are_piecewise_linear_in_both_precisions(depth: int, width: int, dtype: torch.dtype) -> None:
    own, exact = both(
        lambda dtype: network([8] + [width] * depth, nn.ReLU, seed=4).to(dtype), normal(8, 8, seed=5), dtype
    )
    assert is_piecewise_linear(own, exact)


STEPS: dict[str, Function] = {
    "a comparison": lambda z: (z[:, :1] > 0.3) * (1 + z[:, 1:]) + z[:, 1:] ** 2,
    "whole numbers beside": lambda z: torch.floor(4 * z[:, :1]) / 4 + torch.tanh(z).sum(1, keepdim=True),
    "a network of relus with a switch": lambda z: torch.relu(z[:, :1] - 0.2) + z[:, 1:] * (z[:, :1] > 0.6),
}


@DTYPES
@pytest.mark.parametrize("name", STEPS)
def test_steps_of_the_function_are_found(name: str, dtype: torch.dtype) -> None:
    own, exact = both(lambda dtype: STEPS[name], torch.tensor([[1.0, 0.5], [0.9, 0.7]]), dtype)
    assert find_steps(own, exact).all()


@DTYPES
def test_steep_kinked_and_smooth_functions_have_no_steps(dtype: torch.dtype) -> None:
    for name in STEEP:
        x, function = steep(name)
        assert not find_steps(*both(lambda dtype, function=function: function, x, dtype)).any(), name
    for name, function in kinked_functions().items():
        x = torch.tensor([[1.0, 0.5], [0.9, 0.7]])
        assert not find_steps(*both(lambda dtype, function=function: function, x, dtype)).any(), name
    for depth in (1, 6):
        module = network([8] + [16] * depth, nn.ReLU, seed=2)
        own, exact = both(lambda dtype, module=module: copy.deepcopy(module).to(dtype), normal(8, 8, seed=1), dtype)
        assert not find_steps(own, exact).any()
