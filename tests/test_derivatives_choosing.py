"""The closed form serves chains and nothing else, is checked before it serves, and never changes a result."""

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from problems import MEMORY_BYTES, NormedNetwork, baselines_for, network, normal, softplus, straight_paths
from torch import Tensor, nn

import ihcli
from ihcli.data.drawing import Baselines
from ihcli.data.groups import Groups
from ihcli.derivatives import jets
from ihcli.derivatives.autograd import AutogradEngine
from ihcli.derivatives.choosing import choose_engine
from ihcli.derivatives.curvature import RULES
from ihcli.derivatives.jets import aten
from ihcli.derivatives.mlp import MlpEngine
from ihcli.derivatives.paths import Paths
from ihcli.derivatives.room import Out
from ihcli.errors import OptionError
from ihcli.explainers.settings import Settings
from ihcli.explainers.settling import prepare
from ihcli.explanation import Explanation
from ihcli.integration.effort import Effort
from ihcli.methods import METHODS, names_of
from ihcli.models import wrap_module
from ihcli.readers.tables import TableReader

EXACT = 1e-9
"""Float64, relative to the largest entry of an explanation."""
D = 5
CHAIN = "a chain of affine layers and element-wise activations"
SKIP = "a layer takes more than the layer before it, as in a skip connection"

Parts = jets.Parts


def probe(n_rows: int = 3, n_baselines: int = 2, dtype: torch.dtype = torch.float64, seed: int = 1) -> Paths:
    x, base = normal(n_rows, D, seed=seed, dtype=dtype), normal(n_baselines, D, seed=seed + 1, dtype=dtype)
    return straight_paths(x, base, outputs=torch.arange(n_rows) % 2)


def chain() -> nn.Sequential:
    return network([D, 7, 6], nn.Tanh, seed=3, n_outputs=2)


class Skipping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(D, 6).double(), nn.Linear(6, 6).double()
        self.last = nn.Linear(6, 2).double()

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.first(x))
        return self.last(h + torch.tanh(self.second(h)))


def test_a_chain_is_served_by_the_closed_form() -> None:
    for wanted in ("auto", "mlp"):
        choice = choose_engine(chain(), probe(), MEMORY_BYTES, wanted)
        assert (choice.engine.name, choice.reason) == ("mlp", CHAIN)


def test_another_model_is_served_by_operation_and_the_reason_is_told() -> None:
    choice = choose_engine(Skipping(), probe(), MEMORY_BYTES)
    assert (choice.engine.name, choice.reason) == ("operations", f"not in closed form: {SKIP}")
    normed = choose_engine(NormedNetwork(D, 8, seed=4), straight_paths(normal(3, D, seed=5)), MEMORY_BYTES)
    assert normed.engine.name == "operations"
    assert re.fullmatch(r"not in closed form: aten\.native_layer_norm\S* stands between its layers", normed.reason)


def test_what_has_no_rule_is_served_by_autograd_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(RULES, "tanh")
    choice = choose_engine(Skipping(), probe(), MEMORY_BYTES)
    assert choice.engine.name == "autograd"
    assert choice.reason == f"not in closed form: {SKIP}; not by operation: there is no rule for aten.tanh.default"
    with pytest.raises(OptionError) as caught:
        choose_engine(Skipping(), probe(), MEMORY_BYTES, "operations")
    assert str(caught.value) == (
        "`engine=operations`: cannot serve this model: there is no rule for aten.tanh.default. Expected operations "
        "whose second derivatives are known. Try auto."
    )
    assert choose_engine(Skipping(), probe(), MEMORY_BYTES, "auto").engine.name == "autograd"


