"""Layouts of shap and shapiq: with the packages where they are installed, else with stand-ins that record."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from runs import FEATURES, write_run

import ihcli
from ihcli.errors import IhcliError, PackageError

ROUNDING = 1e-12


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "run"


def recording(monkeypatch: pytest.MonkeyPatch, package: str, name: str) -> None:
    """Install a package whose one class keeps what it is given."""
    monkeypatch.setitem(sys.modules, package, SimpleNamespace(**{name: SimpleNamespace}))


@pytest.mark.parametrize("package", ["shap", "shapiq"])
def test_a_package_that_is_not_installed_is_named(run: Path, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    write_run(run)
    monkeypatch.setitem(sys.modules, package, None)
    result = ihcli.read(run)
    with pytest.raises(PackageError) as caught:
        result.to_shap() if package == "shap" else result.to_shapiq(0)
    assert str(caught.value) == f"to_{package}(): needs the package {package}. Try pip install {package}."
    assert isinstance(caught.value, IhcliError)


def test_shap_gets_attributions_of_one_target(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    explanation = write_run(run, targets=("benign", "malignant"))
    recording(monkeypatch, "shap", "Explanation")
    data = np.ones((6, 3))
    found = ihcli.read(run).to_shap(target="malignant", data=data)
    np.testing.assert_array_equal(found.values, explanation.attributions[1::2])
    np.testing.assert_allclose(found.values.sum(1) + found.base_values, explanation.prediction[1::2], rtol=ROUNDING)
    assert found.feature_names == list(FEATURES)
    assert found.data is data


def test_shap_gets_interactions_that_add_up_to_the_output(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    explanation = write_run(run)
    recording(monkeypatch, "shap", "Explanation")
    found = ihcli.read(run).to_shap(interactions=True)
    np.testing.assert_array_equal(found.values, explanation.interactions)
    np.testing.assert_allclose(found.values.sum((1, 2)) + found.base_values, explanation.prediction, rtol=ROUNDING)


def test_shapiq_gets_main_effects_and_pairs_that_add_up(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    explanation = write_run(run)
    recording(monkeypatch, "shapiq", "InteractionValues")
    found, gamma = ihcli.read(run).to_shapiq(2), explanation.interactions[2]
    assert sorted(found.interaction_lookup) == [(0,), (0, 1), (0, 2), (1,), (1, 2), (2,)]
    assert found.values[found.interaction_lookup[(1,)]] == gamma[1, 1]
    assert found.values[found.interaction_lookup[(0, 2)]] == gamma[0, 2] + gamma[2, 0]
    np.testing.assert_allclose(found.values.sum() + found.baseline_value, explanation.prediction[2], rtol=ROUNDING)
    assert (found.max_order, found.min_order, found.n_players, found.estimated) == (2, 1, 3, False)


@pytest.mark.filterwarnings("ignore")
def test_shap_itself_takes_both_layouts(run: Path) -> None:
    pytest.importorskip("shap")
    explanation = write_run(run)
    result = ihcli.read(run)
    assert result.to_shap()[2, "age"].values == explanation.attributions[2, 0]
    assert result.to_shap(interactions=True).shape == (6, 3, 3)


@pytest.mark.filterwarnings("ignore")
def test_shapiq_itself_reads_the_values(run: Path) -> None:
    pytest.importorskip("shapiq")
    explanation = write_run(run)
    found = ihcli.read(run).to_shapiq(1)
    assert found[(2, 0)] == 2 * explanation.interactions[1, 0, 2]
