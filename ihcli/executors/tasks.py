"""What an executor is given: chunks by the number of their part, and where what becomes of them is kept."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from ihcli.dataset import Chunk
from ihcli.keeping import Keeper
from ihcli.preparation import PreparedRun


class Task(NamedTuple):
    """A chunk to explain, and the number of the part that it becomes."""

    part: int
    chunk: Chunk


class Executor(Protocol):
    """Where chunks run: tasks in; part files, and the progress of each, out."""

    def execute(self, prepared: PreparedRun, tasks: Iterator[Task], keeper: Keeper) -> None:
        """Explain every task; when this returns, their parts are on disk and the keeper knows of them."""
