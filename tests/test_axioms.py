"""What the table of methods says that values keep to: on networks, by the command, and where linearity is asked for."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from click.testing import Result as Done
from model_files import save_script
from torch import nn

import ihcli
from ihcli.cli import main
from ihcli.integration.computing import needs_layers
from ihcli.methods import (
    COMPLETENESS,
    DUMMY,
    INVARIANCE,
    KEEPS,
    LINEARITY,
    METHODS,
    PAIR_SENSITIVITY,
    PROPERTIES,
    SENSITIVITY,
    SYMMETRY,
    Method,
    promised,
)
from ihcli.verification.recomputation.axioms import AXIOMS

FEATURES = ["a", "b", "c", "d", "e"]
FLOAT64 = 1e-6
"""Relative, of integrals to a tolerance of 1e-8."""


class Net(nn.Module):
    """Two tanh layers, or ReLU, and a product that nothing linear gives."""

    def __init__(self, seed: int = 0, activation: type[nn.Module] = nn.Tanh, n_inputs: int = 5) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.body = nn.Sequential(nn.Linear(n_inputs, 8), activation(), nn.Linear(8, 8), activation(), nn.Linear(8, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x) + x[:, :1] * x[:, 1:2]


def verified(folder: Path, method: str, module: nn.Module, *options: str, verify: tuple[str, ...] = ()) -> Done:
    save_script(module.eval(), folder / "net.pt")
    frame = pd.DataFrame(np.random.default_rng(0).normal(0.5, 1.0, (30, 5)), columns=FEATURES)
    frame.to_csv(folder / "rows.csv", index=False)
    files = [str(folder / "net.pt"), str(folder / "rows.csv")]
    asked = ["explain", *files, "-o", str(folder / "run"), "-m", method, *options]
    done = CliRunner().invoke(main, asked, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    asked = ["verify", str(folder / "run"), *files, "--axioms", "--sample", "5", "--format", "jsonl", *verify]
    return CliRunner().invoke(main, asked, catch_exceptions=False)


def outcomes(done: Done) -> dict[str, str]:
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return {each["check"]: each["outcome"] for each in found if each["check"] in PROPERTIES}


def test_every_method_says_what_it_keeps_to() -> None:
    assert KEEPS.keys() == METHODS.keys(), "a new method has a row there, and in docs/method.md"
    for method in METHODS.values():
        assert promised(method) <= PROPERTIES.keys()
        assert (COMPLETENESS in promised(method)) == method.adds_up
        assert method.second_order or PAIR_SENSITIVITY not in promised(method)


OF_SCRIPTS = [method for method in METHODS.values() if not (method.extra or needs_layers(method))]
"""That explain networks that are no nn.Modules."""


@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU])
@pytest.mark.parametrize("method", OF_SCRIPTS, ids=lambda method: method.name)
def test_a_method_keeps_to_what_the_table_says(tmp_path: Path, method: Method, activation: type[nn.Module]) -> None:
    done = verified(tmp_path, method.name, Net(activation=activation))
    found = outcomes(done)
    asked = [name for name in AXIOMS if name != PAIR_SENSITIVITY or method.second_order]
    assert found == {name: "passed" if name in promised(method) else "no promise" for name in asked}
    assert done.exit_code == 0, done.stdout


@pytest.mark.parametrize("method", ["ih", "eh"])
@pytest.mark.parametrize("options", [("--smooth", "1"), ("--interactions", "none"), ("--scale", "logit")])
def test_whatever_is_explained_and_stored_is_held_to_them(
    tmp_path: Path, method: str, options: tuple[str, str]
) -> None:
    found = outcomes(verified(tmp_path, method, Net(activation=nn.ReLU), *options))
    assert set(found) == set(AXIOMS)
    assert set(found.values()) == {"passed"}


def test_groups_are_taken_as_one(tmp_path: Path) -> None:
    (tmp_path / "groups.toml").write_text('[groups]\nboth = ["a", "b"]\nothers = ["c", "d"]\n')
    found = outcomes(verified(tmp_path, "ih", Net(), "--groups", str(tmp_path / "groups.toml")))
    assert set(found.values()) == {"passed"}


def test_what_is_no_promise_is_told_and_fails_nothing(tmp_path: Path) -> None:
    done = verified(tmp_path, "gradient", Net(), verify=("--format", "lines"))
    assert "no promise" in done.stdout
    assert "gradient does not promise it; it held in 0 of 5 cases: the attributions of a row sum" in done.stdout
    assert "2 could not" not in done.stderr
    assert done.exit_code == 0


def test_values_that_break_a_promise_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ihcli.integration import computing
    from ihcli.verification.recomputation import axioms

    def leaking(method: Method) -> object:
        compute = computing.computation_of(method)

        def computed(along: object, *more: object) -> object:
            found = compute(along, *more)
            moved = found.attributions * 0.9 + 0.1 * found.attributions.mean(axis=1, keepdims=True) + 0.05
            return type(found)(found.certificate, moved, found.interactions)

        return computed

    monkeypatch.setattr(axioms, "computation_of", leaking)
    done = verified(tmp_path, "ig", Net())
    failed = {name for name, outcome in outcomes(done).items() if outcome == "failed"}
    assert {COMPLETENESS, SENSITIVITY, DUMMY} <= failed
    assert done.exit_code == 1
    assert "checks failed: " in done.stderr


def test_a_function_that_is_not_symmetric_would_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ihcli.verification.recomputation.axioms import Made

    monkeypatch.setattr(Made, "symmetric", lambda made, one, other: (made.function, made.paths))
    monkeypatch.setattr(Made, "without", lambda made, group: made.function)
    found = outcomes(verified(tmp_path, "ih", Net()))
    assert found[SYMMETRY] == found[DUMMY] == "failed"
    assert found[COMPLETENESS] == "passed"


def test_axioms_need_model_and_data(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["verify", str(tmp_path), "--axioms"])
    assert done.exit_code == 2
    assert "--axioms: needs MODEL and DATA. Try ihcli verify RUN MODEL DATA --axioms." in done.stderr


class Sum(nn.Module):
    def __init__(self, one: nn.Module, other: nn.Module) -> None:
        super().__init__()
        self.one, self.other = one, other

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * self.one(x) - 0.5 * self.other(x)


class Halves(nn.Module):
    """The same function as a Net, otherwise written: tanh z = 2 sigmoid(2 z) - 1, units doubled and out of order."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, _, second, _, last = self.net.body
        z = torch.cat([first(x).flip(1), first(x)], dim=1)
        h = (2 * torch.sigmoid(2 * z) - 1)[:, :8].flip(1) / 2 + torch.tanh(z[:, 8:]) / 2
        return last(torch.tanh(second(h))) + x[:, 1:2] * x[:, :1]


