"""Matrices of many baselines: whole sums whatever the batches, their spread, and norms estimated from a few rows."""

import numpy as np
import pytest
import torch
from problems import MEMORY_BYTES, network, normal, softplus, straight_paths
from torch import Tensor, nn

from ihcli.derivatives import FEW_GROUPS
from ihcli.derivatives.autograd import AutogradEngine
from ihcli.derivatives.choosing import choose_engine
from ihcli.derivatives.drawn import Drawn
from ihcli.derivatives.paths import Paths
from ihcli.integration.assembly import ExplainedRows, explain_rows
from ihcli.integration.certify import Refinement
from ihcli.integration.effort import Effort
from ihcli.integration.matrices import Matrices, matrices_of
from ihcli.integration.matrix import MatrixErrors
from ihcli.integration.quadrature import panel_rule
from ihcli.methods import METHODS
from ihcli.quality import Status

POPULATION = 40
WIDE = 30
SHARP = Effort(1e-6)


def net(n_inputs: int) -> nn.Module:
    return network([n_inputs, 16, 16], lambda: softplus(2), seed=1)


def explained(paths: Paths, effort: Effort, memory_bytes: int = MEMORY_BYTES, engine: str = "mlp") -> ExplainedRows:
    chosen = choose_engine(net(paths.n_groups), paths, MEMORY_BYTES, engine).engine
    chosen.memory_bytes = memory_bytes
    return explain_rows(chosen.along(paths), METHODS["eh"], effort)


@pytest.mark.parametrize("engine", ["mlp", "autograd"])
def test_the_spread_of_pairs_is_their_standard_error_over_baselines(engine: str) -> None:
    rows, baselines = normal(3, 5, seed=2), normal(6, 5, seed=3)
    found = explained(straight_paths(rows, baselines), Effort(1e-6, population=POPULATION), engine=engine)
    each = np.stack([explained(straight_paths(rows, b[None]), SHARP).interactions for b in baselines])
    np.testing.assert_allclose(found.interactions, each.mean(0), atol=1e-6)
    expected = each.std(0, ddof=1) * np.sqrt((1 - 6 / POPULATION) / 6)
    np.testing.assert_allclose(found.interaction_spread, expected, atol=1e-6)
    share = expected.sum((1, 2)) / np.abs(each.mean(0)).sum((1, 2))
    np.testing.assert_allclose(found.interaction_sampling_error, share, rtol=1e-4)


@pytest.mark.parametrize("memory_bytes", [1, 30_000])
def test_paths_that_batches_cut_in_two_are_whole(memory_bytes: int) -> None:
    paths = straight_paths(4 * normal(2, 5, seed=4), normal(3, 5, seed=5))
    effort = Effort(1e-6, population=POPULATION)
    small, large = (explained(paths, effort, memory) for memory in (memory_bytes, MEMORY_BYTES))
    assert small.certificate.evaluations.min() > 3 * 8
    np.testing.assert_allclose(small.interactions, large.interactions, atol=1e-12)
    np.testing.assert_allclose(small.interaction_spread, large.interaction_spread, atol=1e-9)


@pytest.mark.parametrize("seed", [0, 1, 3, 5])
def test_what_matrices_need_leaves_no_row_sums_beyond_the_tolerance(seed: int) -> None:
    """Bisecting for the matrix of one row or two raises their errors of row sums, which cancelled over baselines."""
    model = network([6, 24, 24], lambda: softplus(10), seed=seed, scale=2.0)
    paths = straight_paths(normal(40, 6, seed=10 + seed), normal(40, 6, seed=30 + seed))
    along = choose_engine(model, paths, MEMORY_BYTES, "mlp").engine.along(paths)
    certificate = explain_rows(along, METHODS["eh"], Effort()).certificate
    assert set(certificate.status) == {Status.OK}
    assert certificate.evaluations.max() < Effort().budget(40) / 10


def test_one_baseline_has_no_spread() -> None:
    found = explained(straight_paths(normal(2, 5, seed=6)), Effort(population=POPULATION))
    assert found.interaction_spread is None
    assert found.interaction_sampling_error is None


def norms(paths: Paths, engine: str, module: nn.Module | None = None) -> Tensor:
    """Return the norms of the last coefficients of t H on both halves of every path."""
    module = module or net(paths.n_groups)
    chosen = choose_engine(module, paths, MEMORY_BYTES, engine).engine
    rule, n = panel_rule(8), paths.n_rows * paths.n_baselines
    nodes = rule.on(np.tile([0.0, 0.5], n), np.tile([0.5, 1.0], n))
    path = np.repeat(np.arange(n), 16)
    found = chosen.along(paths).matrices(path, nodes.t.ravel(), np.ones(16 * n), rule.last_pairs).norms
    assert found is not None
    return found


