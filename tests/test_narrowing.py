"""What nobody reads is not computed, and everything else stays as it was."""

from collections.abc import Callable
from math import prod

import architectures
import pytest
import torch
from problems import normal
from test_curvature import CASES, D, differences, ended, paths_of
from torch import Tensor, nn
from torch.nn import functional as F

from ihcli.derivatives.narrowing import narrowed
from ihcli.derivatives.program import Program, watch

Function = Callable[[Tensor], Tensor]


def tokens(x: Tensor) -> Tensor:
    """Return 4 tokens of 3 numbers for each point, every token of all inputs."""
    return (torch.sin(x) @ normal(D, D, seed=50)).view(-1, 4, 3)


def attention(x: Tensor) -> Tensor:
    query, key, value = (tokens(k * x) for k in (1.0, 0.5, 2.0))
    return torch.softmax(query @ key.transpose(1, 2), -1) @ value


READ: dict[str, Function] = {
    "functions and sums": lambda x: (F.gelu(tokens(x)) * 2 + tokens(x).neg() + normal(4, 3, seed=51))[:, 1],
    "layers": lambda x: F.linear(tokens(x), normal(5, 3, seed=51), normal(5, seed=52))[:, 1],
    "a slice of a slice": lambda x: torch.tanh(torch.tanh(tokens(x))[:, 1:])[:, 1:2].flatten(1),
    "products of tokens": lambda x: (tokens(x) * tokens(2 * x) / (2 + torch.sin(tokens(x))))[:, -1],
    "what is normalised": lambda x: F.layer_norm(tokens(x), (3,)).softmax(2)[:, 0],
    "columns of a product": lambda x: (tokens(x).transpose(1, 2) @ tokens(2 * x))[:, :, 1],
    "attention": lambda x: attention(x)[:, 0],
    "the first of stacked tokens": lambda x: tokens(x)[:, None].expand(-1, 2, -1, -1).tanh()[:, :, 0].flatten(1),
    "turned": lambda x: torch.exp(tokens(x).permute(0, 2, 1) / 5)[:, :, 3],
}
KEPT: dict[str, Function] = {
    "what is mixed": lambda x: tokens(x).softmax(1)[:, 0],
    "sums over tokens": lambda x: (tokens(x) - tokens(x).mean(1, keepdim=True))[:, 0].tanh(),
    "two of different places": lambda x: (y := torch.tanh(tokens(x)))[:, 0] * y[:, 1],
    "what is read whole as well": lambda x: (y := torch.tanh(tokens(x)))[:, 0] + y.sum(1),
    "every second": lambda x: torch.tanh(tokens(x))[:, ::2].flatten(1),
}


def ended_in_two(function: Function) -> Function:
    def whole(x: Tensor) -> Tensor:
        found = function(x).flatten(1)
        return torch.sin(found @ normal(found.shape[1], 2, seed=53))

    return whole


def numbers(program: Program) -> int:
    return sum(prod(shape) for shapes in program.shapes for shape in shapes)


@pytest.mark.parametrize("name", [*READ, *KEPT])
def test_derivatives_stay_as_they_were(name: str) -> None:
    assert max(differences(ended_in_two({**READ, **KEPT}[name]), paths_of())) < 1e-12


@pytest.mark.parametrize("name", READ)
def test_tokens_that_nobody_reads_are_not_computed(name: str) -> None:
    program = watch(ended_in_two(READ[name]), normal(1, D, seed=1))
    assert numbers(narrowed(program)) < 0.9 * numbers(program)


@pytest.mark.parametrize("name", CASES)
def test_a_narrowed_program_gives_the_same_at_any_point(name: str) -> None:
    x = 0.5 * normal(5, D, seed=2)
    with torch.no_grad():
        program = narrowed(watch(ended(name), x))
        torch.testing.assert_close(program.outputs(program.values(x), x), ended(name)(x), rtol=1e-6, atol=1e-6)
        for step, shapes in zip(program.values(x), program.shapes, strict=True):
            parts = step if isinstance(step, (list, tuple)) else (step,)
            assert [tuple(part.shape[1:]) for part in parts] == list(shapes)


def test_the_last_layer_of_a_transformer_is_computed_for_its_answer_alone() -> None:
    torch.manual_seed(0)
    module = architectures.FeatureTransformer(D, 2).double().requires_grad_(False)
    program = narrowed(watch(module, normal(1, D, seed=1)))
    widths = [shapes[0] for step, shapes in zip(program.steps, program.shapes, strict=True) if step.name == "gelu"]
    assert [shape[1] for shape in widths] == [D + 1, 1]


def test_a_program_of_which_all_is_read_is_left_alone() -> None:
    program = watch(nn.Linear(D, 2).double(), normal(1, D, seed=1))
    assert narrowed(program) is program
