"""What is wrong with paths and options is told before torch is imported, or anything is written."""

import os
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import torch
from prepared import light_python
from torch import nn

from ihcli.files.locations import absence

PROBE = (
    "import sys; from ihcli.cli import main\n"
    "try: main()\n"
    "except SystemExit as ended: code = ended.code\n"
    "print('torch' if 'torch' in sys.modules else 'no torch'); sys.exit(code)"
)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a model, a table, baselines, groups and what looks like a run."""
    folder = tmp_path_factory.mktemp("a b'c")
    torch.save(nn.Sequential(nn.Linear(2, 2), nn.Softplus()), folder / "model.pt")
    pd.DataFrame({"x": [1.0, 2.0], "y": [0.5, 3.0]}).to_csv(folder / "data.csv", index=False)
    (folder / "groups.toml").write_text('[groups]\nboth = ["x", "y"]\n')
    (folder / "empty").mkdir()
    (folder / "done").mkdir()
    (folder / "done" / "run.json").write_text('{"status": "done"}')
    return folder


def ask(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    command = [light_python(), "-c", PROBE, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


EXPLAIN = ("explain", "model.pt", "data.csv", "-o", "run")
WRONG = {
    "model": (["explain", "modl.pt", "data.csv", "-o", "run"], "modl.pt: no such file", "Did you mean 'model.pt'?"),
    "model, workers": (["explain", "no.pt", "data.csv", "-o", "run", "--workers", "2"], "no.pt: no such file", ""),
    "model, dry run": (["explain", "modl.pt", "data.csv", "--dry-run"], "modl.pt: no such file", ""),
    "model, shard": (["explain", "no.pt", "data.csv", "-o", "run", "--shard", "1/2"], "no.pt: no such file", ""),
    "model, resuming": (["explain", "no.pt", "data.csv", "-o", "run", "--resume"], "no.pt: no such file", ""),
    "data": (["explain", "model.pt", "date.csv", "-o", "run"], "date.csv: no such file", "Did you mean 'data.csv'?"),
    "data in no directory": (["explain", "model.pt", "x/d.csv", "-o", "run"], "x/d.csv: no such file", "Try checking"),
    "data, a glob": (["explain", "model.pt", "*.parquet", "-o", "run"], "*.parquet: no file matches", ""),
    "data, a directory": (["explain", "model.pt", "empty", "-o", "run"], "empty: the directory holds no table", ""),
    "texts": (["explain", "model.pt", "dat.csv", "-o", "run", "--text", "t"], "dat.csv: no such file", "'data.csv'?"),
    "baseline": ([*EXPLAIN, "--baseline", "men"], "--baseline men: is neither a keyword nor a file", "'mean'?"),
    "baseline file": ([*EXPLAIN, "--baseline", "dat.csv"], "dat.csv: no such file", "Did you mean 'data.csv'?"),
    "groups": (
        [*EXPLAIN, "--groups", "group.toml"],
        "--groups group.toml: cannot be opened: No such file",
        "Did you mean 'groups.toml'?",
    ),
    "a run is there": (["explain", "model.pt", "data.csv", "-o", "done"], "done: holds a run already", "--overwrite"),
    "a run over a file": (["explain", "model.pt", "data.csv", "-o", "data.csv"], "data.csv: is a file", "another -o"),
    "two groupings": ([*EXPLAIN, "--groups", "groups.toml", "--groups-by", "_"], "--groups: cannot be used", ""),
    "units of a table": ([*EXPLAIN, "--units", "token"], "--units token: is for texts", "--text COLUMN"),
    "a pair alone": ([*EXPLAIN, "--text-pair", "t"], "--text-pair: is the second text", "--text COLUMN"),
    "features of texts": ([*EXPLAIN, "--text", "t", "--features", "x"], "--features: is for tables", "without"),
    "baselines of texts": ([*EXPLAIN, "--text", "t", "-m", "eh"], "--method eh: averages over many", "--method ih"),
    "one baseline for many": ([*EXPLAIN, "-m", "eg", "--baseline", "mean"], "--baseline mean: is one row", "ig or ih"),
    "many baselines for one": ([*EXPLAIN, "--baseline", "data"], "--baseline data: is many rows", "eg or eh"),
    "both": ([*EXPLAIN, "--resume", "--overwrite"], "--resume keeps the run", "one of them"),
    "inspect": (["inspect", "modle.pt"], "modle.pt: no such file", "Did you mean 'model.pt'?"),
    "interactions of a model": (["interactions", "modl.pt", "data.csv"], "modl.pt: no such file", "'model.pt'?"),
    "interactions of no data": (["interactions", "model.pt", "date.csv"], "date.csv: no such file", "'data.csv'?"),
    "interactions of ig": (
        ["interactions", "model.pt", "data.csv", "-m", "ig"],
        "--method ig: gives no",
        "--method ih",
    ),
    "keeping over a run": (["interactions", "model.pt", "data.csv", "--keep", "done"], "done: holds a run", "--keep"),
    "attributions": (["attributions", "modl.pt", "data.csv"], "modl.pt: no such file", "Did you mean 'model.pt'?"),
    "interactions of a run": (["interactions", "dome"], "dome: no such run", "Did you mean 'done'?"),
    "attributions of a run": (["attributions", "dome"], "dome: no such run", "Did you mean 'done'?"),
    "plot": (["plot", "dome", "summary", "-o", "p.png"], "dome: no such run", "Did you mean 'done'?"),
    "report": (["report", "dome", "-o", "r.html"], "dome: no such run", "Did you mean 'done'?"),
    "merge": (["merge", "dome"], "dome", ""),
    "verify": (["verify", "dome"], "dome: no such run", "Did you mean 'done'?"),
    "verify a run": (["verify", "dome", "model.pt", "data.csv"], "dome: no such run", "Did you mean 'done'?"),
    "verify with a model": (["verify", "done", "modl.pt", "data.csv"], "modl.pt: no such file", "'model.pt'?"),
    "verify with data": (["verify", "done", "model.pt", "date.csv"], "date.csv: no such file", "'data.csv'?"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_it_is_told_without_torch_and_leaves_nothing(workplace: Path, kind: str) -> None:
    arguments, said, advice = WRONG[kind]
    before = sorted(workplace.rglob("*"))
    done = ask(workplace, *arguments)
    assert done.returncode in (1, 2), done.stderr
    assert said in done.stderr
    assert advice in done.stderr
    assert done.stdout == "no torch\n"
    assert sorted(workplace.rglob("*")) == before


def test_a_neighbour_is_named_only_where_one_is_close(tmp_path: Path) -> None:
    (tmp_path / "Iris.csv").touch()
    told = absence(tmp_path / "iris.cvs", "file", "a table")
    assert told == f"{tmp_path / 'iris.cvs'}: no such file. Expected a table. Did you mean 'Iris.csv'?"
    assert absence(tmp_path / "qqq", "file", "a table").endswith("Expected a table. Try checking the path.")
    assert absence(tmp_path / "none" / "iris.csv", "file", "a table").endswith("Try checking the path.")
