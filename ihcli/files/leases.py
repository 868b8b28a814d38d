"""The lock of a run on a store, which knows none: a file that a process writes anew while it lives."""

import os
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ihcli.errors import RunError
from ihcli.files.durable import disk_errors, put
from ihcli.files.locations import Location
from ihcli.files.stores import StoreError, StorePath

LOCK = ".lock"
RENEWED_S = 5.0
ENDS_AFTER_S = 30.0  # without being renewed: a process that lives writes it anew in this time
WATCHED_S = 0.5


@contextmanager
def leased(path: StorePath, warned: Callable[[str], None]) -> Iterator[None]:
    """Keep other processes from writing a run; the directory is made, and removed again when nothing came into it.

    The lease of a killed process ends ENDS_AFTER_S after it: whether it is alive is told by whether the file changes,
    so that no clocks are compared. Not kept apart: two processes that begin in the same moment, and one that was
    suspended for longer than a lease lasts.

    Raises RunError where another process holds the run, naming that process, or where the store refuses.
    """
    was_there = path.exists()
    _wait_for_end(path, warned)
    done = threading.Event()
    with disk_errors(path):
        path.mkdir()
        _sign(path)
    renewing = threading.Thread(target=_renew, args=(path, done), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        done.set()
        renewing.join()
        with suppress(OSError):  # it ends by itself
            (path / LOCK).unlink(missing_ok=True)
            if not was_there:
                path.rmdir()  # refused where something came into it


def is_leased(path: StorePath) -> bool:
    """Return whether a process seems to be writing the run, by comparing the store's clock with that of here."""
    try:
        return time.time() - (path / LOCK).stat().st_mtime_ns / 1e9 < ENDS_AFTER_S
    except FileNotFoundError:
        return False


def refusal(path: Location) -> RunError:
    """Return the error for a second process on one run."""
    owner = ""
    with suppress(OSError, ValueError):
        owner = (_read(path) or "").partition("\n")[0]
    return RunError(
        f"{path}: {owner or 'another process'} is writing it now. Expected one process for one run. "
        "Try again when that is done, or another `out`."
    )


def signature() -> str:
    """Return who this is, in words."""
    return f"process {os.getpid()} on {platform.node()}"


def _wait_for_end(path: StorePath, warned: Callable[[str], None]) -> None:
    """Return when nobody renews the lease that is there, at once where there is none.

    Raises RunError where it is renewed, StoreError where the store does not tell whether there is one.
    """
    seen = _read(path)
    if seen is None:
        return
    owner = seen.partition("\n")[0]
    warned(f"{path}: {owner} is writing it, or was stopped. Waiting up to {ENDS_AFTER_S:.0f} s to see which.")
    until = time.monotonic() + ENDS_AFTER_S
    while time.monotonic() < until:
        time.sleep(WATCHED_S)
        with suppress(StoreError):  # what cannot be read for a moment is not free
            now = _read(path)
            if now is None:
                return
            if now != seen:
                raise refusal(path)


def _renew(path: StorePath, done: threading.Event) -> None:
    while not done.wait(RENEWED_S):
        with suppress(OSError):  # the next one may come through
            _sign(path)


def _sign(path: StorePath) -> None:
    put(path / LOCK, f"{signature()}\n{uuid.uuid4()}\n".encode())


def _read(path: Location) -> str | None:
    """Return what the lock says, None where there is none."""
    lock = path / LOCK
    if isinstance(lock, Path) and not lock.is_file():  # a pipe would be waited for; a store has none
        return None
    try:
        return lock.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
