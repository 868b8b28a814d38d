"""The closed form agrees with automatic differentiation, point by point and in whole explanations."""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import torch
from engine_contract import EngineContract
from problems import (
    MEMORY_BYTES,
    SOFTPLUS_THRESHOLD,
    Function,
    baselines_for,
    network,
    normal,
    softplus,
    straight_paths,
)
from torch import Tensor, nn

from ihcli.derivatives import mlp
from ihcli.derivatives.autograd import AutogradEngine
from ihcli.derivatives.chain import find_chain
from ihcli.derivatives.mlp import MlpEngine
from ihcli.derivatives.paths import Paths
from ihcli.integration.assembly import ExplainedRows, explain_rows
from ihcli.integration.effort import Effort
from ihcli.methods import METHODS, names_of
from ihcli.models import wrap_module
from ihcli.smoothing import smooth_model

EXACT = 1e-10
"""Float64, relative to the largest entry: a few hundred terms, in another order."""
SINGLE = 1e-5
"""Float32 against autograd in float64, relative to the largest entry."""

SMOOTH: dict[str, Callable[[], nn.Module]] = {
    "softplus": partial(nn.Softplus, 10, SOFTPLUS_THRESHOLD),
    "softplus of torch's threshold": partial(nn.Softplus, 5),
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "gelu in tanh form": partial(nn.GELU, "tanh"),
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "elu of alpha": partial(nn.ELU, 0.7),
    "selu": nn.SELU,
    "celu": partial(nn.CELU, 0.5),
    "identity": nn.Identity,
}
KINKED: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "relu in place": partial(nn.ReLU, inplace=True),
    "relu6": nn.ReLU6,
    "leaky relu": partial(nn.LeakyReLU, 0.2),
    "hardtanh": nn.Hardtanh,
    "prelu": nn.PReLU,
    "hardswish": nn.Hardswish,
    "hardsigmoid": nn.Hardsigmoid,
}
D, WIDTH = 12, 9
GROUPINGS: dict[str, list[int] | None] = {
    "ungrouped": None,  # G = 12 > m = 9
    "as many groups as units": [0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 4, 4],
    "few groups": [0, 1, 0, 2, 1, 1, 3, 3, 0, 2, 2, 1],
    "one group": [0] * D,
}


def smoothed(activation: Callable[[], nn.Module], beta: float = 5.0, **keywords: int) -> Function:
    model = wrap_module(network([D, WIDTH, 7], activation, **keywords))
    return smooth_model(model, beta).outputs


def copied(function: Function) -> Function:
    """Give every call a copy, for modules whose first activation works in place; outputs are (P, K)."""
    return lambda z: function(z.clone())


def closed(function: Function, paths: Paths, memory_bytes: int = MEMORY_BYTES) -> MlpEngine:
    return MlpEngine(find_chain(function, paths.inputs), memory_bytes)


class TestMlp(EngineContract):
    def engine(self, function: Function, paths: Paths, memory_bytes: int = MEMORY_BYTES) -> MlpEngine:
        return closed(function, paths, memory_bytes)


def mixed_points(paths: Paths, seed: int = 0) -> tuple[np.ndarray, Tensor, Tensor]:
    """Return path, t and weights as a certified mesh has them: paths in order, 0 to 12 points each."""
    generator = torch.Generator().manual_seed(seed)
    counts = torch.randint(0, 13, (paths.n_rows * paths.n_baselines,), generator=generator)
    counts[0] = 5
    path = np.arange(len(counts)).repeat(counts.numpy())
    t = torch.rand(len(path), generator=generator, dtype=torch.float64)
    t[:2] = torch.tensor([0.0, 1.0])
    return path, t.to(paths.inputs.dtype), normal(len(path), seed=seed + 1, dtype=paths.inputs.dtype)


def everything(
    engine: AutogradEngine | MlpEngine, paths: Paths, points: tuple[np.ndarray, Tensor, Tensor]
) -> dict[str, Tensor]:
    """Return what an engine says, matrices put in their rows' places."""
    path, t, weights = points
    found = {"values": engine.values(paths, path, t)}
    for kind, last in (("gradients", ""), ("curvatures", "F'"), ("hessians", "H")):
        for part, tensor in zip(("f", "F", last), getattr(engine, kind)(paths, path, t), strict=False):
            found[f"{kind}: {part}"] = tensor
    rows, matrices = engine.assemble(paths, path, t, weights)
    whole = matrices.new_zeros(paths.n_rows, paths.n_groups, paths.n_groups)
    return found | {"assemble": whole.index_add_(0, torch.tensor(rows), matrices)}


