"""Contextual decomposition, against its rules written out unit by unit, closed forms, and what it refuses."""

import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result
from model_files import quietly, save_script
from problems import normal
from torch import Tensor, nn

import ihcli
from ihcli.cli import main
from ihcli.errors import OptionError

X, START = normal(3, 5, seed=3).numpy(), normal(1, 5, seed=4).numpy()
ALONE = [[i] for i in range(5)]
GROUPS, MEMBERS = {"left": ["0", "3"], "rest": ["1", "4"], "right": ["2"]}, [[0, 3], [1, 4], [2]]
PIECEWISE, SMOOTH = (nn.ReLU, nn.LeakyReLU), (nn.Tanh, nn.Sigmoid, nn.GELU, nn.Softplus)


def network(activation: type[nn.Module], *widths: int) -> nn.Sequential:
    torch.manual_seed(0)
    layers = [layer for k, m in itertools.pairwise(widths) for layer in (nn.Linear(k, m), activation())]
    return nn.Sequential(*layers[:-1]).double().eval()


def scored(net: nn.Sequential, x: np.ndarray, start: np.ndarray, inputs: list[int], output: int) -> float:
    """Return the score of a set of inputs, unit by unit."""
    beta = [float(x[i] - start[i]) if i in inputs else 0.0 for i in range(len(x))]
    gamma = [0.0 if i in inputs else float(x[i] - start[i]) for i in range(len(x))]
    shift, at_zero = [float(s) for s in start], 0.0
    for layer in net:
        if isinstance(layer, nn.Linear):
            weight, bias = layer.weight.tolist(), layer.bias.tolist()
            units = []
            for w, b in zip(weight, bias, strict=True):
                constant = b + sum(a * s for a, s in zip(w, shift, strict=True))
                mine = sum(a * v for a, v in zip(w, beta, strict=True))
                rest = sum(a * v for a, v in zip(w, gamma, strict=True))
                share = abs(mine) / (abs(mine) + abs(rest)) if mine or rest else 0.0
                units.append((mine + share * constant, rest + (1 - share) * constant))
            beta, gamma = [mine for mine, _ in units], [rest for _, rest in units]
            continue

        def a(value: float, layer: nn.Module = layer) -> float:
            return float(layer(torch.tensor(value, dtype=torch.float64)))

        at_zero = a(0.0)
        shift = [at_zero] * len(beta)
        for u, (mine, rest) in enumerate(zip(beta, gamma, strict=True)):
            if isinstance(layer, PIECEWISE):
                beta[u] = a(mine) - at_zero
            else:
                beta[u] = (a(mine) - at_zero + a(mine + rest) - a(rest)) / 2
            gamma[u] = a(mine + rest) - at_zero - beta[u]
    return beta[output]


