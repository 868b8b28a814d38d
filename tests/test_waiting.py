"""Engines hand a device its work and never wait for it, however many paths and rows there are."""

from collections.abc import Callable
from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
from architectures import FeatureTransformer, Gated, Recurrent
from engine_contract import N_INPUTS, N_OUTPUTS, network, paths_of, some_points
from problems import MEMORY_BYTES, baselines_for, normal, softplus, straight_paths
from problems import network as layers
from torch import Tensor, nn
from waiting import Waits

from ihcli.derivatives import Engine
from ihcli.derivatives.autograd import AutogradEngine
from ihcli.derivatives.chain import find_chain
from ihcli.derivatives.mlp import MlpEngine
from ihcli.derivatives.operations import OperationsEngine
from ihcli.derivatives.paths import Paths
from ihcli.integration.assembly import explain_rows
from ihcli.integration.certify import Refinement
from ihcli.integration.computing import computation_of, needs_layers
from ihcli.integration.effort import Effort
from ihcli.methods import METHODS

Make = Callable[[Callable[[Tensor], Tensor], Paths], Engine]


def autograd(function: Callable[[Tensor], Tensor], _: Paths) -> Engine:
    return AutogradEngine(function, MEMORY_BYTES)


def closed(function: Callable[[Tensor], Tensor], paths: Paths) -> Engine:
    return MlpEngine(find_chain(function, paths.inputs), MEMORY_BYTES)


def by_operation(function: Callable[[Tensor], Tensor], paths: Paths) -> Engine:
    engine = OperationsEngine(function, MEMORY_BYTES)
    engine.find_program(paths)
    return engine


ENGINES: dict[str, Make] = {"autograd": autograd, "mlp": closed, "operations": by_operation}
CHAINS: dict[str, Callable[[], nn.Module]] = {
    "chain": network,
    "chain whose head bends": lambda: nn.Sequential(network(), nn.Softmax(dim=1)),
}
MODELS = CHAINS | {
    "gates": lambda: Gated(N_INPUTS, N_OUTPUTS, torch.sigmoid).double().eval(),
    "steps": lambda: Recurrent(N_INPUTS, N_OUTPUTS).double().eval(),
    "attention": lambda: FeatureTransformer(N_INPUTS, N_OUTPUTS).double().eval(),
}
MOST_BESIDE, MOST_A_ROUND = 6, 3
"""Waits of a whole explanation beside one for each batch: for the outputs of rows, the sizes of matrices, their mean
and spread; and how many of these come again in each round of refining."""
GROUPS: dict[str, list[int] | None] = {"ungrouped": None, "grouped": [0, 1, 0, 2, 1, 1]}


@pytest.mark.parametrize("grouping", GROUPS)
@pytest.mark.parametrize(
    ("make", "model"), [*product(ENGINES, CHAINS), *product(["autograd", "operations"], [*MODELS][len(CHAINS) :])]
)
def test_no_engine_waits_for_a_device(make: str, model: str, grouping: str) -> None:
    paths = paths_of(GROUPS[grouping])
    path, t = some_points(paths)
    engine = ENGINES[make](MODELS[model](), paths)
    along, at, combinations = engine.along(paths), t.numpy(), normal(2, 3, seed=5).numpy()
    asked = (along.values, along.gradients, along.curvatures, along.hessians)
    for ask in (*asked, partial(along.matrices, weights=at, combinations=combinations)):
        with Waits() as waits:
            ask(path, at)
        assert not waits.counted, ask


class Asked(Engine):
    """Passes everything on, some points at a time, and counts how often it was asked."""

    name = "asked"

    def __init__(self, engine: Engine, points: int) -> None:
        self.memory_bytes, self.times, self._points = engine.memory_bytes, 0, points
        for kind in ("values", "gradients", "curvatures", "hessians", "matrices"):
            setattr(self, kind, partial(self._ask, getattr(engine, kind)))

    def batch_points(self, paths: Paths, directions: int) -> int:
        return self._points

    def _ask(self, ask: Callable[..., object], *arguments: object) -> object:
        self.times += 1
        return ask(*arguments)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    waits = Waits()
    waits.fetching(monkeypatch)
    return waits


OURS = [name for name, method in METHODS.items() if not (method.extra or needs_layers(method))]
"""Captum computes the others, and waits as it likes."""
INTEGRALS = [method.name for method in METHODS.values() if method.is_integral]


