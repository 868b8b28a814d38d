"""Every mistake a user can make with files and options: one message, exit code 1, and nothing left behind."""

import os
import pickle
import shlex
from pathlib import Path

import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result
from torch import nn

from ihcli.cli import main

TABLE = {"id": ["a", "b", "c"], "x": [1.0, 2.0, 3.0], "y": [0.5, -1.0, 2.0]}
TABLES = {
    "null.csv": {"x": [1.0, None, 3.0]},
    "infinite.csv": {"x": [1.0, 2.0, float("inf")]},
    "wide.csv": {"z": [1.0, 2.0, 3.0]},
}
TEXTS = {
    "header_only.csv": "id,x,y\n",
    "twice.csv": "id,x,x\na,1,2\n",
    "reserved.csv": "id,x,_row\na,1,2\n",
    "empty.csv": "",
    "notes.txt": "not a run",
}


class Launch:
    """A pickle that runs a program when it is loaded without care."""

    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, ("touch launched",))


class OwnLayer(nn.Linear):
    """A layer that is not one of torch's."""


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with good and bad models and tables, entered."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 4), nn.Softplus(), nn.Linear(4, 2)).eval()
    whole = pickle.dumps(model)
    torch.save(model, "saved.pt")
    Path("saved.pt").write_bytes(Path("saved.pt").read_bytes()[:1000])
    files = {"m.pkl": whole, "torn.pkl": whole[:300], "evil.pkl": pickle.dumps(Launch())}
    files["own.pkl"] = pickle.dumps(nn.Sequential(OwnLayer(2, 1)))
    for name, content in files.items():
        Path(name).write_bytes(content)
    for name, changes in ({"d.csv": {}} | TABLES).items():
        pd.DataFrame(TABLE | changes).to_csv(name, index=False)
    for name, text in TEXTS.items():
        Path(name).write_text(text)
    return tmp_path


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def explain(model: str = "m.pkl", data: str = "d.csv", out: str = "run", *more: str) -> Result:
    return ask("explain", model, data, "-o", out, "--key", "id", *more)


MISTAKES = {
    "data not there": (["m.pkl", "none.csv"], ["none.csv: no such file"]),
    "model not there": (["none.pt", "d.csv"], ["none.pt: no such file", "TorchScript"]),
    "key not there": (["m.pkl", "d.csv", "run", "--key", "nope"], ["--key nope: d.csv", "'id', 'x', 'y'"]),
    "feature not there": (["m.pkl", "d.csv", "run", "--features", "x,z"], ["--features z: d.csv", "'id', 'x', 'y'"]),
    "null": (["m.pkl", "null.csv"], ["null.csv: column 'x'", "1 null", "row 1", "--missing flag"]),
    "infinity": (["m.pkl", "infinite.csv"], ["infinite.csv: column 'x'", "1 non-finite", "row 2", "--missing flag"]),
    "header only": (["m.pkl", "header_only.csv"], ["header_only.csv: has no rows"]),
    "empty file": (["m.pkl", "empty.csv"], ["empty.csv: has no rows"]),
    "feature count": (["m.pkl", "wide.csv"], ["wide.csv: has 3 features ('x', 'y', 'z')", "m.pkl takes 2"]),
    "target out of range": (["m.pkl", "d.csv", "run", "--target", "7"], ["--target: '7'", "'0', '1'", "predicted"]),
    "target without label": (["m.pkl", "d.csv", "run", "--target", "label"], ["--target label", "--label"]),
    "column twice": (["m.pkl", "twice.csv"], ["twice.csv: column name 'x' occurs 2 times"]),
    "reserved name": (["m.pkl", "reserved.csv"], ["reserved.csv: feature '_row'", "--exclude _row"]),
    "torn pickle": (["torn.pkl", "d.csv"], ["torn.pkl: ", "Try saving or copying it again."]),
    "torn archive": (["saved.pt", "d.csv"], ["saved.pt: ", "Try saving or copying it again."]),
    "no model": (["notes.txt", "d.csv"], ["notes.txt: ", "Expected a TorchScript file"]),
    "own class": (["own.pkl", "d.csv"], ["own.pkl: asks for ", "OwnLayer", "--trust"]),
    "malicious": (
        ["evil.pkl", "d.csv"],
        ["evil.pkl: asks for posix.system", "Nothing of the file was run.", "--trust"],
    ),
    "many baselines": (["m.pkl", "d.csv", "run", "--baseline", "data"], ["--baseline data", "--method eg or eh"]),
    "baseline not there": (["m.pkl", "d.csv", "run", "--baseline", "none.csv"], ["none.csv: no such file"]),
    "groups not there": (["m.pkl", "d.csv", "run", "--groups", "none.toml"], ["--groups none.toml", "[groups]"]),
    "device": (["m.pkl", "d.csv", "run", "--device", "abacus"], ["--device: 'abacus'", "cpu"]),
    "run in a file": (["m.pkl", "d.csv", "notes.txt"], ["notes.txt: is a file", "Try another -o."]),
    "run below a file": (["m.pkl", "d.csv", "notes.txt/run"], ["notes.txt/run: cannot be written", "-o"]),
}


