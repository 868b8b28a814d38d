"""Deep Feature Interaction Maps, against the definition in loops and closed forms."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from problems import Of, normal
from torch import Tensor, nn

import ihcli
from ihcli.derivatives import Along
from ihcli.derivatives.autograd import AutogradEngine
from ihcli.derivatives.paths import Paths
from ihcli.integration.compared.dfim import interaction_map
from ihcli.integration.effort import Effort
from ihcli.methods import METHODS
from ihcli.models import wrap_module

X, START = normal(3, 5, seed=3).numpy(), normal(1, 5, seed=4).numpy()
ALONE = [[i] for i in range(5)]
GROUPS, MEMBERS = {"left": ["0", "3"], "rest": ["1", "4"], "right": ["2"]}, [[0, 3], [1, 4], [2]]


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 12), nn.Tanh(), nn.Linear(12, 2)).double().eval()


def explain(function: Callable[[Tensor], Tensor], x: np.ndarray) -> np.ndarray:
    """Return effects of pairs (N, G, G) from zeros, twice the diagonal on it."""
    model = wrap_module(Of(function), n_inputs=x.shape[1], dtype=torch.float64)
    gamma = np.asarray(ihcli.explain(model, x, method="dfim").interactions)
    return gamma + gamma.transpose(0, 2, 1)


def phi_of(net: nn.Module, point: np.ndarray, start: np.ndarray, members: list[list[int]], output: int) -> list[float]:
    """Return gradient times distance at a point, one group after the other."""
    z = torch.tensor(point, requires_grad=True)
    (slope,) = torch.autograd.grad(net(z[None])[0, output], z)
    return [sum(float(slope[d]) * (point[d] - start[d]) for d in inputs) for inputs in members]


@pytest.mark.parametrize(("members", "groups"), [(ALONE, None), (MEMBERS, GROUPS)])
def test_pairs_are_changes_of_gradient_times_input_where_a_gate_closes(
    members: list[list[int]], groups: dict[str, list[str]] | None
) -> None:
    net, g = network(), len(members)
    found = ihcli.explain(net, X, method="dfim", baseline=START, groups=groups, target=1)
    plain = ihcli.explain(net, X, method="gradient-input", baseline=START, groups=groups, target=1)
    np.testing.assert_array_equal(found.attributions, plain.attributions)
    for x, phi, gamma in zip(X, found.attributions, found.interactions, strict=True):
        change = np.zeros((g, g))
        for j in range(g):
            closed = x.copy()
            closed[members[j]] = START[0, members[j]]
            there = phi_of(net, closed, START[0], members, 1)
            here = phi_of(net, x, START[0], members, 1)
            for i in range(g):
                change[i, j] = here[i] - there[i]
        for i in range(g):
            for j in range(g):
                if i != j:
                    assert gamma[i, j] == pytest.approx((change[i, j] + change[j, i]) / 4, abs=1e-12)
        np.testing.assert_allclose(gamma.sum(1), phi, atol=1e-12)
    np.testing.assert_array_equal(found.interactions, found.interactions.transpose(0, 2, 1))
    assert (found.status == "uncertified").all()
    assert np.isnan(found.relative_error).all()
    assert (found.evaluations == g + 1).all()


def test_a_product_has_the_effect_of_its_powers() -> None:
    x = normal(4, 2, seed=1).numpy()
    for powers in ((1, 1), (1, 2), (3, 2)):
        effects = explain(lambda z, p=powers: z[:, 0] ** p[0] * z[:, 1] ** p[1], x)  # type: ignore[misc]
        expected = sum(powers) / 2 * x[:, 0] ** powers[0] * x[:, 1] ** powers[1]
        np.testing.assert_allclose(effects[:, 0, 1], expected, rtol=1e-12)


def test_a_quadratic_form_has_what_is_mixed_in_it() -> None:
    a, c, x = normal(4, seed=1), normal(4, 4, seed=2), normal(5, 4, seed=3)
    effects = explain(lambda z: z @ a + torch.einsum("pi,ij,pj->p", z, c, z), x.numpy())
    expected = (x[:, :, None] * (c + c.T) * x[:, None, :]).numpy()
    mixed = ~np.eye(4, dtype=bool)
    np.testing.assert_allclose(effects[:, mixed], expected[:, mixed], atol=1e-12)


def test_a_sum_of_functions_has_no_pairs() -> None:
    effects = explain(lambda z: (torch.sin(z) + z**3).sum(1), normal(5, 4, seed=3).numpy())
    assert not effects[:, ~np.eye(4, dtype=bool)].any()


def test_a_relu_is_explained_as_it_is() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1)).eval()
    found = ihcli.explain(net, normal(4, 3, seed=0, dtype=torch.float32).numpy(), method="dfim")
    assert found.drift is None
    assert found.interactions.dtype == np.float32


def test_rows_with_fewer_groups_are_explained_as_if_alone() -> None:
    """As texts with as many tokens are, whose words are fewer here than there."""
    net, x, counts = network(), normal(3, 5, seed=6), [2, 5, 4]
    owners = torch.stack([torch.arange(5).clamp(max=count - 1) for count in counts])
    engine = AutogradEngine(net, 1 << 12)  # several batches

    def explained(rows: list[int], g: int):
        start, output = torch.zeros(1, 5, dtype=x.dtype), torch.zeros(len(rows), dtype=torch.int64)
        return interaction_map(Along(engine, Paths(x[rows], start, output, g, owners[rows])), METHODS["dfim"], Effort())

    together = explained([0, 1, 2], 5)
    for row, g in enumerate(counts):
        alone = explained([row], g)
        np.testing.assert_allclose(together.attributions[row, :g], alone.attributions[0], atol=1e-13)
        np.testing.assert_allclose(together.interactions[row, :g, :g], alone.interactions[0], atol=1e-13)
        assert not together.interactions[row, g:].any()
        assert together.certificate.evaluations[row] == alone.certificate.evaluations[0] == g + 1
