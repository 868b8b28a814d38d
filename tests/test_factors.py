"""Matrices that are products: the same figures as those of whole ones, band by band, and no G x G numbers of a row."""

import tracemalloc
from dataclasses import replace
from pathlib import Path

import explanations
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from model_files import quietly
from problems import network as layers
from problems import normal, softplus, straight_paths

from ihcli.derivatives import mlp
from ihcli.derivatives.chain import find_chain
from ihcli.derivatives.mlp import MlpEngine
from ihcli.execution.pipeline import run
from ihcli.execution.preparation import prepare_run
from ihcli.execution.refusals import parse
from ihcli.explanation import Explanation, in_order, join_explanations, scatter, selected
from ihcli.explanation.factors import Factored, above, members, runs_of_rows, whole
from ihcli.integration.assembly import explain_rows
from ihcli.integration.effort import Effort
from ihcli.layouts.columns import CERTAIN, ERROR_BAR, TopPairs
from ihcli.layouts.largest import top_pairs
from ihcli.layouts.tables import TableLayout
from ihcli.methods import METHODS
from ihcli.results.result import read
from ihcli.runs.request import RunRequest
from ihcli.runs.totals import Observer
from ihcli.summaries.tables import Summary
from ihcli.verification import FAILED, verify_run

N, M, G = 5, 3, 23
ROUNDING = 1e-12  # of float64: the same terms in another order
SINGLE = 2e-4  # of a figure computed from float32 values, of the largest of them


def products(n: int = N, g: int = G, seed: int = 0, scale: float = 1.0) -> Factored:
    rng = np.random.default_rng(seed)
    half, maps = rng.standard_normal((n, M, M)), rng.standard_normal((n, M, g)) * scale
    cores = half + half.transpose(0, 2, 1)
    dense = maps.transpose(0, 2, 1) @ cores @ maps
    diagonal = np.diagonal(dense, axis1=1, axis2=2) + rng.standard_normal((n, g))
    np.einsum("ngg->ng", dense)[...] = diagonal
    return Factored(maps, cores, diagonal, np.abs(dense).sum(axis=2))


def explained(gamma: Factored | np.ndarray) -> Explanation:
    names = tuple(f"f{i}" for i in range(G))
    errors = np.linspace(1e-4, 1e-2, N)
    made_up = explanations.of_table(
        whole(gamma), names, np.array(["x", "y"])[np.arange(N) % 2], interaction_error=errors
    )
    return replace(made_up, interactions=gamma)


