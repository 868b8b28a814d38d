"""The columns beside the values: one table, and statuses that say what they mean."""

import inspect
import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from ihcli import quality
from ihcli.explanation import Explanation, TextExplanation
from ihcli.quality import (
    COLUMNS,
    INTERACTION_SAMPLING_ERROR,
    MISSED,
    STATUSES,
    WITHOUT_VALUES,
    Entries,
    Status,
    columns_of,
    has_values,
)
from ihcli.report.trust import SPREADS


def test_a_column_is_called_as_its_field() -> None:
    assert [column.name for column in COLUMNS] == [f"_{field.name}" for field in fields(Entries)]


def test_names_of_columns_are_spelled_once() -> None:
    constants = {value for name, value in vars(quality).items() if name.isupper() and isinstance(value, str)}
    assert {column.name for column in COLUMNS} <= constants


def test_the_documentation_of_entries_says_what_every_column_is() -> None:
    told = inspect.getdoc(Entries) or ""
    for column in COLUMNS:
        assert f"{column.attribute:20} (N,) {column.type}: {column.definition}" in told


@pytest.mark.parametrize("kind", [Explanation, TextExplanation])
def test_every_explanation_has_all_columns(kind: type[Entries]) -> None:
    assert {column.attribute for column in COLUMNS} < {field.name for field in fields(kind)}


def test_runs_have_the_columns_of_what_they_are() -> None:
    names = [column.attribute for column in columns_of(())]
    assert not {"drift", "interaction_error", "sampling_error", "truncated", "imputed"} & set(names)
    assert [column.attribute for column in columns_of(("smoothed",))][-3] == "drift"
    assert columns_of(("interactions", "smoothed", "subsampled", "texts", "imputed")) == COLUMNS
    assert INTERACTION_SAMPLING_ERROR not in {c.name for c in columns_of(("subsampled",))}


def test_reports_tell_first_what_they_draw() -> None:
    assert [column.attribute for column in SPREADS] == [
        "relative_error",
        "interaction_error",
        "drift",
        "sampling_error",
        "interaction_sampling_error",
        "completeness_gap",
    ]


def test_the_page_of_a_report_has_words_for_every_chart_and_status() -> None:
    scripts = (file for file in files("ihcli.report").iterdir() if file.name.endswith(".js"))
    script = "\n".join(file.read_text(encoding="utf-8") for file in scripts)
    words = {
        name: re.search(rf"const {name} = {{(.*?)}};", script, flags=re.DOTALL) for name in ("SPREADS", "STATUSES")
    }
    named = {name: re.findall(r"(\w+): [\[\"]", found[1]) for name, found in words.items() if found}
    assert named["SPREADS"] == [column.attribute for column in SPREADS if column.trust == "chart"]
    assert named["STATUSES"] == list(STATUSES)


def test_statuses_are_words_in_files_and_comparisons() -> None:
    assert STATUSES == ("ok", "not_converged", "rounding", "uncertified", "missing_input", "non_finite")
    assert [f"{status}" for status in Status] == list(STATUSES) == list(Status)
    assert MISSED == ("not_converged", "rounding")
    assert WITHOUT_VALUES == ("missing_input", "non_finite")


def test_every_status_that_missed_has_a_remedy_and_no_other() -> None:
    for status in Status:
        assert bool(status.remedies) == (status in MISSED), status
        assert status.meaning


def test_figures_are_there_by_status() -> None:
    assert has_values(np.array(STATUSES, dtype=object)).tolist() == [True, True, True, True, False, False]


# A column more

ROW = """\
    toy: Annotated[
        np.ndarray | None,
        QualityColumn("_toy", "double", NO_UNIT, "twice the relative error, which nobody needs", trust="figure"),
    ] = None
    status: Annotated["""
LINE = """\
        "toy": 2 * certificate.relative_error,
        "status": certificate.status,"""
STORY = """\
import click, numpy as np, pyarrow.parquet as pq, sys, torch
import ihcli
from ihcli.cli import main
from ihcli.quality import RESERVED, Entries
from ihcli.report.contents import contents_of
from ihcli.verification import verify_run

folder = sys.argv[1]
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Softplus(), torch.nn.Linear(4, 1))
torch.jit.script(net).save(f"{folder}/net.pt")
header, rows = "a,b,c", np.random.default_rng(0).normal(size=(12, 3))
np.savetxt(f"{folder}/data.csv", rows, delimiter=",", header=header, comments="")
main(["explain", f"{folder}/net.pt", f"{folder}/data.csv", "-o", f"{folder}/run", "--quiet"], standalone_mode=False)
result = ihcli.read(f"{folder}/run")

field = pq.read_schema(f"{folder}/run/attributions/part-000000.parquet").field("_toy")
assert field.type == "double" and b"nobody needs" in field.metadata[b"definition"], field
record = result.record(3)
assert record.quality["toy"] == 2 * record.quality["relative_error"], record
assert not [finding for finding in verify_run(result.path) if finding.outcome == "failed"]
assert contents_of(result).trust.spreads["toy"].entries == 12
assert "toy" in contents_of(result).sample.quality
assert "_toy" in RESERVED and "which nobody needs" in Entries.__doc__
np.savetxt(f"{folder}/taken.csv", rows, delimiter=",", header="a,b,_toy", comments="")
try:
    main(["explain", f"{folder}/net.pt", f"{folder}/taken.csv", "-o", f"{folder}/other"], standalone_mode=False)
except click.ClickException as error:
    assert "'_toy' has the name of a column that a run writes" in str(error), error
else:
    raise AssertionError("a feature has the name of the column")
"""


@pytest.mark.slow
def test_a_column_is_one_row_and_the_line_that_computes_it(tmp_path: Path) -> None:
    package = Path(quality.__file__).parent
    copy = tmp_path / "copy" / "ihcli"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for name, before, after in (
        ("quality.py", "    status: Annotated[", ROW),
        ("explainers/gathering.py", '        "status": certificate.status,', LINE),
    ):
        text = (copy / name).read_text(encoding="utf-8")
        assert text.count(before) == 1, name
        (copy / name).write_text(text.replace(before, after), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(copy.parent), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", STORY, str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert ran.returncode == 0, ran.stderr
