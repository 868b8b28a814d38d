"""Files that are whole or not there, and directories whose names are on disk."""

import errno
import os
import time
from pathlib import Path

import pytest
from stores import content, in_memory

from ihcli.errors import RunError
from ihcli.files.durable import PATIENCE_S, is_temporary, make_directory, remove_temporaries, replacing
from ihcli.files.locations import Location
from ihcli.files.stores import StoreError, StorePath


def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the paths that are synced from now on."""
    paths: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: paths.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    return paths


def fail_to_write(path: Location) -> None:
    with replacing(path) as stream:
        stream.write(b"new")
        raise OSError("boom")


def test_a_file_is_synced_then_named_then_its_directory_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = synced(monkeypatch)
    with replacing(tmp_path / "run.json") as stream:
        stream.write(b"{}")
        (begun,) = tmp_path.iterdir()
        assert is_temporary(begun)
    assert paths == [str(begun), str(tmp_path)]
    assert (tmp_path / "run.json").read_bytes() == b"{}"


def test_a_failed_write_keeps_the_file_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("old")
    with pytest.raises(RunError, match=r"run\.json: cannot be written: boom"):
        fail_to_write(tmp_path / "run.json")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("run.json", "old")]


def test_every_new_directory_is_synced_into_the_one_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = synced(monkeypatch)
    make_directory(tmp_path / "a" / "b")
    make_directory(tmp_path / "a" / "b")
    assert paths == [str(tmp_path), str(tmp_path / "a")]


def test_only_names_of_our_own_making_are_temporary(tmp_path: Path) -> None:
    names = [f".run.json.{'a1' * 16}", ".lock", ".run.json.swp", f"part.{'a1' * 16}", f".x.{'a1' * 16}.gz"]
    for name in names:
        (tmp_path / name).touch()
    remove_temporaries(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted(names[1:])
    remove_temporaries(tmp_path / "none")


def refusing(monkeypatch: pytest.MonkeyPatch, times: int) -> list[float]:
    """Let stores refuse so many writes from now on, and return how long was waited."""
    write, waited, left = StorePath.write_bytes, [], [times]

    def refused(self: StorePath, content: bytes) -> None:
        if left[0]:
            left[0] -= 1
            raise StoreError(errno.EIO, "slow down", str(self))
        write(self, content)

    monkeypatch.setattr(StorePath, "write_bytes", refused)
    monkeypatch.setattr(time, "sleep", waited.append)
    return waited


@pytest.mark.parametrize("times", [1, 3])
def test_a_store_that_refuses_is_asked_again(times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    place = in_memory()
    place.mkdir()
    waited = refusing(monkeypatch, times)
    with replacing(place / "run.json") as stream:
        stream.write(b"new")
    assert content(place) == {"run.json": b"new"}
    assert waited == list(PATIENCE_S[:times])


def test_a_store_that_goes_on_refusing_is_an_error_that_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    place = in_memory()
    place.mkdir()
    refusing(monkeypatch, 1 + len(PATIENCE_S))
    with (
        pytest.raises(RunError, match=r"run\.json: cannot be written: slow down\. Try another directory with `out`\."),
        replacing(place / "run.json") as stream,
    ):
        stream.write(b"new")
    assert content(place) == {}


def test_an_error_of_a_store_holds_no_view_of_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    place = in_memory()
    place.mkdir()
    refusing(monkeypatch, 1 + len(PATIENCE_S))
    with pytest.raises(RunError) as caught, replacing(place / "run.json") as stream:
        stream.write(b"new")
    assert caught.tb is not None
    stream.close()  # BufferError while a frame of the traceback has a view
