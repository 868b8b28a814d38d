"""Chains are found in every kind of model that is one, refused with a reason elsewhere, and replay the model."""

import gc
import io
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import model_files
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from problems import Function, network, normal
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler
from torch import Tensor, nn

from ihcli.derivatives.chain import PROBE_ROWS, Chain, NotAChainError, find_chain
from ihcli.models import Model, load_model, wrap_module
from ihcli.models.layers import Affine, Complement, Exponential
from ihcli.smoothing import smooth_model

EXACT = 1e-12
"""Float64, relative to the largest output or 1: folding scalers orders a few products in another way."""
D = 5
BATCHES = (1, 7, 64)


def replayed(chain: Chain, z: Tensor) -> Tensor:
    """Run a chain: affine maps, the functions between them, and its head."""
    first, *others = chain.affines
    a = z @ first.weight.T + first.bias
    for affine, activation in zip(others, chain.activations, strict=True):
        a = activation.jet(a).value @ affine.weight.T + affine.bias
    return chain.head.outputs(a)


def as_function(module: nn.Module) -> Function:
    return wrap_module(module).outputs


def assert_is_chain(function: Function, widths: tuple[int, ...], n_inputs: int = D) -> Chain:
    """Find the chain on a few rows, and compare it with the model on others, however many."""
    with torch.no_grad():
        chain = find_chain(function, normal(3, n_inputs, seed=1))
        for n_rows in BATCHES:
            z = 3 * normal(n_rows, n_inputs, seed=10 + n_rows)
            expected, got = function(z), replayed(chain, z)
            assert got.shape == expected.shape
            assert float((got - expected).abs().max()) <= EXACT * max(1.0, float(expected.abs().max()))
    assert chain.widths == widths
    return chain


