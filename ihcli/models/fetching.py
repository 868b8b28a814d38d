"""Copies of models for as long as they are read: of those on a store, and of those that torch opens by itself."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile, gettempdir
from typing import IO, BinaryIO

from ihcli.errors import IhcliError, ModelError
from ihcli.files.locations import Location
from ihcli.files.stores import READ_BYTES, StorePath
from ihcli.models.formats.directories import is_read
from ihcli.models.sniffing import Kind, recognise


@contextmanager
def on_this_machine(location: Location) -> Iterator[Path]:
    """Give the path of a model, or that of a copy, which is gone in the end; what is raised names the model itself.

    Only what is a model is copied; of a checkpoint, the files that are read. So is a TorchScript file: torch opens it
    once more after it was looked through, and no other process may change it in between. Cost: its bytes, in the
    directory for temporary files.

    Raises ModelError where it is none, or the store or the disk refuses.
    """
    if isinstance(location, StorePath):
        recognise(location)
        with TemporaryDirectory(prefix="ihcli-") as folder:
            with _copying(location, folder):
                _copy(location, Path(folder) / "model")
            with _naming(Path(folder) / "model", location):
                yield Path(folder) / "model"
    elif recognise(location) is Kind.TORCHSCRIPT:
        with TemporaryFile(prefix="ihcli-") as copy:
            with _copying(location, gettempdir()), location.open("rb") as stream:
                _copy_bytes(stream, copy)
            # It has no name, and is gone with this process, however that ends.
            with _naming(Path(f"/dev/fd/{copy.fileno()}"), location) as path:
                yield path
    else:
        yield location


@contextmanager
def _copying(location: Location, folder: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ModelError(
            f"{location}: cannot be copied to {folder}: {error.strerror}. Try again, or with TMPDIR where there "
            "is room."
        ) from error


@contextmanager
def _naming(copy: Path, location: Location) -> Iterator[Path]:
    """Give the path of the copy; errors that name it name the model."""
    try:
        yield copy
    except IhcliError as error:
        error.args = tuple(str(words).replace(str(copy), str(location)) for words in error.args)
        raise


def _copy(location: StorePath, copy: Path) -> None:
    if not location.is_dir():
        _copy_file(location, copy)
        return
    copy.mkdir()
    files = [file for file in location.iterdir() if file.is_file()]
    for file in files:
        if is_read(file.name, {each.name for each in files}):
            _copy_file(file, copy / file.name)


def _copy_file(file: StorePath, copy: Path) -> None:
    with file.open() as stream, copy.open("xb") as written:
        shutil.copyfileobj(stream, written, READ_BYTES)


def _copy_bytes(stream: BinaryIO, copy: IO[bytes]) -> None:
    """Copy a file of this machine; where the kernel can, it takes a third of the time."""
    try:
        while os.copy_file_range(stream.fileno(), copy.fileno(), READ_BYTES):
            pass
    except (AttributeError, OSError):
        stream.seek(0)
        copy.seek(0)
        shutil.copyfileobj(stream, copy, READ_BYTES)
        copy.flush()
