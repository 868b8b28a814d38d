"""Chunks explained in this process, one after the other; reading and writing go on meanwhile."""

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import NamedTuple

from ihcli.execution.overlap import ahead, behind
from ihcli.execution.preparation import PreparedRun
from ihcli.execution.tasks import Task
from ihcli.explainers.explainer import MEMORY_RAN_OUT
from ihcli.explanation import AnyExplanation
from ihcli.runs.keeping import Keeper


class LocalExecutor:
    """Explains in the caller's thread, reads ahead in another and writes behind in a third."""

    workers = 1

    def execute(self, prepared: PreparedRun, tasks: Iterator[Task], keeper: Keeper) -> None:
        """Explain every task in order."""
        with keeper.saving(), closing(_explained(prepared, tasks, keeper)) as explained:
            behind(lambda done: keeper.write(done.task.part, done.task.chunk, done.explanation), explained)
        if prepared.explainer.memory_ran_out:
            keeper.warn(MEMORY_RAN_OUT)

    def close(self) -> None:
        """Do nothing: nothing was begun."""


class _Explained(NamedTuple):
    task: Task
    explanation: AnyExplanation


def _explained(prepared: PreparedRun, tasks: Iterator[Task], keeper: Keeper) -> Generator[_Explained]:
    with closing(ahead(tasks)) as fetched:
        for task in fetched:
            yield _Explained(task, _explain(prepared, task, keeper))


def _explain(prepared: PreparedRun, task: Task, keeper: Keeper) -> AnyExplanation:
    part, chunk = task

    def tell(share: float) -> None:
        keeper.hear(part, share * len(chunk))

    return prepared.explainer.explain(chunk.inputs, chunk.labels, chunk.first_row, tell)
