"""The lock of a run directory: one process writes it, and it is free again however that process ends."""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ihcli.files.durable import disk_errors, make_directory
from ihcli.files.leases import LOCK, is_leased, leased, refusal, signature
from ihcli.files.locations import Location
from ihcli.files.stores import StorePath

TAKEN = (errno.EAGAIN, errno.EACCES)
UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
ATTEMPTS = 20  # a lock that its owner removes just now is made again


@contextmanager
def locked(path: Location, warned: Callable[[str], None]) -> Iterator[None]:
    """Keep other processes from writing a run; the directory is made, and removed again when nothing came into it.

    On disks the kernel keeps the lock, on stores it is a lease; see `ihcli.files.leases`. Where the file system knows
    no locks, `warned` is told, and nothing keeps the others away.

    Raises RunError where another process holds it, naming that process, or where the disk refuses.
    """
    if isinstance(path, StorePath):
        with leased(path, warned):
            yield
        return
    made = _missing(path)
    with disk_errors(path):
        make_directory(path)
        descriptor = _acquire(path, warned)
    try:
        yield
    finally:
        (path / LOCK).unlink(missing_ok=True)  # while it is held: who opened it before finds that it is gone
        os.close(descriptor)
        _remove_empty(made)


def is_locked(path: Location) -> bool:
    """Return whether a process is writing the run."""
    if isinstance(path, StorePath):
        return is_leased(path)
    try:
        descriptor = os.open(path / LOCK, os.O_RDONLY | os.O_NONBLOCK)  # a pipe is not waited for
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in TAKEN
    finally:
        os.close(descriptor)
    return False


def _acquire(path: Path, warned: Callable[[str], None]) -> int:
    for _ in range(ATTEMPTS):
        make_directory(path)
        try:
            descriptor = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:  # its owner left and took the directory along
            continue
        try:
            _flock(path, descriptor, warned)
        except BaseException:
            os.close(descriptor)
            raise
        if _is_there(path / LOCK, descriptor):
            _sign(descriptor)
            return descriptor
        os.close(descriptor)
    raise refusal(path)


def _sign(descriptor: int) -> None:
    with suppress(OSError):  # a full disk takes no name, but the lock holds
        os.truncate(descriptor, 0)
        os.write(descriptor, signature().encode())


def _flock(path: Path, descriptor: int, warned: Callable[[str], None]) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in TAKEN:
            raise refusal(path) from None
        if error.errno not in UNSUPPORTED:
            raise
        warned(f"{path}: the file system has no locks. Make sure that no other process writes this run.")


def _is_there(path: Path, descriptor: int) -> bool:
    """Return whether the name still belongs to the file that was opened."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _missing(path: Path) -> list[Path]:
    """Return the directories that are not there yet, the deepest first."""
    return [directory for directory in (path, *path.parents) if not directory.exists()]


def _remove_empty(directories: list[Path]) -> None:
    for directory in directories:
        try:
            directory.rmdir()
        except OSError:  # something came into it
            return