@pytest.mark.parametrize("activation", [*PIECEWISE, *SMOOTH])
@pytest.mark.parametrize(("members", "groups"), [(ALONE, None), (MEMBERS, GROUPS)])
def test_scores_are_those_of_the_rules(
    activation: type[nn.Module], members: list[list[int]], groups: dict[str, list[str]] | None
) -> None:
    net, g = network(activation, 5, 7, 6, 2), len(members)
    found = ihcli.explain(net, X, method="cd", baseline=START, groups=groups, target=1)
    for x, phi, gamma in zip(X, found.attributions, found.interactions, strict=True):
        alone = [scored(net, x, START[0], inputs, 1) for inputs in members]
        np.testing.assert_allclose(phi, alone, atol=1e-12)
        for i, j in itertools.combinations(range(g), 2):
            together = scored(net, x, START[0], members[i] + members[j], 1)
            assert gamma[i, j] == gamma[j, i] == pytest.approx((together - alone[i] - alone[j]) / 2, abs=1e-12)
        np.testing.assert_allclose(gamma.sum(1), phi, atol=1e-12)
    assert (found.status == "uncertified").all()
    assert np.isnan(found.relative_error).all()
    assert (found.evaluations == g * (g + 1) // 2).all()
    assert found.drift is None


def test_a_group_of_all_inputs_gets_the_output() -> None:
    net = network(nn.Tanh, 5, 7, 6, 2)
    found = ihcli.explain(net, X, method="cd", baseline=START, groups={"all": list("01234")}, target=0)
    np.testing.assert_allclose(found.attributions[:, 0], found.prediction, atol=1e-12)


class Sum(nn.Module):
    """act(x0 + x1), without biases."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 1, bias=False), activation, nn.Linear(1, 1, bias=False)).double()
        for layer in (self.body[0], self.body[2]):
            nn.init.ones_(layer.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


@pytest.mark.parametrize("script", [False, True])
def test_two_inputs_of_a_unit_have_what_is_known(script: bool) -> None:
    x = np.array([[2.0, -1.0]])

    def effect(activation: nn.Module) -> tuple[list[float], float]:
        net = Sum(activation).eval()
        found = ihcli.explain(quietly(torch.jit.script, net) if script else net, x, method="cd")
        return found.attributions[0].tolist(), 2 * float(found.interactions[0, 0, 1])

    assert effect(nn.ReLU()) == ([2.0, 0.0], -1.0)
    (first, second), pair = effect(nn.Tanh())
    assert first == pytest.approx((math.tanh(2) + math.tanh(1) - math.tanh(-1)) / 2, abs=1e-12)
    assert first + second == pytest.approx(math.tanh(1), abs=1e-12)
    assert pair == pytest.approx(0, abs=1e-12)


def test_an_affine_model_shares_its_bias_out() -> None:
    net = nn.Linear(3, 1).double()
    x = normal(4, 3, seed=1).numpy()
    moved = x * net.weight.detach().numpy()
    shares = np.abs(moved) / (np.abs(moved) + np.abs(moved.sum(1, keepdims=True) - moved))
    found = ihcli.explain(net, x, method="cd")
    np.testing.assert_allclose(found.attributions, moved + shares * net.bias.item(), atol=1e-12)


def test_batch_normalisation_is_part_of_the_layer_before_it() -> None:
    net = network(nn.ReLU, 5, 7, 1)
    norm = nn.BatchNorm1d(7).double().eval()
    for part in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(part)
    norm.running_var.uniform_(0.5, 2)
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    folded = network(nn.ReLU, 5, 7, 1)
    with torch.no_grad():
        folded[0].weight.mul_(scale[:, None])
        folded[0].bias.sub_(norm.running_mean).mul_(scale).add_(norm.bias)
    there = ihcli.explain(nn.Sequential(net[0], norm, *net[1:]).eval(), X, method="cd")
    here = ihcli.explain(folded, X, method="cd")
    np.testing.assert_allclose(there.attributions, here.attributions, atol=1e-12)
    np.testing.assert_allclose(there.interactions, here.interactions, atol=1e-12)


class Difference(nn.Module):
    """Of two outputs, and its negative."""

    def __init__(self, net: nn.Sequential) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        outputs = self.net(x)
        return torch.cat([outputs[:, :1] - outputs[:, 1:], outputs[:, 1:] - outputs[:, :1]], 1)


def test_what_is_affine_behind_the_last_layer_is_part_of_it() -> None:
    net, one = network(nn.Tanh, 5, 7, 2), network(nn.Tanh, 5, 7, 2)
    with torch.no_grad():
        one[2].weight[0] -= net[2].weight[1]
        one[2].bias[0] -= net[2].bias[1]
    there = ihcli.explain(Difference(net).eval(), X, method="cd", target=0)
    here = ihcli.explain(one, X, method="cd", target=0)
    np.testing.assert_allclose(there.interactions, here.interactions, atol=1e-12)


def test_memory_bounds_batches_and_changes_nothing() -> None:
    net = network(nn.ReLU, 5, 7, 6, 2)
    whole = ihcli.explain(net, X, method="cd", target=0)
    for engine in ("mlp", "autograd"):
        cut = ihcli.explain(net, X, method="cd", target=0, engine=engine, memory_bytes=1 << 20)
        np.testing.assert_allclose(cut.interactions, whole.interactions, atol=1e-13)


class Skip(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(3, 3), nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(x)) + x)


NO_CHAIN = {
    "a layer takes more than the layer before it, as in a skip connection": Skip,
    "it has no affine layer": nn.Tanh,
    "aten.view.default stands between its layers": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 3)), nn.Conv1d(1, 2, 2), nn.ReLU(), nn.Flatten(), nn.Linear(4, 1)
    ),
}


def ask(path: Path, module: nn.Module, *options: str, method: str = "cd") -> Result:
    model = save_script(module.float().eval(), path / "model.pt")
    pd.DataFrame(normal(6, 3, seed=7).numpy(), columns=list("abc")).to_csv(path / "data.csv", index=False)
    asked = ["interactions", str(model), str(path / "data.csv"), "-m", method, "--target", "0", *options]
    return CliRunner().invoke(main, asked)


@pytest.mark.parametrize("reason", NO_CHAIN)
def test_what_is_no_chain_is_refused_and_the_advice_works(reason: str, tmp_path: Path) -> None:
    done = ask(tmp_path, NO_CHAIN[reason]())
    assert done.exit_code == 1
    assert (
        f"--method cd: cannot explain this model: {reason}. Expected a chain of affine layers and element-wise "
        "activations. Try --method ih, which needs no chain." in done.stderr
    )
    assert ask(tmp_path, NO_CHAIN[reason](), method="ih").exit_code == 0


ENDS = {"sigmoid": (1, nn.Sigmoid()), "softmax": (3, nn.Softmax(1)), "log_softmax": (2, nn.LogSoftmax(1))}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("scripted", [False, True])
def test_an_end_that_squashes_is_refused_and_both_advices_work(end: str, scripted: bool) -> None:
    width, squashing = ENDS[end]
    module: nn.Module = network(nn.ReLU, 5, 7, width).append(squashing).eval()
    if scripted:
        module = quietly(torch.jit.script, module)
    told = f"`{end}` follows its last layer. Expected outputs as an affine layer gives them. Try `scale=logit`, or"
    with pytest.raises(OptionError, match=told):
        ihcli.explain(module, X, method="cd", target=0)
    found = ihcli.explain(module, X, method="cd", target=0, scale="logit")
    assert np.isfinite(found.interactions).all()
    assert ihcli.explain(module, X, method="ih", target=0).interactions is not None


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("scale", ["probability", "log-probability"])
def test_a_scale_that_bends_is_refused_and_the_advice_works(width: int, scale: str) -> None:
    net = network(nn.ReLU, 5, 7, width)
    for module in (net, quietly(torch.jit.script, net)):
        with pytest.raises(OptionError, match=r"follows its last layer\. .* Try `scale=logit`, or `method=ih`"):
            ihcli.explain(module, X, method="cd", target=0, scale=scale)
        there = ihcli.explain(module, X, method="cd", target=0, scale="logit")
        here = ihcli.explain(module, X, method="cd", target=0)
        np.testing.assert_allclose(there.interactions, here.interactions, atol=1e-12)


@pytest.mark.parametrize("scale", ["model", "logit", "probability"])
def test_an_end_of_its_own_that_no_scale_undoes_is_not_sent_round_in_circles(scale: str) -> None:
    module = network(nn.ReLU, 5, 7, 1).append(nn.Softplus())
    told = r"`softplus` follows its last layer\. Expected outputs as an affine layer gives them\. Try `method=ih`"
    with pytest.raises(OptionError, match=told):
        ihcli.explain(module, X, method="cd", scale=scale)


def test_runs_are_verified_and_what_it_does_not_promise_fails_nothing(tmp_path: Path) -> None:
    module = network(nn.ReLU, 3, 8, 2)
    ask(tmp_path, module)
    inputs, run = [str(tmp_path / "model.pt"), str(tmp_path / "data.csv")], str(tmp_path / "run")
    done = CliRunner().invoke(main, ["explain", *inputs, "-m", "cd", "--target", "0", "-o", run])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(main, ["verify", run, *inputs, "--axioms"])
    assert done.exit_code == 0, done.output
    assert "cd looks at layers, of which functions made of the model have none" in " ".join(done.output.split())
