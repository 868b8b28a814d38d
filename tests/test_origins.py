"""Model, data, groups and baselines of a run are found from any directory, and beside it when a project was moved."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result
from model_files import quietly
from torch import nn

from ihcli.cli import main
from ihcli.results.explained_data import feature_values
from ihcli.results.result import read
from ihcli.runs.info import RunInfo
from ihcli.runs.origins import origins_of, places_of, there
from ihcli.runs.told import plain
from ihcli.verification import FAILED, PASSED, verify_run

ORIGINS = ("model file", "data files", "groups file")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of a name with signs of globs, entered, whose run was asked for with relative paths."""
    path = tmp_path / "a b'[c]"
    (path / "data").mkdir(parents=True)
    monkeypatch.chdir(path)
    torch.manual_seed(0)
    torch.save(nn.Sequential(nn.Linear(3, 4), nn.Softplus(), nn.Linear(4, 1)).eval(), "model.pt")
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(8, 3)), columns=["x", "y", "z"])
    for number in range(2):
        part = frame.iloc[4 * number : 4 * number + 4]
        part.assign(id=part.index).to_csv(f"data/{number}.csv", index=False)
    frame.head(1).to_csv("start.csv", index=False)
    Path("groups.toml").write_text('[groups]\nx = ["x"]\n"y and z" = ["y", "z"]\n')
    done = ask("explain", "model.pt", "data/*.csv", "-o", "runs/first", *OPTIONS)
    assert done.exit_code == 0, done.output
    return path


OPTIONS = ("--key", "id", "--groups", "groups.toml", "--baseline", "start.csv", "--chunk-rows", "3")


def ask(*words: str) -> Result:
    return quietly(CliRunner().invoke, main, words)


def outcomes(path: Path) -> dict[str, str]:
    return {finding.check: finding.outcome for finding in verify_run(path) if finding.check in ORIGINS}