@pytest.mark.parametrize(("arguments", "parts"), MISTAKES.values(), ids=MISTAKES)
@pytest.mark.usefixtures("workplace")
def test_a_mistake_is_one_message_and_leaves_nothing(arguments: list[str], parts: list[str]) -> None:
    before = sorted(os.listdir())
    done = explain(*arguments)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    for part in parts:
        assert part in done.stderr
    assert sorted(os.listdir()) == before


@pytest.mark.usefixtures("workplace")
def test_a_text_column_is_named_with_what_to_do() -> None:
    done = ask("explain", "m.pkl", "d.csv", "-o", "run")
    assert done.exit_code == 1
    assert "d.csv: column 'id' holds text, such as 'a'." in done.stderr
    assert "--key id" in done.stderr


@pytest.mark.usefixtures("workplace")
def test_a_run_is_replaced_only_when_asked() -> None:
    assert explain().exit_code == 0
    written = Path("run/run.json").read_text()
    done = explain()
    assert done.exit_code == 1
    assert done.stderr == "Error: run: holds a run already. Try --overwrite to replace it, or another -o.\n"
    assert Path("run/run.json").read_text() == written
    assert explain("m.pkl", "d.csv", "run", "--overwrite").exit_code == 0


@pytest.mark.usefixtures("workplace")
def test_a_directory_of_other_files_is_left_alone() -> None:
    Path("photos").mkdir()
    Path("photos/cat.jpg").touch()
    done = explain("m.pkl", "d.csv", "photos", "--overwrite")
    assert done.exit_code == 1
    assert "photos: holds files that are not a run, so it is left alone." in done.stderr
    assert os.listdir("photos") == ["cat.jpg"]


@pytest.mark.usefixtures("workplace")
def test_flagged_rows_are_counted_and_written() -> None:
    done = explain("m.pkl", "null.csv", "run", "--missing", "flag", "--strict")
    assert done.exit_code == 3
    assert "1 of 3 rows have no values (missing_input 1); they are flagged in _status." in done.stderr
    status = pd.read_parquet("run/attributions")["_status"]
    assert status.tolist() == ["ok", "missing_input", "ok"]


@pytest.mark.usefixtures("workplace")
def test_rankings_on_the_fly_fail_as_explain_does() -> None:
    done = ask("interactions", "m.pkl", "d.csv", "--key", "id", "--target", "9")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: --target: '9'")


@pytest.mark.usefixtures("workplace")
def test_a_forecast_writes_nothing() -> None:
    before = sorted(os.listdir())
    done = ask("explain", "m.pkl", "d.csv", "--key", "id", "--dry-run")
    assert done.exit_code == 0, done.stderr
    assert "Rows                    3\n" in done.stdout
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize(
    ("columns", "label"),
    [
        (["a", "b", "grade"], "grade"),
        (["Class", "a", "b"], "Class"),
        (["a", "b", "true value"], "'true value'"),
        (["id", "target", "a", "b"], "target"),
        (["id", "a", "b", "grade"], None),
    ],
)
def test_a_column_that_may_be_what_the_model_predicts_is_named(columns, label, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(nn.Sequential(nn.Linear(2, 3), nn.Tanh()), "m.pt")
    pd.DataFrame({name: [0.0, 1.0, 2.0] for name in columns}).to_csv("t.csv", index=False)
    advice = f"Try --label {label} where that is what the model predicts, --features to choose"
    found = ask("explain", "m.pt", "t.csv", "-o", "run").stderr
    assert (advice if label else "takes 2. Try --features to choose") in found
    if label and len(columns) == 3:
        assert ask("explain", "m.pt", "t.csv", "-o", "run", *shlex.split(f"--label {label}")).exit_code == 0
