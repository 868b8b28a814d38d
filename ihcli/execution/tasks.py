"""What an executor is given: chunks by the number of their part, and where what becomes of them is kept."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from ihcli.data.rows import Chunk
from ihcli.errors import IhcliError, RunError
from ihcli.execution.preparation import PreparedRun
from ihcli.runs.keeping import Keeper


class Task(NamedTuple):
    """A chunk to explain, and the number of the part that it becomes."""

    part: int
    chunk: Chunk


class Executor(Protocol):
    """Where chunks run: tasks in; part files, and the progress of each, out.

    workers  how many explain at once
    """

    workers: int

    def execute(self, prepared: PreparedRun, tasks: Iterator[Task], keeper: Keeper) -> None:
        """Explain every task; when this returns, their parts are on disk and the keeper knows of them.

        Raises FailedChunksError where some chunks failed again and again, once all others are done.
        """

    def close(self) -> None:
        """End what was begun for it, also where nothing is executed."""


@dataclass(frozen=True)
class Ready:
    """A worker waits for its first task."""

    worker: int


@dataclass(frozen=True)
class Moved:
    """A worker has about so many rows of a task done."""

    worker: int
    part: int
    rows: float


@dataclass(frozen=True)
class Written:
    """A part is on disk; `state` is that of its progress."""

    worker: int
    part: int
    state: Mapping[str, np.ndarray]
    memory_ran_out: bool = False


@dataclass(frozen=True)
class Stumbled:
    """A worker could not explain a chunk, and is there for others."""

    worker: int
    part: int
    error: str


@dataclass(frozen=True)
class Lost:
    """A worker is gone, and with it the tasks that it had."""

    worker: int
    reason: str


@dataclass(frozen=True)
class Refused:
    """A worker met what every other would meet too, such as a full disk."""

    worker: int
    error: IhcliError


News = Ready | Moved | Written | Stumbled | Lost | Refused


@dataclass(frozen=True)
class FailedChunk:
    """A chunk that was tried MOST_ATTEMPTS times in vain."""

    part: int
    first_row: int
    rows: int
    error: str


class FailedChunksError(RunError):
    """Some chunks failed again and again; the others are done.

    chunks  the failed ones
    """

    def __init__(self, message: str, chunks: tuple[FailedChunk, ...]) -> None:
        super().__init__(message)
        self.chunks = chunks
