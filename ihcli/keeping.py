"""What is kept of finished chunks: their parts, the progress over all of them, and at the end the summary."""

import time

from ihcli.dataset import Chunk
from ihcli.explanation import AnyExplanation
from ihcli.output import RunWriter
from ihcli.progress import Progress
from ihcli.request import Observer, RunTotals
from ihcli.text_summary import TextSummary


class Keeper:
    """Writes what is explained and keeps the progress of it; used by one thread at a time."""

    def __init__(self, writer: RunWriter, observer: Observer, done: Progress) -> None:
        self._writer = writer
        self._observer = observer
        self._progress = done
        self._since = time.monotonic()

    def write(self, part: int, chunk: Chunk, explanation: AnyExplanation) -> None:
        """Write a part, then tell of it, so that what is told of is on disk."""
        done = Progress.of_part(part, len(chunk), explanation)
        self._progress.merge(done)
        self._count_seconds()
        self._writer.write_part(part, explanation, chunk.keys, self._progress.state())
        self._observer.chunk_done(done)

    def finish(self) -> RunTotals:
        """Write the summary, and return the totals."""
        progress = self._progress
        summary = progress.summary
        self._writer.write_summary(summary.attributions(), summary.interactions())
        if isinstance(summary, TextSummary) and summary.note:
            self._observer.warned(summary.note)
        self._count_seconds()
        return RunTotals(
            path=self._writer.path,
            rows=progress.rows,
            entries=progress.entries,
            statuses=progress.statuses,
            evaluations=progress.evaluations,
            truncated=progress.truncated,
            wall_s=progress.wall_s,
        )

    def _count_seconds(self) -> None:
        now = time.monotonic()
        self._progress.wall_s += now - self._since
        self._since = now
