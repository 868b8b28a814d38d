"""The section of the report on other runs."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from written_runs import random_gammas, write_table_run

from ihcli.cli import main
from ihcli.errors import RunError
from ihcli.report.compared import compared_with
from ihcli.results.result import read

KEYS = [f"P{row}" for row in range(9)]


def test_a_page_tells_how_far_other_runs_agree(tmp_path: Path) -> None:
    first, other = (write_table_run(tmp_path / f"run{i}", random_gammas(9, seed=i), keys=KEYS) for i in range(2))
    tables, settings = compared_with(read(first), [read(other)])
    assert [table.title for table in tables] == ["Runs", "Features", "Pairs"]
    assert tables[0].columns["values"] == ["attributions", "interactions"]
    assert len(tables[2].columns["feature_i"]) == tables[2].all_lines == 6
    assert settings == []
    same, _ = compared_with(read(first), [read(first)])
    assert set(same[0].columns["spearman"]) == {1.0}


def test_the_command_writes_them_into_the_page(tmp_path: Path) -> None:
    first, other = (write_table_run(tmp_path / f"run{i}", random_gammas(9, seed=i), keys=KEYS) for i in range(2))
    for more, count in (([], 0), (["--compare", str(other)], 3)):
        asked = ["report", str(first), "-o", str(tmp_path / "page.html"), "--overwrite", *more]
        done = CliRunner().invoke(main, asked)
        assert done.exit_code == 0, done.output
        page = (tmp_path / "page.html").read_text(encoding="utf-8")
        (contents,) = re.findall(r'<script type="application/json" id="contents">(.*?)</script>', page, re.DOTALL)
        assert len(json.loads(contents)["compared"]) == count


def test_runs_over_other_rows_are_refused(tmp_path: Path) -> None:
    first = write_table_run(tmp_path / "first", random_gammas(9), keys=KEYS)
    other = write_table_run(tmp_path / "other", random_gammas(9), keys=["X", *KEYS[1:]])
    with pytest.raises(RunError, match="lacks 1 row"):
        compared_with(read(first), [read(other)])