class Paired(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.pairs = nn.Bilinear(2, D - 2, 1).double()

    def forward(self, x: Tensor) -> Tensor:
        return self.pairs(x[:, :2].sin(), x[:, 2:])


def test_what_torch_would_do_point_by_point_is_served_by_autograd_without_a_word(
    capfd: pytest.CaptureFixture[str],
) -> None:
    choice = choose_engine(Paired(), probe(), MEMORY_BYTES)
    assert choice.engine.name == "autograd"
    assert "not by operation: its operations cannot be done at several rows" in choice.reason
    assert not capfd.readouterr().err  # torch warns there, whatever Python filters


@pytest.mark.parametrize("part", [1, 2], ids=["slope", "bend"])
def test_operations_that_disagree_with_autograd_are_not_used(monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    monkeypatch.setitem(jets.UNARY, aten.tanh.default, off_by(part, 1.001))
    choice = choose_engine(Skipping(), probe(), MEMORY_BYTES)
    assert choice.engine.name == "autograd"
    assert re.search(
        r"not by operation: what comes by operation differs from autograd by \S+ on a probe$", choice.reason
    )


def test_operations_serve_where_there_are_matrices_of_some_groups_or_where_they_are_asked_for() -> None:
    few = straight_paths(normal(3, D, seed=5), group_of=[0, 0, 1, 1, 1])
    assert choose_engine(Skipping(), few, MEMORY_BYTES).engine.name == "autograd"
    assert choose_engine(Skipping(), probe(), MEMORY_BYTES, second_order=False).engine.name == "autograd"
    for paths in (few, probe()):
        asked = choose_engine(Skipping(), paths, MEMORY_BYTES, "operations")
        assert (asked.engine.name, asked.reason) == ("operations", "asked for")


def test_autograd_serves_where_it_is_asked_for() -> None:
    choice = choose_engine(chain(), probe(), MEMORY_BYTES, "autograd")
    assert (choice.engine.name, choice.reason) == ("autograd", "asked for")


def test_asking_for_the_closed_form_of_another_model_is_an_error_in_words() -> None:
    with pytest.raises(OptionError) as caught:
        choose_engine(Skipping(), probe(), MEMORY_BYTES, "mlp")
    assert str(caught.value) == (
        f"`engine=mlp`: cannot serve this model: {SKIP}. Expected a chain of affine layers and "
        "element-wise activations. Try auto."
    )


@pytest.mark.parametrize("wanted", ["MLP", "jax", ""])
def test_an_engine_that_is_none_is_an_error(wanted: str) -> None:
    with pytest.raises(OptionError, match="`engine`"):
        choose_engine(chain(), probe(), MEMORY_BYTES, wanted)


def off_by(part: int, factor: float) -> Callable[[Tensor, Out], Parts]:
    def wrong(v: Tensor, out: Out) -> Parts:
        value, slope, bend = jets._tanh(v, out)
        assert bend is not None
        factors = [factor if i == part else 1.0 for i in range(3)]
        return factors[0] * value, factors[1] * slope, lambda: factors[2] * bend()

    return wrong


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("factor", [1.001, -1.0, 0.0, float("nan")])
@pytest.mark.parametrize("part", [0, 1, 2], ids=["value", "slope", "bend"])
def test_a_closed_form_that_disagrees_with_autograd_is_not_used(
    monkeypatch: pytest.MonkeyPatch, part: int, factor: float, dtype: torch.dtype
) -> None:
    monkeypatch.setitem(jets.UNARY, aten.tanh.default, off_by(part, factor))
    net, paths = chain().to(dtype), probe(dtype=dtype)
    choice = choose_engine(net, paths, MEMORY_BYTES)
    assert choice.engine.name != "mlp"
    if part:  # a wrong value is met before, where the chain is replayed
        found = r"not in closed form: the closed form differs from autograd by (\S+e[+-]\d+|nan) on a probe"
        assert re.match(found, choice.reason)
    with pytest.raises(OptionError, match=r"mlp`: cannot serve this model: .*(differs from|other outputs)"):
        choose_engine(net, paths, MEMORY_BYTES, "mlp")


@pytest.mark.parametrize(
    ("second_order", "memory_bytes", "points"), [(False, 1 << 30, 0), (True, 1 << 30, 18), (True, 1, 1)]
)
def test_matrices_are_compared_where_they_will_be_asked_for_as_memory_lets(
    monkeypatch: pytest.MonkeyPatch, second_order: bool, memory_bytes: int, points: int
) -> None:
    compared, hessians = [0], MlpEngine.hessians

    def counted(self: MlpEngine, paths: Paths, path: np.ndarray, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        compared.append(len(path))
        return hessians(self, paths, path, t)

    monkeypatch.setattr(MlpEngine, "hessians", counted)
    choice = choose_engine(chain(), probe(3, 2), memory_bytes, second_order=second_order)
    assert (choice.reason, max(compared), choice.is_confirmed) == (CHAIN, points, second_order)


@pytest.mark.parametrize("second_order", [True, False])
def test_a_wrong_slope_is_seen_with_and_without_matrices(monkeypatch: pytest.MonkeyPatch, second_order: bool) -> None:
    monkeypatch.setitem(jets.UNARY, aten.tanh.default, off_by(1, 1.001))
    assert choose_engine(chain(), probe(), MEMORY_BYTES, second_order=second_order).engine.name == "autograd"


class Distances(nn.Module):
    """Distances to prototypes, whose gradient torch cannot differentiate again, behind a layer and before a softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.prototypes = nn.Linear(D, 3).double(), nn.Parameter(normal(4, 3, seed=2), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(-torch.cdist(torch.tanh(self.layer(x)), self.prototypes), dim=1)


@pytest.mark.parametrize("method", names_of(order=1, integrals=True))
def test_methods_of_first_order_ask_no_engine_for_second_derivatives(method: str) -> None:
    rows = normal(6, D, seed=4).numpy()

    got = ihcli.explain(Distances(), rows, method=method, target=0, baseline=rows[:2] if method == "eg" else None)

    assert (got.status == "ok").all()


def test_a_chain_whose_derivatives_fail_is_served_by_autograd_and_confirmed_by_none() -> None:
    choice = choose_engine(Distances(), probe(), MEMORY_BYTES)
    assert (choice.engine.name, choice.is_confirmed) == ("autograd", False)
    assert re.match(r"not in closed form: autograd fails \(.*derivative.*\); not by operation", choice.reason)


def test_paths_that_lead_nowhere_confirm_nothing() -> None:
    x = normal(2, D, seed=6)
    assert choose_engine(chain(), straight_paths(x, x[:1]), MEMORY_BYTES).is_confirmed
    assert not choose_engine(chain(), straight_paths(x[:1], x[:1]), MEMORY_BYTES).is_confirmed


def test_rounding_is_no_disagreement() -> None:
    for dtype in (torch.float32, torch.float64):
        for activation in (nn.Tanh, nn.Sigmoid, nn.SiLU, nn.GELU, nn.ReLU, lambda: softplus(20)):
            for seed in range(5):
                net = network([D, 20, 20, 20], activation, seed=seed, scale=2, n_outputs=2).to(dtype)
                choice = choose_engine(net, probe(8, 4, dtype, seed=10 + seed), MEMORY_BYTES)
                assert choice.reason == CHAIN


def test_a_probe_of_one_row_that_is_its_own_baseline_is_enough() -> None:
    x = normal(1, D, seed=6)
    assert choose_engine(chain(), straight_paths(x, x), MEMORY_BYTES).reason == CHAIN


class Behind(nn.Module):
    """A chain of layers a and b, and something written by hand behind it."""

    def __init__(self, head: Callable[["Behind", Tensor], Tensor], n_outputs: int = 3) -> None:
        super().__init__()
        self.layers = network([D, 6], nn.Tanh, seed=7, n_outputs=n_outputs)
        self.scale = nn.Parameter(torch.tensor(1.5).double())
        self._head = head

    def forward(self, x: Tensor) -> Tensor:
        return self._head(self, self.layers(x))


def batch_normalised() -> nn.Module:
    norm = nn.BatchNorm1d(3).double()
    norm.running_mean.fill_(0.3)
    norm.running_var.fill_(2.0)
    return nn.Sequential(network([D, 6], nn.Tanh, seed=8, n_outputs=3), norm).eval()


def between(function: Callable[[Tensor], Tensor]) -> nn.Module:
    class Between(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return function(x)

    first, last = network([D], nn.Tanh, seed=9, n_outputs=7), network([7], nn.Tanh, seed=10, n_outputs=3)
    return nn.Sequential(first, Between(), last)


DELICATE: dict[str, nn.Module] = {
    "an in-place activation last": nn.Sequential(chain(), nn.ELU(inplace=True)),
    "arithmetic in place": Behind(lambda m, o: o.mul_(2).add_(1)),
    "a batch normalisation last": batch_normalised(),
    "the batch size in a view": Behind(lambda m, o: o.view(o.shape[0], -1)),
    "as many outputs as rows watched": Behind(lambda m, o: o[:, :, None].flatten(1), n_outputs=7),
    "constants of the batch's size": Behind(lambda m, o: torch.zeros(len(o), 3).double() + o),
    "ones beside the outputs": Behind(lambda m, o: torch.cat([o, torch.ones(len(o), 1).double()], 1)),
    "new zeros": Behind(lambda m, o: o + o.new_zeros(len(o), 3)),
    "an expansion to the batch's size": Behind(lambda m, o: o.sum(1, keepdim=True).expand(len(o), 3)),
    "chunks": Behind(lambda m, o: (c := o.chunk(2, 1))[0] * torch.sigmoid(c[1]), n_outputs=4),
    "unbound": Behind(lambda m, o: torch.stack(o.unbind(1)[::-1], 1)),
    "largest": Behind(lambda m, o: o.max(1, keepdim=True)[0].repeat(1, 2)),
    "sorted": Behind(lambda m, o: o.sort(1)[0]),
    "a weight that gathers gradients": Behind(lambda m, o: m.scale * o),
    "a temperature that gathers gradients": Behind(lambda m, o: torch.softmax(o / m.scale, 1)),
    "an output without gradient": Behind(lambda m, o: torch.cat([o[:, :1], o[:, 1:].detach()], 1)),
    "an index by rows": Behind(lambda m, o: o[torch.arange(len(o))]),
    "a loop over rows": Behind(lambda m, o: torch.stack([row * 2 for row in o])),
    "a quotient of units": between(lambda h: h / (1 + h * h)),
    "a constant over units": between(lambda h: torch.ones(7).double() / (2 + h**2)),
    "alpha": between(lambda h: torch.add(torch.tanh(h), 1, alpha=2)),
    "a column of the batch's size": between(lambda h: torch.tanh(h) * torch.ones(len(h), 1).double()),
    "a kink before the first layer": nn.Sequential(nn.Hardtanh(-9, 9), chain()),
    "inputs put into shape": nn.Sequential(nn.Flatten(), chain()),
    "power of zero": between(lambda h: h**0 + torch.tanh(h)),
}


@pytest.mark.parametrize("name", DELICATE)
def test_what_is_hard_to_replay_is_served_right_by_either_engine(name: str) -> None:
    """Also on rows far from the probe's, and at another batch size."""
    module = DELICATE[name]

    def function(z: Tensor) -> Tensor:
        return module(z.clone())

    engine = choose_engine(function, probe(), MEMORY_BYTES).engine
    truth = AutogradEngine(function, MEMORY_BYTES)
    for n_rows, stretch in ((1, 1.0), (5, 20.0)):
        x = stretch * normal(n_rows, D, seed=20)
        paths = straight_paths(x, normal(2, D, seed=21), outputs=torch.arange(n_rows) % 2)
        path = np.arange(2 * n_rows).repeat(3)
        t = torch.tensor([0.1, 0.6, 1.0]).double().repeat(2 * n_rows)
        for got, expected in zip(engine.curvatures(paths, path, t), truth.curvatures(paths, path, t), strict=True):
            torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)
        got, expected = engine.assemble(paths, path, t, t)[1], truth.assemble(paths, path, t, t)[1]
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)


def explained(module: nn.Module, engine: str, method: str, groups: dict[str, list[str]] | None = None) -> Explanation:
    """Explain rows through the library's own preparation, with the engine asked for."""
    x = normal(8, D, seed=30).numpy()
    base = baselines_for(method, D, seed=31).numpy()
    settings = Settings(method=method, effort=Effort(1e-4), engine=engine, memory_bytes=MEMORY_BYTES)
    named = Groups.of([f"x{i}" for i in range(D)], groups)
    prepared = prepare(wrap_module(module), TableReader(named, Baselines(base, len(base), "test")), x, settings)
    assert prepared.engine.name == ("autograd" if engine == "autograd" else "mlp")
    assert prepared.engine_reason == ("asked for" if engine == "autograd" else CHAIN)
    return prepared.explain(x)


@pytest.mark.parametrize("method", names_of(integrals=True))
@pytest.mark.parametrize("groups", [None, {"a": ["x0", "x3"]}], ids=["ungrouped", "grouped"])
def test_results_are_the_same_with_either_engine(method: str, groups: dict[str, list[str]] | None) -> None:
    for module in (nn.Sequential(chain(), nn.Softmax(dim=1)).eval(), network([D, 8, 8], nn.ReLU, seed=32).eval()):
        ours, theirs = (explained(module, engine, method, groups) for engine in ("auto", "autograd"))
        assert ours.status.tolist() == theirs.status.tolist()
        same = ours.evaluations == theirs.evaluations
        # What engines tell of norms of matrices may differ, and then a panel more or fewer is cut.
        assert same.mean() >= (0.3 if METHODS[method].second_order else 1)
        assert ours.target.tolist() == theirs.target.tolist()
        for name in ("attributions", "interactions", "prediction", "baseline_prediction", "drift"):
            got, expected = getattr(ours, name), getattr(theirs, name)
            assert (got is None) == (expected is None)
            if got is None:
                continue
            error = "interaction_error" if name == "interactions" else "relative_error"
            if name in ("attributions", "interactions"):
                reported = getattr(ours, error) + getattr(theirs, error)
                assert (sizes(got - expected) <= reported * sizes(expected) + EXACT).all()
                got, expected = got[same], expected[same]
            np.testing.assert_allclose(got, expected, rtol=0, atol=EXACT * np.abs(expected).max())


def sizes(values: np.ndarray) -> np.ndarray:
    """Return the L1 norm of every row, (N,)."""
    return np.abs(values).reshape(len(values), -1).sum(1)


def test_asking_for_the_closed_form_fails_before_any_row_is_explained() -> None:
    settings = replace(Settings(), engine="mlp")
    baselines = Baselines(np.zeros((1, D)), 1, "zeros")
    module = Skipping().eval()
    reader = TableReader(Groups.of([str(i) for i in range(D)]), baselines)
    with pytest.raises(OptionError, match="`engine=mlp`: cannot serve this model"):
        prepare(wrap_module(module), reader, normal(4, D, seed=33).numpy(), settings)


def test_activations_by_function_and_by_layer_give_the_same_engine() -> None:
    layers = chain()

    def function(z: Tensor) -> Tensor:
        first, _, second, _, last = layers
        return F.linear(torch.tanh(second(first(z).tanh())), last.weight, last.bias)

    assert choose_engine(function, probe(), MEMORY_BYTES).reason == CHAIN
