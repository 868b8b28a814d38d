"""--code on the command line: explained here, in workers and shards; verified, resumed, and never run unasked."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import model_files
import networks
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result
from prepared import python
from small_runs import assert_same_run

from ihcli import read
from ihcli.cli import main
from ihcli.execution.pipeline import run
from ihcli.files.confinement import ASK_VERSION, CREATE_RULESET, _call
from ihcli.runs.request import RunRequest, Workforce
from ihcli.runs.totals import Observer

CODE = ("--code", "net.py:Net", "--code-args", '{"width": 4}')
DATA = ("w.pt", "d.csv")
RUN = (*DATA, "-m", "ih", "--chunk-rows", "3", "--memory", "64MiB", "--key", "id")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's file, weights, and a table, in a current directory with an odd name."""
    place = tmp_path / "a b'c"
    place.mkdir()
    networks.write(place)
    monkeypatch.chdir(place)
    torch.manual_seed(0)
    torch.save(networks.imported(place).Net(4).eval().state_dict(), "w.pt")
    rows = pd.DataFrame(np.random.default_rng(0).standard_normal((12, 4)), columns=list("abcd"))
    rows.insert(0, "id", [f"P{i}" for i in range(len(rows))])
    rows.to_csv("d.csv", index=False)
    return place


def ask(*arguments: object) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


def done(*arguments: object) -> str:
    result = ask(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments: object) -> str:
    result = ask(*arguments)
    assert result.exit_code in (1, 2), result.output
    return result.stderr.replace("\n", " ")


def mark(folder: Path) -> Path:
    """Let the user's file leave a mark wherever it is run from now on."""
    marker = folder / "marker"
    code = (folder / "net.py").read_text()
    (folder / "net.py").write_text(f"{code}\nopen({str(marker)!r}, 'w').close()\n")
    return marker


def test_inspect_shows_the_network_and_what_was_run(folder: Path) -> None:
    shown = done("inspect", "w.pt", *CODE)
    assert "weights of Net (net.py)" in shown
    assert "layers.py (SHA-256 " in shown
    assert 'Arguments             {"width": 4}' in shown
    assert "Replaced by SoftPlus  relu" in shown
    assert "mlp: a chain of affine layers" in shown


def test_the_steps_of_messages_lead_from_weights_to_a_run(folder: Path) -> None:
    """A user who knows nothing of the option follows one message after the other."""
    assert "Try --code net.py:Net, with the file and class" in refused("explain", *RUN, "-o", "run")
    assert "Try --code-args '{\"width\": ...}'" in refused("explain", *RUN, "-o", "run", "--code", "net.py:Net")
    wrong = ("--code-args", '{"width": 9}')
    assert "try --code-args '{\"width\": 4}'" in refused("explain", *RUN, "-o", "run", *CODE[:2], *wrong)
    assert "100.0 % within tolerance" in done("explain", *RUN, "-o", "run", *CODE)


def test_a_run_notes_its_code_and_is_verified_with_it_only(folder: Path) -> None:
    done("explain", *RUN, *CODE, "-o", "run")
    told = json.loads((folder / "run" / "run.json").read_text())
    assert told["arguments"]["code"] == told["model"]["code"]["name"] == "net.py:Net"
    assert json.loads(told["model"]["code"]["arguments"]) == {"width": 4}
    assert list(told["model"]["code"]["files"]) == ["layers.py", "net.py"]
    message = refused("verify", "run", *DATA)
    assert "--code: is not given, but the run was made with 'net.py:Net'" in message
    assert "Try the same command with --code net.py:Net if you know that file." in message
    shown = done("verify", "run", *DATA, "--code", "net.py:Net", "--sample", "3", "--format", "lines")
    assert "net.py:Net is what the run was made with" in shown
    (folder / "copy").mkdir()
    for name in ("net.py", "layers.py"):
        (folder / "copy" / name).write_bytes((folder / name).read_bytes())
    assert "passed" in done("verify", "run", *DATA, "--code", "copy/net.py:Net", "--sample", "2")