def assert_close(got: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    assert got.keys() == expected.keys()
    for name, tensor in expected.items():
        assert got[name].shape == tensor.shape, name
        size = max(float(tensor.abs().max()), 1e-12)
        assert float((got[name] - tensor).abs().max()) <= tolerance * size, name


def assert_agrees(function: Function, paths: Paths) -> None:
    points = mixed_points(paths)
    got = everything(closed(function, paths), paths, points)
    assert_close(got, everything(AutogradEngine(function, MEMORY_BYTES), paths, points), EXACT)


def some_paths(
    n_inputs: int = D, group_of: list[int] | None = None, *, n_rows: int = 5, n_baselines: int = 1, n_outputs: int = 1
) -> Paths:
    outputs = torch.arange(n_rows) % n_outputs
    return straight_paths(normal(n_rows, n_inputs, seed=2), normal(n_baselines, n_inputs, seed=3), group_of, outputs)


def in_dtype(paths: Paths, dtype: torch.dtype) -> Paths:
    return Paths(paths.inputs.to(dtype), paths.baselines.to(dtype), paths.outputs, paths.n_groups, paths.group_of)


def full_network(activation: Callable[[], nn.Module], seed: int = 4) -> nn.Sequential:
    """Everything that an affine chain may hold, ending in the softmax of three outputs."""
    torch.manual_seed(seed)
    module = nn.Sequential(
        nn.BatchNorm1d(D),
        nn.Linear(D, WIDTH),
        activation(),
        nn.BatchNorm1d(WIDTH),
        nn.Dropout(),
        nn.Linear(WIDTH, 11, bias=False),
        activation(),
        nn.Sequential(nn.Linear(11, 6), nn.Identity(), activation()),
        nn.Linear(6, 3),
        nn.Softmax(dim=1),
    )
    for layer in module:
        if isinstance(layer, nn.BatchNorm1d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
    return module.double().eval().requires_grad_(False)


@pytest.mark.parametrize("grouping", GROUPINGS)
@pytest.mark.parametrize("activation", SMOOTH)
def test_every_smooth_activation_agrees(activation: str, grouping: str) -> None:
    function = copied(full_network(SMOOTH[activation]))
    assert_agrees(function, some_paths(group_of=GROUPINGS[grouping], n_outputs=3))
    assert_agrees(function, some_paths(group_of=GROUPINGS[grouping], n_rows=3, n_baselines=3, n_outputs=3))


@pytest.mark.parametrize("grouping", ["ungrouped", "few groups"])
@pytest.mark.parametrize("activation", KINKED)
def test_every_kinked_activation_agrees_once_it_is_smoothed(activation: str, grouping: str) -> None:
    function = smoothed(KINKED[activation], seed=5, n_outputs=2)
    assert_agrees(function, some_paths(group_of=GROUPINGS[grouping], n_outputs=2))


@pytest.mark.parametrize("activation", ["relu", "relu in place", "relu6", "leaky relu", "hardtanh"])
def test_kinked_activations_agree_as_they_are(activation: str) -> None:
    """Between kinks, where every point of a random path lies: second derivatives are zero."""
    assert_agrees(copied(network([D, WIDTH, 7], KINKED[activation], seed=6)), some_paths())


@pytest.mark.parametrize(("grouping", "n_baselines"), [("ungrouped", 1), ("few groups", 3)])
@pytest.mark.parametrize("activation", [*SMOOTH, *KINKED])
def test_float32_agrees_with_autograd_in_float64(activation: str, grouping: str, n_baselines: int) -> None:
    rough, exact = torch.float32, torch.float64
    paths = in_dtype(some_paths(group_of=GROUPINGS[grouping], n_baselines=n_baselines), rough)
    net = network([D, WIDTH, 7], SMOOTH.get(activation) or KINKED[activation], seed=7).to(rough)
    functions = {}
    for dtype in (rough, exact):
        model = wrap_module(network([D, WIDTH, 7], SMOOTH.get(activation) or KINKED[activation], seed=7).to(dtype))
        model.module.load_state_dict(net.state_dict())
        functions[dtype] = (smooth_model(model, 1.0) if activation in KINKED else model).outputs
    points = mixed_points(paths)
    got = everything(closed(functions[rough], paths), paths, points)
    assert {tensor.dtype for tensor in got.values()} == {rough}
    truth = AutogradEngine(functions[exact], MEMORY_BYTES)
    expected = everything(truth, in_dtype(paths, exact), (points[0], points[1].double(), points[2].double()))
    assert_close({name: tensor.double() for name, tensor in got.items()}, expected, SINGLE)


@pytest.mark.parametrize("n_inputs", [3, 8, 20])
@pytest.mark.parametrize("widths", [(), (8,), (8, 8), (8, 5, 12, 3, 9), (8, 30, 1, 4, 6)], ids=str)
def test_every_depth_agrees_with_fewer_as_many_and_more_inputs_than_units(widths: tuple, n_inputs: int) -> None:
    net = network([n_inputs, *widths], lambda: softplus(3), seed=8, n_outputs=2)
    assert_agrees(net, some_paths(n_inputs, n_outputs=2))
    assert_agrees(nn.Sequential(net, nn.Softmax(dim=1)), some_paths(n_inputs, n_outputs=2))


@pytest.mark.parametrize("n_inputs", [2, 6, 7])
@pytest.mark.parametrize("last", [nn.Sigmoid, nn.Tanh, nn.Softplus, partial(nn.Softmax, dim=1), partial(nn.GLU, dim=1)])
def test_heads_that_bend_agree_also_right_behind_the_first_layer(last: Callable[[], nn.Module], n_inputs: int) -> None:
    shallow = network([n_inputs], nn.Tanh, seed=9, n_outputs=6)
    assert_agrees(nn.Sequential(shallow, last()), some_paths(n_inputs, n_outputs=3))
    assert_agrees(nn.Sequential(network([n_inputs, 6], nn.Tanh, seed=9, n_outputs=4), last()), some_paths(n_inputs))


def test_a_head_that_bends_for_some_outputs_only_agrees() -> None:
    net = network([D, WIDTH], nn.Tanh, seed=10, n_outputs=3)

    def function(z: Tensor) -> Tensor:
        out = net(z)
        return torch.cat([out[:, :1], torch.exp(out[:, 1:2]), out[:, 1:] * out[:, 2:]], dim=1)

    assert_agrees(function, some_paths(n_outputs=4))
    assert_agrees(function, some_paths(n_rows=2))


def test_a_head_whose_weights_still_gather_gradients_agrees() -> None:
    net, scale = network([D, WIDTH], nn.Tanh, seed=11), nn.Parameter(torch.tensor(2.0).double())
    assert_agrees(lambda z: scale * net(z), some_paths())


def test_sharp_and_saturated_activations_agree() -> None:
    assert_agrees(network([D, WIDTH, 7], lambda: softplus(200), seed=13, scale=3), some_paths())
    assert_agrees(network([D, WIDTH, 7], nn.Sigmoid, seed=13, scale=30), some_paths())


def test_inputs_that_do_not_move_have_exactly_zero_derivatives() -> None:
    x = normal(2, D, seed=16)
    base = x[:1].clone()
    base[:, 3:] += 1
    paths = straight_paths(x[:1], base)
    path, t = np.zeros(3, np.int64), torch.tensor([0.1, 0.5, 0.9]).double()
    _, gradient, curvature = closed(full_network(nn.Tanh), paths).curvatures(paths, path, t)
    assert not gradient[:, :3].any()
    assert not curvature[:, :3].any()
    assert gradient[:, 3:].all()


@pytest.mark.parametrize("n_inputs", [4, D])
def test_one_point_and_equal_and_prime_counts_a_path_agree(n_inputs: int) -> None:
    net = network([n_inputs, WIDTH, 7], nn.Tanh, seed=17)
    paths = some_paths(n_inputs, n_rows=4, n_baselines=2)
    ours, theirs = closed(net, paths), AutogradEngine(net, MEMORY_BYTES)
    for counts in ([1, 0, 0, 0, 0, 0, 0, 0], [8] * 8, [7, 11, 13, 1, 2, 3, 5, 17], [8, 16, 0, 40, 8, 0, 24, 8]):
        path = np.arange(8).repeat(counts)
        t, weights = torch.linspace(0, 1, len(path)).double(), normal(len(path), seed=18)
        expected = everything(theirs, paths, (path, t, weights))
        assert_close(everything(ours, paths, (path, t, weights)), expected, EXACT)


@pytest.mark.parametrize("n_inputs", [4, D, 30])
@pytest.mark.parametrize("cache_bytes", [1, 3000, 50_000])
def test_the_size_of_the_cache_does_not_change_results(
    monkeypatch: pytest.MonkeyPatch, cache_bytes: int, n_inputs: int
) -> None:
    paths = some_paths(n_inputs, n_baselines=2, n_outputs=2)
    engine = closed(network([n_inputs, WIDTH, 7], nn.Tanh, seed=21, n_outputs=2), paths)
    points = mixed_points(paths)
    usual = everything(engine, paths, points)
    monkeypatch.setattr(mlp, "CACHE_BYTES", cache_bytes)
    monkeypatch.setattr(mlp, "POINT_BYTES", cache_bytes)
    assert_close(everything(engine, paths, points), usual, 1e-13)


@pytest.mark.parametrize("n_inputs", [4, D])
def test_what_a_call_returned_stays_when_others_follow(n_inputs: int) -> None:
    paths = some_paths(n_inputs, n_baselines=2)
    engine = closed(network([n_inputs, WIDTH, 7], nn.Tanh, seed=29), paths)
    first = everything(engine, paths, mixed_points(paths))
    kept = {name: tensor.clone() for name, tensor in first.items()}
    everything(engine, paths, mixed_points(paths, seed=7))
    assert_close(first, kept, 0)


def test_an_engine_serves_several_threads_at_once() -> None:
    paths = some_paths(n_baselines=2)
    engine = closed(network([D, 40, 40], nn.Tanh, seed=30), paths)
    points = [mixed_points(paths, seed) for seed in range(8)]
    alone = [everything(engine, paths, some) for some in points]
    with ThreadPoolExecutor(4) as threads:
        for _ in range(5):
            together = list(threads.map(lambda some: everything(engine, paths, some), points))
            for got, expected in zip(together, alone, strict=True):
                assert_close(got, expected, 0)


@pytest.mark.parametrize("method", names_of(integrals=True))
@pytest.mark.parametrize("grouping", ["ungrouped", "few groups"])
def test_whole_explanations_are_those_of_autograd(method: str, grouping: str) -> None:
    net = network([D, WIDTH, 7], lambda: softplus(10), seed=22, n_outputs=2)
    x, base = normal(6, D, seed=23), baselines_for(method, D, seed=24)
    paths = straight_paths(x, base, GROUPINGS[grouping], torch.arange(6) % 2)
    engines = closed(net, paths), AutogradEngine(net, MEMORY_BYTES)
    ours, theirs = (explain_rows(engine.along(paths), METHODS[method], Effort(1e-4)) for engine in engines)
    assert len(ours.certificate.panels) > paths.n_rows * paths.n_baselines, "no panel was cut, so no mesh was mixed"
    same = ours.certificate.evaluations == theirs.certificate.evaluations
    # What engines tell of norms of matrices may differ, and then a panel more or fewer is cut.
    assert same.mean() >= (0.5 if METHODS[method].second_order else 1)
    assert ours.certificate.status.tolist() == theirs.certificate.status.tolist()
    assert_within_errors(ours, theirs)
    everywhere = np.ones_like(same)
    for got, expected, rows in [
        (ours.attributions, theirs.attributions, same),
        (ours.interactions, theirs.interactions, same),
        (ours.certificate.prediction, theirs.certificate.prediction, everywhere),
        (ours.certificate.baseline_prediction, theirs.certificate.baseline_prediction, everywhere),
    ]:
        assert (got is None) == (expected is None)
        if got is not None:
            np.testing.assert_allclose(got[rows], expected[rows], rtol=0, atol=EXACT * np.abs(expected).max())


def assert_within_errors(ours: ExplainedRows, theirs: ExplainedRows) -> None:
    """Compare rows whose meshes may differ: by no more than both say they may be wrong."""
    phi = np.abs(theirs.attributions).sum(1)
    error = (ours.certificate.relative_error + theirs.certificate.relative_error) * phi
    assert (np.abs(ours.attributions - theirs.attributions).sum(1) <= error + EXACT).all()
    if ours.interactions is None or theirs.interactions is None:
        return
    assert ours.interaction_error is not None
    assert theirs.interaction_error is not None
    error = (ours.interaction_error + theirs.interaction_error) * np.abs(theirs.interactions).sum((1, 2))
    assert (np.abs(ours.interactions - theirs.interactions).sum((1, 2)) <= error + EXACT).all()


@pytest.mark.parametrize("method", ["eg", "eh"])
def test_a_small_memory_does_not_change_whole_explanations(method: str) -> None:
    net = network([D, WIDTH, 7], lambda: softplus(10), seed=25)
    paths = straight_paths(normal(4, D, seed=26), baselines_for(method, D, seed=27))
    explained = [
        explain_rows(closed(net, paths, memory).along(paths), METHODS[method], Effort(1e-4))
        for memory in (1, 60_000, 1 << 28)
    ]
    for got, roomy in itertools.product(explained[:2], explained[2:]):
        assert got.certificate.evaluations.tolist() == roomy.certificate.evaluations.tolist()
        np.testing.assert_allclose(got.attributions, roomy.attributions, rtol=0, atol=1e-12)
        if roomy.interactions is not None:
            np.testing.assert_allclose(got.interactions, roomy.interactions, rtol=0, atol=1e-11)


def test_batches_grow_with_memory_and_shrink_with_width_and_outputs() -> None:
    paths = some_paths()

    def points(memory: int, width: int = WIDTH, n_outputs: int = 1) -> int:
        net = nn.Sequential(network([D, width], nn.Tanh, seed=28, n_outputs=n_outputs), nn.Softmax(dim=1))
        return closed(net, paths, memory).batch_points(paths, 1)

    assert points(1) == 1
    assert points(10**8) > 50 * points(10**6) > 50
    assert points(10**8, width=500) < points(10**8) / 5
    # The head's second derivatives are K x K at every point.
    assert points(10**8, n_outputs=400) * 400 * 400 * 8 < 10**8