@pytest.mark.parametrize("values", [1, 7, 22, 60, 10_000])
def test_bands_put_together_are_what_is_above_the_diagonal(values: int) -> None:
    gamma = products()
    dense, (first, second) = gamma.whole(), np.triu_indices(G, 1)
    np.testing.assert_array_equal(dense, dense.transpose(0, 2, 1))
    expected = gamma.maps.transpose(0, 2, 1) @ gamma.cores @ gamma.maps
    np.testing.assert_allclose(dense[:, first, second], expected[:, first, second], rtol=ROUNDING, atol=ROUNDING)
    for matrices in (gamma, dense):
        bands = [above(matrices, some) for some in runs_of_rows(G, values)]
        found = np.concatenate(bands, axis=1)
        np.testing.assert_allclose(found, dense[:, first, second], rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("n_features", [1, 2, 3, 41])
def test_entries_are_found_by_their_place_in_the_upper_triangle(n_features: int) -> None:
    first, second = np.triu_indices(n_features, 1)
    places = np.random.default_rng(0).permutation(len(first))
    for found, expected in zip(members(places, n_features), (first, second), strict=True):
        np.testing.assert_array_equal(found, expected[places])


def test_explanations_of_products_are_joined_scattered_ordered_and_selected_as_others() -> None:
    gamma, present = products(), np.array([True, False, True, True, True, False, True])
    order, mask = np.array([3, 1, 2, 5, 4]), np.array([True, False, True, True, False])
    for change in (
        lambda one: join_explanations([one, selected(one, mask)]),
        lambda one: scatter(one, present),
        lambda one: in_order(one, order),
        lambda one: selected(one, mask),
    ):
        found, expected = (change(explained(each)).interactions for each in (gamma, gamma.whole()))
        np.testing.assert_allclose(found.whole(), expected, rtol=ROUNDING)


def test_summaries_of_products_are_those_of_whole_matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ihcli.summaries.effects.LEAST_OF_PRODUCTS", 50)
    tables = []
    for gamma in (products(), products().whole()):
        summary = Summary()
        summary.update(explained(gamma))
        tables.append((summary.attributions(), summary.interactions()))
    for found, expected in zip(*tables, strict=True):
        keys = [name for name in found.column_names if name.startswith(("target", "feature"))]
        one, two = (table.to_pandas().set_index(keys).sort_index() for table in (found, expected))
        for name in one.columns:
            np.testing.assert_allclose(one[name], two[name], rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("top", [1, 4, 250, 253, 1000])
@pytest.mark.parametrize("error", [None, np.nan, 0.0, 1e-4, 1e-2, 0.3])
def test_largest_pairs_of_products_are_those_of_whole_matrices(
    monkeypatch: pytest.MonkeyPatch, top: int, error: float | None
) -> None:
    monkeypatch.setattr("ihcli.layouts.largest.BAND_VALUES", 30)
    first, second = np.triu_indices(G, 1)
    for seed in range(8):
        gamma = products(1, seed=seed)
        errors = None if error is None else np.array([error])
        expected = TopPairs.of(gamma.whole(), first * G + second, top, errors, None)
        found = top_pairs(gamma, top, error)
        np.testing.assert_array_equal(found.place, expected.place)
        np.testing.assert_allclose(found.values, expected.values, rtol=ROUNDING)
        assert found.beside.keys() == expected.beside.keys()
        if error is not None:
            np.testing.assert_allclose(found.beside[ERROR_BAR], expected.beside[ERROR_BAR], rtol=1e-9)
            np.testing.assert_array_equal(found.beside[CERTAIN], expected.beside[CERTAIN])


def test_pairs_that_are_equal_come_in_order_and_take_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ihcli.layouts.largest.BAND_VALUES", 30)
    nothing = products(1, scale=0.0)
    assert top_pairs(nothing, 4, 0.0).place.tolist() == [[0, 1, 2, 3]]


def test_the_engine_gives_products_where_gates_are_many_and_the_same_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlp, "LEAST_FACTORED", 0)
    net = layers([40, 5, 6], lambda: softplus(3), seed=1, n_outputs=2)
    for group_of in (None, [i % 23 for i in range(40)]):
        paths = straight_paths(normal(4, 40, seed=2), normal(1, 40, seed=3), group_of=group_of)
        along = MlpEngine(find_chain(net, paths.inputs), 1 << 20).along(paths)
        assert along.core_width is None
        method, effort = METHODS["ih"], Effort(1e-6)
        one, two = (explain_rows(each, method, effort) for each in (replace(along, in_factors=True), along))
        assert isinstance(one.interactions, Factored)
        size = np.abs(two.interactions).max()
        np.testing.assert_allclose(one.interactions.whole(), two.interactions, atol=ROUNDING * size)
        np.testing.assert_allclose(one.interactions.margins, np.abs(two.interactions).sum(axis=2), rtol=1e-9)
        np.testing.assert_allclose(one.interaction_error, two.interaction_error, rtol=1e-6)
        np.testing.assert_array_equal(one.certificate.evaluations, two.certificate.evaluations)


def test_products_are_of_one_baseline_and_of_far_more_gates_than_units() -> None:
    net = layers([40, 5, 6], lambda: softplus(3), seed=1, n_outputs=2)
    engine = MlpEngine(find_chain(net, normal(2, 40, seed=2)), 1 << 20)
    assert engine.core_width(mlp.LEAST_FACTORED, 1) == 5
    assert engine.core_width(mlp.LEAST_FACTORED - 1, 1) is None
    assert engine.core_width(mlp.LEAST_FACTORED, 2) is None


@pytest.fixture
def wide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a network of 60 features and rows, some of them incomplete, which are taken for many."""
    monkeypatch.setattr(mlp, "LEAST_FACTORED", 60)
    torch.save(layers([60, 6, 6], lambda: softplus(3), seed=1).float().eval(), tmp_path / "net.pt")
    rows = np.random.default_rng(0).standard_normal((9, 60)).astype(np.float32)
    rows[[2, 8], 3] = np.nan
    pq.write_table(_table(rows), tmp_path / "rows.parquet")
    return tmp_path


def _table(rows: np.ndarray) -> pa.Table:
    return pa.table({f"f{i}": rows[:, i] for i in range(rows.shape[1])})


@pytest.mark.parametrize("chunk_rows", [4, 100])
def test_runs_of_products_have_the_figures_of_runs_of_whole_matrices(wide: Path, chunk_rows: int) -> None:
    made = {}
    for storage in ("full", "top:7", "none"):
        out = wide / f"{storage.replace(':', '')} {chunk_rows}"
        asked = RunRequest(str(wide / "net.pt"), str(wide / "rows.parquet"), missing="flag", chunk_rows=chunk_rows)
        quietly(run, replace(asked, interactions=storage), out, Observer())
        assert [finding for finding in verify_run(out) if finding.outcome == FAILED] == []
        made[storage] = read(str(out))
    expected = made["full"]
    for storage in ("top:7", "none"):
        for kind in ("attribution_summary", "interaction_summary"):
            one, two = (getattr(each, kind) for each in (made[storage], expected))
            keys = [name for name in one.columns if name.startswith(("target", "feature"))]
            one, two = (table.set_index(keys).sort_index() for table in (one, two))
            for name in ("mean_abs", "mean", "std", "share"):
                np.testing.assert_allclose(one[name], two[name], atol=SINGLE * two[name].abs().max(), err_msg=name)
    for row in (0, 5):
        found, pairs = made["top:7"].record(row).pairs, expected.record(row).pairs
        assert [pair[:2] for pair in found] == [pair[:2] for pair in pairs[:7]]
        assert [pair.effect for pair in found] == pytest.approx([pair.effect for pair in pairs[:7]], rel=SINGLE)
    assert made["top:7"].record(2).pairs is None


@pytest.mark.parametrize("storage", ["full", "top:7", "none"])
def test_workers_keep_products_as_the_driver_does(wide: Path, storage: str) -> None:
    asked = RunRequest(str(wide / "net.pt"), str(wide / "rows.parquet"), missing="flag", interactions=storage)
    prepared = quietly(prepare_run, parse(asked))
    for explainer in (prepared.explainer, quietly(prepared.recipe("cpu", 1 << 26).explainer)):
        assert explainer.in_factors == (storage != "full")
        assert (explainer.load.core_width is None) == (storage == "full")


def test_pairs_of_products_are_the_same_in_chunks_of_any_size(wide: Path) -> None:
    pairs = []
    for chunk_rows in (2, 3, 9):
        asked = RunRequest(str(wide / "net.pt"), str(wide / "rows.parquet"), missing="flag", chunk_rows=chunk_rows)
        quietly(run, replace(asked, interactions="top:7"), wide / f"chunks {chunk_rows}", Observer())
        pairs.append(
            [record.pairs for row in range(9) for record in read(str(wide / f"chunks {chunk_rows}")).records(row)]
        )
    for found in pairs[1:]:
        for mine, theirs in zip(found, pairs[0], strict=True):
            assert (mine is None) == (theirs is None)
            for one, two in zip(mine or (), theirs or (), strict=True):
                assert one[:2] == two[:2]
                assert one.effect == pytest.approx(two.effect, rel=SINGLE)


def test_no_matrix_of_a_row_is_held_where_the_largest_pairs_are_wanted() -> None:
    g = 1500
    rng = np.random.default_rng(0)
    maps, cores = rng.standard_normal((3, M, g)), np.stack([np.eye(M)] * 3)
    gamma = Factored(maps, cores, np.einsum("nmg->ng", maps**2), np.ones((3, g)))
    explanation = replace(
        explanations.of_table(np.zeros((3, 1, 1)), ["f"], ["x"] * 3),
        feature_names=tuple(f"f{i}" for i in range(g)),
        attributions=np.zeros((3, g)),
        interactions=gamma,
    )
    TableLayout(explanation.feature_names).interactions(explanation, np.zeros(3, bool), 20)
    tracemalloc.start()
    TableLayout(explanation.feature_names).interactions(explanation, np.zeros(3, bool), 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * g * g
