"""Files that survive a kill or a power loss: under their name they are whole and on disk, or not there at all."""

import errno
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ihcli.errors import RunError

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}")


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Give a stream whose content takes the file's name once all of it is on disk; nothing is left on failure.

    Raises RunError where the disk refuses.
    """
    # Readers of the directory skip names that start with a dot.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with disk_errors(path):
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


def make_directory(path: Path) -> None:
    """Make a directory and those above it, and sync each of their names; nothing happens where it is there already."""
    if path.exists():
        return
    make_directory(path.parent)
    path.mkdir(exist_ok=True)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Bring the names in a directory to the disk, as they are now."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_temporaries(directory: Path) -> None:
    """Remove what a killed process began to write in a directory and no longer can finish."""
    if directory.is_dir():
        for path in directory.iterdir():
            if is_temporary(path):
                path.unlink(missing_ok=True)


def is_temporary(path: Path) -> bool:
    """Return whether the file has no name of its own yet."""
    return TEMPORARY.fullmatch(path.name) is not None


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what the disk refuses into a RunError that names the file."""
    try:
        yield
    except OSError as error:
        remedy = (
            "Try to make room, then the same command with --resume"
            if error.errno in NO_SPACE
            else "Try another directory with -o"
        )
        raise RunError(f"{path}: cannot be written: {error.strerror or error}. {remedy}.") from error
