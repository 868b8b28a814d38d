"""SHA-256 of what goes into a run: equal for copies, wherever they lie."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ihcli.locations import Location


def path_fingerprint(path: Path) -> str:
    """Return the SHA-256 of a file's content, or of all files below a directory."""
    if path.is_dir():
        return files_fingerprint(sorted(file for file in path.rglob("*") if file.is_file()))
    return _content(path)[1]


def files_fingerprint(files: Sequence[Location]) -> str:
    """Return a SHA-256 over the name, size and content of every file."""
    digest = hashlib.sha256()
    for file in files:
        size, content = _content(file)
        digest.update(f"{file.name}\n{size}\n{content}\n".encode())
    return digest.hexdigest()


def values_fingerprint(values: np.ndarray) -> str:
    """Return a SHA-256 over shape, dtype and values."""
    digest = hashlib.sha256(f"{values.shape} {values.dtype}\n".encode())
    digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def _content(file: Location) -> tuple[int, str]:
    """Return the size of a file and the SHA-256 of its content."""
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return stream.tell(), digest
