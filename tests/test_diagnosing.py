"""Diagnoses before a run: smooth networks are refined to their budget, kinks end early and are told, remedies help."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import model_files
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from problems import Function, network, normal
from test_diagnoses import deep, steep
from torch import Tensor, nn

from ihcli import explain
from ihcli.cli import main
from ihcli.derivatives import Along
from ihcli.explainers import diagnosing
from ihcli.explainers.diagnosing import KINKED_EVALUATIONS
from ihcli.explanation import Explanation
from ihcli.integration.diagnoses import find_kinks
from ihcli.models import Model, wrap_module
from ihcli.quality import Status


class Network(nn.Module):
    """A function of the inputs."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class NotCopied(Network):
    def __deepcopy__(self, memo: dict[int, Any]) -> nn.Module:
        raise RuntimeError("is not copied")


class Float32Only(Network):
    def forward(self, x: Tensor) -> Tensor:
        assert x.dtype == torch.float32, "takes float32"
        return self.function(x)


def told(model: nn.Module | Model, x: np.ndarray, **options: Any) -> tuple[Explanation, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = explain(model, x, **options)
    return found, [str(warning.message) for warning in caught]


def kinked(z: Tensor) -> Tensor:
    return torch.abs(z[:, :1] - 0.3) * z[:, 1:]


def rows(n: int = 12) -> np.ndarray:
    return model_files.rows(n, 2).abs().numpy() + 0.5


def test_a_deep_smooth_network_in_float32_is_refined_as_in_float64() -> None:
    x = normal(30, 8, seed=3).numpy()
    single, warned = told(deep(2.0)(torch.float32), x.astype(np.float32), tolerance=0.05)
    double, _ = told(deep(2.0)(torch.float64), x, tolerance=0.05)
    assert not warned
    assert np.mean(single.status == Status.OK) >= np.mean(double.status == Status.OK) - 0.1
    assert single.evaluations.max() > KINKED_EVALUATIONS


@pytest.mark.parametrize("name", ["log of large amounts", "reciprocal near 0", "sharp sigmoid", "very sharp sigmoid"])
def test_steep_functions_are_refined_beyond_what_kinks_are(name: str) -> None:
    x, function = steep(name)
    model = wrap_module(Network(function), dtype=torch.float64 if "very" in name else torch.float32)
    found, warned = told(model, x.numpy())
    assert not [warning for warning in warned if "jumps" in warning]
    assert found.evaluations.max() > KINKED_EVALUATIONS
    assert np.mean(found.status == Status.OK) > 0.8


@pytest.mark.parametrize(
    ("activation", "scale", "n_searched"), [(nn.Tanh, 1.0, 0), (nn.Tanh, 1e4, 1), (nn.ReLU, 1.0, 1), (nn.ELU, 1.0, 1)]
)
def test_kinks_are_looked_for_unless_weights_prove_that_there_are_none(
    monkeypatch: pytest.MonkeyPatch, activation: type[nn.Module], scale: float, n_searched: int
) -> None:
    searched = list[Along]()

    def find(along: Along, *others: Any) -> np.ndarray:
        searched.append(along)
        return find_kinks(along, *others)

    monkeypatch.setattr(diagnosing, "find_kinks", find)
    model = network([2, 8, 8], activation, seed=3, scale=scale).eval()
    told(model, rows().astype(np.float64), smooth="none", max_evaluations=64)
    assert len(searched) == n_searched


def test_what_float32_does_not_resolve_is_told_to_need_float64(tmp_path: Path) -> None:
    class Sharp(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.sharpness = nn.Parameter(torch.tensor(1e5))

        def forward(self, z: Tensor) -> Tensor:
            return torch.sigmoid(self.sharpness * (z[:, :1] - 0.3)) * z[:, 1:]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        torch.jit.script(Sharp()).save(tmp_path / "sharp.pt")
    x = (torch.rand(4, 2, generator=torch.Generator().manual_seed(3)) + 1) / 2
    pd.DataFrame(x.numpy(), columns=["a", "b"]).to_csv(tmp_path / "rows.csv", index=False)
    base = ["explain", str(tmp_path / "sharp.pt"), str(tmp_path / "rows.csv"), "-o"]
    single = CliRunner().invoke(main, [*base, str(tmp_path / "single")])
    assert "4 of 4 rows missed the tolerance (not_converged 4)" in single.stderr
    assert "Try --dtype float64, as the model is steeper in places than its precision resolves." in single.stderr
    double = CliRunner().invoke(main, [*base, str(tmp_path / "double"), "--dtype", "float64"])
    assert "100.0 % within tolerance" in double.stderr
    assert json.loads((tmp_path / "double" / "run.json").read_text()).get("jumps") is None


@pytest.mark.parametrize("wrapped", [Network, NotCopied, Float32Only])
def test_kinks_are_told_and_end_early_also_where_there_is_no_float64(wrapped: type[Network]) -> None:
    found, warned = told(wrapped(kinked), rows())
    assert len(warned) == 1
    assert warned[0].startswith("the model's gradient jumps along the paths (abs)")
    assert set(found.status) == {Status.NOT_CONVERGED}
    assert found.evaluations.max() <= KINKED_EVALUATIONS


@pytest.mark.parametrize("wrapped", [NotCopied, Float32Only])
def test_a_deep_smooth_network_that_has_no_float64_is_not_kinked(wrapped: type[Network]) -> None:
    _, warned = told(wrapped(deep(2.0)(torch.float32)), normal(12, 8, seed=3).float().numpy(), tolerance=0.1)
    assert not warned


def test_a_budget_that_was_asked_for_is_spent_on_kinks_too() -> None:
    found, _ = told(Network(kinked), rows(), max_evaluations=300)
    assert KINKED_EVALUATIONS < found.evaluations.max() <= 300


def test_the_remedy_for_kinks_that_cannot_be_smoothed_helps() -> None:
    _, (warned,) = told(Network(kinked), rows())
    assert warned.endswith("Try `method=ig`, which needs no second derivatives.")
    found, warnings_then = told(Network(kinked), rows(), method="ig")
    assert (set(found.status), warnings_then) == ({Status.OK}, [])


def test_the_remedy_for_kinks_that_can_be_smoothed_helps() -> None:
    function: Function = lambda z: torch.relu(z[:, :1] - 0.3) * z[:, 1:]  # noqa: E731
    _, (warned,) = told(Network(function), rows(), smooth="none")
    assert warned.endswith("Try `smooth=auto`, which replaces them with SoftPlus.")
    found, warnings_then = told(Network(function), rows(), smooth="auto")
    assert (set(found.status), warnings_then) == ({Status.OK}, [])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_saturated_probability_is_covered_and_not_followed_under_first_order(dtype: torch.dtype) -> None:
    function: Function = lambda z: torch.sigmoid(20 * z[:, :1] + 5 * z[:, 1:] + 8)  # noqa: E731
    found, _ = told(wrap_module(Network(function), dtype=dtype), rows(), method="ig")
    assert found.evaluations.mean() < 100
    assert set(found.status) <= {Status.OK, Status.ROUNDING}


def test_a_step_of_the_output_beside_a_smooth_use_is_told_and_ends_early() -> None:
    function: Function = lambda z: torch.tanh(z[:, :1]) + torch.floor(2 * z[:, :1]) * z[:, 1:]  # noqa: E731
    for method in ("ig", "ih"):
        found, warned = told(Network(function), rows(), method=method)
        assert len(warned) == 1
        assert warned[0].startswith("the output itself jumps along the paths, as after a cast to whole numbers, ")
        assert found.evaluations.max() <= KINKED_EVALUATIONS
        assert "method=ig" not in warned[0]  # under which it jumps as well
