"""SHA-256 of what goes into a run: equal for copies, wherever they lie."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def path_fingerprint(path: Path) -> str:
    """Return the SHA-256 of a file's content, or of all files below a directory."""
    if path.is_dir():
        return files_fingerprint(sorted(file for file in path.rglob("*") if file.is_file()))
    return _content(path)


def files_fingerprint(files: Sequence[Path]) -> str:
    """Return a SHA-256 over the name, size and content of every file."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name}\n{file.stat().st_size}\n{_content(file)}\n".encode())
    return digest.hexdigest()


def values_fingerprint(values: np.ndarray) -> str:
    """Return a SHA-256 over shape, dtype and values."""
    digest = hashlib.sha256(f"{values.shape} {values.dtype}\n".encode())
    digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def _content(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
