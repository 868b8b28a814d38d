"""`ihcli verify` prints every check, ends with one line, and fails when a check does; it needs no torch for a run."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from forgeries import Folder, change, part, value
from runs import on_terminal

from ihcli.cli import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return Folder(tmp_path_factory.mktemp("verify"))


def ask(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["verify", *map(str, arguments)])


def damaged(folder: Folder, to: Path) -> Path:
    path = folder.copy("ih", to)
    change(part(path), value("c"))
    return path


def test_a_good_run_ends_with_one_line_and_code_0(folder: Folder) -> None:
    done = ask(folder.run("ih"))
    assert done.exit_code == 0
    assert done.stderr == f"{folder.run('ih')}: all 26 checks passed.\n"
    lines = done.stdout.splitlines()
    assert len(lines) == 26
    assert lines[0] == f"{'passed':12}{'run.json':28}a finished run of ih, 14 rows (1 checked)"
    (sums,) = (line for line in lines if "row sums  " in line)
    assert "(14 checked, worst " in sums
    assert " of at most " in sums


def test_a_bad_run_ends_with_the_names_of_what_failed_and_code_1(folder: Folder, tmp_path: Path) -> None:
    path = damaged(folder, tmp_path / "run")
    done = ask(path)
    assert done.exit_code == 1
    failed = [line for line in done.stdout.splitlines() if line.startswith("failed")]
    names = ["completeness gap", "row sums", "summary of attributions", "SHA-256"]
    assert [line[12:38].strip() for line in failed] == names
    assert done.stderr == f"Error: {path}: 4 of 26 checks failed: {', '.join(names)}.\n"
    assert "the worst row 4, target " in failed[0]


def test_what_could_not_be_checked_is_not_counted_as_passed(folder: Folder) -> None:
    done = ask(folder.run("summaries only"))
    assert done.exit_code == 0
    left_out = [line for line in done.stdout.splitlines() if line.startswith("not checked")]
    assert len(left_out) == 4
    assert done.stderr.endswith(f"all {len(done.stdout.splitlines()) - 4} checks passed, 4 could not be made.\n")


def test_with_model_and_data_rows_are_recomputed(folder: Folder, tmp_path: Path) -> None:
    asked = folder.request("ih")
    done = ask(folder.run("ih"), asked.model, asked.data, "--sample", 3, "--seed", 5)
    assert done.exit_code == 0, done.stdout
    assert "all 39 checks passed." in done.stderr
    assert "0 of 3 rows beyond the reported error, 1 may be (3 checked, worst " in done.stdout
    done = ask(folder.run("ih"), folder.path / "relu.pt", asked.data)
    assert done.exit_code == 1
    assert "1 of 28 checks failed: MODEL." in done.stderr


@pytest.mark.parametrize("name", ["model", "data"])
def test_a_model_or_data_that_is_not_there_is_one_message(folder: Folder, name: str) -> None:
    asked = vars(folder.request("ig"))
    done = ask(folder.run("ig"), *(folder.path / "no.such" if one == name else asked[one] for one in ("model", "data")))
    assert done.exit_code == 1
    assert "no.such" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "unexpected" not in done.stderr


def test_formats_for_programs_hold_the_same_findings(folder: Folder) -> None:
    path = folder.run("ig")
    records = [json.loads(line) for line in ask(path, "--format", "jsonl").stdout.splitlines()]
    rows = list(csv.DictReader(io.StringIO(ask(path, "--format", "csv").stdout)))
    assert [record["check"] for record in records] == [row["check"] for row in rows]
    assert list(records[0]) == list(rows[0]) == ["check", "outcome", "detail", "checked", "worst", "bound"]
    (gap,) = (record for record in records if record["check"] == "completeness gap")
    assert gap["outcome"] == "passed"
    assert gap["checked"] == 14
    assert gap["worst"] <= gap["bound"]


def test_a_terminal_shows_a_table(folder: Folder, tmp_path: Path) -> None:
    shown = on_terminal("verify", str(damaged(folder, tmp_path / "run")))
    assert "at most" in shown
    assert "\x1b[32mpassed" in shown
    assert "\x1b[1;31mfailed" in shown


def test_data_without_model_is_a_usage_error(folder: Folder) -> None:
    done = ask(folder.run("ig"), folder.request("ig").model)
    assert done.exit_code == 2
    assert "Missing argument 'DATA'" in done.stderr


def test_no_run_is_one_message(tmp_path: Path) -> None:
    done = ask(tmp_path)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: {tmp_path}: is not a run.")


def test_a_run_alone_needs_no_torch(folder: Folder) -> None:
    code = "import sys; from ihcli.cli import main; main(sys.argv[1:], standalone_mode=False); "
    code += "sys.exit('torch' in sys.modules)"
    arguments = [sys.executable, "-c", code, "verify", str(folder.run("ih"))]
    assert subprocess.run(arguments, stdout=subprocess.DEVNULL, check=False).returncode == 0
