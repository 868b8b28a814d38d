"""The papers' experiments at the smallest size: whole, about the right things, kept and told."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import checkpoints
import numpy as np
import pandas as pd
import pytest
from torch import Tensor, nn

from benchmarks.paper import faithfulness, heart, linear60, pulsar, retraining, steps
from benchmarks.paper.experiment import Asked, Claim, Experiment, Section, over
from benchmarks.paper.experiments import EXPERIMENTS
from benchmarks.paper.keeping import Measured, keep, kept
from benchmarks.paper.page import write
from benchmarks.paper.ranks import roc_area, spearman

PATIENTS, CANDIDATES = 120, 400


@pytest.fixture(scope="module")
def figures_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """What an experiment measures at the smallest size, of made-up data and a tiny checkpoint."""
    folder = tmp_path_factory.mktemp("given")
    write_patients(folder / "heart" / heart.FILE)
    write_candidates(folder / pulsar.FILE)
    asked = Asked(small=True, data=folder, checkpoint=checkpoints.save(folder / "checkpoint"))
    return cache(lambda name: EXPERIMENTS[name].measure(asked))


def write_patients(path: Path) -> None:
    rng = np.random.default_rng(0)
    codes = {"sex": 2, "cp": 4, "fbs": 2, "restecg": 3, "exang": 2, "slope": 3, "ca": 5, "thal": 4, "target": 2}
    numbers = ("age", "trestbps", "chol", "thalach", "oldpeak")
    table = {name: rng.integers(n, size=PATIENTS) for name, n in codes.items()}
    path.parent.mkdir()
    pd.DataFrame(table | {name: rng.normal(2, 2, PATIENTS) for name in numbers}).to_csv(path, index=False)


def write_candidates(path: Path) -> None:
    rng = np.random.default_rng(0)
    names = ["IP_Mean", "IP_Sd", "IP_Kurtosis", "IP_Skewness"]
    names += [name.replace("IP", "DM-SNR") for name in names]
    table = pd.DataFrame({f" {name}": rng.normal(size=CANDIDATES) for name in names})
    table[" IP_Kurtosis"] = rng.uniform(-2, 9, CANDIDATES)
    table[" DM-SNR_Sd"] = rng.uniform(0, 80, CANDIDATES)
    table.assign(target_class=rng.integers(2, size=CANDIDATES)).to_csv(path, index=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_is_told_of_figures_that_were_kept(
    name: str, figures_of: Callable[[str], Any], tmp_path: Path
) -> None:
    experiment, found = EXPERIMENTS[name], figures_of(name)
    keep(name, Measured(found, 1.0, 1.0, 2, "2"), tmp_path)
    again = kept(name, experiment, tmp_path)
    assert again is not None
    assert again.figures == found
    write({name: experiment}, docs=tmp_path, folder=tmp_path)
    page = (tmp_path / "paper.md").read_text()
    assert experiment.title in page
    for claim in experiment.section(again.figures).claims:
        assert f"| {claim.what} | {claim.published} | {claim.measured} |" in page
    assert (experiment.draw is None) == (not (tmp_path / "paper" / f"{name}.png").exists())


@pytest.mark.slow
def test_integrated_hessians_find_products(figures_of: Callable[[str], Any]) -> None:
    found = figures_of("table3")
    assert found.local["products"]["ih"][0] > 0.9
    assert abs(found.local["products"]["hessian"][0]) < 0.3


@pytest.mark.slow
def test_effects_of_networks_that_learned_nothing_are_others(figures_of: Callable[[str], Any]) -> None:
    for ways in figures_of("sanity").correlation.values():
        assert abs(ways["signed, per row"][0]) < 0.4
        assert ways["absolute, all rows at once"][0] > 0.4


@pytest.mark.slow
def test_methods_take_out_what_matters_sooner_than_chance(figures_of: Callable[[str], Any]) -> None:
    for areas in figures_of("retraining").area.values():
        assert max(areas["ih"][0], areas["sii"][0]) < areas["oracle"][0] < 1
        assert areas["random"][0] + 0.1 < areas["ih"][0]


@pytest.mark.slow
def test_the_grid_needs_more_points_than_ihcli(figures_of: Callable[[str], Any]) -> None:
    found = figures_of("steps")
    for name, gaps in found.on_grid.items():
        assert gaps[0] > gaps[1] > found.gap[name][-1]
        assert found.evaluations[name][-1] < steps.SIDES[1] ** 2


@pytest.mark.slow
def test_both_scales_of_a_network_are_explained(figures_of: Callable[[str], Any]) -> None:
    found = figures_of("heart")
    for name in heart.FINDINGS:
        assert found.findings["probability"][name] != found.findings["logit"][name]
    assert set(figures_of("pulsar").effects) == {"probability", "logit"}


@pytest.mark.slow
def test_attributions_are_more_faithful_than_chance(figures_of: Callable[[str], Any]) -> None:
    areas = figures_of("faithfulness").areas[linear60.CORRELATED]
    for method in ("eg", "ig"):
        assert all(areas[method][code] > areas["random"][code] for code in faithfulness.CODES)


@pytest.mark.slow
def test_more_draws_bring_expected_gradients_nearer(figures_of: Callable[[str], Any]) -> None:
    found = figures_of("draws")
    assert found.points[0] > found.points[-1]
    assert found.paths[0] > found.paths[-1]


@pytest.mark.slow
def test_black_pixels_get_nothing_from_black(figures_of: Callable[[str], Any]) -> None:
    found = figures_of("digits")
    assert found.black["ig"] == [0]
    assert found.black["eg"][0] > 0
    assert found.change["ig"][0] > found.change["random"][0]


def test_rows_of_the_published_data_are_those_that_were_published() -> None:
    correlated, independent = (linear60.Linear60.drawn(kind) for kind in linear60.KINDS)
    np.testing.assert_allclose(correlated.x[0, :4], [1.52284195, 1.62761582, 1.71866086, 2.54648131], rtol=1e-8)
    np.testing.assert_allclose(correlated.y[:3], [8.7750275, -1.20351451, 5.91283097], rtol=1e-8)
    np.testing.assert_allclose(independent.x[0, :4], [1.7577368, 0.41596659, 0.98854236, 2.2402179], rtol=1e-7)
    np.testing.assert_allclose(independent.y[:3], [9.48389663, -1.64815538, 5.99527338], rtol=1e-8)


class Square(nn.Module):
    """f(x) = (sum of x)^2, so that f(t x) = t^2 f(x), and the sum of all Gamma is f(x)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sum(1, keepdim=True) ** 2


