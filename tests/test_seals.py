"""Whoever writes the parts of a run, run.json tells the SHA-256 of each; what was asked has one, wherever files lie."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from forgeries import Folder
from model_files import quietly
from stores import in_memory

from ihcli.execution.pipeline import run
from ihcli.files.locations import Location
from ihcli.runs.info import RunInfo
from ihcli.runs.merging import merge
from ihcli.runs.progress import Progress
from ihcli.runs.request import Workforce
from ihcli.runs.run import open_run
from ihcli.runs.seals import is_sealed, question, question_sha256, read_digests, sealed, seals_of_parts, stored_digests
from ihcli.runs.shards import Shard
from ihcli.runs.totals import Observer
from ihcli.verification import PASSED, verify_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return Folder(tmp_path_factory.mktemp("sealed"))


def hashed(path: Path) -> dict[str, Any]:
    """Return what run.json must say of the files, by reading them."""

    def sha256(file: Path) -> str:
        return hashlib.sha256(file.read_bytes()).hexdigest()

    kinds = [path / kind for kind in ("attributions", "interactions") if (path / kind).is_dir()]
    parts = {kind.name: [sha256(file) for file in sorted(kind.iterdir())] for kind in kinds}
    return {**parts, "summary": {file.stem: sha256(file) for file in (path / "summary").iterdir()}}


def told(path: Location) -> dict[str, Any]:
    return {
        name: seal for name, seal in open_run(path).info.sha256.content().items() if name not in ("question", "run")
    }


class Stopping(Observer):
    """Stops a run after so many chunks."""

    def __init__(self, after: int) -> None:
        self._left = after

    def chunk_done(self, done: Progress) -> None:
        self._left -= 1
        if not self._left:
            raise KeyboardInterrupt


@pytest.mark.parametrize("kind", ["ih", "ig", "largest pairs", "texts", "summaries only"])
def test_run_json_tells_the_sha256_of_every_file(folder: Folder, kind: str) -> None:
    path = folder.run(kind)
    assert told(path) == hashed(path)
    info = json.loads((path / "run.json").read_text())
    assert is_sealed(RunInfo.of(info))
    for file in [*path.glob("attributions/*"), *path.glob("interactions/*")]:
        assert pq.read_schema(file).metadata[b"question"].decode() == info["sha256"]["question"]


def test_parts_of_workers_shards_and_resumed_runs_are_told_alike(folder: Folder, tmp_path: Path) -> None:
    asked = folder.request("ih")
    quietly(run, asked, tmp_path / "workers", Observer(), workforce=Workforce(workers=2))
    with pytest.raises(KeyboardInterrupt):
        quietly(run, asked, tmp_path / "resumed", Stopping(2))
    quietly(run, asked, tmp_path / "resumed", Observer(), existing="resume")
    for index in (2, 1):
        quietly(run, asked, tmp_path / "shards", Observer(), shard=Shard(index, 2))
    merge(tmp_path / "shards", lambda text: None)
    expected = hashed(folder.run("ih"))
    for name in ("workers", "resumed", "shards"):
        assert told(tmp_path / name) == hashed(tmp_path / name)
        assert told(tmp_path / name)["attributions"] == expected["attributions"]
        assert told(tmp_path / name)["interactions"] == expected["interactions"]
        assert {finding.outcome for finding in verify_run(tmp_path / name)} == {PASSED}


def test_parts_on_a_store_are_told_too(folder: Folder) -> None:
    out = in_memory() / "run"
    quietly(run, folder.request("ih"), out, Observer())
    assert told(out) == hashed(folder.run("ih"))
    assert {finding.check: finding.outcome for finding in verify_run(out)}["SHA-256"] == PASSED


def test_a_state_without_digests_is_completed_from_the_files(folder: Folder, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        quietly(run, folder.request("ih"), tmp_path / "run", Stopping(2))
    (state,) = (tmp_path / "run" / ".states").glob("*.npz")
    _drop(state, ("sealed.npy", "digests.npy"))
    quietly(run, folder.request("ih"), tmp_path / "run", Observer(), existing="resume")
    assert told(tmp_path / "run") == hashed(tmp_path / "run")


def _drop(archive: Path, names: tuple[str, ...]) -> None:
    import zipfile

    shutil.copy(archive, archive.with_name("old"))
    with zipfile.ZipFile(archive.with_name("old")) as old, zipfile.ZipFile(archive, "w") as new:
        for name in old.namelist():
            if name not in names:
                new.writestr(name, old.read(name))


def test_a_question_is_the_same_wherever_its_files_lie(folder: Folder, tmp_path: Path) -> None:
    asked = folder.request("eh of all targets, grouped")
    moved = {name: tmp_path / Path(str(getattr(asked, name))).name for name in ("model", "data", "groups")}
    for name, place in moved.items():
        shutil.copy(getattr(asked, name), place)
    elsewhere = replace(asked, **{name: str(place) for name, place in moved.items()})
    quietly(run, elsewhere, tmp_path / "run", Observer())
    first, second = (open_run(path).info for path in (folder.run("eh of all targets, grouped"), tmp_path / "run"))
    assert question(first) == question(second)
    assert question_sha256(first) == question_sha256(second)


CHANGES = {"tolerance": 0.5, "seed": 1, "steps": 9, "method": "ig", "limit": 3, "smooth": "none"}


@pytest.mark.parametrize("name", CHANGES)
def test_another_argument_is_another_question(folder: Folder, name: str) -> None:
    info = json.loads((folder.run("ih") / "run.json").read_text())
    asked = question_sha256(RunInfo.of(info))
    changed = {**info, "arguments": {**info["arguments"], name: CHANGES[name]}}
    assert question_sha256(RunInfo.of(changed)) != asked
    assert question_sha256(RunInfo.of({**info, "target": "9"})) != asked


def test_a_seal_is_of_everything_but_itself() -> None:
    told = {"status": "done", "totals": {"rows": 3, "wall_s": 0.1}, "sha256": {"question": "q"}, "of a stranger": [1.5]}
    info = sealed(RunInfo.of(told)).content()
    assert is_sealed(RunInfo.of(info))
    assert sealed(RunInfo.of(info)).content() == info
    assert is_sealed(RunInfo.of(json.loads(json.dumps(info, indent=4, sort_keys=True))))
    changes: list[dict[str, Any]] = [{"status": "failed"}, {"totals": {"rows": 3, "wall_s": 0.2}}, {"sha256": {}}]
    for change in (*changes, {"more": None}, {"units": None}, {"of a stranger": [1.6]}):
        assert not is_sealed(RunInfo.of({**info, **change}))


def test_digests_are_stored_as_bytes() -> None:
    digests = [(bytes([part]) * 32, bytes([part + 100]) * 32) for part in range(3)]
    assert read_digests(stored_digests(digests)) == digests
    assert read_digests(stored_digests([])) == []
    assert seals_of_parts(digests).interactions[2] == "66" * 32
    assert seals_of_parts([]).content() == {}
