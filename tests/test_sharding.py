"""Shards of a run: what is whose, and that they keep out of each other's way."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from ihcli.errors import OptionError, RunError
from ihcli.execution.pipeline import run
from ihcli.runs.progress import Progress
from ihcli.runs.request import RunRequest
from ihcli.runs.run import open_run
from ihcli.runs.shards import Place, Shard
from ihcli.runs.totals import Observer


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> RunRequest:
    """A small network and a table of 23 rows, in 12 chunks."""
    folder = tmp_path_factory.mktemp("shards")
    torch.manual_seed(0)
    torch.save(nn.Sequential(nn.Linear(3, 8), nn.Softplus(), nn.Linear(8, 1)).eval(), folder / "net.pt")
    table = pd.DataFrame(np.random.default_rng(0).standard_normal((23, 3)), columns=["a", "b", "c"])
    table.to_parquet(folder / "table.parquet")
    return RunRequest(str(folder / "net.pt"), str(folder / "table.parquet"), chunk_rows=2, memory_bytes=1 << 26)


def parts_of(out: Path) -> list[int]:
    return sorted(int(file.stem.removeprefix("part-")) for file in (out / "attributions").glob("part-*"))


@pytest.mark.parametrize("count", [1, 2, 5, 12, 40])
def test_every_part_and_row_belongs_to_one_shard(count: int) -> None:
    shards = [Shard(index, count) for index in range(1, count + 1)]
    assert sorted(part for shard in shards for part in shard.parts(12)) == list(range(12))
    assert all(shard.owns(part) for shard in shards for part in shard.parts(12))
    assert sum(shard.rows(23, 2) for shard in shards) == 23


def test_a_shard_is_named_from_one() -> None:
    assert Shard.parse("2/4") == Shard(2, 4)
    assert str(Shard(2, 4)) == "2/4"


@pytest.mark.parametrize("text", ["0/4", "5/4", "2", "a/b", "-1/4", "1/0", "2/4 "])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(OptionError) as caught:
        Shard.parse(text)
    assert str(caught.value) == (
        f"`shard`: {text!r} is not a share of a run. Expected I/N with I from 1 to N, such as 2/4. Where jobs count "
        "from 0, try `shard=$((INDEX + 1))/N`."
    )


def test_a_shard_writes_its_own_parts_and_tells_its_own_rows(asked: RunRequest, tmp_path: Path) -> None:
    rows = []

    class Hearing(Observer):
        def prepared(self, n_rows: int) -> None:
            rows.append(n_rows)

    totals = run(asked, tmp_path / "run", Hearing(), shard=Shard(2, 5))
    assert parts_of(tmp_path / "run") == [1, 6, 11]
    assert (totals.path, totals.rows, rows) == (tmp_path / "run", 5, [5])
    assert not (tmp_path / "run" / "run.json").exists()
    info = json.loads((tmp_path / "run" / "shards" / "2-of-5" / "run.json").read_text())
    assert (info["status"], info["shard"], info["totals"]["rows"]) == ("done", "2/5", 5)


def test_a_stopped_shard_goes_on_and_a_finished_one_is_left_as_it_is(asked: RunRequest, tmp_path: Path) -> None:
    class Stopping(Observer):
        def chunk_done(self, done: Progress) -> None:
            raise KeyboardInterrupt

    out, shard = tmp_path / "run", Shard(1, 3)
    with pytest.raises(KeyboardInterrupt):
        run(asked, out, Stopping(), shard=shard)
    assert 1 <= len(parts_of(out)) <= 2
    written = {file: file.stat().st_mtime_ns for file in out.rglob("part-*")}
    with pytest.raises(RunError, match=r"1-of-3: holds a run that did not finish \(status interrupted\)"):
        run(asked, out, Observer(), shard=shard)
    assert run(asked, out, Observer(), existing="resume", shard=shard).rows == 8
    assert parts_of(out) == [0, 3, 6, 9]
    assert {file: file.stat().st_mtime_ns for file in written} == written
    assert run(asked, out, Observer(), existing="resume", shard=shard).was_done
    assert (out / "shards" / "1-of-3" / ".states").is_dir()


def test_overwriting_a_shard_leaves_the_others_alone(asked: RunRequest, tmp_path: Path) -> None:
    out = tmp_path / "run"
    for index in (1, 2):
        run(asked, out, Observer(), shard=Shard(index, 2))
    others = {file: file.stat().st_mtime_ns for file in out.rglob("part-*") if int(file.stem[5:]) % 2}
    half_written = out / "attributions" / f".part-000001.parquet.{'0' * 32}"
    half_written.write_text("another shard is at it")
    run(replace(asked, seed=1), out, Observer(), existing="replace", shard=Shard(1, 2))
    assert {file: file.stat().st_mtime_ns for file in others} == others
    assert half_written.exists()
    assert parts_of(out) == list(range(12))


def test_a_shard_that_fails_before_its_first_part_leaves_nothing(
    asked: RunRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RunError("no space left")

    monkeypatch.setattr("ihcli.runs.writer.RunWriter.write_part", refuse)
    with pytest.raises(RunError, match="no space left"):
        run(asked, tmp_path / "run", Observer(), shard=Shard(1, 2))
    assert not (tmp_path / "run").exists()


def test_runs_and_shards_do_not_mix(asked: RunRequest, tmp_path: Path) -> None:
    run(asked, tmp_path / "whole", Observer())
    run(asked, tmp_path / "cut", Observer(), shard=Shard(1, 4))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    whole, cut, half = tmp_path / "whole", tmp_path / "cut", Shard(1, 2)
    for place, message in (
        (Place(whole, half, "replace"), "holds a run already, not shards of one. Try another `out`."),
        (Place(cut, half, "resume"), "Expected `shard=I/4`, got `shard=1/2`. Try that, or another `out`."),
        (Place(cut, None, "replace"), "Try ihcli merge when all are done, or another `out`."),
        (Place(tmp_path / "mine", half, "replace"), "holds files that are not shards of a run."),
    ):
        with pytest.raises(RunError) as caught:
            place.refuse_existing()
        assert message in str(caught.value)
    with pytest.raises(RunError, match="contains shards that are not merged yet"):
        open_run(tmp_path / "cut")
