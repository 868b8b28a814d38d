"""Runs and data on an object store: the same run as on a disk, by every executor, whatever stops it."""

import errno
import gzip
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result
from crashes import run_killed_ahead
from stores import content, upload
from test_executors_processes import Killing
from torch import nn

import ihcli
from ihcli.cli import main
from ihcli.errors import RunError
from ihcli.execution import forking
from ihcli.execution.pipeline import run
from ihcli.execution.preparation import prepare_run
from ihcli.execution.processes import ProcessCrew
from ihcli.execution.refusals import parse
from ihcli.execution.tasks import Stumbled, Task, Written
from ihcli.execution.worker import Commission, Worker
from ihcli.files import leases
from ihcli.files.leases import LOCK
from ihcli.files.stores import StoreError, StorePath
from ihcli.runs.merging import merge
from ihcli.runs.progress import Progress
from ihcli.runs.request import RunRequest, Workforce
from ihcli.runs.shards import Shard
from ihcli.runs.totals import Observer
from ihcli.runs.writer import RunWriter

ROWS = 41
PART_ROWS = 14  # of runs that are only read: each file of each part is a dozen requests
KILLS = 12  # writes of a run of three parts
MEMORY_BYTES = 1 << 26


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stores")
    torch.manual_seed(0)
    torch.save(nn.Sequential(nn.Linear(4, 12), nn.Softplus(), nn.Linear(12, 2)).eval(), folder / "net.pt")
    table = pd.DataFrame(np.random.default_rng(0).standard_normal((ROWS, 4)), columns=["a", "b", "c", "d"])
    table.insert(0, "id", [f"{i:03d}" for i in range(ROWS)])
    table.to_parquet(folder / "table.parquet", row_group_size=7)
    table.to_csv(folder / "table.csv", index=False)
    (folder / "table.csv.gz").write_bytes(gzip.compress((folder / "table.csv").read_bytes()))
    for place in range(3):
        table.iloc[place * 15 : (place + 1) * 15].to_parquet(folder / f"piece-{place}.parquet")
    return folder


def request_of(folder: Path, data: str | Path | None = None, workers: int = 1, **options: object) -> RunRequest:
    base = RunRequest(str(folder / "net.pt"), str(data or folder / "table.parquet"), key=("id",), chunk_rows=2)
    return replace(base, **{"memory_bytes": workers * MEMORY_BYTES, "device": "cpu", **options})


@pytest.fixture(scope="module")
def alone(folder: Path) -> dict[str, bytes]:
    """What one process writes to a disk."""
    run(request_of(folder), folder / "alone", Observer())
    return tables(content(folder / "alone"))


@pytest.fixture(scope="module")
def few_parts(folder: Path) -> Path:
    """A run of one process on a disk of larger parts."""
    run(request_of(folder, chunk_rows=PART_ROWS), folder / "few parts", Observer())
    return folder / "few parts"


def tables(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: held for name, held in files.items() if name.endswith(".parquet")}


def info_of(out: StorePath) -> dict[str, object]:
    found = json.loads((out / "run.json").read_text())
    assert isinstance(found, dict)
    return found