@pytest.mark.parametrize("engine", ["mlp", "autograd"])
@pytest.mark.parametrize("n_inputs", [2, FEW_GROUPS])
def test_few_groups_are_summed_up_as_many_are(n_inputs: int, engine: str) -> None:
    """What panels have with them is what would be assembled on them, halves of steep paths among them."""
    paths = straight_paths(4 * normal(5, n_inputs, seed=7), normal(2, n_inputs, seed=8))
    along = choose_engine(net(n_inputs), paths, MEMORY_BYTES, engine).engine.along(paths)
    assert along.has_few_groups
    refinement = Refinement(along, True, Effort(1e-4))
    refinement.settle()
    kept, assembled = (of(along, refinement.rule, POPULATION) for of in (matrices_of, Matrices))
    for matrices in (kept, assembled):
        matrices.add(refinement.panels, np.ones(10, bool))
    assert len(refinement.panels) > 10
    np.testing.assert_allclose(kept.size(), assembled.size(), rtol=1e-9)
    known = ~np.isnan(assembled.norms) & (engine == "autograd")  # the closed form estimates them
    np.testing.assert_allclose(kept.norms[known], assembled.norms[known], rtol=1e-9, atol=1e-15)
    mean, expected = kept.mean(), assembled.mean()
    np.testing.assert_allclose(mean, expected, atol=1e-12)
    np.testing.assert_allclose(kept.spread(mean), assembled.spread(expected), atol=1e-7)


@pytest.mark.parametrize("n_inputs", [FEW_GROUPS + 1, WIDE, 200])
def test_norms_estimated_from_a_few_rows_are_seldom_too_small(n_inputs: int) -> None:
    paths = straight_paths(normal(40, n_inputs, seed=9))
    ratio = (norms(paths, "mlp") / norms(paths, "autograd"))[:, 0]
    assert (ratio > 1).double().mean() > 0.7
    assert ratio.min() > 0.5
    assert ratio.max() < 3


def test_norms_do_not_depend_on_what_else_is_in_a_batch() -> None:
    rows = normal(6, WIDE, seed=10)
    whole = norms(straight_paths(rows), "mlp")
    alone = torch.cat([norms(straight_paths(rows[i : i + 1]), "mlp") for i in range(len(rows))])
    torch.testing.assert_close(whole, alone, equal_nan=True)


def test_rows_are_drawn_where_gates_reach() -> None:
    maps = torch.zeros(1, 3, WIDE)
    maps[0, :, 7] = 1
    assert (Drawn.of(maps).index == 7).all()
    torch.testing.assert_close(Drawn.of(torch.zeros(2, 3, WIDE)).inverse, torch.full((2, 4), float(WIDE)))


class Comparison(nn.Module):
    """(x1 - x2)^2 where x1 + x2 passes a narrow band: rows with x1 = x2 have attributions of 0 all along."""

    def forward(self, x: Tensor) -> Tensor:
        return ((x[:, 0] - x[:, 1]) ** 2 * torch.exp(-(((x[:, 0] + x[:, 1] - 1) / 0.1) ** 2)))[:, None]


def errors_of(paths: Paths, module: nn.Module) -> tuple[Refinement, Matrices, MatrixErrors]:
    along = AutogradEngine(module, MEMORY_BYTES).along(paths)
    refinement = Refinement(along, True, Effort())
    matrices = matrices_of(along, refinement.rule, population=None)
    matrices.add(refinement.panels, np.ones(paths.n_rows * paths.n_baselines, bool))
    return refinement, matrices, MatrixErrors.of(refinement.panels, refinement.rule, matrices.norms, paths.n_baselines)


def relative_errors(refinement: Refinement, matrices: Matrices, errors: MatrixErrors) -> np.ndarray:
    rows = refinement.ledger()
    return errors.ledger(rows, matrices.size(), 1, rows.tolerance).relative_error


def test_where_row_sums_are_zero_the_tail_decides() -> None:
    paths = straight_paths(torch.ones(1, 2, dtype=torch.float64))
    refinement, matrices, errors = errors_of(paths, Comparison())
    assert refinement.ledger().relative_error.tolist() == [0.0]
    assert errors.is_blind.tolist() == [True]
    assert relative_errors(refinement, matrices, errors)[0] > 0.3
    solved = explain_rows(AutogradEngine(Comparison(), MEMORY_BYTES).along(paths), METHODS["ih"], Effort())
    truth = explain_rows(AutogradEngine(Comparison(), MEMORY_BYTES).along(paths), METHODS["ih"], Effort(1e-9))
    assert solved.certificate.status.tolist() == ["ok"]
    assert truth.interactions is not None
    assert solved.interactions is not None
    np.testing.assert_allclose(solved.interactions, truth.interactions, atol=0.01 * np.abs(truth.interactions).sum())


def test_a_model_without_second_derivatives_has_no_error() -> None:
    linear = nn.Linear(3, 1).double().requires_grad_(False)
    refinement, matrices, errors = errors_of(straight_paths(normal(4, 3, seed=11)), linear)
    assert relative_errors(refinement, matrices, errors).max() < 1e-12


def test_a_row_equal_to_its_baseline_is_exact() -> None:
    rows = normal(2, 3, seed=12)
    refinement, matrices, errors = errors_of(straight_paths(rows, rows[:1]), net(3))
    assert relative_errors(refinement, matrices, errors)[0] == 0
