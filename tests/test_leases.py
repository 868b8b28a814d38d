"""One process writes a run on a store: who holds it, what becomes of the lease of a killed one."""

import errno
import threading
import time

import pytest
from stores import content

from ihcli.errors import RunError
from ihcli.files import leases
from ihcli.files.leases import LOCK, is_leased, leased, signature
from ihcli.files.lock import is_locked, locked
from ihcli.files.stores import StoreError, StorePath

RENEWED_S, ENDS_AFTER_S = 0.05, 1.5  # thirty renewals: a busy machine comes to one of them


@pytest.fixture
def place(store: StorePath, monkeypatch: pytest.MonkeyPatch) -> StorePath:
    """A run that is not there yet, where leases are short."""
    monkeypatch.setattr(leases, "RENEWED_S", RENEWED_S)
    monkeypatch.setattr(leases, "ENDS_AFTER_S", ENDS_AFTER_S)
    monkeypatch.setattr(leases, "WATCHED_S", RENEWED_S)
    return store / "run"


def never(text: str) -> None:
    raise AssertionError(text)


def test_a_lease_holds_until_its_end_and_leaves_nothing(place: StorePath) -> None:
    said: list[str] = []
    with leased(place, never):
        time.sleep(1.2 * ENDS_AFTER_S)
        with pytest.raises(RunError, match=f"run.*: {signature()} is writing it now"), leased(place, said.append):
            pass
    assert said == [f"{place}: {signature()} is writing it, or was stopped. Waiting up to 2 s to see which."]
    assert not place.exists()
    with leased(place, never):
        (place / "run.json").write_bytes(b"{}")
    assert content(place) == {"run.json": b"{}"}


def test_locks_of_runs_on_stores_are_leases(place: StorePath) -> None:
    with locked(place, never):
        assert (place / LOCK).is_file()
        assert is_locked(place) == is_leased(place)
    assert not is_locked(place)


def test_the_lease_of_a_killed_process_ends(place: StorePath) -> None:
    place.mkdir()
    (place / LOCK).write_bytes(b"process 7 on elsewhere\nx\n")
    said: list[str] = []
    started = time.monotonic()
    with leased(place, said.append):
        assert time.monotonic() - started >= ENDS_AFTER_S
        assert (place / LOCK).read_text().startswith(signature())
    assert len(said) == 1
    assert said[0].startswith(f"{place}: process 7 on elsewhere is writing it, or was stopped.")


def test_a_lease_that_is_given_back_meanwhile_is_free(place: StorePath) -> None:
    place.mkdir()
    (place / LOCK).write_bytes(b"process 7 on elsewhere\nx\n")
    ending = threading.Timer(ENDS_AFTER_S / 4, (place / LOCK).unlink)
    ending.start()
    with leased(place, lambda text: None):
        ending.join()


def test_a_lease_that_cannot_be_read_for_a_moment_is_not_free(
    place: StorePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, calls = StorePath.read_text, []

    def refused_second(self: StorePath, encoding: str = "utf-8") -> str:
        calls.append(self)
        if len(calls) == 2:
            raise StoreError(errno.EIO, "slow down", str(self))
        return read(self, encoding)

    with leased(place, never):
        monkeypatch.setattr(StorePath, "read_text", refused_second)
        with pytest.raises(RunError, match="is writing it now"), leased(place, lambda text: None):
            pass
    assert len(calls) > 2


def test_a_store_that_does_not_answer_is_not_free(place: StorePath, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: StorePath, encoding: str = "utf-8") -> str:
        raise StoreError(errno.EIO, "slow down", str(self))

    monkeypatch.setattr(StorePath, "read_text", refused)
    with pytest.raises(StoreError, match="slow down"), leased(place, never):
        pass


def test_a_store_that_refuses_for_a_moment_ends_no_lease(place: StorePath, monkeypatch: pytest.MonkeyPatch) -> None:
    sign, calls = leases._sign, []

    def refused_once(path: StorePath) -> None:
        calls.append(path)
        if len(calls) == 2:
            raise OSError("refused")
        sign(path)

    monkeypatch.setattr(leases, "_sign", refused_once)
    with leased(place, never):
        before = (place / LOCK).read_text()
        time.sleep(ENDS_AFTER_S)
        assert (place / LOCK).read_text() != before
    assert len(calls) > 3


def test_old_leases_are_told_by_the_clock_of_the_store(bucket: StorePath, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_leased(bucket / "run")
    (bucket / "run" / LOCK).write_bytes(b"process 7 on elsewhere\nx\n")
    assert is_leased(bucket / "run")
    written_s = (bucket / "run" / LOCK).stat().st_mtime_ns / 1e9
    assert abs(time.time() - written_s) < 60
    monkeypatch.setattr(time, "time", lambda: written_s + 31)
    assert not is_leased(bucket / "run")
