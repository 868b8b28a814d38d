"""Outputs near 0 and 1 in float32: attributions and interactions to their own accuracy, or said to be rounding.

Truth is the head's derivative in a form that loses no digits, times derivatives of the logit in float64, by a rule of
200 nodes: nothing of the engines, panels and rewritten heads is used.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import model_files
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from numpy.polynomial import legendre
from problems import normal
from sklearn.neural_network import MLPClassifier
from torch import Tensor, nn

import ihcli
from ihcli.cli import main
from ihcli.derivatives import Carried
from ihcli.explanation import Explanation

D, ROWS = 4, 12
TOLERANCE = 0.01
LOGITS = (10.0, 15.0, 16.0, 17.0, 20.0, 30.0, 40.0)
FEW_LOGITS = (10.0, 16.0, 20.0, 40.0)

pytestmark = [
    pytest.mark.filterwarnings("ignore:the explained output is saturated"),
    pytest.mark.filterwarnings("ignore:The gradient is zero"),  # as that of a head that rounds to 1 is
]

Curve = Callable[[Tensor], Tensor]


def share(v: Tensor) -> Tensor:
    return torch.sigmoid(v)


def slope(v: Tensor) -> Tensor:
    return share(v) * share(-v)


def bend(v: Tensor) -> Tensor:
    return slope(v) * (share(-v) - share(v))


@dataclass(frozen=True)
class Head:
    """A head of so many logits, and its first two derivatives by the logit v = u or u_0 - u_1."""

    logits: int
    head: Curve
    first: Curve = slope
    second: Curve = bend


HEADS = {
    "sigmoid": Head(1, torch.sigmoid),
    "softmax": Head(2, lambda u: torch.softmax(u, 1)[:, 0]),
    "log-softmax": Head(2, lambda u: F.log_softmax(u, 1)[:, :1], lambda v: share(-v), lambda v: -slope(v)),
    "log of a probability": Head(
        1, lambda u: torch.log(torch.sigmoid(u) + 1e-30), lambda v: share(-v), lambda v: -slope(v)
    ),
    "complement": Head(1, lambda u: 1 - torch.sigmoid(u), lambda v: -slope(v), lambda v: -bend(v)),
    "tanh": Head(1, lambda u: torch.tanh(u / 2), lambda v: 2 * slope(v), lambda v: 2 * bend(v)),
    "scaled, far from 0": Head(
        1, lambda u: 2e5 + 1e3 * torch.sigmoid(u), lambda v: 1e3 * slope(v), lambda v: 1e3 * bend(v)
    ),
    "guarded": Head(1, lambda u: torch.sigmoid(u).clamp(1e-30, 1)),
    "written out": Head(1, lambda u: 1 / (1 + torch.exp(-u))),
}
UNKNOWN = {
    "normalised scores": Head(2, lambda u: (u.exp() / u.exp().sum(1, keepdim=True))[:, 0]),
    "a tanh of exponentials": Head(
        1,
        lambda u: (torch.exp(u / 2) - torch.exp(-u / 2)) / (torch.exp(u / 2) + torch.exp(-u / 2)),
        lambda v: 2 * slope(v),
        lambda v: 2 * bend(v),
    ),
    "log-softmax by hand": Head(
        2, lambda u: (u - u.logsumexp(1, keepdim=True))[:, 0], lambda v: share(-v), lambda v: -slope(v)
    ),
}


class Saturated(nn.Module):
    """A small network whose logit lies around a bias."""

    def __init__(self, head: Head, bias: float) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.body = nn.Sequential(nn.Linear(D, 8), nn.Tanh(), nn.Linear(8, head.logits))
        with torch.no_grad():
            self.body[2].bias += torch.tensor([bias] if head.logits == 1 else [bias / 2, -bias / 2])
        self.head = head.head

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.body(inputs))


def rows(dtype: torch.dtype = torch.float32) -> Tensor:
    return normal(ROWS, D, seed=0, dtype=dtype)


@dataclass(frozen=True)
class Integrals:
    """phi (N, D) and Gamma (N, D, D)."""

    attributions: np.ndarray
    interactions: np.ndarray


def true_integrals(head: Head, bias: float, x: Tensor, baselines: Tensor | None = None) -> Integrals:
    body = Saturated(head, bias).double().body
    baselines = torch.zeros(1, D) if baselines is None else baselines
    found = [[_path(head, body, row, start) for start in baselines.double()] for row in x.double()]
    phi, gamma = (np.stack([np.mean([path[i] for path in paths], axis=0) for paths in found]) for i in (0, 1))
    return Integrals(phi, gamma)


def _path(head: Head, body: nn.Module, row: Tensor, start: Tensor) -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = legendre.leggauss(200)
    s = torch.tensor((nodes + 1) / 2)
    t, density = s**3, torch.tensor(weights / 2) * 3 * s**2  # which takes the singularity from -ln t
    delta = row - start
    z = (start + t[:, None] * delta).requires_grad_()
    u = body(z)
    v = u[:, 0] if head.logits == 1 else u[:, 0] - u[:, 1]
    (gradient,) = torch.autograd.grad(v.sum(), z, create_graph=True)
    hessian = torch.stack([torch.autograd.grad(g.sum(), z, retain_graph=True)[0] for g in gradient.unbind(1)], 1)
    g, v = gradient.detach() * delta, v.detach()
    bent = head.second(v)[:, None, None] * g[:, :, None] * g[:, None, :]
    h = bent + head.first(v)[:, None, None] * hessian * delta[:, None] * delta
    f = head.first(v)[:, None] * g
    log = -torch.log(t) * density
    gamma = ((log * t)[:, None, None] * h).sum(0) + torch.diag((log[:, None] * f).sum(0))
    return (density[:, None] * f).sum(0).numpy(), gamma.numpy()


def off(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the relative L1 error of every row."""
    axes = tuple(range(1, truth.ndim))
    return np.abs(found - truth).sum(axes) / np.abs(truth).sum(axes)


