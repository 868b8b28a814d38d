"""The mean of runs: exact for an ensemble, a proper run, with errors that add up."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from model_files import quietly
from small_runs import FEATURES, request_of, write_inputs
from torch import nn
from written_runs import random_gammas, write_table_run, write_texts

from ihcli import read
from ihcli.cli import main
from ihcli.execution.pipeline import run
from ihcli.runs.totals import Observer

TOLERANCE = 1e-4
KEYS = [f"P{row}" for row in range(7)]


class Ensemble(nn.Module):
    def __init__(self, members: list[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs = [member(inputs) for member in self.members]
        return (outputs[0] + outputs[1] + outputs[2]) / 3


def ask(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.fixture(scope="module")
def explained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the runs of three networks, and that of their mean."""
    folder = write_inputs(tmp_path_factory.mktemp("ensemble"), activation=nn.Softplus)
    members = []
    for seed in range(3):
        torch.manual_seed(seed)
        members.append(nn.Sequential(nn.Linear(4, 12), nn.Softplus(), nn.Linear(12, 2)).eval())
    scripts = {f"net{seed}": quietly(torch.jit.script, member) for seed, member in enumerate(members)}
    scripts["ensemble"] = quietly(torch.jit.script, Ensemble(members).eval())
    for name, script in scripts.items():
        quietly(script.save, str(folder / f"{name}.pt"))
        options = {"model": str(folder / f"{name}.pt"), "target": "all", "tolerance": TOLERANCE, "chunk_rows": 7}
        run(request_of(folder, max_evaluations=None, **options), folder / f"run-{name}", Observer())
    return folder


def members_of(folder: Path) -> list[Path]:
    return [folder / f"run-net{seed}" for seed in range(3)]


def test_the_mean_of_members_is_the_run_of_their_ensemble(explained: Path, tmp_path: Path) -> None:
    done = ask("compare", *members_of(explained), "--mean", "-o", tmp_path / "mean")
    assert done.exit_code == 0, done.output
    mean, ensemble = read(tmp_path / "mean"), read(explained / "run-ensemble")
    ours, theirs = mean.attributions, ensemble.attributions
    assert ours["_row"].tolist() == theirs["_row"].tolist()
    assert ours["_target"].tolist() == theirs["_target"].tolist()
    for name in ("_prediction", "_baseline_prediction"):
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-5)
    phi = theirs[FEATURES].to_numpy()
    off = np.abs(ours[FEATURES].to_numpy() - phi).sum(axis=1) / np.abs(phi).sum(axis=1)
    assert (off <= ours["_relative_error"] + theirs["_relative_error"] + 1e-5).all()
    for target in ensemble.targets:
        a, b = (result.interaction_array(target=target) for result in (mean, ensemble))
        assert (np.abs(a - b).sum(axis=(1, 2)) <= 5 * TOLERANCE * np.abs(b).sum(axis=(1, 2)) + 1e-5).all()


def test_the_mean_is_a_run_that_all_commands_read(explained: Path, tmp_path: Path) -> None:
    ask("compare", *members_of(explained), "--mean", "-o", tmp_path / "mean")
    verified = ask("verify", tmp_path / "mean")
    assert verified.exit_code == 0, verified.output
    beside = ask("verify", tmp_path / "mean", explained / "ensemble.pt", explained / "table.parquet")
    assert beside.exit_code == 0, beside.output
    assert "the mean of 3 runs" in beside.stdout
    assert ask("interactions", tmp_path / "mean").exit_code == 0
    ranked = ask("compare", tmp_path / "mean", explained / "run-ensemble", "--format", "table")
    assert ranked.exit_code == 0, ranked.output
    assert [member.run for member in read(tmp_path / "mean").told.members] == list(map(str, members_of(explained)))


def test_what_asks_for_one_model_refuses_a_mean_and_names_what_can_be_asked(explained: Path, tmp_path: Path) -> None:
    mean, model, data = tmp_path / "mean", explained / "net0.pt", explained / "table.parquet"
    assert ask("compare", *members_of(explained), "--mean", "-o", mean).exit_code == 0
    asked = {
        "Try ihcli evaluate of each": ("evaluate", mean, model, data),
        "Try one of them": ("compare", mean, "--random-weights", model, data),
        "Try --overwrite to start over": ("explain", model, data, "-o", mean, "--resume"),
        "Try ihcli plot of each": ("plot", mean, "calibration", "-o", tmp_path / "calibration.png"),
    }
    for remedy, arguments in asked.items():
        done = ask(*arguments)
        assert done.exit_code == 1, done.output
        assert done.stderr.rstrip().endswith(f"{remedy}.")
        assert "is the mean of 3 runs, which no one model gives" in done.stderr
    assert "a mean of runs, which judges no model" in ask("verify", mean).stdout


