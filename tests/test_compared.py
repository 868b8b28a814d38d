"""Methods to compare with, against their definitions written out, closed forms, and what runs of them claim."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import shapiq
import torch
from click.testing import CliRunner
from model_files import save_script
from problems import Of, normal
from torch import Tensor, nn

import ihcli
from ihcli.advance import unheard
from ihcli.cli import main
from ihcli.derivatives import Along
from ihcli.derivatives.autograd import AutogradEngine
from ihcli.derivatives.paths import Paths
from ihcli.errors import OptionError
from ihcli.integration.assembly import ExplainedRows
from ihcli.integration.compared.permutations import _paths_through_all, over_permutations
from ihcli.integration.compared.polynomials import Polynomial, richest
from ihcli.integration.compared.shapley import EXACT_GROUPS, shapley
from ihcli.integration.computing import needs_layers
from ihcli.integration.effort import Effort
from ihcli.methods import METHODS, names_of
from ihcli.models import wrap_module

COMPARED = [name for name, method in METHODS.items() if not (method.is_integral or method.extra)]
OUTPUTS = [name for name in COMPARED if METHODS[name].by_outputs and not needs_layers(METHODS[name])]
PAIRS = [name for name in COMPARED if METHODS[name].second_order]


def explain(function: Callable[[Tensor], Tensor], x: np.ndarray, method: str, **settings: object) -> ihcli.Explanation:
    model = wrap_module(Of(function), n_inputs=x.shape[1], dtype=torch.float64)
    return ihcli.explain(model, x, method=method, **settings)


def network(n_inputs: int, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(n_inputs, 12), nn.Tanh(), nn.Linear(12, 2)).double().eval()


X = normal(3, 5, seed=3).numpy()
START = normal(1, 5, seed=4).numpy()
GROUPS = {"left": ["0", "1"], "right": ["2"], "rest": ["3", "4"]}
MEMBERS = [[0, 1], [2], [3, 4]]


def game(net: nn.Module, x: np.ndarray, start: np.ndarray, members: list[list[int]], output: int = 0):
    """Return v(S), of a tuple of groups."""

    def value(open_groups: tuple[int, ...]) -> float:
        point = start.copy()
        for group in open_groups:
            point[members[group]] = x[members[group]]
        with torch.no_grad():
            return float(net(torch.tensor(point)[None])[0, output])

    return value


def by_definition(value: Callable[[tuple[int, ...]], float], g: int) -> tuple[np.ndarray, np.ndarray]:
    """Return Shapley values and interaction indices, sums over subsets as they are printed."""
    phi, pairs = np.zeros(g), np.zeros((g, g))
    for i in range(g):
        others = [k for k in range(g) if k != i]
        for size in range(g):
            weight = math.factorial(size) * math.factorial(g - size - 1) / math.factorial(g)
            for subset in itertools.combinations(others, size):
                phi[i] += weight * (value((*subset, i)) - value(subset))
    for i, j in itertools.combinations(range(g), 2):
        others = [k for k in range(g) if k not in (i, j)]
        for size in range(g - 1):
            weight = math.factorial(size) * math.factorial(g - size - 2) / math.factorial(g - 1)
            for subset in itertools.combinations(others, size):
                second = value((*subset, i, j)) - value((*subset, i)) - value((*subset, j)) + value(subset)
                pairs[i, j] += weight * second
    return phi, pairs + pairs.T


@pytest.mark.parametrize(("members", "groups"), [([[i] for i in range(5)], None), (MEMBERS, GROUPS)])
def test_shapley_values_and_indices_are_those_of_their_definition(members: list[list[int]], groups: object) -> None:
    net, g = network(5), len(members)
    found = ihcli.explain(net, X, method="sii", baseline=START, groups=groups, target=1)
    alone = ihcli.explain(net, X, method="shapley", baseline=START, groups=groups, target=1)
    for row, x in enumerate(X):
        phi, pairs = by_definition(game(net, x, START[0], members, 1), g)
        np.testing.assert_allclose(found.attributions[row], phi, atol=1e-13)
        np.testing.assert_allclose(alone.attributions[row], phi, atol=1e-13)
        gamma = found.interactions[row]
        np.testing.assert_allclose((gamma + gamma.T)[~np.eye(g, dtype=bool)], pairs[~np.eye(g, dtype=bool)], atol=1e-13)
        np.testing.assert_allclose(gamma.sum(1), phi, atol=1e-13)
    assert (found.status == "ok").all()
    assert (found.evaluations == 2**g).all()
    assert found.relative_error.max() < 1e-13


@pytest.mark.parametrize(("members", "groups"), [([[i] for i in range(5)], None), (MEMBERS, GROUPS)])
def test_occlusion_closes_one_gate_or_two(members: list[list[int]], groups: object) -> None:
    net, g = network(5), len(members)
    found = ihcli.explain(net, X, method="occlusion-pairs", baseline=START, groups=groups, target=0)
    everything = tuple(range(g))
    for row, x in enumerate(X):
        value = game(net, x, START[0], members)

        def without(*closed: int, value: Callable[[tuple[int, ...]], float] = value) -> float:
            return value(tuple(group for group in everything if group not in closed))

        phi = [without() - without(i) for i in everything]
        np.testing.assert_allclose(found.attributions[row], phi, atol=1e-13)
        gamma = found.interactions[row]
        for i, j in itertools.combinations(everything, 2):
            second = without() - without(i) - without(j) + without(i, j)
            assert gamma[i, j] + gamma[j, i] == pytest.approx(second, abs=1e-13)
        np.testing.assert_allclose(gamma.sum(1), phi, atol=1e-13)
    alone = ihcli.explain(net, X, method="occlusion", baseline=START, groups=groups, target=0)
    np.testing.assert_allclose(alone.attributions, found.attributions, atol=1e-13)  # of other batches
    assert alone.interactions is None


@pytest.mark.parametrize("groups", [None, GROUPS])
def test_derivatives_are_those_at_the_record(groups: dict[str, list[str]] | None) -> None:
    net, members = network(5), MEMBERS if groups else [[i] for i in range(5)]
    into = torch.zeros(5, len(members), dtype=torch.float64)
    for group, inputs in enumerate(members):
        into[inputs, group] = 1
    found = {m: ihcli.explain(net, X, method=m, baseline=START, groups=groups, target=0) for m in PAIRS[:2]}
    first = {m: ihcli.explain(net, X, method=m, baseline=START, groups=groups, target=0) for m in COMPARED[:2]}
    for row, x in enumerate(torch.tensor(X)):
        slope = torch.autograd.functional.jacobian(lambda z: net(z[None])[0, 0], x)
        bend = torch.autograd.functional.hessian(lambda z: net(z[None])[0, 0], x)
        delta = (x - torch.tensor(START[0]))[:, None] * into
        for name, there in (("hessian", into), ("hessian-input", delta)):
            np.testing.assert_allclose(found[name].attributions[row], there.T @ slope, atol=1e-12)
            np.testing.assert_allclose(found[name].interactions[row], there.T @ bend @ there, atol=1e-12)
        np.testing.assert_allclose(first["gradient"].attributions[row], into.T @ slope, atol=1e-12)
        np.testing.assert_allclose(first["gradient-input"].attributions[row], delta.T @ slope, atol=1e-12)
    for name in ("hessian", "hessian-input"):
        assert (found[name].status == "uncertified").all()
        assert np.isnan(found[name].relative_error).all()
        gamma = found[name].interactions
        np.testing.assert_array_equal(gamma, gamma.transpose(0, 2, 1))


def test_a_gradient_needs_no_baseline_near_by() -> None:
    model = wrap_module(Of(lambda z: 3 * z.sum(1)), n_inputs=2, dtype=torch.float32)
    found = ihcli.explain(model, np.array([[1e9, -2e9]], np.float32), method="gradient")
    np.testing.assert_array_equal(found.attributions, [[3, 3]])


MONOMIAL = {  # pair effect of x0 x1^2 at (2, 3) from zeros, by each method
    "hessian": 2 * 2 * 3,
    "hessian-input": 2 * (2 * 3) * (2 * 3),
    "dfim": (18 + 36) / 2,
    "occlusion-pairs": 18,
    "sii": 18,
}


@pytest.mark.parametrize("name", MONOMIAL)
def test_a_monomial_has_the_effect_that_each_method_is_known_for(name: str) -> None:
    found = explain(lambda z: z[:, 0] * z[:, 1] ** 2, np.array([[2.0, 3.0]]), name)
    gamma = found.interactions[0]
    assert gamma[0, 1] + gamma[1, 0] == pytest.approx(MONOMIAL[name], rel=1e-12)


def quadratic(g: int, seed: int) -> tuple[Callable[[Tensor], Tensor], np.ndarray, np.ndarray]:
    """Return sum_i a_i x_i + sum_{i<j} c_ij x_i x_j, with a and the symmetric c."""
    a, c = normal(g, seed=seed).numpy(), normal(g, g, seed=seed + 1).numpy() / g
    c = np.triu(c, 1)
    return (
        lambda z: z @ torch.tensor(a).to(z) + torch.einsum("pi,ij,pj->p", z, torch.tensor(c).to(z), z),
        a,
        c + c.T,
    )


NOTHING_KNOWN = 1.0
"""A relative error where the error is as large as the values or larger."""


@pytest.mark.parametrize("g", [EXACT_GROUPS + 1, EXACT_GROUPS + 2])
@pytest.mark.parametrize(
    ("method", "most"), [("shapley", 8000), ("sii", 8000), ("shapley", 100), ("sii", 900)], ids=str
)
def test_sums_over_draws_are_within_the_error_that_they_report(method: str, most: int, g: int) -> None:
    """Of subsets, and of permutations where fewer evaluations are allowed than fitting needs: of 2, of 3 orders."""
    at_most = 5 if most > 1000 else 10
    function, _, _ = quadratic(g, seed=g)
    x = normal(20, g, seed=1).numpy()

    def bent(z: Tensor) -> Tensor:
        return function(z) + torch.sin(z.sum(1))

    found = explain(bent, x, method, tolerance=0.03, max_evaluations=most)
    exact = explain(bent, x, method, tolerance=1e-9)
    assert exact.relative_error.max() < 1e-12
    np.testing.assert_allclose(found.attributions.sum(1), found.prediction - found.baseline_prediction, atol=1e-12)
    off = np.abs(found.attributions - exact.attributions).sum(1) / np.abs(exact.attributions).sum(1)
    assert ((off <= found.relative_error) | (found.relative_error == NOTHING_KNOWN)).all()
    assert np.median(found.relative_error / off) < at_most
    if found.interactions is not None and exact.interactions is not None:
        sizes = np.abs(exact.interactions).sum((1, 2))
        off = np.abs(found.interactions - exact.interactions).sum((1, 2)) / sizes
        assert ((off <= found.interaction_error) | (found.interaction_error == NOTHING_KNOWN)).all()
        assert np.median(found.interaction_error / off) < at_most


def parities(g: int, is_odd: bool, seed: int) -> tuple[Polynomial, np.ndarray]:
    """Return a polynomial in all products of an odd or even number of signs, and coefficients of it."""
    polynomial = richest(g, is_odd, math.inf)
    return polynomial, normal(len(polynomial), 1, seed=seed).numpy()


@pytest.mark.parametrize("is_odd", [True, False])
def test_values_of_polynomials_are_those_of_their_definition(is_odd: bool) -> None:
    g = 6
    polynomial, coefficients = parities(g, is_odd, seed=3)
    assert polynomial.sizes == ((1, 3, 5) if is_odd else (0, 2, 4, 6))

    def value(open_groups: tuple[int, ...]) -> float:
        signs = np.full((1, g), -1.0)
        signs[0, list(open_groups)] = 1
        return float((polynomial.columns(signs) @ coefficients).item())

    phi, pairs = by_definition(value, g)
    if is_odd:
        np.testing.assert_allclose(polynomial.values(coefficients)[0], phi, atol=1e-12)
        np.testing.assert_allclose(pairs, 0, atol=1e-12)
    else:
        np.testing.assert_allclose(polynomial.indices(coefficients)[0], pairs, atol=1e-12)
        np.testing.assert_allclose(phi, 0, atol=1e-12)


class Both(nn.Module):
    """Two networks on half of the inputs each, whose values are known where those of either are."""

    def __init__(self, half: int) -> None:
        super().__init__()
        self.half, self.first, self.second = half, network(half, seed=1), network(half, seed=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.first(3 * x[:, : self.half]) + self.second(3 * x[:, self.half :])


@pytest.mark.parametrize("method", ["shapley", "sii"])
def test_subsets_are_honest_and_nearer_than_permutations(method: str) -> None:
    half, x = 9, normal(30, 18, seed=8).numpy()
    net = Both(half)
    parts = [
        ihcli.explain(part, 3 * x[:, some], method="sii", target=0)
        for part, some in ((net.first, slice(0, half)), (net.second, slice(half, None)))
    ]
    phi = np.concatenate([part.attributions for part in parts], axis=1)
    gamma = np.zeros((len(x), 18, 18))
    gamma[:, :half, :half], gamma[:, half:, half:] = (part.interactions for part in parts)
    model = wrap_module(net, n_inputs=18, dtype=torch.float64)
    found = ihcli.explain(model, x, method=method, target=0, tolerance=1e-6, max_evaluations=4000)
    assert (found.evaluations <= 4000).all()
    off = np.abs(found.attributions - phi).sum(1) / np.abs(phi).sum(1)
    assert (off <= found.relative_error).mean() >= 0.99
    along = Along(
        AutogradEngine(net, 1 << 26),
        Paths(
            torch.tensor(x), torch.zeros(1, 18, dtype=torch.float64), torch.zeros(len(x), dtype=torch.int64), 18, None
        ),
    )
    ordered = over_permutations(along, METHODS[method], 1e-6, 4000, unheard)
    theirs = np.abs(ordered.attributions - phi).sum(1) / np.abs(phi).sum(1)
    assert np.median(off) < np.median(theirs) / 1.5
    if found.interactions is not None and ordered.matrices is not None:
        size = np.abs(gamma).sum((1, 2))
        off = np.abs(found.interactions - gamma).sum((1, 2)) / size
        assert (off <= found.interaction_error).mean() >= 0.99
        assert np.median(off) < np.median(np.abs(ordered.matrices - gamma).sum((1, 2)) / size) / 1.5


def test_products_are_found_exactly_by_any_draws() -> None:
    function, _, c = quadratic(22, seed=5)
    x = normal(4, 22, seed=6).numpy()
    found = explain(function, x, "sii", tolerance=1e-6)
    effects = found.interactions + found.interactions.transpose(0, 2, 1)
    expected = c * x[:, :, None] * x[:, None, :]
    places = ~np.eye(22, dtype=bool)
    np.testing.assert_allclose(effects[:, places], expected[:, places], atol=1e-12)
    assert (found.evaluations < 22_000).all()


def test_all_subsets_are_taken_where_permutations_would_cost_as_much() -> None:
    net = network(EXACT_GROUPS + 1)
    x = normal(2, EXACT_GROUPS + 1, seed=2).numpy()
    found = ihcli.explain(net, x, method="sii", tolerance=1e-9, target=0)
    assert found.relative_error.max() < 1e-12
    missed = ihcli.explain(net, x, method="sii", tolerance=1e-9, target=0, max_evaluations=3000)
    assert (missed.status == "not_converged").all()
    assert (missed.evaluations <= 3000).all()
    off = np.abs(missed.interactions - found.interactions).sum((1, 2)) / np.abs(found.interactions).sum((1, 2))
    assert (off <= missed.interaction_error).all()


@pytest.mark.parametrize("method", ["shapley", "sii"])
def test_rows_with_fewer_groups_are_explained_as_if_alone(method: str) -> None:
    """As texts with as many tokens are, whose words are fewer here than there."""
    net, x = network(16, seed=5), normal(3, 16, seed=6)
    counts = [13, 4, 16]
    owners = torch.stack([torch.arange(16).clamp(max=count - 1) for count in counts])
    engine = AutogradEngine(net, 1 << 26)
    effort = Effort(tolerance=0.02)

    def explained(rows: list[int], g: int) -> ExplainedRows:
        start, explained_output = torch.zeros(1, 16, dtype=x.dtype), torch.zeros(len(rows), dtype=torch.int64)
        paths = Paths(x[rows], start, explained_output, g, owners[rows])
        return shapley(Along(engine, paths), METHODS[method], effort)

    together = explained([0, 1, 2], 16)
    for row, g in enumerate(counts):
        alone = explained([row], g)
        np.testing.assert_array_equal(together.attributions[row, :g], alone.attributions[0])
        assert not together.attributions[row, g:].any()
        for of in ("evaluations", "status", "prediction", "baseline_prediction"):
            assert getattr(together.certificate, of)[row] == getattr(alone.certificate, of)[0], of
        assert together.certificate.relative_error[row] == pytest.approx(alone.certificate.relative_error[0])
        if METHODS[method].second_order:
            np.testing.assert_array_equal(together.interactions[row, :g, :g], alone.interactions[0])
    assert together.certificate.evaluations[1] == 2**4


def test_rows_do_not_depend_on_those_beside_them() -> None:
    net, x = network(EXACT_GROUPS + 3), normal(5, EXACT_GROUPS + 3, seed=2).numpy()
    together = ihcli.explain(net, x, method="shapley", target=0, tolerance=0.02)
    alone = ihcli.explain(net, x[3:4], method="shapley", target=0, tolerance=0.02)
    np.testing.assert_allclose(together.attributions[3:4], alone.attributions, rtol=1e-12)
    assert together.evaluations[3] == alone.evaluations[0]


@pytest.mark.parametrize("n", [2, 4, 10, 30])
def test_every_two_nodes_are_neighbours_once(n: int) -> None:
    orders = _paths_through_all(n)
    assert all(sorted(order) == list(range(n)) for order in orders.tolist())
    neighbours = {frozenset(pair) for order in orders.tolist() for pair in itertools.pairwise(order)}
    assert len(neighbours) == n * (n - 1) // 2 == (n - 1) * len(orders)


@pytest.mark.parametrize("name", OUTPUTS)
def test_models_without_derivatives_are_explained_by_their_outputs(name: str) -> None:
    found = explain(lambda z: (z > 0).to(z.dtype).prod(1), np.array([[1.0, 2.0, -1.0], [1.0, 1.0, 1.0]]), name)
    assert (found.status == "ok").all()
    assert found.attributions[1].sum() > 0


class _Refusing(torch.autograd.Function):
    @staticmethod
    def forward(context: object, x: Tensor) -> Tensor:
        return x.sin().sum(1)

    @staticmethod
    def backward(context: object, slope: Tensor) -> Tensor:
        raise RuntimeError("no derivative")


UNDERIVED = {
    "refusing": _Refusing.apply,
    "detached": lambda z: torch.sin(z.detach()).sum(1),
    "numpy": lambda z: torch.from_numpy(np.sin(z.detach().numpy()).sum(1)),
    "buckets": lambda z: torch.bucketize(z, torch.linspace(-2, 2, 50).to(z)).sum(1).to(z.dtype),
}


@pytest.mark.parametrize("n_rows", [8, 300], ids=["few rows", "rows that a start is chosen for"])
@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("function", UNDERIVED)
def test_no_derivative_is_asked_for_by_methods_of_outputs(function: str, name: str, n_rows: int) -> None:
    x = normal(n_rows, 3, seed=9).numpy()
    found = explain(UNDERIVED[function], x, name)
    net = explain(lambda z: torch.sin(z).sum(1), x, name)
    assert set(found.status) <= {"ok", "rounding"}
    if function != "buckets":
        np.testing.assert_allclose(found.attributions, net.attributions, atol=1e-12)


def test_rows_of_which_nothing_is_left_are_rounding_with_an_error_of_1() -> None:
    found = explain(lambda z: 3.0 + 0 * z.sum(1), X, "sii")
    assert (found.attributions == 0).all()
    assert found.relative_error.tolist() == found.interaction_error.tolist() == [1.0] * len(X)
    assert found.status.tolist() == ["rounding"] * len(X)


@pytest.mark.parametrize(
    "method", [name for name in METHODS if METHODS[name].error_of and not METHODS[name].many_baselines]
)
def test_rows_that_are_their_baselines_have_values_of_0_that_are_off_by_nothing(method: str) -> None:
    x = np.stack([START[0], X[0]])
    found = ihcli.explain(wrap_module(network(5).float(), n_inputs=5), x, method=method, baseline=START, tolerance=0.1)
    assert list(found.status) == ["ok", "ok"]
    assert found.relative_error[0] == 0
    assert not found.attributions[0].any()
    if METHODS[method].second_order:
        assert found.interaction_error[0] == 0
        assert not found.interactions[0].any()


def test_relus_are_smoothed_only_where_second_derivatives_are_taken() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1)).eval()
    x = normal(6, 3, seed=0, dtype=torch.float32).numpy()
    smoothed = {name for name in COMPARED if ihcli.explain(net, x, method=name).drift is not None}
    assert smoothed == {"hessian", "hessian-input"}


@pytest.mark.filterwarnings("ignore:the output of .* is not finite")
def test_rows_that_are_not_finite_are_told() -> None:
    x = np.abs(normal(40, 2, seed=0).numpy()) + 0.1
    x[-1, 1] = -1.0
    found = explain(lambda z: torch.log(z).sum(1), x, "sii", baseline=np.ones((1, 2)))
    assert found.status.tolist() == ["ok"] * 39 + ["non_finite"]


def test_steps_are_refused() -> None:
    with pytest.raises(OptionError, match="`steps`: are of integrals, and shapley takes none"):
        ihcli.explain(network(3), X[:, :3], method="shapley", steps=8)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared")
    torch.manual_seed(1)
    save_script(nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 2)), folder / "model.pt")
    pd.DataFrame(normal(20, 5, seed=7).numpy(), columns=list("abcde")).to_csv(folder / "data.csv", index=False)
    return folder


@pytest.mark.parametrize("name", COMPARED)
def test_runs_are_ranked_and_verified(name: str, files: Path) -> None:
    inputs, run = [str(files / "model.pt"), str(files / "data.csv")], str(files / name)
    done = CliRunner().invoke(main, ["explain", *inputs, "-m", name, "--target", "1", "-o", run])
    assert done.exit_code == 0, done.output
    ranked = CliRunner().invoke(main, ["attributions", run])
    assert len(ranked.stdout.splitlines()) == 6
    verified = CliRunner().invoke(main, ["verify", run, *inputs])
    assert verified.exit_code == 0, verified.output
    if name in names_of(order=2):
        assert len(CliRunner().invoke(main, ["interactions", run]).stdout.splitlines()) == 11


@pytest.mark.parametrize("name", COMPARED)
def test_what_values_are_is_told_in_files_and_pictures(name: str, files: Path) -> None:
    run, picture = files / f"{name}-told", files / f"{name}.svg"
    inputs = [str(files / "model.pt"), str(files / "data.csv")]
    done = CliRunner().invoke(main, ["explain", *inputs, "-m", name, "--target", "1", "-o", str(run)])
    assert done.exit_code == 0, done.output
    schema = pq.read_schema(run / "attributions" / "part-000000.parquet")
    unit = {field.name: field.metadata[b"unit"].decode() for field in schema}
    is_slope = name in ("gradient", "hessian")
    assert unit["a"] == "units of the explained output" + " per unit of the inputs" * is_slope
    assert unit["_prediction"] == "units of the explained output"
    assert CliRunner().invoke(main, ["plot", str(run), "bar", "-o", str(picture)]).exit_code == 0
    drawn = picture.read_text(encoding="utf-8")
    assert (f"attribution ({'slope of' if is_slope else 'change in'} output 1)") in drawn


def test_methods_without_pairs_name_the_one_that_has_them(files: Path) -> None:
    for name, other in (("gradient", "hessian"), ("occlusion", "occlusion-pairs"), ("shapley", "sii"), ("ig", "ih")):
        inputs = [str(files / "model.pt"), str(files / "data.csv")]
        done = CliRunner().invoke(main, ["interactions", *inputs, "-m", name, "--target", "1"])
        assert done.exit_code != 0
        assert f"Try --method {other}." in done.output
        assert CliRunner().invoke(main, ["interactions", *inputs, "-m", other, "--target", "1"]).exit_code == 0


@pytest.mark.parametrize("name", ["shapley", "sii"])
def test_shapiq_agrees_on_eight_players(name: str) -> None:
    net, x, start = network(8), normal(1, 8, seed=2).numpy(), normal(1, 8, seed=3).numpy()
    value = game(net, x[0], start[0], [[i] for i in range(8)])
    playing = shapiq.Game(n_players=8, normalize=False)
    playing.value_function = lambda sets: np.array([value(tuple(np.flatnonzero(one))) for one in sets])
    computer = shapiq.ExactComputer(playing, n_players=8)
    found = ihcli.explain(net, x, method=name, baseline=start, target=0)
    if name == "shapley":
        np.testing.assert_allclose(found.attributions[0], computer("SV").get_n_order_values(1), atol=1e-6)
        return
    gamma = found.interactions[0]
    theirs = computer("SII", order=2).get_n_order_values(2)
    places = ~np.eye(8, dtype=bool)
    np.testing.assert_allclose((gamma + gamma.T)[places], theirs[places], atol=1e-6)
