"""What is computed forwards is computed where the model is: tried on a CUDA device that is not there."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from architectures import FeatureTransformer, Gated
from placement import CUDA, fake_device, placed
from problems import MEMORY_BYTES, baselines_for, network, normal, softplus, straight_paths
from torch import Tensor, nn

from ihcli.derivatives import mlp
from ihcli.derivatives.autograd import DIRECTIONS, AutogradEngine
from ihcli.derivatives.chain import find_chain
from ihcli.derivatives.curvature import CURVED
from ihcli.derivatives.mlp import MlpEngine
from ihcli.derivatives.operations import OperationsEngine, Seen, push
from ihcli.derivatives.paths import Paths
from ihcli.derivatives.program import part_of
from ihcli.derivatives.recording import Ref
from ihcli.integration.computing import computation_of, needs_layers
from ihcli.integration.effort import Effort
from ihcli.methods import METHODS

WIDTH = 9
GROUPS: dict[str, list[int] | None] = {
    "ungrouped": None,
    "few groups": [0, 1, 2] * 4,
    "as many groups as units": [*range(WIDTH), 0, 4, 4],
}
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"softplus": lambda: softplus(3), "gelu": nn.GELU, "elu": nn.ELU}
UNCHAINED: dict[str, Callable[[], nn.Module]] = {
    "gates": lambda: Gated(12, 2, torch.sigmoid),
    "attention": lambda: FeatureTransformer(12, 2),
}


def moved(what: Any) -> Any:
    """Return what holds tensors with each of them on the device."""
    if isinstance(what, Tensor):
        return placed(what)
    if isinstance(what, tuple):
        return tuple(map(moved, what))
    if isinstance(what, list):
        return list(map(moved, what))
    if isinstance(what, dict):
        return {key: moved(value) for key, value in what.items()}
    if is_dataclass(what):
        return replace(what, **{field.name: moved(getattr(what, field.name)) for field in fields(what) if field.init})
    return what


def some_paths(method: str, grouping: str, n_rows: int = 3) -> Paths:
    return straight_paths(normal(n_rows, 12, seed=2), baselines_for(method, 12, seed=3), GROUPS[grouping])


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("grouping", GROUPS)
def test_answers_of_the_closed_form_lie_beside_the_inputs(activation: str, grouping: str) -> None:
    paths = some_paths("eh", grouping)
    chain = find_chain(network([12, WIDTH, 7], ACTIVATIONS[activation], seed=1, n_outputs=2), paths.inputs)
    path, t, combinations = np.arange(12).repeat(3), np.linspace(0, 1, 36), np.ones((2, 3))
    with fake_device():
        along = MlpEngine(moved(chain), MEMORY_BYTES).along(moved(paths))
        answers = [along.values(path, t), *along.gradients(path, t), *along.curvatures(path, t)]
        found = along.matrices(path, t, t, combinations)
        answers += [*along.hessians(path, t), found.sums, found.norms]
    assert {answer.device for answer in answers} == {CUDA}


@pytest.mark.parametrize("grouping", ["ungrouped", "few groups"])
@pytest.mark.parametrize("model", UNCHAINED)
def test_tangents_by_operation_lie_beside_the_points(model: str, grouping: str) -> None:
    """All but the one backward pass that gives adjoints, in whose place are zeros."""
    paths = some_paths("ih", grouping)
    engine = OperationsEngine(UNCHAINED[model]().double().eval().requires_grad_(False), MEMORY_BYTES)
    program = engine.find_program(paths)
    with fake_device():
        there, paths = moved(program), moved(paths)
        results = there.values(paths.inputs)
        bending = [index for index in there.alive if there.steps[index].name in CURVED]
        adjoints = {index: torch.zeros_like(part_of(results[index], Ref(index))) for index in bending}
        seen = Seen(paths.inputs, results, results[-1], adjoints | {-1: paths.inputs})
        second = paths.inputs.new_zeros(3, paths.n_groups, paths.n_groups)
        (row,) = paths.placed(np.arange(3))
        push(there, seen, paths.gates(row, paths.inputs), second)
    assert bending
    assert second.device == CUDA


OURS = [name for name, method in METHODS.items() if not (method.extra or needs_layers(method))]
"""Captum computes the others, in ways that tensors without values cannot follow."""


@pytest.mark.parametrize("grouping", ["ungrouped", "few groups"])
@pytest.mark.parametrize(("method", "follows_kinks"), [*((method, False) for method in OURS), ("ig", True)])
def test_whole_explanations_mix_no_devices(
    monkeypatch: pytest.MonkeyPatch, method: str, grouping: str, follows_kinks: bool
) -> None:
    paths, effort = some_paths(method, grouping), Effort(population=100, follows_kinks=follows_kinks)
    chain = find_chain(network([12, WIDTH, 7], nn.Tanh, seed=1), paths.inputs)
    with fake_device():
        engine = MlpEngine(moved(chain), MEMORY_BYTES)
        monkeypatch.setattr(engine, "batch_points", lambda *_: 24)
        explained = computation_of(METHODS[method])(engine.along(moved(paths)), METHODS[method], effort)
    assert explained.attributions.shape == (3, paths.n_groups)
    if METHODS[method].second_order:
        assert explained.interactions.shape == (3, paths.n_groups, paths.n_groups)


@pytest.mark.parametrize("there", ["inputs", "baselines", "group_of", "outputs", "chain"])
def test_tensors_in_two_places_raise(there: str) -> None:
    """What these tests see: each tensor is left behind once."""
    paths = some_paths("ih", "few groups")
    chain = find_chain(network([12, WIDTH, 7], nn.Tanh, seed=1), paths.inputs)
    with fake_device():
        left = {"chain": chain} if there == "chain" else {}
        here = torch.empty(getattr(paths, there, paths.inputs).shape, dtype=getattr(paths, there, paths.inputs).dtype)
        apart = moved(paths) if left else replace(moved(paths), **{there: here})
        with pytest.raises((RuntimeError, AssertionError)):
            MlpEngine(left.get("chain", moved(chain)), MEMORY_BYTES).along(apart).gradients(np.arange(3), np.ones(3))


def test_a_device_takes_in_one_block_what_a_cpu_takes_in_many(monkeypatch: pytest.MonkeyPatch) -> None:
    paths, blocks, block_sums = some_paths("ih", "ungrouped", n_rows=40), [], mlp.block_sums
    chain = find_chain(network([12, WIDTH, 7], nn.Tanh, seed=1), paths.inputs)
    path, t, combinations = np.arange(40).repeat(8), np.tile(np.linspace(0, 1, 8), 40), np.ones((2, 8))
    monkeypatch.setattr(mlp, "CACHE_BYTES", 1)
    monkeypatch.setattr(mlp, "block_sums", lambda *args: (blocks.append(args), block_sums(*args))[1])
    MlpEngine(chain, MEMORY_BYTES).along(paths).matrices(path, t, t, combinations)
    assert len(blocks) == 40
    blocks.clear()
    with fake_device():
        MlpEngine(moved(chain), MEMORY_BYTES).along(moved(paths)).matrices(path, t, t, combinations)
    assert len(blocks) == 1


def test_a_device_takes_as_many_directions_at_once_as_memory_lets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AutogradEngine, "_measure", lambda *_: 1000.0)
    g, engine = 4 * DIRECTIONS, AutogradEngine(nn.Identity(), MEMORY_BYTES)
    paths = straight_paths(torch.ones(1, g))
    on_cpu = engine.batch_points(paths, g)
    assert on_cpu == engine.batch_points(paths, DIRECTIONS)
    with fake_device():
        there = engine.batch_points(moved(paths), g)
    assert there < on_cpu / 2


def test_on_a_device_the_next_batch_is_begun_before_one_is_yielded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AutogradEngine, "batch_points", lambda *_: 1)
    engine, paths = AutogradEngine(nn.Identity(), MEMORY_BYTES), some_paths("ig", "ungrouped")

    def seen(paths: Paths) -> list[tuple[int, int]]:
        begun: list[int] = []
        work = engine.along(paths).in_batches(4, 1, 0, lambda some: (begun.append(some.start), some.start)[1])
        return [(start, len(begun)) for start in work]

    assert seen(paths) == [(0, 1), (1, 2), (2, 3), (3, 4)]
    with fake_device():
        assert seen(moved(paths)) == [(0, 2), (1, 3), (2, 4), (3, 4)]
