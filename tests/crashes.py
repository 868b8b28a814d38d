"""Runs that are killed or meet a full disk at a chosen operation on files, in forks or in a process of their own."""

import errno
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow.parquet as pq
import torch

from ihcli.execution.pipeline import run
from ihcli.files.stores import StorePath
from ihcli.runs.request import RunRequest
from ihcli.runs.totals import Observer

ON_NAMES = ("mkdir", "replace", "unlink", "rmdir", "open")  # of os: what makes, moves and removes names
ON_CONTENT = ("fsync", "write")


@contextmanager
def struck(before: Callable[[], None], names: tuple[str, ...] = ON_CONTENT + ON_NAMES) -> Iterator[None]:
    """Call `before` ahead of every operation on files that a run performs; `names` are those of os."""
    places = [(os, name) for name in names]
    patches = [patch.object(place, name, _after(before, getattr(place, name))) for place, name in places]
    patches += [patch.object(pq, "write_table", _torn(before, pq.write_table, 1))]
    patches += [patch.object(np, "savez", _torn(before, np.savez, 0))]
    for each in patches:
        each.start()
    try:
        yield
    finally:
        for each in patches:
            each.stop()


def count_operations(request: RunRequest, out: Path, names: tuple[str, ...] = ON_CONTENT + ON_NAMES) -> int:
    """Run undisturbed and return how many operations it took."""
    counted = count()
    with struck(lambda: next(counted), names):
        run(request, out, Observer())
    return next(counted)


def killed_at(operation: int, request: RunRequest, out: Path) -> bool:
    """Run, or go on, in a fork that is killed before that operation; returns whether it came to that."""
    counted = count()

    def strike() -> None:
        if next(counted) == operation:
            os.kill(os.getpid(), signal.SIGKILL)

    with forked(request, out, strike) as pid:
        _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)


@contextmanager
def forked(request: RunRequest, out: Path, before: Callable[[], None] = lambda: None) -> Iterator[int]:
    """Run, or go on, in a fork of this process; gives its id."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            with struck(before):
                run(request, out, Observer(), existing="resume")
            code = 0
        finally:
            os._exit(code)
    yield pid


def run_killed_ahead(request: RunRequest, out: str, writes: int, environment: dict[str, str]) -> None:
    """Run in this process, and kill it ahead of a write to the store; here, so that it imports little to begin."""
    os.environ.update(environment)
    torch.set_num_threads(1)
    write, left = StorePath.write_bytes, [writes]

    def strike(self: StorePath, content: bytes) -> None:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        write(self, content)

    StorePath.write_bytes = strike  # type: ignore[method-assign]
    run(request, out, Observer())


class FullDisk:
    """A disk that is full from one operation on."""

    def __init__(self, operation: int) -> None:
        self._left = operation

    def __call__(self) -> None:
        """Refuse the operation, or let it be."""
        self._left -= 1
        if self._left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _after(before: Callable[[], None], operation: Callable) -> Callable:
    def do(*arguments: object, **keywords: object) -> object:
        before()
        return operation(*arguments, **keywords)

    return do


def _torn(before: Callable[[], None], write: Callable, stream_at: int) -> Callable:
    """Let a write be struck before its first byte and once more when a torn beginning of it is there."""

    def do(*arguments: object, **keywords: object) -> object:
        before()
        stream = getattr(arguments[stream_at], "stream", arguments[stream_at])  # that of the file
        stream.write(b"torn")
        stream.flush()
        before()
        stream.seek(0)
        stream.truncate()
        return write(*arguments, **keywords)

    return do