def assert_honest(explanation: Explanation, truth: Integrals) -> None:
    errors = off(explanation.attributions, truth.attributions)
    ok = explanation.status == "ok"
    assert (errors <= explanation.relative_error).all(), (errors, explanation.relative_error)
    assert (errors[ok] <= TOLERANCE).all()
    if explanation.interactions is not None:
        assert (off(explanation.interactions, truth.interactions)[ok] <= TOLERANCE).all()


@pytest.mark.parametrize("bias", LOGITS)
@pytest.mark.parametrize("name", HEADS)
def test_saturated_rows_are_ok_and_right(name: str, bias: float) -> None:
    truth = true_integrals(HEADS[name], bias, rows())
    for method in ("ig", "ih"):
        found = ihcli.explain(Saturated(HEADS[name], bias).eval(), rows(), method=method)
        assert (found.status == "ok").all()
        assert_honest(found, truth)


@pytest.mark.parametrize("name", HEADS)
def test_saturated_rows_are_right_by_automatic_differentiation(name: str) -> None:
    for bias in (16.0, 40.0):
        found = ihcli.explain(Saturated(HEADS[name], bias).eval(), rows(), method="ih", engine="autograd")
        assert (found.status == "ok").all()
        assert_honest(found, true_integrals(HEADS[name], bias, rows()))


@pytest.mark.parametrize("method", ["eg", "eh"])
@pytest.mark.parametrize("name", ["sigmoid", "softmax"])
def test_saturated_rows_are_right_over_many_baselines(name: str, method: str) -> None:
    baselines = normal(5, D, seed=3, dtype=torch.float32)
    for bias in (16.0, 30.0):
        found = ihcli.explain(Saturated(HEADS[name], bias).eval(), rows(), method=method, baseline=baselines.numpy())
        assert (found.status == "ok").all()
        assert_honest(found, true_integrals(HEADS[name], bias, rows(), baselines))


@pytest.mark.parametrize("bias", [10.0, 20.0, 36.0, 40.0])
@pytest.mark.parametrize("name", ["sigmoid", "softmax", "tanh"])
def test_saturated_rows_are_right_in_float64(name: str, bias: float) -> None:
    module = Saturated(HEADS[name], bias).double().eval()
    for method in ("ig", "ih"):
        found = ihcli.explain(module, rows(torch.float64), method=method)
        assert (found.status == "ok").all()
        assert_honest(found, true_integrals(HEADS[name], bias, rows(torch.float64)))


@pytest.mark.parametrize("bias", FEW_LOGITS)
@pytest.mark.parametrize("name", UNKNOWN)
def test_heads_that_nobody_knows_end_as_rounding_and_never_as_ok(name: str, bias: float) -> None:
    truth = true_integrals(UNKNOWN[name], bias, rows())
    for method in ("ig", "ih"):
        found = ihcli.explain(Saturated(UNKNOWN[name], bias).eval(), rows(), method=method)
        assert_honest_where_ok(found, truth)
        if bias >= 16:
            assert not (found.status == "ok").any()


def assert_honest_where_ok(explanation: Explanation, truth: Integrals) -> None:
    ok = explanation.status == "ok"
    assert (off(explanation.attributions, truth.attributions)[ok] <= explanation.relative_error[ok]).all()


@pytest.mark.parametrize("name", UNKNOWN)
def test_heads_that_nobody_knows_are_ok_where_they_are_not_saturated(name: str) -> None:
    found = ihcli.explain(Saturated(UNKNOWN[name], 0.0).eval(), rows(), method="ih")
    assert (found.status == "ok").all()
    assert_honest(found, true_integrals(UNKNOWN[name], 0.0, rows()))