def test_errors_are_those_of_the_runs_added_up(tmp_path: Path) -> None:
    gammas = [random_gammas(7, seed=seed) for seed in range(2)]
    paths = [write_table_run(tmp_path / f"run{seed}", gamma, keys=KEYS) for seed, gamma in enumerate(gammas)]
    assert ask("compare", *paths, "--mean", "-o", tmp_path / "mean").exit_code == 0
    mean = read(tmp_path / "mean")
    phi = [gamma.sum(axis=2) for gamma in gammas]
    absolute = sum(1e-3 * np.abs(some).sum(axis=1) for some in phi) / 2
    expected = absolute / np.abs((phi[0] + phi[1]) / 2).sum(axis=1)
    np.testing.assert_allclose(mean.attributions["_relative_error"], expected, rtol=1e-9)
    np.testing.assert_allclose(mean.interaction_array(), (gammas[0] + gammas[1]) / 2)


def test_the_mean_of_a_run_with_itself_is_that_run(tmp_path: Path) -> None:
    path = write_table_run(tmp_path / "run", random_gammas(7), keys=KEYS, missing=[0, 4])
    assert ask("compare", path, path, "--mean", "-o", tmp_path / "mean").exit_code == 0
    ours, theirs = read(tmp_path / "mean").attributions, read(path).attributions
    assert ours["_status"].tolist() == theirs["_status"].tolist()
    np.testing.assert_array_equal(ours["age"], theirs["age"])
    np.testing.assert_array_equal(ours["id"], theirs["id"])


def test_texts_of_any_length_are_averaged(tmp_path: Path) -> None:
    texts = [("not", "good"), ("fine",), ("a", "b", "c"), ("not", "bad")]
    gammas = [np.ones((len(text), len(text))) * (i + 1) for i, text in enumerate(texts)]
    first = write_texts(tmp_path / "first", texts, gammas, "abcd")
    other = write_texts(tmp_path / "other", texts, [3 * gamma for gamma in gammas], "abcd")
    assert ask("compare", first, other, "--mean", "-o", tmp_path / "mean").exit_code == 0
    result = read(tmp_path / "mean")
    for row, text in enumerate(texts):
        record = result.record(row)
        assert record.names == text
        assert record.interactions == pytest.approx(2 * gammas[row])


REFUSED = {
    "method": ({"method": {"name": "eh", "title": "eh"}}, "in its method, eh and ih"),
    "baseline": (
        {
            "model": {"path": "n.pt", "sha256": "e" * 64, "format": "TorchScript", "outputs": ["risk"]},
            "baseline": {"source": "mean", "rows": 1, "population": 1, "sha256": "f" * 64},
        },
        "in its baseline, mean",
    ),
    "storage": ({"storage": "top:2"}, "stores no matrices"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_runs_without_a_mean_are_refused_and_nothing_is_written(tmp_path: Path, what: str) -> None:
    told, message = REFUSED[what]
    first = write_table_run(tmp_path / "first", random_gammas(7), keys=KEYS)
    other = write_table_run(tmp_path / "other", random_gammas(7), keys=KEYS, **told)
    done = ask("compare", first, other, "--mean", "-o", tmp_path / "mean")
    assert done.exit_code == 1
    assert message in done.stderr
    assert not (tmp_path / "mean").exists()


def test_other_rows_leave_no_run_behind(tmp_path: Path) -> None:
    first = write_table_run(tmp_path / "first", random_gammas(7), keys=KEYS)
    other = write_table_run(tmp_path / "other", random_gammas(7), keys=["X", *KEYS[1:]])
    assert ask("compare", first, other, "--mean", "-o", tmp_path / "mean").exit_code == 1
    assert not (tmp_path / "mean").exists()
    done = ask("compare", first, first, "--mean", "-o", first, "--overwrite")
    assert "is one of the runs" in done.stderr
    assert (first / "run.json").is_file()


def test_the_mean_of_a_method_that_is_not_linear_is_told_of(tmp_path: Path) -> None:
    for name, method in (("linear", "ih"), ("other", "cd")):
        told = {"method": {"name": method, "title": method}}
        runs = [
            write_table_run(tmp_path / f"{name}{i}", random_gammas(len(KEYS), seed=i), keys=KEYS, **told)
            for i in range(2)
        ]
        done = ask("compare", *runs, "--mean", "-o", tmp_path / name)
        warning = f"{method} is not known to be linear in the model"
        assert (f"Warning: {warning}" in done.stderr) == (method == "cd")
        assert any(warning in each for each in read(tmp_path / name).told.warnings) == (method == "cd")


def test_a_mean_needs_a_directory(tmp_path: Path) -> None:
    first = write_table_run(tmp_path / "first", random_gammas(7), keys=KEYS)
    for more in ([], ["-o", tmp_path / "mean", "--format", "csv"]):
        done = ask("compare", first, first, "--mean", *more)
        assert done.exit_code == 2
        assert "Try --mean -o RUN" in done.stderr
