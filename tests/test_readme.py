"""The README's commands and Python run as they stand there."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from ihcli.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[str]:
    lines = "\n".join(blocks("console")).splitlines()
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ihcli ")]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(ROOT / "sample_data", tmp_path / "sample_data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_commands_and_python_run_as_shown(checkout: Path) -> None:
    shown = commands()
    assert len(shown) >= 7
    results = {}
    for command in shown:
        results[command] = CliRunner().invoke(main, shlex.split(command)[1:], catch_exceptions=False)
        assert results[command].exit_code == 0, f"{command}: {results[command].stderr}"
    ranked = results["ihcli interactions demo-run --top-k 10"].stdout
    for rank, first, second, mean_abs in re.findall(r"^ +(\d+)  (\w+) +(\w+) +(0\.\d+)", README, flags=re.MULTILINE):
        line = ranked.splitlines()[int(rank)].split(",")
        assert line[1:4] == [first, second, rank]
        assert float(line[4]) == pytest.approx(float(mean_abs), rel=0.02)  # the tolerance asked, and other machines
    for code in ["\n".join(blocks("python"))]:
        exec(compile(code, "README.md", "exec"), {})
