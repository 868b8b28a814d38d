"""Chunks explained in this process, one after the other; reading and writing go on meanwhile."""

from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from functools import partial
from typing import NamedTuple

from ihcli.execution.overlap import ahead, behind, in_turn
from ihcli.execution.preparation import PreparedRun
from ihcli.execution.tasks import Task
from ihcli.explainers.explainer import MEMORY_RAN_OUT
from ihcli.explanation import AnyExplanation
from ihcli.runs.keeping import Keeper


class LocalExecutor:
    """Explains in the caller's thread, reads ahead in another, writes in a third, waits for the disk in a fourth."""

    workers = 1

    def execute(self, prepared: PreparedRun, tasks: Iterator[Task], keeper: Keeper) -> None:
        """Explain every task in order."""
        explaining = closing(_explained(prepared, tasks, keeper))
        with keeper.saving(), explaining as explained, in_turn("settling") as settling:

            def write(done: _Explained) -> None:
                begun = keeper.begin(done.task.part, done.task.chunk, done.explanation)
                with ExitStack() as on_failure:
                    on_failure.push(begun.files)
                    settling(partial(keeper.settle, begun))
                    on_failure.pop_all()

            behind(write, explained)
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