class Written(nn.Module):
    """Layers a (D to 6), b (6 to 4) and c (4 to 3), and a forward of one's own."""

    def __init__(self, forward: Callable[..., Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c = nn.Linear(D, 6), nn.Linear(6, 4), nn.Linear(4, 3)
        self.square, self.again = nn.Linear(6, 6), nn.Linear(6, 6)
        self.scale, self.vector = nn.Parameter(torch.randn(6)), nn.Parameter(torch.randn(6))
        self._forward = forward
        self.double().eval().requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return self._forward(self, x)


class Plain(nn.Module):
    """A forward that TorchScript can compile: functional calls, arithmetic and an in-place activation."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(D, 6), nn.Linear(6, 4), nn.Linear(4, 3)
        self.norm = nn.BatchNorm1d(6)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.norm(self.a((x - 0.5) / 2.0)))
        h = F.elu_(self.b(F.dropout(h, 0.5, self.training)))
        return torch.softmax(self.c(2.0 * h + 1.0), dim=1)


def plain() -> Plain:
    torch.manual_seed(1)
    module = Plain()
    module(torch.randn(30, D))
    return module.double().eval().requires_grad_(False)


def nested(activation: Callable[[], nn.Module] = nn.Tanh, n_outputs: int = 3) -> nn.Sequential:
    torch.manual_seed(2)
    inner = nn.Sequential(nn.Linear(6, 4, bias=False), nn.BatchNorm1d(4), activation())
    module = nn.Sequential(
        nn.BatchNorm1d(D),
        nn.Sequential(nn.Identity(), nn.Linear(D, 6), activation(), nn.Dropout(0.4)),
        nn.Sequential(inner, nn.Identity()),
        nn.Linear(4, n_outputs),
    )
    module(torch.randn(30, D) * 2 + 1)
    return module.double().eval().requires_grad_(False)


def test_nested_sequential_modules_with_norms_dropout_and_no_bias_are_chains() -> None:
    chain = assert_is_chain(as_function(nested()), (6, 4, 3))
    assert not chain.affines[1].bias.any()


@pytest.mark.parametrize(
    "last", [nn.Softmax(dim=1), nn.LogSoftmax(dim=1), nn.Sigmoid(), nn.ReLU(inplace=True), Exponential(), nn.Flatten()]
)
def test_what_follows_the_last_layer_is_the_head(last: nn.Module) -> None:
    assert_is_chain(as_function(nn.Sequential(nested(), last)), (6, 4, 3))


def test_the_probability_of_a_class_and_its_complement_are_a_head() -> None:
    assert_is_chain(as_function(nn.Sequential(nested(n_outputs=1), nn.Sigmoid(), Complement())), (6, 4, 1))


@pytest.mark.parametrize("n_outputs", [1, 3, PROBE_ROWS])
def test_every_output_shape_is_replayed_at_every_batch_size(n_outputs: int) -> None:
    net = nested(n_outputs=n_outputs)
    widths = (6, 4, n_outputs)
    assert_is_chain(as_function(net), widths)
    assert_is_chain(lambda z: net(z).view(z.shape[0], -1), widths)
    assert_is_chain(lambda z: net(z).reshape(-1, n_outputs), widths)
    assert_is_chain(as_function(nn.Sequential(net, nn.Unflatten(1, (n_outputs, 1)), nn.Flatten())), widths)
    if n_outputs == 1:
        for squeezed in (lambda z: net(z).squeeze(1), lambda z: net(z)[:, 0], lambda z: net(z).flatten()):
            assert_is_chain(lambda z, f=squeezed: f(z).unsqueeze(1), widths)


FORWARDS: dict[str, tuple[Callable[..., Tensor], tuple[int, ...]]] = {
    "functional calls": (lambda m, x: m.c(F.gelu(m.b(F.silu(m.a(x))), approximate="tanh")), (6, 4, 3)),
    "matrix products": (lambda m, x: torch.tanh(x @ m.a.weight.T + m.a.bias) @ m.b.weight.T, (6, 4)),
    "addmm": (lambda m, x: m.b(torch.tanh(torch.addmm(m.a.bias, x, m.a.weight.t()))), (6, 4)),
    "arithmetic between": (lambda m, x: m.b(1 - 2 * torch.tanh(m.a(x) / 3 - 0.2) * m.scale), (6, 4)),
    "a function of several pieces": (lambda m, x: m.b((h := m.a(x)) * torch.sigmoid(1.7 * h) + 0.1 * h), (6, 4)),
    "a square": (lambda m, x: m.b(m.a(x) ** 2), (6, 4)),
    "in place": (lambda m, x: m.b(m.a(x).mul_(2).tanh_().add_(1)), (6, 4)),
    "shared weights": (lambda m, x: m.b(torch.tanh(m.square(torch.tanh(m.square(torch.tanh(m.a(x))))))), (6, 6, 6, 4)),
    "affine inputs": (lambda m, x: m.b(torch.tanh(m.a((x - 1.5) / 2.5 + 0.3))), (6, 4)),
    "inputs scaled one by one": (lambda m, x: m.b(torch.tanh(m.a(-x * m.scale[:D] - 1))), (6, 4)),
    "no activation": (lambda m, x: m.b(m.a(x)), (6, 4)),
    "one layer": (lambda m, x: m.a(x), (6,)),
    "a vector at the end": (lambda m, x: (torch.tanh(m.a(x)) @ m.vector)[:, None], (6,)),
    "a head that adds up": (lambda m, x: torch.logsumexp(m.b(torch.tanh(m.a(x))), 1, keepdim=True), (6, 4)),
    "a head that chooses": (lambda m, x: (o := m.b(torch.tanh(m.a(x)))).where(o > 0, 0.1 * o)[:, [2, 0]], (6, 4)),
    "a head with a product": (lambda m, x: (o := m.b(torch.tanh(m.a(x))))[:, :2] * o[:, 2:], (6, 4)),
    "a head with a normalisation": (lambda m, x: F.layer_norm(m.b(torch.tanh(m.a(x))), (4,)), (6, 4)),
    "a head that takes outputs apart": (
        lambda m, x: torch.stack((*(o := m.b(torch.tanh(m.a(x))).unbind(1))[1:], o[0].exp()), 1),
        (6, 4),
    ),
    "a head of halves": (
        lambda m, x: (o := m.b(torch.tanh(m.a(x))).chunk(2, dim=1))[1] * F.softplus(o[0].split([1, 1], 1)[1]),
        (6, 4),
    ),
    "a head that sorts": (lambda m, x: m.b(torch.tanh(m.a(x))).sort(dim=1, descending=True)[0], (6, 4)),
    "weights made while it runs": (lambda m, x: m.b(torch.tanh(F.linear(x, m.a.weight * m.scale[:, None]))), (6, 4)),
}


@pytest.mark.parametrize("forward", FORWARDS)
def test_modules_that_write_a_chain_by_hand_are_chains(forward: str) -> None:
    written, widths = FORWARDS[forward]
    assert_is_chain(as_function(Written(written)), widths)


def test_scalers_before_the_first_layer_are_folded_into_it() -> None:
    scale, shift = normal(D, seed=3) + 2, normal(D, seed=4)
    net = nested()
    chain = assert_is_chain(as_function(nn.Sequential(Affine(scale, shift), Affine(shift, scale), net)), (6, 4, 3))
    bare = find_chain(as_function(net), normal(3, D, seed=5))
    torch.testing.assert_close(chain.affines[0].weight, bare.affines[0].weight * scale * shift, rtol=EXACT, atol=EXACT)


def compiled(module: nn.Module, kind: str) -> torch.jit.ScriptModule:
    if kind == "traced":
        script = model_files.quietly(torch.jit.trace, module, normal(4, D, seed=6), check_trace=False)
    else:
        script = model_files.quietly(torch.jit.script, module)
    return model_files.quietly(torch.jit.freeze, script) if kind == "frozen" else script


KINDS = pytest.mark.parametrize("kind", ["scripted", "traced", "frozen"])


@KINDS
def test_torchscript_modules_are_chains_however_often_they_ran(kind: str) -> None:
    for module, widths in ((plain(), (6, 4, 3)), (nested(), (6, 4, 3)), (nested(nn.GELU), (6, 4, 3))):
        script = compiled(module, kind)
        for _ in range(3):
            assert_is_chain(wrap_module(script).outputs, widths)


@KINDS
def test_torchscript_files_are_chains(kind: str, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    model_files.quietly(torch.jit.save, compiled(plain(), kind), buffer)
    (tmp_path / "model").write_bytes(buffer.getvalue())
    assert_is_chain(load_model(tmp_path / "model").outputs, (6, 4, 3))


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "relu in place": lambda: nn.ReLU(inplace=True),
    "relu6": nn.ReLU6,
    "leaky relu": lambda: nn.LeakyReLU(0.3),
    "hardtanh": nn.Hardtanh,
    "hardswish": nn.Hardswish,
    "prelu": nn.PReLU,
}


@pytest.mark.parametrize("kind", ["eager", "scripted", "traced"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_smoothed_models_are_chains(activation: str, kind: str) -> None:
    module: nn.Module = nested(ACTIVATIONS[activation])
    if kind != "eager":
        module = compiled(module, kind)
    model = Model(module, "test", torch.float64, torch.device("cpu"))
    assert_is_chain(smooth_model(model, 4.0).outputs, (6, 4, 3))


_RANDOM = np.random.default_rng(0)
TABLE = _RANDOM.normal(3.0, [0.1, 1.0, 20.0, 5.0, 2.0], size=(60, D))
_SCORE = (TABLE - TABLE.mean(0)) / TABLE.std(0)
MULTI_CLASS = np.digitize(_SCORE[:, 1], [-0.5, 0.5])
SCIKIT_LEARN: dict[str, tuple[Any, np.ndarray, tuple[int, ...]]] = {
    "binary": (MLPClassifier((6, 4), "tanh", max_iter=5, random_state=0), MULTI_CLASS > 0, (6, 4, 1)),
    "multi-class": (MLPClassifier((6, 4), "logistic", max_iter=5, random_state=0), MULTI_CLASS, (6, 4, 3)),
    "multi-label": (MLPClassifier((6,), "tanh", max_iter=5, random_state=0), (_SCORE[:, :3] > 0) * 1, (6, 3)),
    "regression": (
        MLPRegressor(hidden_layer_sizes=(6, 4), activation="relu", max_iter=5, random_state=0),
        _SCORE[:, 0],
        (6, 4, 1),
    ),
    "several outputs": (
        MLPRegressor(hidden_layer_sizes=(6,), activation="identity", max_iter=5, random_state=0),
        _SCORE[:, :2],
        (6, 2),
    ),
}
SCALERS: dict[str, tuple[Any, ...]] = {"none": (), "one": (StandardScaler(),), "two": (MinMaxScaler(), RobustScaler())}


@pytest.mark.parametrize("scalers", SCALERS)
@pytest.mark.parametrize("estimator", SCIKIT_LEARN)
def test_scikit_learn_networks_and_their_scalers_are_chains(estimator: str, scalers: str, tmp_path: Path) -> None:
    network, targets, widths = SCIKIT_LEARN[estimator]
    pipeline = make_pipeline(*SCALERS[scalers], network)
    model_files.quietly(pipeline.fit, TABLE, targets)
    model = load_model(model_files.save_pickle(pipeline, tmp_path / "model"))
    assert_is_chain(model.outputs, widths)
    if estimator == "regression":
        assert_is_chain(smooth_model(model, 3.0).outputs, widths)


BETWEEN = "stands between its layers"
SKIP = "takes more than the layer before it, as in a skip connection"
REFUSED: dict[str, tuple[Callable[..., Tensor], str]] = {
    "a convolution": (lambda m, x: m.a(F.conv1d(x[:, None], torch.ones(1, 1, 3).double(), padding=1)[:, 0]), BETWEEN),
    "LayerNorm in the middle": (lambda m, x: m.b(F.layer_norm(m.a(x), (6,))), f"native_layer_norm.* {BETWEEN}"),
    "softmax in the middle": (lambda m, x: m.b(torch.softmax(m.a(x), 1)), f"softmax.* {BETWEEN}"),
    "a skip connection": (lambda m, x: m.b((h := torch.tanh(m.a(x))) + m.square(h)), SKIP),
    "a skip from the inputs": (lambda m, x: torch.tanh(m.a(x)) + x[:, :1], "stands between its layers|" + SKIP),
    "gated inputs": (lambda m, x: m.a(x * torch.sigmoid(x @ m.a.weight[:D])), SKIP),
    "gated hidden units": (lambda m, x: m.b((h := torch.tanh(m.a(x))) * torch.sigmoid(m.square(h))), SKIP),
    "two towers": (lambda m, x: m.b(torch.tanh(m.a(x)) + torch.tanh(m.a(-x))), SKIP),
    "layers side by side": (lambda m, x: m.b(torch.cat([torch.tanh(m.a(x))[:, :3], m.a(x)[:, 3:]], 1)), "as in a skip"),
    "concatenation of halves": (lambda m, x: m.b(torch.cat([(h := m.a(x))[:, :3], torch.tanh(h[:, 3:])], 1)), BETWEEN),
    "concatenation with constants": (lambda m, x: m.a(torch.cat([x[:, :3], x.new_ones(len(x), 2)], 1)), BETWEEN),
    "attention": (lambda m, x: m.b(F.scaled_dot_product_attention(*[m.a(x)[:, None]] * 3)[:, 0]), SKIP + "|" + BETWEEN),
    "a clip before the first layer": (lambda m, x: m.b(torch.tanh(m.a(F.hardtanh(x)))), "before the first layer"),
    "a curve before the first layer": (lambda m, x: m.a(torch.tanh(x)), "before the first layer"),
    "a square before the first layer": (lambda m, x: m.a(x * x), "before the first layer"),
    "a detached layer": (lambda m, x: m.b(torch.tanh(m.a(x).detach())), f"detach.* {BETWEEN}"),
    "no layer": (lambda m, x: torch.sin(x), "it has no affine layer"),
    "a function that has no jet": (lambda m, x: m.b(torch.sin(m.a(x))), f"sin.* {BETWEEN}"),
    "constants": (lambda m, x: torch.ones(len(x), 2).double(), "does not depend on its inputs"),
    "sorted units": (lambda m, x: m.b(m.a(x).sort(1)[0]), f"sort.* {BETWEEN}"),
    "gated halves": (lambda m, x: m.b(torch.cat([F.glu(m.a(x), 1)] * 2, 1)), f"glu.* {BETWEEN}"),
    "two gated halves": (lambda m, x: m.b((c := m.a(x).chunk(2, 1))[0].repeat(1, 2) * c[1].repeat(1, 2)), BETWEEN),
    "a product over units": (lambda m, x: m.b(m.a(x) * m.a(x).sum(1, keepdim=True)), "as in a skip|" + BETWEEN),
}


@pytest.mark.parametrize("forward", REFUSED)
def test_models_that_are_no_chains_are_refused_with_the_reason(forward: str) -> None:
    written, reason = REFUSED[forward]
    with pytest.raises(NotAChainError, match=reason):
        find_chain(as_function(Written(written)), normal(3, D, seed=7))


def test_layers_of_torch_that_are_no_chains_are_refused() -> None:
    torch.manual_seed(3)
    attention = nn.TransformerEncoderLayer(6, 2, 8, batch_first=True).double().eval()

    class Convolved(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x[:, None])

    convolved = Convolved(nn.Conv1d(1, 2, 2), nn.Flatten(), nn.Linear(8, 1)).double()
    bilinear = nn.Bilinear(D, D, 2).double()
    functions = (lambda z: attention(z @ torch.ones(D, 6).double()), convolved, lambda z: bilinear(z, z))
    for function in functions:
        with torch.no_grad(), pytest.raises(NotAChainError):
            find_chain(function, normal(3, D, seed=8))


KINKED_FIRST: dict[str, nn.Module] = {
    "relu": nn.ReLU(),
    "leaky relu": nn.LeakyReLU(),
    "a clip far out": nn.Hardtanh(-50, 50),
    "relu6": nn.ReLU6(),
    "elu": nn.ELU(),
    "softplus beyond its threshold": nn.Softplus(20),
}


@pytest.mark.parametrize("first", KINKED_FIRST)
def test_a_kink_before_the_first_layer_is_refused_though_no_row_of_the_probe_reaches_it(first: str) -> None:
    """Folded away as the identity, it would be wrong on the rows that do."""
    function = as_function(nn.Sequential(KINKED_FIRST[first], nested()))
    for rows in (normal(3, D, seed=9).abs() + 2, torch.rand(3, D).double() / 2 + 2):
        with pytest.raises(NotAChainError, match="before the first layer"):
            find_chain(function, rows)


BRANCHES: dict[str, Callable[..., Tensor]] = {
    "in the head": lambda m, x: o if (o := m.b(torch.tanh(m.a(x)))).sum() > 0 else torch.sin(o),
    "in the middle": lambda m, x: m.b(torch.tanh(h) if (h := m.a(x)).sum() > 0 else F.silu(h)),
    "on the inputs": lambda m, x: m.b(torch.tanh(m.a(x) if x.sum() > 0 else m.a(-x))),
    "on a number": lambda m, x: (o := m.b(torch.tanh(m.a(x)))) * (1.0 if o.abs().max().item() > 0.3 else 2.0),
    "on one unit": lambda m, x: (o := m.b(torch.tanh(m.a(x)))) * (2.0 if bool(o[0, 0] > 0) else 3.0),
    "by a number": lambda m, x: (o := m.b(torch.tanh(m.a(x)))) * float(o.max()),
}


@pytest.mark.parametrize("forward", BRANCHES)
def test_python_that_branches_on_values_is_refused(forward: str) -> None:
    """What was watched is one branch; other rows take the other."""
    with pytest.raises(NotAChainError):
        find_chain(as_function(Written(BRANCHES[forward])), normal(3, D, seed=10))


def test_the_model_and_the_rows_are_left_as_they_were() -> None:
    rows, net = normal(3, D, seed=11), nested(lambda: nn.ReLU(inplace=True))
    before = rows.clone(), {name: tensor.clone() for name, tensor in net.state_dict().items()}
    find_chain(as_function(net), rows)
    assert torch.equal(rows, before[0])
    assert all(torch.equal(tensor, before[1][name]) for name, tensor in net.state_dict().items())


def test_jets_leave_nothing_for_the_garbage_collector() -> None:
    """A cycle would keep the arrays of every layer until it is looked for: memory is not written again, but new."""
    chain = find_chain(network([4, 6, 5], nn.Tanh, seed=3), normal(7, 4, seed=4))
    inputs = normal(3, 6, seed=5)
    kept = weakref.ref(inputs)
    gc.collect()
    gc.disable()
    try:
        chain.activations[0].jet(inputs)
        del inputs
        assert kept() is None
    finally:
        gc.enable()
