"""-q, of every command: progress, notes and advice are silent; results, warnings and errors are not."""

import shutil
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from ihcli.cli import main

SAMPLE = Path(__file__).parents[1] / "sample_data"
MODEL, DATA = str(SAMPLE / "diabetes_softplus.pkl"), str(SAMPLE / "diabetes.csv")
COLUMNS = ("--key", "patient", "--label", "progression")


def ask(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write two runs over 30 rows, and one in two shards."""
    folder = tmp_path_factory.mktemp("quiet")
    shutil.copy(DATA, folder / "data.csv")
    for out, more in (("run", ()), ("other", ("--baseline", "mean"))):
        done = ask("explain", MODEL, folder / "data.csv", *COLUMNS, "--limit", 30, "-o", folder / out, *more)
        assert done.exit_code == 0, done.output
        assert "Run written to" in done.stderr
    return folder


SHARDS = [["--shard", f"{shard}/2", "--chunk-rows", 10] for shard in (1, 2)]
COMMANDS = {
    "explain": ["{model}", "{data}", *COLUMNS, "--limit", "9", "-o", "{new}"],
    "interactions": ["{run}", "--format", "csv"],
    "attributions": ["{run}", "--format", "jsonl"],
    "compare": ["{run}", "{other}", "--format", "csv"],
    "contrast": ["{run}", "--by", "body_mass_index", "--format", "csv"],
    "drivers": ["{run}", "--feature", "body_mass_index", "--format", "csv"],
    "plot": ["{run}", "bar", "-o", "{new}.png"],
    "report": ["{run}", "-o", "{new}.html"],
    "inspect": ["{model}", "{data}", *COLUMNS],
    "verify": ["{run}"],
    "evaluate": ["{run}", "{model}", "{data}", "--metrics", "mean", "--sample", "10"],
    "merge": ["{shards}"],
}
SAYS_NOTHING = ("inspect", "interactions", "attributions", "compare", "drivers")
WITHOUT_RESULTS = ("explain", "plot", "report", "merge")
"""What they write is a file."""


def filled(folder: Path, new: Path, words: list[str]) -> list[str]:
    places = {"run": folder / "run", "other": folder / "other", "new": new, "model": MODEL, "data": folder / "data.csv"}
    return [word.format(**places, shards=new) for word in words]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_quiet_command_says_nothing_and_writes_what_it_writes(folder: Path, tmp_path: Path, name: str) -> None:
    told = {}
    for quiet in ((), ("-q",)):
        new = tmp_path / f"new{len(quiet)}"
        if name == "merge":
            for shard in SHARDS:
                assert ask("explain", MODEL, folder / "data.csv", *COLUMNS, "-o", new, "-q", *shard).stderr == ""
        told[quiet] = ask(name, *filled(folder, new, COMMANDS[name]), *quiet)
        assert told[quiet].exit_code == 0, told[quiet].output
    loud, silent = told[()], told[("-q",)]
    assert silent.stderr == ""
    assert (loud.stderr == "") == (name in SAYS_NOTHING)
    assert silent.stdout == loud.stdout
    assert (silent.stdout == "") == (name in WITHOUT_RESULTS)


def test_every_command_has_it() -> None:
    assert isinstance(main, click.Group)
    assert COMMANDS.keys() <= main.commands.keys()
    for name, command in main.commands.items():
        (quiet,) = (option for option in command.params if "--quiet" in option.opts)
        assert quiet.opts == ["-q", "--quiet"], name


def test_it_stands_before_the_command_too(folder: Path) -> None:
    assert ask("verify", folder / "run").stderr.endswith("checks passed.\n")
    assert ask("-q", "verify", folder / "run").stderr == ""
    assert ask("verify", "--quiet", folder / "run").stderr == ""


def test_warnings_and_errors_remain(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "run", tmp_path / "run")
    (tmp_path / "run/summary/attributions.parquet").write_bytes(b"no longer")
    assert ask("attributions", tmp_path / "run", "-q").stderr.startswith("Error: ")
    gone = tmp_path / "gone.csv"
    shutil.copy(DATA, gone)
    assert ask("explain", MODEL, gone, *COLUMNS, "--limit", 3, "-o", tmp_path / "new", "-q").stderr == ""
    gone.unlink()
    assert ask("attributions", tmp_path / "new", "--long", "-q").stderr.startswith("Warning: Values are null: ")
    assert ask("explain", MODEL, DATA, "-q").stderr.endswith("Try -o run, or --dry-run.\n")
