"""Forwards that check, shape, print or misbehave: sound ones are explained, odd ones are one message."""

import re
import subprocess
from pathlib import Path

import forwards
import model_files
import numpy as np
import pytest
import torch
from forwards import ODD, SOUND, D, rows
from prepared import python
from torch import Tensor, nn

import ihcli
from ihcli.errors import ModelError
from ihcli.models import load_model, wrap_module
from ihcli.models.checking.probing import accepted_width

HERE = "from ihcli.cli import main; import sys; sys.path.insert(0, '.'); main()"
COLUMNS = [f"x{i}" for i in range(D)]


def data(directory: Path, values: np.ndarray | None = None) -> Path:
    path = directory / "data.csv"
    values = rows() if values is None else values
    np.savetxt(path, values, delimiter=",", header=",".join(COLUMNS[: values.shape[1]]), comments="")
    return path


def command(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([python(), "-m", "ihcli", *map(str, arguments)], capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stderr
    return done


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_forward_is_read_and_explained(name: str, tmp_path: Path) -> None:
    build, n_inputs = SOUND[name]
    module = build().eval()
    model = load_model(model_files.save_script(module, tmp_path / "model"))
    assert model.n_inputs == n_inputs
    explanation = ihcli.explain(model, rows(), method="ih", target=0, baseline=0.1 * np.ones(D))
    assert set(explanation.status) == {"ok"}
    with torch.no_grad():
        wanted = model_files.quietly(module, torch.as_tensor(rows(), dtype=torch.float32))
    assert np.allclose(explanation.prediction, wanted[:, 0], atol=1e-5)


@pytest.mark.parametrize("kind", ["scripted", "pickled"])
@pytest.mark.parametrize("name", ODD)
def test_an_odd_forward_is_one_message(name: str, kind: str, tmp_path: Path) -> None:
    build, words = ODD[name]
    path = tmp_path / "model"
    model_files.save_script(build().eval(), path) if kind == "scripted" else model_files.save_zip(build().eval(), path)
    with pytest.raises(ModelError) as caught:
        ihcli.explain(load_model(path, trust=kind == "pickled"), rows())
    message = str(caught.value)
    if name != "half inside" or kind == "scripted":  # what was pickled follows its dtype, or says so in other words
        assert words in message
    assert message.startswith(f"{path}: ")
    assert message.isprintable()
    assert len(message) < 1000
    assert ("`dtype=" in message) == (name == "not a number")


def test_a_fixed_number_of_rows_tells_no_width() -> None:
    class Two(forwards.Base):
        def forward(self, x: Tensor) -> Tensor:
            return self.first(x.reshape(2, -1, 8).flatten(0, 1))

    model = wrap_module(Two().eval())
    assert model.outputs(torch.zeros(2, D)).shape == (2, 2)
    assert accepted_width(model) is None


def test_the_corpus_is_as_large_as_it_says() -> None:
    assert (len(SOUND), len(ODD)) == (12, 19)


def test_the_advice_about_sequences_leads_to_an_explanation(tmp_path: Path) -> None:
    path = model_files.save_script(forwards.Sequences().eval(), tmp_path / "model")
    with pytest.raises(ModelError) as caught:
        ihcli.explain(load_model(path), rows())
    advice = re.search(r"Try `sequence=(\d+x\d+)`\.$", str(caught.value))
    assert advice is not None
    assert set(ihcli.explain(load_model(path), rows(), sequence=advice[1]).status) == {"ok"}


def test_a_recurrent_layer_that_takes_rows_for_steps_is_told_of_sequences(tmp_path: Path) -> None:
    class Everything(forwards.Sequences):
        def forward(self, x: Tensor) -> Tensor:
            states, _ = self.layer(x)
            return self.last(states)

    path = model_files.save_script(Everything().eval(), tmp_path / "model")
    with pytest.raises(ModelError, match=r"takes \(N, T, 2\), .* Try `sequence=1x2`"):
        ihcli.explain(load_model(path), rows(n_inputs=2))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_row_that_a_model_fails_on_is_named(workers: int, tmp_path: Path) -> None:
    values = rows(n_rows=700)
    values[613, 3] = 200.0
    model_files.save_script(forwards.AssertsBounds().eval(), tmp_path / "model.pt")
    # Of so few rows those that the model is tried on are drawn, and the odd one may be among them.
    arguments = ("explain", tmp_path / "model.pt", data(tmp_path, values), "-o", tmp_path / "run", "-m", "ig")
    done = command(*arguments, "--chunk-rows", 100, "--workers", workers, "--seed", 3, code=1)
    reason = "fails on row 613 of the data: values of the training data only"
    alone = (
        f"Error: {tmp_path}/model.pt: {reason}. Expected outputs "
        "for every row, and for points on the way to it from baselines. Try looking at that row, or leaving it out."
    )
    # Workers do all others first.
    with_others = (
        f"Error: {tmp_path}/run: 100 rows could not be explained, each chunk tried 3 times: rows 600 to 699 "
        f"({reason}). All others are done. Try the same command with --resume, which tries these again."
    )
    assert done.stderr.splitlines()[-1] == (alone if workers == 1 else with_others)
    data(tmp_path, np.delete(values, 613, axis=0))
    command(*arguments, "--overwrite")


def test_a_row_whose_path_a_model_fails_on_is_named() -> None:
    class Ring(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if bool((x[:, 0] > 3).logical_and(x[:, 0] < 6).any()):
                raise ValueError("nobody was there")
            return (x**2).sum(1)

    values = rows(n_rows=40)
    values[:, 0] = 1.0
    values[31, 0] = 9.0
    model = wrap_module(Ring().eval(), dtype=torch.float64)
    with pytest.raises(ModelError, match=r"model: fails on row 31 of the data: nobody was there\. "):
        ihcli.explain(model, values, method="ig", seed=1)


def test_an_exit_in_a_forward_is_a_failure_and_not_the_end(tmp_path: Path) -> None:
    (tmp_path / "exits.py").write_text(
        "import sys\nfrom torch import nn\n\n\nclass Exits(nn.Module):\n"
        "    def forward(self, x):\n        print('bye')\n        sys.exit(0)\n"
    )
    code = "import sys, torch; sys.path.insert(0, '.'); import exits; torch.save(exits.Exits(), 'model.pt')"
    subprocess.run([python(), "-c", code], cwd=tmp_path, check=True, timeout=120)
    data(tmp_path)
    done = subprocess.run(
        [python(), "-c", HERE, "explain", "model.pt", "data.csv", "-o", "run", "--trust"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1
    assert "model.pt: fails on a batch of shape (6, 8) in float32: SystemExit: 0. Expected" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("format_name", ["csv", "arrow", "table"])
def test_what_a_model_prints_never_meets_our_output(format_name: str, tmp_path: Path) -> None:
    for module in (forwards.Base(), forwards.Prints()):
        model_files.save_script(module.eval(), tmp_path / f"{type(module).__name__}.pt")
    path = data(tmp_path)
    outputs = [
        subprocess.run(
            [python(), "-m", "ihcli", "attributions", f"{name}.pt", path, "--format", format_name, "--quiet"],
            cwd=tmp_path,
            capture_output=True,
            check=True,
            timeout=300,
        )
        for name in ("Base", "Prints")
    ]
    assert outputs[0].stdout == outputs[1].stdout
    assert outputs[1].stderr == b""


def test_what_a_model_prints_in_workers_goes_nowhere_either(tmp_path: Path) -> None:
    model_files.save_script(forwards.Prints().eval(), tmp_path / "model.pt")
    arguments = ("explain", tmp_path / "model.pt", data(tmp_path), "-o", tmp_path / "run", "--workers", 2)
    done = command(*arguments, "--chunk-rows", 2, "--quiet")
    assert (done.stdout, done.stderr) == ("", "")