def test_rankings_of_a_model_take_code_too(folder: Path) -> None:
    ranked = done("interactions", *DATA, *CODE, "--exclude", "id", "--format", "csv", "--quiet")
    assert ranked.startswith("target,feature_i,feature_j")
    assert "code-args" in refused("attributions", *DATA, *CODE[:2], "--exclude", "id")


def test_code_that_a_run_json_names_is_never_run(folder: Path) -> None:
    done("explain", *RUN, *CODE, "-o", "run")
    marker = mark(folder)
    for arguments in (
        ("verify", "run"),
        ("report", "run", "-o", "report.html"),
        ("interactions", "run"),
        ("attributions", "run", "--row", "0"),
        ("plot", "run", "summary", "--target", "0", "-o", "p.png"),
    ):
        done(*arguments)
    refused("verify", "run", *DATA)
    refused("verify", "run", *DATA, "--code", "net.py:Net")
    refused("explain", *RUN, "-o", "run", "--resume")
    refused("explain", *RUN, *CODE, "-o", "run", "--resume")
    assert not marker.exists()
    assert ask("inspect", "w.pt", *CODE).exit_code == 0
    assert marker.exists()


def test_changed_code_is_refused_with_its_file(folder: Path) -> None:
    done("explain", *RUN, *CODE, "-o", "run")
    (folder / "layers.py").write_text(networks.LAYERS.replace("(inputs)\n", "(inputs) * 2\n"))
    message = refused("explain", *RUN, *CODE, "-o", "run", "--resume")
    assert "Expected the code net.py:Net as it was, got other content in 'layers.py'." in message
    result = ask("verify", "run", *DATA, "--code", "net.py:Net", "--format", "lines")
    assert result.exit_code == 1
    assert "other content in 'layers.py'" in result.output