@pytest.mark.parametrize("place", ["project", "run", "elsewhere"])
def test_files_are_found_from_any_directory(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    run = project / "runs" / "first"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir({"project": project, "run": run, "elsewhere": tmp_path / "elsewhere"}[place])
    assert outcomes(run) == dict.fromkeys(ORIGINS, PASSED)
    values = feature_values(read(run), ["x"], [7]).numbers
    assert values[0, 0] == pd.read_csv(project / "data" / "1.csv")["x"][3]
    assert "no dependence" not in ask("report", str(run), "-o", str(tmp_path / "page.html")).stderr
    assert ask("plot", str(run), "summary", "-o", str(tmp_path / "plot.png")).exit_code == 0
    told = ask("verify", str(run), str(project / "model.pt"), str(project / "data" / "*.csv").replace("[", "[[]"))
    assert told.exit_code == 0, told.output


def test_a_project_that_was_moved_is_found_beside_its_run(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = tmp_path / "moved" / "deep"
    shutil.copytree(project, moved)
    monkeypatch.chdir(tmp_path)
    shutil.rmtree(project)
    assert outcomes(moved / "runs" / "first") == dict.fromkeys(ORIGINS, PASSED)
    assert np.isfinite(feature_values(read(moved / "runs" / "first"), ["x"], [0]).numbers).all()
    told = ask("verify", str(moved / "runs" / "first"), str(moved / "model.pt"), str(moved / "data"))
    assert told.exit_code == 0, told.output


def test_what_changed_where_it_was_is_taken_from_beside_the_run(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(project, tmp_path / "copy")
    (project / "model.pt").write_bytes(b"another")
    (project / "data" / "0.csv").write_text("x,y,z,id\n1,2,3,4\n")
    monkeypatch.chdir(tmp_path)
    assert outcomes(tmp_path / "copy" / "runs" / "first") == dict.fromkeys(ORIGINS, PASSED)
    found = outcomes(project / "runs" / "first")
    assert found["model file"] == found["data files"] == FAILED


def test_data_that_are_nowhere_are_told_with_every_place_and_the_option(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    shutil.move(project / "runs" / "first", run)
    shutil.move(project / "data", tmp_path / "saved")
    monkeypatch.chdir(tmp_path)
    told = ask("report", str(run), "-o", "page.html").stderr
    assert f"data{os.sep}*.csv: no such file or directory, and no " in told
    assert "Try --data FILE with a copy of it." in told
    told = ask("report", str(run), "-o", "page.html", "--overwrite", "--data", "saved").stderr
    assert told == "Report written to page.html.\n"


def test_resuming_takes_another_spelling_for_the_same_file(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = project / "runs" / "first"
    info = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**info, "status": "interrupted"}))
    monkeypatch.chdir(tmp_path)
    data = str(project / "data")
    spelt = [word if not word.endswith((".toml", ".csv")) else str(project / word) for word in OPTIONS]
    done = ask("explain", str(project / "model.pt"), data, "-o", str(run), *spelt, "--resume")
    assert done.exit_code == 0, done.output
    (tmp_path / "other.toml").write_text('[groups]\n"x and y" = ["x", "y"]\n')
    (run / "run.json").write_text(json.dumps({**info, "status": "interrupted"}))
    other = [word if not word.endswith(".toml") else "other.toml" for word in spelt]
    done = ask("explain", str(project / "model.pt"), data, "-o", str(run), *other, "--resume")
    assert "Expected the groups of groups.toml as they were, got other content in other.toml" in done.stderr
    other = [word if not word.endswith("start.csv") else str(project / "data" / "0.csv") for word in spelt]
    done = ask("explain", str(project / "model.pt"), data, "-o", str(run), *other, "--resume", "-m", "ih")
    assert done.exit_code == 1
    without = [word for word in spelt if word != "--groups" and not word.endswith(".toml")]
    done = ask("explain", str(project / "model.pt"), data, "-o", str(run), *without, "--resume")
    assert "Expected --groups groups.toml, got no --groups" in done.stderr


def test_shards_with_other_mount_points_merge(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(project, tmp_path / "mounted")
    for index, home in ((1, project), (2, tmp_path / "mounted")):
        spelt = [word if not word.endswith((".toml", ".csv")) else str(home / word) for word in OPTIONS]
        files = (str(home / "model.pt"), str(home / "data"))
        done = ask("explain", *files, "-o", str(tmp_path / "run"), "--shard", f"{index}/2", *spelt)
        assert done.exit_code == 0, done.output
    assert ask("merge", str(tmp_path / "run")).exit_code == 0
    told = ask("verify", str(tmp_path / "run"))
    assert told.exit_code == 0, told.output


def test_a_run_of_an_older_ihcli_is_read_from_where_it_was_asked_for(project: Path, tmp_path: Path) -> None:
    run = project / "runs" / "first"
    info = json.loads((run / "run.json").read_text())
    info = {name: told for name, told in info.items() if name not in ("origins", "sha256")}
    assert places_of(RunInfo.of(info), "data", run) == ["data/*.csv"]
    assert places_of(RunInfo.of(info), "groups", run) == ["groups.toml"]
    (run / "run.json").write_text(json.dumps(info))
    assert outcomes(run) == dict.fromkeys(ORIGINS, PASSED)


def test_urls_stay_as_they_are_and_are_not_asked_for_unless_named() -> None:
    told = origins_of({"model": "s3://bucket/model.pt", "groups": None}, Path("run"))
    assert plain(told) == {"model": {"absolute": "s3://bucket/model.pt"}}
    info = RunInfo.of({"origins": plain(told), "model": {"path": "s3://bucket/model.pt"}})
    places = places_of(info, "model", Path("run"))
    assert places == ["s3://bucket/model.pt"]
    assert list(there(places, Path("run"))) == []


def test_a_place_may_hold_anything(tmp_path: Path) -> None:
    for told in ({}, {"origins": {"model": {}}}, {"origins": {"model": {"absolute": "\0"}}}, {"model": {"path": ""}}):
        places = places_of(RunInfo.of(told), "model", tmp_path)
        assert [place for place in there(places, tmp_path) if place not in ("", ".")] == []
