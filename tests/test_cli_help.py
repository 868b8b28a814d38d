"""What the command line says before it computes, and how it ends: help, version, usage, failures, closed pipes."""

import json
import re
import subprocess
import sys
from inspect import signature

import click
import pytest
from click.testing import CliRunner, Result
from prepared import light_python

import ihcli
from ihcli.cli import main
from ihcli.errors import DataError
from ihcli.methods import METHODS
from ihcli.wording import OPTIONS_ELSEWHERE

HEAVY = {"torch", "pandas", "pyarrow", "rich", "transformers"}
COMMANDS = (
    "explain",
    "interactions",
    "attributions",
    "compare",
    "contrast",
    "drivers",
    "plot",
    "report",
    "inspect",
    "verify",
    "evaluate",
    "merge",
    "completion",
)
SECTIONS = {
    "Options": (
        *(
            "--out",
            "--method",
            "--baseline",
            "--target",
            "--scale",
            "--tolerance",
            "--smooth",
            "--device",
            "--memory",
            "--key",
        ),
        *("--dry-run", "--resume", "--overwrite", "--help"),
    ),
    "Texts and sequences": ("--text", "--text-pair", "--units", "--sequence", "--channels-first"),
    "Groups and columns": (
        *("--features", "--inputs", "--exclude", "--layer", "--layer-names", "--label", "--output-names"),
        *("--groups", "--groups-by", "--categories", "--missing"),
    ),
    "Large runs": (
        *("--limit", "--chunk-rows", "--interactions", "--shard", "--executor", "--workers", "--ray-address"),
        "--gpus-per-worker",
    ),
    "Weights without their network": ("--code", "--code-args", "--code-weights"),
    "Advanced": (
        *("--baseline-rows", "--sampling-tolerance", "--seed", "--max-evaluations", "--steps", "--smooth-tolerance"),
        "--smooth-stable",
        *("--dtype", "--engine-derivatives", "--trust", "--strict", "--quiet", "--debug"),
    ),
}
IMPORTED = "import json, sys; from ihcli.cli import main; main(sys.argv[1:], standalone_mode=False); "
IMPORTED += "print(json.dumps(list(sys.modules)), file=sys.stderr)"


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def run(*_: object) -> None:
        raise error

    monkeypatch.setattr("ihcli.cli.showing.progress.run", run)
    monkeypatch.setattr("ihcli.execution.refusals.refuse_early", lambda *_, **__: None)  # nothing here is a file


def explain(*arguments: str) -> Result:
    return ask("explain", "m.pt", "d.csv", "-o", "run", *arguments)


@pytest.mark.parametrize("arguments", [["--help"], *([command, "--help"] for command in COMMANDS)])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTED, *arguments], capture_output=True, text=True, check=True)
    assert "Usage:" in done.stdout
    assert not HEAVY & set(json.loads(done.stderr))


def test_commands_are_listed_in_the_order_of_use() -> None:
    listed = ask("--help").stdout.partition("Commands:")[2]
    assert tuple(line.split()[0] for line in listed.strip().splitlines()) == COMMANDS


def test_version_is_printed() -> None:
    assert ask("--version").stdout.startswith("ihcli ")


def test_options_stand_under_titles_day_to_day_ones_first() -> None:
    _, *parts = re.split(
        r"(?m)^(\w[\w ]*):\n", ask("explain", "--help").stdout.partition("Options:")[2].join(["Options:", ""])
    )
    assert {title: tuple(options_in(text)) for title, text in zip(parts[::2], parts[1::2], strict=True)} == SECTIONS
    assert parts[::2] == list(SECTIONS)


@pytest.mark.parametrize("command", COMMANDS)
def test_conflicts_name_parameters_that_there_are(command: str) -> None:
    parameters = main.commands[command].params
    names = {parameter.name for parameter in parameters}
    for parameter in parameters:
        for conflict in getattr(parameter, "conflicts", ()):
            assert {conflict.other, conflict.unless or conflict.other} <= names, parameter.name
            assert "Try " in conflict.words


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_says_what_it_is_for(command: str) -> None:
    for parameter in main.commands[command].params:
        if parameter.param_type_name == "option":
            assert getattr(parameter, "help", None), parameter.name