def values(module: nn.Module, method: Method) -> list[np.ndarray]:
    rows = np.random.default_rng(1).normal(0.5, 1.0, (4, 5))
    more = {"baseline": np.random.default_rng(2).normal(size=(3, 5))} if method.many_baselines else {}
    exact = {"tolerance": 1e-8} if method.is_integral else {}
    found = ihcli.explain(module.double(), rows, method=method.name, **more, **exact)
    return [each for each in (found.attributions, found.interactions) if each is not None]


OF_FUNCTIONS = [method for method in OF_SCRIPTS if {LINEARITY, INVARIANCE} & promised(method)]


@pytest.mark.parametrize("method", OF_FUNCTIONS, ids=lambda method: method.name)
def test_values_are_linear_in_the_model_and_those_of_its_function(method: Method) -> None:
    one, other = Net(0), Net(1)
    if LINEARITY in promised(method):
        parts = zip(values(Sum(one, other), method), values(one, method), values(other, method), strict=True)
        for whole, first, second in parts:
            np.testing.assert_allclose(whole, 2 * first - 0.5 * second, atol=FLOAT64 * np.abs(whole).max())
    if INVARIANCE in promised(method):
        for here, there in zip(values(one, method), values(Halves(one), method), strict=True):
            np.testing.assert_allclose(there, here, atol=FLOAT64 * np.abs(here).max())
