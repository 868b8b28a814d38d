"""Chunks explained by a crew of workers, whatever it is made of; parts are written by the workers."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager

from ihcli.execution.dealing import MOST_ATTEMPTS, Crew, Dealer
from ihcli.execution.overlap import ahead
from ihcli.execution.preparation import PreparedRun
from ihcli.execution.tasks import FailedChunk, FailedChunksError, Moved, Task
from ihcli.explainers.explainer import MEMORY_RAN_OUT
from ihcli.runs.keeping import Keeper
from ihcli.runs.progress import Progress
from ihcli.runs.writer import RunWriter

SHOWN = 3


class CrewExecutor:
    """Deals tasks to the crew that `hire_crew` makes for a prepared run and the writer of its parts.

    close  ends what was begun for a crew, also where none was hired
    """

    def __init__(
        self,
        workers: int,
        hire_crew: Callable[[PreparedRun, RunWriter], Crew],
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self.workers = workers
        self._hire_crew = hire_crew
        self.close = close

    def execute(self, prepared: PreparedRun, tasks: Iterator[Task], keeper: Keeper) -> None:
        """Explain every task; the keeper hears of parts in order, so that sums are those of one process."""
        failed: list[FailedChunk] = []
        with keeper.saving(), self._crew(prepared, keeper) as crew, closing(ahead(tasks)) as fetched:
            for result in Dealer(crew, fetched).results():
                if isinstance(result, Moved):
                    keeper.hear(result.part, result.rows)
                    continue
                if isinstance(result, FailedChunk):
                    failed.append(result)
                    continue
                if result.memory_ran_out:
                    keeper.warn(MEMORY_RAN_OUT)
                keeper.add(Progress.of_state(result.state))
        if failed:
            raise FailedChunksError(_failure(keeper.writer, failed), tuple(failed))

    @contextmanager
    def _crew(self, prepared: PreparedRun, keeper: Keeper) -> Generator[Crew]:
        """Give a crew and dismiss it in the end; nothing that it or a lost worker left half written stays."""
        crew = self._hire_crew(prepared, keeper.writer)
        try:
            yield crew
        finally:
            crew.dismiss()
            keeper.writer.remove_temporaries()


def _failure(writer: RunWriter, failed: list[FailedChunk]) -> str:
    rows = [f"rows {chunk.first_row} to {chunk.first_row + chunk.rows - 1} ({chunk.error})" for chunk in failed[:SHOWN]]
    more = f" and {len(failed) - SHOWN} more chunks" if len(failed) > SHOWN else ""
    return (
        f"{writer.path}: {sum(chunk.rows for chunk in failed)} rows could not be explained, each chunk tried "
        f"{MOST_ATTEMPTS} times: {'; '.join(rows)}{more}. All others are done. Try the same command with `resume`, "
        "which tries these again."
    )
