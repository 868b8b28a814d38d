"""Forecasts against what runs then take: sizes of parts and summaries, of tables and texts, and how figures add up."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from checkpoints import CORPUS, save
from torch import nn

from ihcli.execution import forecasting
from ihcli.execution.forecasting import estimate
from ihcli.execution.pipeline import run
from ihcli.runs.request import RunRequest, Workforce
from ihcli.runs.shards import Shard
from ihcli.runs.totals import Observer

NEAR = 0.2
"""Relative; figures of a few rows stand for those of all."""


def make(folder: Path, n_features: int, n_rows: int, **options: object) -> RunRequest:
    torch.manual_seed(0)
    torch.save(nn.Sequential(nn.Linear(n_features, 8), nn.Softplus(), nn.Linear(8, 2)), folder / "m.pt")
    values = np.random.default_rng(0).standard_normal((n_rows, n_features))
    table = pd.DataFrame(values, columns=[f"feature {i}" for i in range(n_features)])
    table["id"] = [f"row-{i:07d}" for i in range(n_rows)]
    table.to_parquet(folder / "d.parquet", index=False)
    return RunRequest(str(folder / "m.pt"), str(folder / "d.parquet"), key=("id",), **options)  # type: ignore[arg-type]


def bytes_in(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


CASES = {
    "few features": (3, 2000, {}),
    "some features, small parts": (40, 900, {"chunk_rows": 100}),
    "a part of one row": (300, 7, {"chunk_rows": 1}),
    "more features than rows": (400, 8, {}),
    "the largest pairs": (250, 60, {"interactions": "top:5"}),
    "no pairs of rows": (250, 60, {"interactions": "none"}),
    "all targets": (60, 300, {"target": "all"}),
    "first order": (200, 1500, {"method": "ig"}),
    "many baselines": (60, 200, {"method": "eg", "baseline_rows": 20}),
    "many baselines, second order": (60, 200, {"method": "eh", "baseline_rows": 5}),
    "a limit": (30, 500, {"limit": 100}),
    "one row": (300, 1, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_sizes_on_disk_are_foreseen(tmp_path: Path, case: str) -> None:
    n_features, n_rows, options = CASES[case]
    request = make(tmp_path, n_features, n_rows, **options)
    foreseen = estimate(request, Observer())
    run(request, tmp_path / "run", Observer())
    summary = bytes_in(tmp_path / "run" / "summary")
    assert foreseen.summary_bytes == pytest.approx(summary, rel=NEAR)
    assert foreseen.parts_bytes == pytest.approx(bytes_in(tmp_path / "run") - summary, rel=NEAR)


@pytest.mark.parametrize("method", ["ih", "ig"])
def test_sizes_of_texts_are_foreseen(tmp_path: Path, method: str) -> None:
    save(tmp_path / "bert", "distilbert")
    random = np.random.default_rng(0)
    words = " ".join(CORPUS).split()
    texts = [" ".join(random.choice(words, random.integers(3, 6))) for _ in range(40)]
    pd.DataFrame({"t": texts}).to_parquet(tmp_path / "d.parquet")
    table = tmp_path / "d.parquet"
    # So loose that all rows rank: of some, no pilot foretells whether there will be a summary of all.
    request = RunRequest(str(tmp_path / "bert"), str(table), method, text="t", max_evaluations=8, tolerance=1e3)
    foreseen = estimate(request, Observer())
    run(request, tmp_path / "run", Observer())
    summary = bytes_in(tmp_path / "run" / "summary")
    assert foreseen.summary_bytes == pytest.approx(summary, rel=2 * NEAR)  # by how fast words grow in half as many
    assert foreseen.parts_bytes == pytest.approx(bytes_in(tmp_path / "run") - summary, rel=NEAR)


def test_the_summary_of_pairs_takes_time_and_memory_whatever_is_stored_of_rows(tmp_path: Path) -> None:
    narrow, wide = (make(folder, n, 3, interactions="none") for n, folder in made(tmp_path, 30, 800))
    few, many = estimate(narrow, Observer()), estimate(wide, Observer())
    assert many.summary_s > few.summary_s
    assert many.peak_bytes - few.peak_bytes > 80 * 800 * 799 // 2  # moments, and the ranked table
    assert many.wall_s == many.checks_s + many.rows_s + many.summary_s


def made(folder: Path, *widths: int) -> list[tuple[int, Path]]:
    folders = [(width, folder / str(width)) for width in widths]
    for _, path in folders:
        path.mkdir()
    return folders


def test_a_wide_summary_is_ranked_in_part_and_scaled_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = make(tmp_path, 400, 40)
    whole = estimate(request, Observer())
    monkeypatch.setattr(forecasting, "MOST_TRIED", 5000)
    assert estimate(request, Observer()).summary_bytes == pytest.approx(whole.summary_bytes, rel=NEAR)


def test_a_shard_is_told_of_its_own_rows_and_of_no_summary(tmp_path: Path) -> None:
    request = make(tmp_path, 5, 90, chunk_rows=20)
    shard = estimate(request, Observer(), shard=Shard(2, 2))
    whole = estimate(request, Observer())
    assert (shard.rows, whole.rows) == (40, 90)
    assert (shard.summary_bytes, shard.summary_s) == (0, 0.0)
    assert shard.parts_bytes < 0.6 * whole.parts_bytes


def test_workers_are_foreseen_with_the_threads_that_each_will_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 6)
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    foreseen = estimate(make(tmp_path, 5, 90, chunk_rows=20), Observer(), Workforce(workers=3))
    assert foreseen.workers == 3
    assert threads == [2, 6]


def test_rows_that_have_no_figures_cost_no_time(tmp_path: Path) -> None:
    request = make(tmp_path, 50, 1000, missing="flag")
    table = pd.read_parquet(request.data)
    table.loc[:799, "feature 0"] = np.nan
    table.to_parquet(request.data, index=False)
    foreseen = estimate(request, Observer())
    run(request, tmp_path / "run", Observer())
    assert foreseen.rows == 1000
    assert foreseen.disk_bytes == pytest.approx(bytes_in(tmp_path / "run"), rel=NEAR)


def test_a_pilot_takes_about_its_time_however_many_rows_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecasting, "PILOT_S", 0.0)
    request = make(tmp_path, 20, 300)
    assert estimate(request, Observer()).pilot_rows == 1
    monkeypatch.setattr(forecasting, "PILOT_S", 1e9)
    assert estimate(replace(request, chunk_rows=70), Observer()).pilot_rows == 70