def test_methods_offered_are_all_there_are() -> None:
    method = next(parameter for parameter in main.commands["explain"].params if parameter.name == "method")
    assert set(method.type.choices) == set(METHODS)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tolerance", "0"], "Invalid value for '--tolerance': Expected a finite number above 0, got '0'. Try 0.01."),
        (["--tolerance", "inf"], "'--tolerance': Expected a finite number above 0, got 'inf'. Try 0.01."),
        (["--tolerance", "nan"], "'--tolerance': Expected a finite number above 0, got 'nan'. Try 0.01."),
        (["--tolerance", "small"], "'--tolerance': Expected a finite number above 0, got 'small'. Try 0.01."),
        (
            ["--sampling-tolerance", "0"],
            "'--sampling-tolerance': Expected a finite number above 0, got '0'. Try 0.05.",
        ),
        *(
            (
                ["--baseline-rows", word],
                f"'--baseline-rows': Expected a whole number of at least 1, or auto, got '{word}'. Try auto.",
            )
            for word in ("0", "-3", "1.5", "Auto", "")
        ),
        (["--steps", "2"], "'--steps': Expected a whole number of at least 3, got '2'."),
        (["--limit", "0"], "'--limit': Expected a whole number of at least 1, got '0'."),
        (["--chunk-rows", "1.5"], "'--chunk-rows': Expected a whole number of at least 1, got '1.5'."),
        (["--smooth", "-3"], "'--smooth': Expected auto, scan, none or a number above 0 (beta), got '-3'. Try auto."),
        (
            ["--smooth", "often"],
            "'--smooth': Expected auto, scan, none or a number above 0 (beta), got 'often'. Try auto.",
        ),
        (["--interactions", "top:0"], "Expected full, none or top:K with K at least 1, got 'top:0'. Try top:20."),
        (["--memory", "2G"], "'--memory': Expected a size such as 2GiB, 512MiB or 1e9 (bytes), got '2G'."),
        (["--memory", "1.2.3"], "'--memory': Expected a size such as 2GiB, 512MiB or 1e9 (bytes), got '1.2.3'."),
        (["--features", ","], "'--features': Expected a,b,c or @FILE with one column name a line, got no name in ','."),
        (["--features", "@no.txt"], "no.txt cannot be read: No such file or directory."),
        (["--method", "shap"], "'shap' is not one of 'ig', 'eg', 'ih', 'eh', 'gradient',"),
    ],
)
def test_unusable_values_are_usage_errors(arguments: list[str], message: str) -> None:
    done = explain(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr


@pytest.mark.parametrize(
    ("command", "named", "meant"),
    [
        ("explain", "--n-steps", "'--steps'"),
        ("explain", "--n_steps", "'--steps'"),
        ("explain", "--baselines", "'--baseline'"),
        ("explain", "--background", "'--baseline'"),
        ("explain", "--nsamples", "'--baseline-rows' or '--max-evaluations'"),
        ("explain", "--internal-batch-size", "'--memory' or '--chunk-rows'"),
        ("explain", "--output", "'--out'"),
        ("explain", "--n-jobs", "'--workers'"),
        ("explain", "--methd", "'--method'"),
        ("explain", "--id", "'--key'"),
        ("plot", "--max-display", "'--top-k'"),
        ("interactions", "--topk", "'--top-k'"),
        ("contrast", "--columns", "'--feature'"),
        ("evaluate", "--random_state", "'--seed'"),
    ],
)
def test_an_option_that_other_tools_have_is_answered_with_the_one_here(command: str, named: str, meant: str) -> None:
    done = ask(command, "a", "b", "c", named, "1")
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1] == f"Error: No such option: {named}. Did you mean {meant}?"


def test_an_option_that_means_nothing_is_answered_with_no_other() -> None:
    assert ask("explain", "a", "b", "--zzzz").stderr.splitlines()[-1] == "Error: No such option: --zzzz."


@pytest.mark.parametrize("name", OPTIONS_ELSEWHERE)
def test_every_option_of_other_tools_stands_for_one_that_there_is(name: str) -> None:
    assert isinstance(main, click.Group)
    here = {option.name for command in main.commands.values() for option in command.params}
    here |= signature(ihcli.explain).parameters.keys()
    assert here.intersection(OPTIONS_ELSEWHERE[name])


def test_the_method_that_is_meant_is_proposed_as_the_command_line_spells_it() -> None:
    assert explain("-m", "shap").stderr.endswith("Did you mean 'eg', 'shapley' or 'kernel-shap'?\n")
    assert explain("-m", "nid").stderr.endswith("try ihcli inspect MODEL --nid.\n")


def test_a_run_needs_a_directory() -> None:
    done = ask("explain", "m.pt", "d.csv")
    assert done.exit_code == 2
    assert "Missing option '-o' / '--out': the directory to write. Try -o run, or --dry-run." in done.stderr


def test_an_error_of_the_user_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, DataError("d.csv: no such file. Try checking the path."))
    done = explain()
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "Error: d.csv: no such file. Try checking the path.\n"


def test_a_surprise_is_one_line_that_proposes_debug(monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, ZeroDivisionError("division by zero\nsecond line"))
    done = explain()
    assert done.exit_code == 1
    assert done.stderr == (
        "Error: unexpected ZeroDivisionError: division by zero. Try again with --debug for the traceback.\n"
    )


def test_too_little_memory_names_the_option_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, MemoryError())
    assert explain().stderr == (
        "Error: --memory: not enough memory. Try a smaller --memory, or fewer rows at a time with --chunk-rows.\n"
    )


@pytest.mark.parametrize("arguments", [["--debug", "inspect", "no.pt"], ["inspect", "--debug", "no.pt"]])
def test_debug_shows_the_traceback(arguments: list[str]) -> None:
    done = subprocess.run([light_python(), "-m", "ihcli", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr


def test_without_debug_there_is_no_traceback() -> None:
    done = subprocess.run(
        [light_python(), "-m", "ihcli", "inspect", "no.pt"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: no.pt: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_debug_is_an_option_of_every_command(command: str) -> None:
    assert "--debug" in ask(command, "--help").stdout


def test_an_interruption_before_the_first_part_says_that_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, KeyboardInterrupt())
    done = explain()
    assert done.exit_code == 130
    assert done.stderr.startswith("Interrupted while model and data were checked, before any row was explained; ")


def test_a_closed_pipe_ends_help_quietly() -> None:
    shell = f"{light_python()} -m ihcli explain --help | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("0\n", "")


def options_in(text: str) -> list[str]:
    """Return the long names of the options that start a line of help."""
    lines = [line.split("  ")[1] for line in text.splitlines() if line.startswith("  -")]
    return [word.rstrip(",") for line in lines for word in line.split() if word.startswith("--")]
