"""A worker: an explainer and a writer of parts, made once, for one task after the other."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import NamedTuple

from ihcli.advance import Tell, unheard
from ihcli.errors import IhcliError, ModelCallError
from ihcli.execution.overlap import ahead
from ihcli.execution.preparation import PreparedRun, Recipe
from ihcli.execution.tasks import Moved, Refused, Stumbled, Task, Written
from ihcli.explanation import AnyExplanation
from ihcli.files.stores import StorePath
from ihcli.runs.progress import Progress
from ihcli.runs.writer import RunWriter
from ihcli.wording import in_words

MOVED_S = 0.5  # between two messages on how far a task has come


@dataclass(frozen=True)
class Commission:
    """What a worker must know before its first task.

    threads  that it computes with
    """

    recipe: Recipe
    writer: RunWriter
    threads: int

    @classmethod
    def of(cls, prepared: PreparedRun, writer: RunWriter, memory_bytes: int, threads: int) -> "Commission":
        """Return it for a CPU; `on` says where else."""
        return cls(prepared.recipe("cpu", memory_bytes), replace(writer, path=writer.path.absolute()), threads)

    def on(self, device: str) -> "Commission":
        """Return the same for another device."""
        return replace(self, recipe=replace(self.recipe, request=replace(self.recipe.request, device=device)))


class Explained(NamedTuple):
    """A task and what came of it: an explanation, or why there is none."""

    task: Task
    result: AnyExplanation | Stumbled | Refused


class Worker:
    """Explains tasks and writes their parts; the model is loaded once."""

    def __init__(self, number: int, commission: Commission) -> None:
        import torch

        torch.set_num_threads(commission.threads)
        self._number = number
        self._writer = commission.writer
        self._explainer = commission.recipe.explainer()

    def explained(self, tasks: Iterator[Task], moved: Callable[[Moved], None]) -> Generator[Explained]:
        """Explain tasks in order, while the next one is fetched; `moved` hears at times how far one has come."""
        with closing(ahead(tasks)) as fetched:
            for task in fetched:
                yield self.explain(task, moved)

    def explain(self, task: Task, moved: Callable[[Moved], None] | None = None) -> Explained:
        """Explain one task."""
        chunk = task.chunk
        tell = unheard if moved is None else self._telling(task, moved)
        try:
            return Explained(task, self._explainer.explain(chunk.inputs, chunk.labels, chunk.first_row, tell))
        except ModelCallError as error:  # other rows may do
            return Explained(task, Stumbled(self._number, task.part, error.reason))
        except IhcliError as error:
            return Explained(task, Refused(self._number, error))
        except Exception as error:
            return Explained(task, Stumbled(self._number, task.part, in_words(error)))

    def _telling(self, task: Task, moved: Callable[[Moved], None]) -> Tell:
        due = time.monotonic() + MOVED_S

        def tell(share: float) -> None:
            nonlocal due
            if time.monotonic() >= due:
                due = time.monotonic() + MOVED_S
                moved(Moved(self._number, task.part, share * len(task.chunk)))

        return tell

    def write(self, explained: Explained) -> Written | Stumbled | Refused:
        """Write a part, and return what to tell of it."""
        (part, chunk), result = explained
        if isinstance(result, Stumbled | Refused):
            return result
        try:
            digests = self._writer.write_part(part, result, chunk.keys)
            state = Progress.of_part(part, len(chunk), result, digests, self._writer.most_error).state()
        except IhcliError as error:
            if isinstance(self._writer.path, StorePath):  # the next time it may come through, from here or elsewhere
                return Stumbled(self._number, part, in_words(error))
            return Refused(self._number, error)
        except Exception as error:
            return Stumbled(self._number, part, in_words(error))
        return Written(self._number, part, state, self._explainer.memory_ran_out)
