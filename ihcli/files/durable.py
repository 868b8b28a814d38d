"""Files that survive a kill or a power loss: under their name they are whole and on disk, or not there at all."""

import errno
import io
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from ihcli.errors import RunError
from ihcli.files.locations import Location
from ihcli.files.stores import StoreError, StorePath

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
PATIENCE_S = (1.0, 5.0, 25.0)  # before a store that refuses to write is asked again
NAME_LETTERS = 50  # of a temporary name, which may be longer than the file's own
TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}")


@contextmanager
def replacing(path: Location) -> Iterator[BinaryIO]:
    """Give a stream whose content takes the file's name once all of it is on disk; nothing is left on failure.

    Memory: of a file of a store, all of it. A store that refuses is asked again for half a minute.

    Raises RunError where the disk or the store refuses.
    """
    with disk_errors(path), whole(path) as stream:
        yield stream


@contextmanager
def whole(path: Location) -> Iterator[BinaryIO]:
    """Do as `replacing`, for whoever has words of his own for what the disk or the store refuses; raises OSError."""
    if isinstance(path, StorePath):
        content = io.BytesIO()
        yield content
        _put_patiently(path, content.getvalue())  # no copy, and unlike a view it lets the stream go after an error
        return
    temporary = path.with_name(_temporary_name(path))
    try:
        with temporary.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        sync_directory(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def put(path: StorePath, content: bytes) -> None:
    """Write a file of a store whole or not at all; raises StoreError where it refuses."""
    if path.store.puts_whole:
        path.write_bytes(content)
        return
    temporary = path.with_name(_temporary_name(path))
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def make_directory(path: Location) -> None:
    """Make a directory and those above it, and sync each of their names; nothing happens where it is there already."""
    if isinstance(path, StorePath):
        path.mkdir()
        return
    if path.exists():
        return
    make_directory(path.parent)
    path.mkdir(exist_ok=True)
    sync_directory(path.parent)


def remove_tree(path: Location) -> None:
    """Remove a directory and all that is in it."""
    if isinstance(path, StorePath):
        path.remove_tree()
    else:
        shutil.rmtree(path)


def sync_directory(path: Location) -> None:
    """Bring the names in a directory to the disk, as they are now; a store has them there already."""
    if isinstance(path, StorePath):
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_temporaries(directory: Location) -> None:
    """Remove what a killed process began to write in a directory and no longer can finish."""
    if isinstance(directory, StorePath) and directory.store.puts_whole:
        return
    if directory.is_dir():
        for path in directory.iterdir():
            if is_temporary(path):
                path.unlink(missing_ok=True)


def is_temporary(path: Location) -> bool:
    """Return whether the file has no name of its own yet."""
    return TEMPORARY.fullmatch(path.name) is not None


@contextmanager
def disk_errors(path: Location) -> Iterator[None]:
    """Turn what the disk or the store refuses into a RunError that names the file."""
    try:
        yield
    except OSError as error:
        remedy = (
            "Try to make room, then the same command with `resume`"
            if error.errno in NO_SPACE
            else "Try another directory with `out`"
        )
        raise RunError(f"{path}: cannot be written: {error.strerror or error}. {remedy}.") from error


def _temporary_name(path: Location) -> str:
    return f".{path.name[:NAME_LETTERS]}.{uuid.uuid4().hex}"  # readers of a directory skip names that start with a dot


def _put_patiently(path: StorePath, content: bytes) -> None:
    for wait_s in PATIENCE_S:
        try:
            put(path, content)
            return
        except StoreError:
            time.sleep(wait_s)
    put(path, content)
