"""SHA-256 of what goes into a run: equal for copies, wherever they lie; and whether it stayed as it was."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ihcli.files.locations import Location


@dataclass(frozen=True)
class Snapshot:
    """Sizes and times of files, None of those that are not there; by them a later change shows without reading.

    Cost: a look at each file, on a store a request.
    """

    stamps: Mapping[Location, tuple[int, int] | None]

    @classmethod
    def of(cls, files: Iterable[Location]) -> "Snapshot":
        """Take it now."""
        return cls({file: _stamp(file) for file in files})

    def with_files(self, files: Iterable[Location]) -> "Snapshot":
        """Return this with a look at some more files, taken now."""
        return Snapshot({**self.stamps, **Snapshot.of(files).stamps})

    def changed(self) -> list[Location]:
        """Return the files that were written since, that came or went."""
        return [file for file, stamp in self.stamps.items() if _stamp(file) != stamp]


def path_fingerprint(path: Location) -> str:
    """Return the SHA-256 of a file's content, or of all files below a directory."""
    if path.is_dir():
        return files_fingerprint(sorted(file for file in path.rglob("*") if file.is_file()))
    return _content(path)[1]


def files_fingerprint(files: Sequence[Location]) -> str:
    """Return a SHA-256 over the name, size and content of every file."""
    digest = hashlib.sha256()
    for file in files:
        size, content = _content(file)
        digest.update(f"{file.name}\n{size}\n{content}\n".encode("utf-8", "surrogateescape"))  # as the disk has it
    return digest.hexdigest()


def values_fingerprint(values: np.ndarray) -> str:
    """Return a SHA-256 over shape, dtype and values."""
    digest = hashlib.sha256(f"{values.shape} {values.dtype}\n".encode())
    digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def _stamp(file: Location) -> tuple[int, int] | None:
    try:
        told = file.stat()
    except FileNotFoundError:
        return None
    return told.st_size, told.st_mtime_ns


def _content(file: Location) -> tuple[int, str]:
    """Return the size of a file and the SHA-256 of its content."""
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return stream.tell(), digest
