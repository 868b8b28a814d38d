"""Shards merged: the run that one process would have written, or a refusal that says what is missing."""

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from small_runs import write_inputs
from torch import nn

from ihcli.errors import RunError
from ihcli.execution.pipeline import run
from ihcli.methods import names_of
from ihcli.runs import merging
from ihcli.runs.merging import merge
from ihcli.runs.request import RunRequest
from ihcli.runs.run import open_run
from ihcli.runs.shards import Shard
from ihcli.runs.totals import Observer

ROUNDING = 1e-12
"""Of sums in float64 that are taken in another order."""
KINDS = {
    "attributions": {"method": "ig"},
    "matrices": {"method": "ih", "target": "all"},
    "largest pairs": {"method": "ih", "interactions": "top:2"},
    "cut short": {"method": "ih", "max_evaluations": 8, "tolerance": 2e-11, "dtype": "float64"},
    "summaries": {"method": "eh", "interactions": "none", "baseline_rows": 5},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inputs(tmp_path_factory.mktemp("merging"), n_rows=19, activation=nn.Softplus, width=8, labelled=False)


def request_of(folder: Path, **options: object) -> RunRequest:
    base = RunRequest(str(folder / "net.pt"), str(folder / "table.parquet"), key=("id",), chunk_rows=2)
    return replace(base, **{"memory_bytes": 1 << 26, **options})


def no_warning(text: str) -> None:
    raise AssertionError(text)


def content(out: Path) -> dict[str, bytes]:
    return {str(file.relative_to(out)): file.read_bytes() for file in out.rglob("part-*")}


@pytest.mark.parametrize("kind", KINDS)
def test_shards_in_any_order_merge_into_the_run_of_one_process(folder: Path, tmp_path: Path, kind: str) -> None:
    asked, out = request_of(folder, **KINDS[kind]), tmp_path / "cut"
    run(asked, tmp_path / "whole", Observer())
    order = random.Random(kind).sample(range(1, 5), 4)
    for index in order:
        run(asked, out, Observer(), shard=Shard(index, 4))
    totals = merge(out, no_warning)
    assert content(out) == content(tmp_path / "whole")
    assert sorted(file.name for file in out.iterdir()) == sorted(file.name for file in (tmp_path / "whole").iterdir())
    for file in (tmp_path / "whole" / "summary").iterdir():
        expected, found = pd.read_parquet(file), pd.read_parquet(out / "summary" / file.name)
        pd.testing.assert_frame_equal(found, expected, rtol=ROUNDING, atol=ROUNDING)
    if kind == "cut short":
        left_out, rows = (pd.read_parquet(out / "summary/interactions.parquet")[name] for name in ("left_out", "rows"))
        assert (left_out * rows).min() > 0
    info, model = (json.loads((path / "run.json").read_text()) for path in (out, tmp_path / "whole"))
    walls_s = [shard["totals"].pop("wall_s") for shard in info["shards"]]
    assert info["totals"].pop("wall_s") == pytest.approx(sum(walls_s), abs=0.01)
    del model["totals"]["wall_s"]
    assert info["totals"] == model["totals"]
    assert [shard["shard"] for shard in info.pop("shards")] == ["1/4", "2/4", "3/4", "4/4"]
    assert list(info) == list(model)
    assert (totals.rows, totals.statuses) == (19, model["totals"]["statuses"])


def test_more_shards_than_chunks_merge_too(folder: Path, tmp_path: Path) -> None:
    asked = request_of(folder, limit=3)
    for index in (1, 2, 3):
        run(asked, tmp_path / "run", Observer(), shard=Shard(index, 3))
    assert merge(tmp_path / "run", no_warning).rows == 3
    assert open_run(tmp_path / "run").summary_attributions()["rows"].to_pylist()[0] == 3


def test_a_merged_run_is_left_as_it_is(folder: Path, tmp_path: Path) -> None:
    asked, out = request_of(folder), tmp_path / "run"
    for index in (1, 2):
        run(asked, out, Observer(), shard=Shard(index, 2))
    first = merge(out, no_warning)
    before = (out / "run.json").read_bytes()
    again = merge(out, no_warning)
    assert (again.was_done, again.rows) == (True, first.rows)
    assert run(asked, out, Observer(), existing="resume", shard=Shard(2, 2)).was_done
    assert (out / "run.json").read_bytes() == before


def test_a_merge_that_was_killed_is_done_again(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "run"
    run(request_of(folder), out, Observer(), shard=Shard(1, 1))
    with monkeypatch.context() as patched:
        patched.setattr(merging, "remove_tree", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            merge(out, no_warning)
    assert merge(out, no_warning).rows == 19
    assert not (out / "shards").exists()


def test_missing_shards_are_named_with_the_command_that_runs_them(folder: Path, tmp_path: Path) -> None:
    asked, out = request_of(folder, method="eg", features=tuple("abcd"), trust=True), tmp_path / "run"
    run(asked, out, Observer(), shard=Shard(3, 4))
    run(asked, out, Observer(), shard=Shard(4, 4))
    info = out / "shards" / "4-of-4" / "run.json"
    info.write_text(info.read_text().replace('"status": "done"', '"status": "interrupted"'))
    with pytest.raises(RunError) as caught:
        merge(out, no_warning)
    assert str(caught.value) == (
        f"{out}: 3 of 4 shards are not done: 1/4 was not begun; 2/4 was not begun; 4/4 did not finish (status "
        f"interrupted). Try ihcli explain {folder}/net.pt {folder}/table.parquet `method=eg` `memory_bytes=67108864` "
        f"`key=id` `features=a,b,c,d` `chunk_rows=2` `trust` `out={out}` `shard=I/4` `resume`"
    )
    assert not (out / "run.json").exists()


def change_tolerance(folder: Path) -> RunRequest:
    return request_of(folder, tolerance=0.1)


def change_model(folder: Path) -> RunRequest:
    torch.save(nn.Sequential(nn.Linear(4, 8), nn.Softplus(), nn.Linear(8, 2)).eval(), folder / "net.pt")
    return request_of(folder)


def change_chunks(folder: Path) -> RunRequest:
    return request_of(folder, chunk_rows=3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (change_tolerance, "Expected the same tolerance, got 0.01 and 0.1."),
        (change_model, "Expected the same model sha256, got "),
        (change_chunks, "Expected the same chunk rows, got 2 and 3."),
    ],
)
def test_shards_of_different_runs_are_refused(folder: Path, tmp_path: Path, change: object, words: str) -> None:
    for name in ("net.pt", "table.parquet"):
        shutil.copy(folder / name, tmp_path / name)
    run(request_of(tmp_path), tmp_path / "run", Observer(), shard=Shard(1, 2))
    run(change(tmp_path), tmp_path / "run", Observer(), shard=Shard(2, 2))
    with pytest.raises(RunError) as caught:
        merge(tmp_path / "run", no_warning)
    assert f"{tmp_path / 'run'}: shards 1/2 and 2/2 are not of one run. {words}" in str(caught.value)


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        *((name, "attributions") for name in names_of(integrals=True)),
        *((name, "interactions") for name in names_of(order=2, integrals=True)),
    ],
)
def test_a_lost_part_is_named(folder: Path, tmp_path: Path, method: str, kind: str) -> None:
    out = tmp_path / "run"
    run(request_of(folder, method=method, baseline_rows=2), out, Observer(), shard=Shard(1, 1))
    (out / kind / "part-000004.parquet").unlink()
    with pytest.raises(RunError) as caught:
        merge(out, no_warning)
    assert "lacks 1 of 10 parts, the first is part-000004.parquet." in str(caught.value)


def test_a_directory_without_shards_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no shards of a run"):
        merge(tmp_path, no_warning)


def test_rows_of_a_merged_run_are_all_there_once(folder: Path, tmp_path: Path) -> None:
    for index in (2, 1):
        run(request_of(folder), tmp_path / "run", Observer(), shard=Shard(index, 2))
    merge(tmp_path / "run", no_warning)
    assert pq.read_table(tmp_path / "run" / "attributions")["_row"].to_pylist() == list(range(19))
