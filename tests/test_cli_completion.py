"""Words that a shell completes: commands, options, choices, files, and names of a run."""

import json
import shutil
import subprocess
from pathlib import Path

import click
import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner
from prepared import light_python
from runs import write_run

from ihcli.cli import main
from ihcli.cli.commands.completion import VARIABLE
from ihcli.methods import METHODS


def completed(*words: str) -> list[str]:
    """Return what is proposed for the last word, files in words."""
    completing = BashComplete(main, {}, "ihcli", VARIABLE)
    found = completing.get_completions(list(words[:-1]), words[-1])
    return [f"files of {item.value}" if item.type == "file" else item.value for item in found]


@pytest.fixture
def run(tmp_path: Path) -> str:
    write_run(tmp_path / "run", ("risk", "gain"))
    info = json.loads((tmp_path / "run/run.json").read_text())
    info |= {"model": {"outputs": ["risk", "gain"]}, "target": "all"}
    (tmp_path / "run/run.json").write_text(json.dumps(info))
    return str(tmp_path / "run")


def test_commands_options_and_choices_are_completed() -> None:
    assert completed("int") == ["interactions"]
    assert completed("explain", "m.pt", "d.csv", "-m", "gra") == ["gradient", "gradient-input"]
    assert completed("explain", "--method", "") == list(METHODS)
    assert completed("explain", "--samp") == ["--sampling-tolerance"]
    assert completed("plot", "run", "wat") == ["waterfall"]
    assert completed("completion", "") == ["bash", "zsh", "fish"]
    assert completed("compare", "run", "--format", "j") == ["jsonl"]


@pytest.mark.parametrize(
    "words",
    [
        *(["explain"], ["explain", "m.pt"], ["explain", "m.pt", "d.csv", "-o"], ["explain", "--baseline"]),
        *(["explain", "--groups"], ["report"], ["report", "run", "--compare"], ["attributions"], ["compare", "a"]),
        *(["plot"], ["plot", "run", "bar", "--data"], ["attributions", "run", "--long", "--data"], ["merge"]),
        *(["evaluate", "run"], ["evaluate", "run", "m.pt"], ["evaluate", "run", "m.pt", "d.csv", "--curves"]),
        *(["verify"], ["inspect"], ["explain", "--categories"], ["interactions", "m.pt", "d.csv", "--keep"]),
    ],
    ids=" ".join,
)
def test_the_shell_looks_for_files_where_one_is_meant(words: list[str]) -> None:
    assert completed(*words, "sa") == ["files of sa"]


def test_a_run_tells_its_features_targets_and_keys(run: str) -> None:
    assert completed("plot", run, "dependence", "--feature", "") == ["age", "'[bmi]'", "pressure"]
    assert completed("plot", run, "dependence", "--color-by", "pr") == ["pressure"]
    assert completed("attributions", run, "--target", "") == ["risk", "gain"]
    assert completed("contrast", run, "--target", "g") == ["gain"]
    assert completed("interactions", run, "--key", "") == ["patient="]


def test_names_of_several_lines_are_not_proposed(tmp_path: Path) -> None:
    """Shells read one name a line: of 'two\\nlines' they proposed half a quotation."""
    (tmp_path / "run.json").write_text(json.dumps({"features": ["one", "two\nlines", "end\n", "a\u2028b"]}))
    assert completed("plot", str(tmp_path), "dependence", "--feature", "") == ["one"]


def test_what_is_no_run_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("[1]")
    for run in ("no-run", str(tmp_path), "s3://bucket/run", ""):
        assert completed("plot", run, "dependence", "--feature", "") == []
    for text in ('{"features": 5, "model": "m.pt", "keys": {"a": 1}}', '{"model": {"outputs": 3}}', "{", ""):
        (tmp_path / "run.json").write_text(text)
        for option in ("--feature", "--target", "--key"):
            assert completed("attributions", str(tmp_path), option, "") == []


@pytest.mark.parametrize(("shell", "told"), [("bash", "complete -o nosort"), ("zsh", "compdef"), ("fish", "complete")])
def test_the_script_of_a_shell_is_printed(shell: str, told: str) -> None:
    done = CliRunner().invoke(main, ["completion", shell])
    assert done.exit_code == 0
    assert told in done.stdout
    assert VARIABLE in done.stdout


def test_places_are_still_text() -> None:
    assert isinstance(main, click.Group)
    for command in main.commands.values():
        for parameter in command.params:
            if isinstance(parameter.type, click.types.StringParamType):
                assert parameter.type.convert("a", None, None) == "a"


ASKED = """
compopt() { echo "compopt $1 $2" ; }
PATH="$2:$PATH"
eval "$(ihcli completion bash)"
COMP_WORDS=("${@:3}") COMP_CWORD=$(($# - 3))
_ihcli_completion ihcli
printf '%s\\n' "${COMPREPLY[@]}"
complete -p ihcli
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["explain", "-m", "kern"], ["kernel-shap"]),
        (["pl"], ["plot"]),
        (["explain", "mo"], ["compopt -o default", ""]),
        (["interactions", "{run}", "--feature", "pre"], ["pressure"]),
        (["zzz"], [""]),
    ],
    ids=lambda words: " ".join(words),
)
def test_bash_completes_with_the_script(run: str, tmp_path: Path, words: list[str], expected: list[str]) -> None:
    command = tmp_path / "ihcli"
    command.write_text(f'#!/bin/sh\nexec {light_python()} -m ihcli "$@"\n')
    command.chmod(0o755)
    typed = [word.format(run=run) for word in words]
    asked = ["bash", "--norc", "-c", ASKED, "bash", "", str(tmp_path), "ihcli", *typed]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [*expected, "complete -o nosort -F _ihcli_completion ihcli"]