@pytest.mark.parametrize(
    "head",
    [lambda u: 2e5 + u, lambda u: 2e5 + 10 * torch.tanh(u), lambda u: 2e5 + u / (1 + u.abs()), lambda u: 2e5 + u * u],
)
def test_outputs_with_a_large_offset_are_not_taken_for_saturated(head: Curve) -> None:
    for method in ("ig", "ih"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = ihcli.explain(Saturated(Head(1, head), 0.3).eval(), rows(), method=method, smooth="none")
        assert (found.status == "ok").mean() > 0.5
        assert not (found.status == "rounding").any()


def classifier(bias: float) -> MLPClassifier:
    """Return scikit-learn's classifier with the weights of a saturated network."""
    model = MLPClassifier((8,), activation="tanh", max_iter=1, random_state=0)
    x = rows().double().numpy()
    model_files.quietly(model.fit, x, x[:, 0] > 0)
    body = Saturated(HEADS["sigmoid"], bias).body
    for i, layer in enumerate((body[0], body[2])):
        model.coefs_[i], model.intercepts_[i] = layer.weight.detach().double().T.numpy(), layer.bias.detach().numpy()
    return model


def saved(kind: str, bias: float, path: Path) -> Path:
    module = nn.Sequential(*Saturated(HEADS["sigmoid"], bias).body, nn.Sigmoid()).eval()
    if kind == "pickle":
        return model_files.save_zip(module, path)
    if kind == "TorchScript":
        return model_files.save_script(module, path)
    if kind == "trace":
        return model_files.save_trace(module, rows(), path)
    if kind == "scikit-learn":
        return model_files.save_joblib(classifier(bias), path)
    program = torch.export.export(module, (rows(),), dynamic_shapes=({0: torch.export.Dim("n")},))
    torch.export.save(program, path.with_suffix(".pt2"))
    return path.with_suffix(".pt2")


@pytest.mark.parametrize("kind", ["pickle", "TorchScript", "trace", "scikit-learn", "exported program"])
def test_saturated_rows_are_right_from_every_kind_of_file(kind: str, tmp_path: Path) -> None:
    for bias in (17.0, 30.0):
        path = saved(kind, bias, tmp_path / f"{bias:.0f}.pt")
        model = ihcli.load_model(str(path), trust=True, dtype=torch.float32)
        target = "True" if kind == "scikit-learn" else None
        found = ihcli.explain(model, rows().numpy(), target=target)
        assert (found.status == "ok").all()
        assert_honest(found, true_integrals(HEADS["sigmoid"], bias, rows()))


def ran(*arguments: object) -> str:
    done = CliRunner().invoke(main, [*map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.output


def test_a_saturated_run_warns_is_verified_and_its_advice_is_followed(tmp_path: Path) -> None:
    model, data, run = tmp_path / "m.pt", tmp_path / "d.csv", tmp_path / "run"
    module = nn.Sequential(*Saturated(HEADS["sigmoid"], 17.0).body, nn.Sigmoid())
    torch.save(module, model)
    pd.DataFrame(rows().numpy(), columns=list("abcd")).to_csv(data, index=False)
    said = ran("explain", model, data, "-o", run)
    assert "saturated, beyond 0.999 of its range, on 100.0% of a sample of rows" in " ".join(said.split())
    assert set(pq.read_table(run / "attributions")["_status"].to_pylist()) == {"ok"}
    assert "all" in ran("verify", run, model, data).splitlines()[-1]
    torch.save(module[:-1], tmp_path / "logits.pt")
    assert "Warning" not in ran("explain", tmp_path / "logits.pt", data, "-o", tmp_path / "logits")
    assert "mlp: a chain" in ran("inspect", model)


@pytest.mark.parametrize("head", [lambda u: u, torch.sigmoid, F.softplus, lambda u: 3 + torch.tanh(u)])
def test_outputs_within_their_range_are_not_warned_of(head: Curve) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ihcli.explain(Saturated(Head(1, head), 1.0).eval(), rows(), method="ig")


@pytest.mark.parametrize(
    ("head", "bias"),
    [
        (torch.sigmoid, -12.0),
        (torch.tanh, 9.0),
        (F.logsigmoid, 9.0),
        (lambda u: torch.softmax(torch.cat([u, -u], 1), 1), 6.0),
    ],
)
def test_outputs_at_the_ends_of_their_range_are_warned_of(head: Curve, bias: float) -> None:
    with pytest.warns(ihcli.IhcliWarning, match=r"saturated, beyond 0\.999 .* Try `scale=logit`"):
        ihcli.explain(Saturated(Head(1, head), bias).eval(), rows(), method="ig")


def test_exponentials_magnify_where_slopes_are_small_and_no_further_than_logits_go() -> None:
    gradient = np.array([3e3, 1.0, np.exp(-20), np.exp(-60), 1e-320, 0.0])
    np.testing.assert_allclose(Carried(argument=40.0).magnified(gradient), [1, 1, 5, 10, 10, 10])
    assert (Carried(argument=3.0).magnified(gradient) == 1).all()
