"""Engines hand a device its work and never wait for it, however many paths and rows there are."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from engine_contract import N_INPUTS, N_OUTPUTS, network, paths_of, some_points
from problems import MEMORY_BYTES, normal
from torch import Tensor, nn
from waiting import Waits

from ihcli.derivatives import Engine
from ihcli.derivatives.autograd import AutogradEngine
from ihcli.derivatives.chain import find_chain
from ihcli.derivatives.mlp import MlpEngine
from ihcli.derivatives.paths import Paths

Make = Callable[[Callable[[Tensor], Tensor], Paths], Engine]


def autograd(function: Callable[[Tensor], Tensor], _: Paths) -> Engine:
    return AutogradEngine(function, MEMORY_BYTES)


def closed(function: Callable[[Tensor], Tensor], paths: Paths) -> Engine:
    return MlpEngine(find_chain(function, paths.inputs), MEMORY_BYTES)


ENGINES: dict[str, Make] = {"autograd": autograd, "mlp": closed}
MODELS: dict[str, Callable[[], nn.Module]] = {
    "chain": network,
    "chain whose head bends": lambda: nn.Sequential(network(), nn.Softmax(dim=1)),
}
GROUPS: dict[str, list[int] | None] = {"ungrouped": None, "grouped": [0, 1, 0, 2, 1, 1]}


@pytest.mark.parametrize("grouping", GROUPS)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("make", ENGINES)
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
