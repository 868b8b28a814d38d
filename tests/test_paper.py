"""The papers' experiments at the smallest size: whole, about the right things, kept and told."""

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.paper import retraining
from benchmarks.paper.experiment import Asked, Claim, Experiment, Section, over
from benchmarks.paper.experiments import ALONE, EXPERIMENTS
from benchmarks.paper.keeping import Measured, keep, kept
from benchmarks.paper.page import write
from benchmarks.paper.ranks import roc_area, spearman

OPEN = [name for name, experiment in EXPERIMENTS.items() if not experiment.needs]


@cache
def figures_of(name: str) -> Any:
    return EXPERIMENTS[name].measure(Asked(small=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", OPEN)
def test_an_experiment_is_told_of_figures_that_were_kept(name: str, tmp_path: Path) -> None:
    experiment, found = EXPERIMENTS[name], figures_of(name)
    keep(name, Measured(found, 1.0, 1.0, 2, "2"), tmp_path)
    again = kept(name, experiment, tmp_path)
    assert again is not None
    assert json.dumps(asdict(again.figures)) == json.dumps(asdict(found))  # NaN is not equal to itself
    write({name: experiment}, docs=tmp_path, folder=tmp_path)
    page = (tmp_path / "paper.md").read_text()
    assert experiment.title in page
    for claim in experiment.section(again.figures).claims:
        assert f"| {claim.what} | {claim.published} | {claim.measured} |" in page
    assert (experiment.draw is None) == (not (tmp_path / "paper" / f"{name}.png").exists())


@pytest.mark.slow
def test_integrated_hessians_find_products() -> None:
    found = figures_of("table3")
    assert found.local["products"]["ih"][0] > 0.97
    assert abs(found.local["products"]["hessian"][0]) < 0.3


@pytest.mark.slow
def test_effects_of_networks_that_learned_nothing_are_others() -> None:
    for ways in figures_of("sanity").correlation.values():
        assert abs(ways["signed, per row"][0]) < 0.5 < ways["absolute, all rows at once"][0] + 0.3


@pytest.mark.slow
def test_methods_take_out_what_matters_sooner_than_chance() -> None:
    for areas in figures_of("retraining").area.values():
        assert max(areas["ih"][0], areas["sii"][0]) < areas["oracle"][0] < 1
        assert areas["random"][0] + 0.1 < areas["ih"][0]


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


def test_experiments_that_run_alone_exist() -> None:
    assert set(ALONE) <= set(EXPERIMENTS)


def test_rank_correlations_are_those_of_ranks() -> None:
    assert spearman(np.array([1.0, 2.0, 9.0]), np.array([0.0, 5.0, 6.0])) == pytest.approx(1)
    assert spearman(np.array([1.0, 2.0, 2.0, 3.0]), np.array([4.0, 3.0, 2.0, 1.0])) == pytest.approx(-0.9486833)
    assert np.isnan(spearman(np.ones(3), np.arange(3.0)))
    assert roc_area(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])) == 0.75


def test_one_seed_has_no_deviation() -> None:
    assert over([0.5]) == "0.500"
    assert over([1.0, 3.0], 1) == "2.0 ± 1.4"