def ihcli_command(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


class Stopping(Observer):
    """Stops a run once so many rows are written, by `strike`."""

    def __init__(self, rows: int, strike: Callable[[], None]) -> None:
        self.rows, self.strike = rows, strike

    def chunk_done(self, done: Progress) -> None:
        self.rows -= done.rows
        if 0 >= self.rows > -done.rows:
            self.strike()


def interrupt() -> None:
    raise KeyboardInterrupt


def test_a_run_on_a_store_is_that_of_a_disk(folder: Path, alone: dict[str, bytes], store: StorePath) -> None:
    (store / "data").mkdir()
    data = upload(folder / "table.parquet", store / "data" / "table.parquet")
    totals = run(request_of(folder, data), str(store / "run"), Observer())
    assert tables(content(store / "run")) == alone
    assert {name.partition("/")[0] for name in content(store / "run")} == {
        *("attributions", "interactions", "summary", "run.json")
    }
    assert totals.path == store / "run"
    assert info_of(store / "run")["data"] == {
        **json.loads((folder / "alone" / "run.json").read_text())["data"],
        "path": data,
        "files": [data],
    }


@pytest.mark.parametrize(
    "names", [["table.csv"], ["table.csv.gz"], ["piece-0.parquet", "piece-1.parquet", "piece-2.parquet"]]
)
@pytest.mark.parametrize("by", ["directory", "glob"])
def test_tables_of_every_kind_are_read_from_a_store(
    folder: Path, few_parts: Path, bucket: StorePath, tmp_path: Path, names: list[str], by: str
) -> None:
    for name in names:
        upload(folder / name, bucket / "data" / name)
    (bucket / "data" / "_SUCCESS").write_bytes(b"")
    data = f"{bucket}data" if by == "directory" else f"{bucket}da*/[pt]*"
    run(request_of(folder, data, chunk_rows=PART_ROWS), tmp_path / "run", Observer())
    found, expected = (ihcli.read(out).attributions for out in (tmp_path / "run", few_parts))
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


def test_a_large_row_group_is_fetched_buffer_by_buffer(
    folder: Path, alone: dict[str, bytes], bucket: StorePath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = upload(folder / "table.parquet", bucket / "table.parquet")
    monkeypatch.setattr("ihcli.data.formats.parquet.FETCHED_BYTES", 100)
    run(request_of(folder, data), tmp_path / "run", Observer())
    assert tables(content(tmp_path / "run")) == alone


def test_workers_read_from_a_store_and_write_the_same_run_to_it(
    folder: Path, alone: dict[str, bytes], bucket: StorePath
) -> None:
    """Actors of Ray do so in test_executors_ray.py, on a cluster that loses a machine."""
    data = upload(folder / "table.parquet", bucket / "table.parquet")
    model = upload(folder / "net.pt", bucket / "net.pt")
    run(request_of(folder, data, workers=2, model=model), bucket / "run", Observer(), workforce=Workforce(workers=2))
    assert tables(content(bucket / "run")) == alone


@pytest.mark.parametrize("first", [Workforce(), Workforce(workers=2)], ids=["one process", "workers"])
def test_an_interrupted_run_goes_on(folder: Path, alone: dict[str, bytes], bucket: StorePath, first: Workforce) -> None:
    out = bucket / "run"
    with pytest.raises(KeyboardInterrupt):
        run(request_of(folder, workers=first.workers or 1), out, Stopping(20, interrupt), workforce=first)
    assert info_of(out)["status"] == "interrupted"
    done = [name for name in content(out) if name.startswith("attributions")]
    assert 10 <= len(done) < ROWS // 2
    resumed: list[int] = []

    class Watching(Observer):
        def resumed(self, rows: int) -> None:
            resumed.append(rows)

    run(request_of(folder), out, Watching(), existing="resume")
    assert resumed[0] >= 20
    assert tables(content(out)) == alone
    assert not [name for name in content(out) if name.startswith(".")]


@pytest.fixture(scope="module")
def short(folder: Path) -> dict[str, bytes]:
    """What one process writes to a disk of three parts."""
    run(request_of(folder, limit=6), folder / "short", Observer())
    return tables(content(folder / "short"))


@pytest.mark.parametrize("writes", range(1, KILLS + 1))
def test_a_killed_run_goes_on_when_its_lease_has_ended(
    folder: Path, short: dict[str, bytes], bucket: StorePath, writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed ahead of every write of a run of three parts: lease, run.json, parts, state, summaries, run.json."""
    asked, out = request_of(folder, limit=6), bucket / "run"
    process = forking.begin().Process(target=run_killed_ahead, args=(asked, str(out), writes, dict(os.environ)))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert (out / LOCK).exists() == (writes > 1)
    monkeypatch.setattr(leases, "ENDS_AFTER_S", 0.3)
    monkeypatch.setattr(leases, "WATCHED_S", 0.1)
    run(asked, out, Observer(), existing="resume")
    assert tables(content(out)) == short
    assert not [name for name in content(out) if name.startswith(".")]


def test_a_killed_worker_loses_and_doubles_nothing(
    folder: Path, alone: dict[str, bytes], bucket: StorePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    killing, hire = Killing(after=4), ProcessCrew.hire

    def noted(self: ProcessCrew) -> int:
        killing.crews.append(self)
        return hire(self)

    monkeypatch.setattr(ProcessCrew, "hire", noted)
    run(request_of(folder, workers=2), bucket / "run", killing, workforce=Workforce(workers=2))
    assert killing.killed == 1
    assert tables(content(bucket / "run")) == alone


def test_a_store_that_refuses_a_worker_is_left_to_others(
    folder: Path, bucket: StorePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk would refuse every worker; a store may take the next attempt."""
    prepared = prepare_run(parse(request_of(folder)))
    task = Task(0, next(prepared.chunks()))
    worker = Worker(7, Commission.of(prepared, RunWriter(bucket / "run"), MEMORY_BYTES, threads=1))
    explained = worker.explain(task)
    with monkeypatch.context() as patched:
        patched.setattr("ihcli.files.durable.PATIENCE_S", ())
        patched.setattr(StorePath, "write_bytes", refuse)
        told = worker.write(explained)
    assert isinstance(told, Stumbled)
    assert (told.worker, told.part) == (7, 0)
    assert "cannot be written: slow down" in told.error
    assert isinstance(worker.write(explained), Written)


def refuse(path: StorePath, content: bytes) -> None:
    raise StoreError(errno.EIO, "slow down", str(path))


def test_shards_on_a_store_merge_into_the_run_of_one_process(
    folder: Path, short: dict[str, bytes], store: StorePath
) -> None:
    asked, out = request_of(folder, limit=6), store / "run"
    for index in (3, 1):
        run(asked, out, Observer(), shard=Shard(index, 3))
    with pytest.raises(RunError, match=r"1 of 3 shards are not done: 2/3 was not begun\. Try ihcli explain .*://"):
        merge(out, lambda text: None)
    with pytest.raises(RunError, match="contains shards that are not merged yet"):
        ihcli.read(str(out))
    run(asked, out, Observer(), shard=Shard(2, 3))
    assert ihcli_command("merge", out).exit_code == 0
    parts = {name: held for name, held in content(out).items() if "part-" in name}
    assert parts == {name: held for name, held in short.items() if "part-" in name}
    assert {name.partition("/")[0] for name in content(out)} == {
        *("attributions", "interactions", "summary", "run.json")
    }
    assert ihcli_command("verify", out).exit_code == 0


def test_runs_on_a_store_are_read_by_every_command(
    folder: Path, few_parts: Path, bucket: StorePath, tmp_path: Path
) -> None:
    data, picture = upload(folder / "table.parquet", bucket / "table.parquet"), tmp_path / "a.png"
    run(request_of(folder, data, chunk_rows=PART_ROWS), bucket / "run", Observer())
    for name in ("interactions", "attributions"):
        assert ihcli_command(name, bucket / "run").output == ihcli_command(name, few_parts).output
        on_store, on_disk = (ihcli_command(name, place, "--key", "id=007") for place in (bucket / "run", few_parts))
        assert on_store.output == on_disk.output
    for arguments in (
        ("verify", bucket / "run"),
        ("verify", bucket / "run", folder / "net.pt", data),
        ("plot", bucket / "run", "dependence", "--feature", "a", "--target", "1", "-o", picture),
        ("report", bucket / "run", "-o", tmp_path / "report.html"),
    ):
        found = ihcli_command(*arguments)
        assert found.exit_code == 0, found.output
    assert "data files" in ihcli_command("verify", bucket / "run").output
    result = ihcli.read(f"{bucket}run")
    assert result.interaction_array(rows=[3, 40]).shape == (2, 4, 4)
    assert result.attributions["id"].tolist() == [f"{i:03d}" for i in range(ROWS)]


def test_a_run_that_is_there_is_replaced_only_when_asked(folder: Path, store: StorePath) -> None:
    asked = request_of(folder, limit=6)
    run(asked, store / "run", Observer())
    with pytest.raises(RunError, match=r"run.*: holds a run already\. Try `overwrite`"):
        run(asked, store / "run", Observer())
    (store / "run" / "notes.txt").write_bytes(b"mine")
    run(replace(asked, limit=2), store / "run", Observer(), existing="replace")
    assert (store / "run" / "notes.txt").read_text() == "mine"
    assert [name for name in content(store / "run") if name.startswith("attributions")] == [
        "attributions/part-000000.parquet"
    ]
    (store / "other").mkdir()
    (store / "other" / "notes.txt").write_bytes(b"mine")
    with pytest.raises(RunError, match="holds files that are not a run"):
        run(asked, store / "other", Observer(), existing="replace")
    with pytest.raises(RunError, match="is a file"):
        run(asked, store / "other" / "notes.txt", Observer())


def test_two_processes_do_not_write_one_run(folder: Path, bucket: StorePath) -> None:
    started = time.monotonic()
    with leases.leased(bucket / "run", lambda text: None), pytest.raises(RunError, match="is writing it now"):
        run(request_of(folder), bucket / "run", Observer())
    assert time.monotonic() - started < leases.ENDS_AFTER_S
    assert content(bucket / "run") == {}


MISTAKES = [
    (("{data}none.parquet", "-o", "{run}"), "none.parquet: no such file or directory. Expected a Parquet or CSV file"),
    (("{data}*.pq", "-o", "{run}"), "/*.pq: no file matches. Try the pattern with ls."),
    (("{data}", "-o", "s3://no-such-bucket-here/run"), "AWS Error NO_SUCH_BUCKET"),
    (("{data}", "-o", "s3://key:hunter2@bucket/run"), "was given with a secret in the URL, which run.json would keep"),
    (("nope://place/x.csv", "-o", "{run}"), "nope://place/x.csv: cannot be opened: Protocol not known: nope."),
    (("{data}broken.parquet", "-o", "{run}"), "broken.parquet: is neither Parquet nor CSV."),
    (("{data}torn.parquet", "-o", "{run}"), "torn.parquet: cannot be read as Parquet: "),
]


@pytest.mark.parametrize(("arguments", "text"), MISTAKES, ids=[text for _, text in MISTAKES])
def test_mistakes_are_one_message_and_leave_nothing(
    folder: Path, bucket: StorePath, arguments: tuple[str, ...], text: str
) -> None:
    (bucket / "broken.parquet").write_bytes(b"\0" * 100)
    (bucket / "torn.parquet").write_bytes((folder / "table.parquet").read_bytes()[:-200])
    before = set(content(bucket))
    places = {"data": str(bucket), "run": f"{bucket}run"}
    done = ihcli_command("explain", folder / "net.pt", *(argument.format(**places) for argument in arguments))
    assert done.exit_code == 1
    assert text in done.output
    assert done.output.count("Error: ") == 1
    assert "hunter2" not in done.output
    assert set(content(bucket)) == before
    assert not (bucket / "run").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("interactions", "a.csv"),
        ("attributions", "a.parquet"),
        ("plot", "bar", "--target", "1", "a.svg"),
        ("report", "a.html"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_what_commands_write_may_lie_on_a_store(
    folder: Path, alone: dict[str, bytes], store: StorePath, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    command, *others, name = arguments
    (store / "out").mkdir()
    for place in (store / "out", tmp_path):
        done = ihcli_command(command, folder / "alone", *others, "-o", place / name)
        assert done.exit_code == 0, done.output
    assert content(store / "out") == {name: (tmp_path / name).read_bytes()}
    again = ihcli_command(command, folder / "alone", *others, "-o", store / "out" / name)
    assert again.exit_code == 1
    assert f"-o {store / 'out' / name}: exists already." in again.output
    directory = store / "directory" / name
    directory.mkdir()
    (directory / "file").write_bytes(b"mine")
    assert "is a directory" in ihcli_command(command, folder / "alone", *others, "-o", directory).output
    once_more = ihcli_command(command, folder / "alone", *others, "-o", store / "out" / name, "--overwrite")
    assert once_more.exit_code == 0, once_more.output


def test_models_and_groups_are_read_from_a_store(folder: Path, store: StorePath, tmp_path: Path) -> None:
    (tmp_path / "groups.toml").write_text('[groups]\nboth = ["a", "b"]\n')
    store.mkdir()
    model = upload(folder / "net.pt", store / "net.pt")
    data = upload(folder / "table.parquet", store / "table.parquet")
    groups = upload(tmp_path / "groups.toml", store / "groups.toml")
    asked = request_of(folder, data, model=model, groups=groups, chunk_rows=PART_ROWS)
    with pytest.raises(KeyboardInterrupt):
        run(asked, store / "run", Stopping(20, interrupt))
    run(asked, store / "run", Observer(), existing="resume")
    on_disk = {"model": str(folder / "net.pt"), "groups": str(tmp_path / "groups.toml")}
    run(replace(asked, **on_disk), tmp_path / "run", Observer())
    assert tables(content(store / "run")) == tables(content(tmp_path / "run"))
    told, expected = info_of(store / "run"), json.loads((tmp_path / "run" / "run.json").read_text())
    assert told["model"] == {**expected["model"], "path": model}
    assert told["groups_sha256"] == expected["groups_sha256"]
    for arguments in (("verify", store / "run"), ("verify", store / "run", model, data)):
        found = ihcli_command(*arguments)
        assert found.exit_code == 0, found.output
        assert "model file" in found.output
        assert "groups file" in found.output
    assert ihcli_command("inspect", model).output == ihcli_command("inspect", folder / "net.pt").output


def test_a_store_that_a_run_tells_of_is_not_asked_for_anything(
    folder: Path, bucket: StorePath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run.json may be anybody's, and a request tells a server who asks."""
    data = upload(folder / "table.parquet", bucket / "table.parquet")
    model = upload(folder / "net.pt", bucket / "net.pt")
    run(request_of(folder, data, method="eg", baseline=data, model=model), tmp_path / "run", Observer())
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    told = ihcli_command("verify", tmp_path / "run")
    assert told.exit_code == 0
    for what in ("data files", "model file"):
        (line,) = (line for line in told.output.splitlines() if line.startswith(f"not checked {what}"))
        assert "is on another store than the run" in line
    picture = tmp_path / "a.png"
    drawn = ihcli_command("plot", tmp_path / "run", "dependence", "--feature", "a", "--target", "1", "-o", picture)
    assert drawn.exit_code == 1
    assert "on another store than the run" in drawn.output
    again = ihcli_command("verify", tmp_path / "run", folder / "net.pt", folder / "table.parquet")
    assert "run.json: names baselines on another store than DATA" in again.output


@pytest.mark.parametrize("name", ["table.csv", "table.parquet"])
def test_data_that_become_shorter_while_they_are_read_make_no_finished_run(
    folder: Path, store: StorePath, name: str
) -> None:
    store.mkdir()
    data = store / name
    url = upload(folder / name, data)

    def shorten() -> None:
        data.write_bytes((folder / name).read_bytes()[:600])

    with pytest.raises(RunError, match="was changed while the run read it"):
        run(request_of(folder, url), store / "run", Stopping(4, shorten))
    assert info_of(store / "run")["status"] == "failed"