def test_the_grid_is_off_by_its_right_ends() -> None:
    x = np.random.default_rng(0).standard_normal((4, 3), dtype=np.float32)
    for k in (5, 20):
        # t F'' + F' = 4 t f(x), and the mean of t = l p / k^2 is ((k + 1) / 2k)^2
        np.testing.assert_allclose(steps.on_grid(Square(), x, k), ((k + 1) / k) ** 2 * x.sum(1) ** 2, rtol=1e-5)


def test_the_lowest_error_is_that_of_the_terms_that_were_lost() -> None:
    terms = np.array([[3.0, 0.0, -1.0], [0.0, 2.0, 1.0]])
    curve = retraining.lowest_errors(np.array([[1.0, 3.0, 2.0], [0.1, 0.2, 0.3]]), terms)
    np.testing.assert_allclose(curve, [0, (0 + 1) / 2, (1 + 5) / 2, (10 + 5) / 2])
    assert retraining.lost(np.array([[1.0, 3.0, 2.0]]), 2).tolist() == [[False, True, True]]


def test_a_problem_has_twenty_true_pairs_and_unit_deviation() -> None:
    problem = retraining.Problem.drawn("a b", 4000, seed=3)
    assert (problem.terms != 0).any(0).sum() == 20
    assert problem.y.std() == pytest.approx(1)


def test_what_a_run_leaves_out_is_said_with_what_it_needs(tmp_path: Path) -> None:
    def section(found: Claim) -> Section:
        return Section("How.", claims=[Claim("a", "1", "2", "1", False)])

    def measured(asked: Asked) -> Claim:
        return Claim("", "", "")

    experiments = {
        "there": Experiment("There", Claim, measured, section),
        "secret": Experiment("Not ours", Claim, measured, section, needs="data"),
    }
    for name in experiments:
        keep(name, Measured(measured(Asked()), 60.0, 3.0, 2, "2"), tmp_path)
    write(experiments, left_out=["secret"], docs=tmp_path, folder=tmp_path)
    page = (tmp_path / "paper.md").read_text()
    assert "Try `make paper DATA=directory`." in page
    assert "| a | 1 | 2 | 1 | **missed** |" in page
    assert "| There | 0 of 1 | a |" in page
    assert page.count("**missed**") == 1


def test_rank_correlations_are_those_of_ranks() -> None:
    assert spearman(np.array([1.0, 2.0, 9.0]), np.array([0.0, 5.0, 6.0])) == pytest.approx(1)
    assert spearman(np.array([1.0, 2.0, 2.0, 3.0]), np.array([4.0, 3.0, 2.0, 1.0])) == pytest.approx(-0.9486833)
    assert np.isnan(spearman(np.ones(3), np.arange(3.0)))
    assert roc_area(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])) == 0.75


def test_one_seed_has_no_deviation() -> None:
    assert over([0.5]) == "0.500"
    assert over([1.0, 3.0], 1) == "2.0 ± 1.4"
