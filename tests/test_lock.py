"""One process writes a run: the lock, who holds it, and what it leaves."""

import errno
import fcntl
import os
import signal
from pathlib import Path

import pytest

from ihcli.errors import RunError
from ihcli.files import lock
from ihcli.files.lock import LOCK, is_locked, locked


def never(text: str) -> None:
    raise AssertionError(text)


def test_a_lock_holds_until_its_end_and_leaves_nothing(tmp_path: Path) -> None:
    run = tmp_path / "deep" / "run"
    with locked(run, never):
        assert is_locked(run)
        with pytest.raises(RunError, match=f"run: process {os.getpid()} on .* is writing it now"), locked(run, never):
            pass
        assert is_locked(run)
    assert not is_locked(run)
    assert not (tmp_path / "deep").exists()


def test_what_came_into_the_directory_stays(tmp_path: Path) -> None:
    with locked(tmp_path / "deep" / "run", never):
        (tmp_path / "deep" / "run" / "run.json").touch()
    assert os.listdir(tmp_path / "deep" / "run") == ["run.json"]
    (tmp_path / "empty").mkdir()
    with locked(tmp_path / "empty", never):
        pass
    assert os.listdir(tmp_path / "empty") == []


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    ready, tell = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            with locked(tmp_path, never):
                os.write(tell, b"locked")
                signal.pause()
        finally:
            os._exit(1)
    assert os.read(ready, 6) == b"locked"
    with pytest.raises(RunError, match=f"process {pid} on "), locked(tmp_path, never):
        pass
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert (tmp_path / LOCK).exists()
    assert not is_locked(tmp_path)
    with locked(tmp_path, never):
        assert is_locked(tmp_path)


def test_a_lock_whose_file_was_removed_meanwhile_is_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []

    def removed_first(descriptor: int, operation: int) -> None:
        taken.append(descriptor)
        if len(taken) == 1:
            (tmp_path / LOCK).unlink()

    monkeypatch.setattr(fcntl, "flock", removed_first)
    with locked(tmp_path, never):
        assert len(taken) == 2


def test_a_file_system_without_locks_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", unsupported)
    warnings: list[str] = []
    with locked(tmp_path, warnings.append):
        assert not is_locked(tmp_path)
    assert warnings == [f"{tmp_path}: the file system has no locks. Make sure that no other process writes this run."]


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="run: cannot be written: Not a directory"), locked(tmp_path / "file/run", never):
        pass