@pytest.mark.parametrize(("method", "n_groups"), [*product(OURS, [N_INPUTS]), *product(INTEGRALS, [12])])
@pytest.mark.parametrize("make", ENGINES)
def test_an_explanation_waits_once_a_batch_and_a_few_times_more(
    capsys: pytest.CaptureFixture[str], waits: Waits, make: str, method: str, n_groups: int
) -> None:
    """At most once for each answer of an engine; the rest does not grow with rows, baselines or batches."""
    model, beyond = layers([n_groups, 9, 8], nn.Tanh, seed=1), {}
    for n_rows, points in ((2, 1000), (20, 8)):
        paths = straight_paths(normal(n_rows, n_groups, seed=2), baselines_for(method, n_groups, seed=3))
        engine = Asked(ENGINES[make](model, paths), points)
        compute = computation_of(METHODS[method])
        with waits:
            compute(engine.along(paths), METHODS[method], Effort(steps=8, population=100))
        beyond[n_rows, points] = waits.taken() - engine.times
    with capsys.disabled():
        print(f"\n{make}, {method}, G = {n_groups}: waits once a batch, and {max(beyond.values())} times beside")
    assert max(beyond.values()) == beyond[2, 1000] <= MOST_BESIDE, beyond


@pytest.mark.parametrize("method", INTEGRALS)
@pytest.mark.parametrize("make", ENGINES)
def test_refining_waits_a_few_times_more_a_round(
    monkeypatch: pytest.MonkeyPatch, waits: Waits, make: str, method: str
) -> None:
    rounds, bisect = [], Refinement.bisect
    monkeypatch.setattr(Refinement, "bisect", lambda *args: (rounds.append(args), bisect(*args)))
    paths = straight_paths(normal(30, 12, seed=2), baselines_for(method, 12, seed=3))
    engine = Asked(ENGINES[make](layers([12, 9, 8], lambda: softplus(20), seed=1, scale=2), paths), 64)
    with waits:
        explain_rows(engine.along(paths), METHODS[method], Effort(1e-5, population=100))
    assert len(rounds) > 1
    assert waits.taken() <= engine.times + MOST_BESIDE + MOST_A_ROUND * len(rounds)


def test_following_kinks_waits_once_a_batch(waits: Waits) -> None:
    paths = straight_paths(normal(30, 12, seed=2))
    engine = Asked(autograd(layers([12, 9, 8], nn.ReLU, seed=1), paths), 64)
    with waits:
        explain_rows(engine.along(paths), METHODS["ig"], Effort(1e-4, follows_kinks=True))
    assert waits.taken() <= engine.times


ASKING: dict[str, Callable[[Tensor], object]] = {
    "cpu": lambda x: x.cpu(),
    "to": lambda x: x.to("cpu"),
    "item": lambda x: x[0].item(),
    "__int__": lambda x: int(x[0]),
    "__float__": lambda x: float(x[0]),
    "__bool__": lambda x: bool(x[0] > 0),
    "tolist": lambda x: x.tolist(),
    "numpy": lambda x: x.numpy(),
    "unique": lambda x: torch.unique(x),
    "unique_consecutive": lambda x: x.unique_consecutive(return_counts=True),
    "nonzero": lambda x: x.nonzero(),
    "where": lambda x: torch.where(x > 0),
    "__getitem__": lambda x: x[x > 0],
    "__setitem__": lambda x: x.__setitem__(x > 0, 0.0),
    "as_tensor": lambda x: torch.as_tensor(np.ones(3), device=x.device),
    "tensor": lambda x: torch.tensor([1.0], device=x.device),
    "repeat_interleave": lambda x: x.repeat_interleave(torch.ones(3, dtype=torch.int64)),
    "equal": lambda x: torch.equal(x, x),
}


@pytest.mark.parametrize("name", ASKING)
def test_what_would_wait_is_counted(name: str) -> None:
    x = torch.ones(3)
    with Waits() as waits:
        ASKING[name](x)
    assert waits.counted[name] == 1


def test_what_would_not_wait_is_not_counted() -> None:
    x = torch.ones(N_INPUTS, N_OUTPUTS)
    with Waits() as waits:
        _ = x[torch.arange(2)] @ x.T[:, 0:2].repeat_interleave(1, 1)
        torch.where(x > 0, x, 1.0).sum(0).double().clamp_(max=2).to(torch.float32)
        x[1:3] = 2
    assert not waits.counted