DIFFERENT = {
    "no code": ((), "Expected --code net.py:Net, got no --code"),
    "another class": (("--code", "net.py:Lit"), "Expected --code net.py:Net, got --code net.py:Lit"),
    "other arguments": (
        (*CODE[:2], "--code-args", "[4, 9]"),
        'Expected --code-args {"width": 4}, got --code-args [4, 9]',
    ),
    "other weights": ((*CODE, "--code-weights", "ema"), "Expected no --code-weights, got --code-weights ema"),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_a_run_goes_on_with_the_same_code_only(name: str, folder: Path) -> None:
    options, words = DIFFERENT[name]
    done("explain", *RUN, *CODE, "-o", "run")
    assert words in refused("explain", *RUN, *options, "-o", "run", "--resume")
    same = (*RUN, "--code", folder / "net.py:Net", "--code-args", '{ "width":4 }', "-o", "run", "--resume")
    done("explain", *same)


def test_a_run_of_torch_layers_takes_no_code_when_verified(folder: Path) -> None:
    torch.save(torch.nn.Sequential(torch.nn.Linear(4, 2)), "w.pt")
    done("explain", *RUN, "-o", "run")
    assert "the run was made without code" in refused("verify", "run", *DATA, "--code", "net.py:Net")


def test_options_of_code_want_code(folder: Path) -> None:
    for option, value in (("--code-args", "[4]"), ("--code-weights", "ema")):
        assert f"{option} {value}: is for --code, which is not given." in refused("inspect", "w.pt", option, value)
        assert f"{option} {value}: is for --code" in refused("explain", *RUN, "-o", "run", option, value)


def shell(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command: Sequence[str] = [python(), "-m", "ihcli", *map(str, arguments)]
    (folder / "temporary").mkdir(exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(folder / "temporary")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_code_that_writes_is_told_what_it_may_do(folder: Path) -> None:
    if _call(CREATE_RULESET, None, 0, ASK_VERSION) < 1:
        pytest.skip("this kernel has no Landlock")
    marker = mark(folder)
    result = shell(folder, "explain", *RUN, *CODE, "-o", "run")
    assert result.returncode == 1
    assert "PermissionError" in result.stderr
    assert "code may read files and compute, and write none" in result.stderr
    assert not marker.exists()
    assert shell(folder, "explain", *RUN, *CODE, "-o", "run", "--trust").returncode == 0
    assert marker.exists()


@pytest.mark.parametrize("units", ["step", "channel"])
def test_a_recurrent_class_over_sequences_equals_its_script(units: str, folder: Path) -> None:
    (folder / "lstm.py").write_text(networks.ZOO.replace("x.reshape(len(x), -1, self.channels)", "x"))
    torch.manual_seed(0)
    module = networks.imported(folder, "lstm").LSTM().eval()
    torch.save(module.state_dict(), "w.pt")
    model_files.save_script(module, folder / "script.pt")
    names = [f"{channel}_{step}" for step in range(3) for channel in "ab"]
    pd.DataFrame(np.random.default_rng(0).standard_normal((8, 6)), columns=names).to_csv("d.csv", index=False)
    code, options = ("--code", "lstm.py:LSTM"), ("--sequence", "3x2", "--units", units)
    done("explain", *DATA, *code, *options, "-o", "run")
    done("explain", "script.pt", "d.csv", *options, "-o", "same")
    one, other = (read(name).interaction_array() for name in ("run", "same"))
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-6 * np.abs(other).max())
    assert "checks passed" in done("verify", "run", *DATA, *code, "--sample", "2")


ENTITIES = """
import torch
from torch import nn


class Entities(nn.Module):
    def __init__(self, codes=(3, 4)):
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(n, 2) for n in codes)
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, x_cat, x_num):
        looked_up = [table(x_cat[:, i]) for i, table in enumerate(self.tables)]
        return self.layers(torch.cat([*looked_up, x_num], 1))
"""


def test_a_class_of_several_inputs_with_lookups_is_explained_and_verified(folder: Path) -> None:
    """Its ReLU is smoothed, whose wrapper hands on arguments by name."""
    (folder / "entities.py").write_text(ENTITIES)
    torch.manual_seed(0)
    torch.save({"model": networks.imported(folder, "entities").Entities().state_dict()}, "w.pt")
    table = pd.DataFrame({"job": np.arange(12) % 3, "city": np.arange(12) % 4})
    table[["age", "pay"]] = np.random.default_rng(0).standard_normal((12, 2))
    table.to_csv("d.csv", index=False)
    code, inputs = ("--code", "entities.py:Entities"), ("--inputs", "x_cat=job,city", "--inputs", "x_num=age,pay")
    assert "100.0 % within tolerance" in done("explain", *DATA, *code, *inputs, "-o", "run")
    assert "checks passed" in done("verify", "run", *DATA, *code, "--sample", "2")


def request(folder: Path, code: str = "net.py:Net", **options: object) -> RunRequest:
    base = {"code": code, "code_args": "[4]", "chunk_rows": 3, "memory_bytes": 1 << 27, "key": ("id",), "device": "cpu"}
    return RunRequest(str(folder / "w.pt"), str(folder / "d.csv"), **{**base, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("code", ["net.py:Net", "net:Net"])
def test_workers_run_the_same_code(code: str, folder: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    run(request(folder, code, memory_bytes=1 << 26), tmp_path / "alone", Observer())
    run(request(folder, code), tmp_path / "run", Observer(), workforce=Workforce(workers=2))
    assert_same_run(tmp_path / "run", tmp_path / "alone")


def test_shards_of_the_same_code_merge_and_of_other_code_do_not(folder: Path) -> None:
    done("explain", *RUN, *CODE, "-o", "run", "--shard", "1/2")
    copy = folder / "elsewhere"
    copy.mkdir()
    for name in ("net.py", "layers.py"):
        (copy / name).write_bytes((folder / name).read_bytes())
    other = ("--code", "elsewhere/net.py:Net", *CODE[2:])
    done("explain", *RUN, *other, "-o", "run", "--shard", "2/2")
    done("merge", "run")
    done("explain", *RUN, *CODE, "-o", "mixed", "--shard", "1/2")
    (copy / "layers.py").write_text(networks.LAYERS.replace("(inputs)\n", "(inputs) * 2\n"))
    done("explain", *RUN, *other, "-o", "mixed", "--shard", "2/2")
    refused("merge", "mixed")
