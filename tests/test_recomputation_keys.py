"""Keys of every row are those of the data, of any type, however parts and batches are cut; swapped ones are found."""

import datetime
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from forgeries import Folder, change, part
from model_files import quietly

from ihcli.data.formats import parquet as parquet_files
from ihcli.data.formats.opening import open_table
from ihcli.execution.pipeline import run
from ihcli.runs.run import open_run
from ihcli.runs.totals import Observer
from ihcli.verification import FAILED, NOT_CHECKED, PASSED, Finding, verify_run
from ihcli.verification.described import Described
from ihcli.verification.recomputation import Question, recompute
from ihcli.verification.recomputation.keys import compare_keys

ROWS = 14
DAY = datetime.date(2024, 2, 29)
KEYS: dict[str, list[Any]] = {
    "words": [f"P{row}" for row in range(ROWS)],
    "whole": list(range(ROWS)),
    "floats": [row / 3 for row in range(ROWS)],
    "gaps": [None if row % 3 else f"g{row}" for row in range(ROWS)],
    "NaN": [float("nan") if row % 4 else float(row) for row in range(ROWS)],
    "days": [DAY + datetime.timedelta(row) for row in range(ROWS)],
    "flags": [row % 2 == 0 for row in range(ROWS)],
    "nothing": [None] * ROWS,
    "zeros in front": [f"{row:03d}" for row in range(ROWS)],
    "a.b": list("abcdefghijklmn"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return Folder(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def keyed(folder: Folder) -> Path:
    """A directory with a table of keys of all types, in both formats."""
    table = pd.read_parquet(folder.path / "table.parquet").drop(columns="id")
    frame = pd.DataFrame(KEYS).assign(**table)
    frame["kinds"] = pd.Categorical(list("aabbccddeeffgg"))
    frame.to_parquet(folder.path / "keyed.parquet")
    frame.to_csv(folder.path / "keyed.csv", index=False)
    return folder.path


def compared(path: Path, data: Path) -> Finding:
    opened = open_run(path)
    return compare_keys(opened, Described.of(opened.info), open_table(str(data)))


def explained(folder: Folder, data: Path, out: Path, **more: Any) -> Path:
    names = tuple(pd.read_csv(folder.path / "keyed.csv", nrows=1).columns)
    key = tuple(name for name in names if name not in ("a", "b", "c", "d", "e", "label"))
    asked = replace(folder.request("ig"), data=str(data), key=key, features=("a", "b", "c", "d", "e"), **more)
    quietly(run, asked, out, Observer())
    return out


@pytest.mark.parametrize("more", [{}, {"target": "all"}, {"limit": 9}, {"chunk_rows": 14}], ids=str)
@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_keys_of_every_type_are_those_of_the_data(
    folder: Folder, keyed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, more: dict[str, Any]
) -> None:
    data = keyed / f"keyed.{suffix}"
    path = explained(folder, data, tmp_path / "run", **more)
    for batch_values in (parquet_files.BATCH_VALUES, 40):  # so that batches of the data end within parts
        monkeypatch.setattr(parquet_files, "BATCH_VALUES", batch_values)
        finding = compared(path, data)
        assert finding.outcome == PASSED, finding.detail
        assert finding.checked == more.get("limit", ROWS) * (3 if "target" in more else 1)


def _swapped(column: str) -> Callable[[pa.Table], pa.Table]:
    def alter(table: pa.Table) -> pa.Table:
        place, order = table.schema.get_field_index(column), [*range(len(table) - 2), len(table) - 1, len(table) - 2]
        return table.set_column(place, table.schema.field(column), table[column].take(order))

    return alter


@pytest.mark.parametrize("column", [name for name in KEYS if name not in ("nothing", "gaps", "NaN")])
def test_keys_of_two_rows_that_were_swapped_are_found(folder: Folder, keyed: Path, tmp_path: Path, column: str) -> None:
    path = explained(folder, keyed / "keyed.parquet", tmp_path / "run")
    change(part(path), _swapped(column))
    finding = compared(path, keyed / "keyed.parquet")
    assert finding.outcome == FAILED
    assert finding.detail == f"2 rows with another {column!r} than the data, first row 6"


def test_swapped_keys_in_both_kinds_of_parts_fail_whatever_rows_are_drawn(folder: Folder, tmp_path: Path) -> None:
    path, asked = folder.copy("ih", tmp_path / "run"), folder.request("ih")
    for files in ("attributions", "interactions"):
        change(part(path, files), _swapped("id"))
    alone = {finding.check for finding in verify_run(path) if finding.outcome == FAILED}
    assert alone == {"SHA-256"}
    others = (seed for seed in range(50) if np.random.default_rng(seed).choice(ROWS, 1, replace=False)[0] < 6)
    question = Question(asked.model, asked.data, 1, next(others))
    found = {finding.check: finding for finding in recompute(path, question)}
    assert found["sample"].outcome == PASSED
    assert found["keys"].outcome == FAILED


def test_rows_that_the_data_does_not_have_are_found(folder: Folder, tmp_path: Path) -> None:
    path = folder.run("ig")
    short = tmp_path / "short.parquet"
    pd.read_parquet(folder.path / "table.parquet").head(10).to_parquet(short)
    assert compared(path, short).detail == "4 rows that the data does not have there, first row 10"


def test_a_run_without_keys_says_how_to_have_some(folder: Folder, tmp_path: Path) -> None:
    asked = replace(folder.request("ig"), key=(), exclude=("id",))
    quietly(run, asked, tmp_path / "run", Observer())
    finding = compared(tmp_path / "run", Path(asked.data))
    assert finding.outcome == NOT_CHECKED
    assert finding.detail == "the run has no key columns. Try ihcli explain with `key`"


def test_several_files_are_one_table(folder: Folder, tmp_path: Path) -> None:
    frame = pd.read_parquet(folder.path / "table.parquet")
    for number, rows in enumerate(np.array_split(np.arange(ROWS), 3)):
        frame.iloc[rows].to_parquet(tmp_path / f"{number}.parquet")
    asked = replace(folder.request("ig"), data=str(tmp_path))
    quietly(run, asked, tmp_path / "run", Observer())
    assert compared(tmp_path / "run", tmp_path).outcome == PASSED
