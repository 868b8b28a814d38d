"""What is kept of finished chunks: their parts, the progress over all of them, and at the end the summary."""

import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from itertools import chain

from ihcli.data.rows import Chunk
from ihcli.errors import RunError
from ihcli.explanation import AnyExplanation
from ihcli.runs.info import SealsInfo
from ihcli.runs.progress import Progress
from ihcli.runs.totals import Observer, RunTotals
from ihcli.runs.writer import RunWriter

STATE_S = 1.0
HEARD_S = 0.1  # an observer draws bars, and batches can take a millisecond
STATE_TIMES = 10  # so that states take a tenth of the time at most, however large they are


class Keeper:
    """Writes what is explained and keeps the progress of it; used by one thread at a time.

    writer  of the run
    """

    def __init__(self, writer: RunWriter, observer: Observer, done: Progress) -> None:
        self.writer = writer
        self._observer = observer
        self._progress = done
        self._since = time.monotonic()
        self._state_due = self._since + STATE_S
        self._last_part: int | None = None
        self._warned: set[str] = set()
        self._under_way: dict[int, float] = {}
        self._heard_due = 0.0

    def warn(self, text: str) -> None:
        """Warn the user, once."""
        if text not in self._warned:
            self._warned.add(text)
            self._observer.warned(text)

    def hear(self, part: int, rows: float) -> None:
        """Hear, from whichever thread explains, that about so many rows of a part are done; the observer hears of all.

        Parts that are written count as written only.
        """
        self._under_way[part] = max(rows, self._under_way.get(part, 0.0))
        now = time.monotonic()
        if now >= self._heard_due:
            self._heard_due = now + HEARD_S
            self._observer.explained(sum(list(self._under_way.values())))

    def write(self, part: int, chunk: Chunk, explanation: AnyExplanation) -> None:
        """Write a part, then tell of it, so that what is told of is on disk."""
        digests = self.writer.write_part(part, explanation, chunk.keys)
        self.add(Progress.of_part(part, len(chunk), explanation, digests, self.writer.most_error))

    def add(self, done: Progress) -> None:
        """Take note of parts that are on disk already, and now and then write the state that resuming needs.

        A kill costs the parts since: at most STATE_S seconds, or STATE_TIMES as long as writing the state takes.
        """
        self._progress.merge(done)
        for part in chain.from_iterable(done.parts):
            self._under_way.pop(part, None)
        self._last_part = done.parts[-1].stop - 1
        self._count_seconds()
        if self._since > self._state_due:
            self.save()
        self._observer.chunk_done(done)

    @contextmanager
    def saving(self) -> Generator[None]:
        """Save in the end whatever was added meanwhile, also after a failure."""
        try:
            yield
        except BaseException:
            self._observer.saving()
            with suppress(RunError):  # a full disk would hide what happened first
                self.save()
            raise
        self.save()

    def save(self) -> None:
        """Write the state of what was added, where it is not written yet."""
        if self._last_part is None:
            return
        self._count_seconds()
        self.writer.write_state(self._last_part, self._progress.state())
        took = time.monotonic() - self._since
        self._last_part, self._state_due = None, self._since + max(STATE_S, STATE_TIMES * took)

    def summarise(self) -> SealsInfo:
        """Write the summary, and return what run.json says of it and of the parts: the SHA-256 of each file."""
        tables = self._progress.tables()
        written = self.writer.write_summary(*tables)
        for text in filter(None, (self._progress.summary.note, *tables.doubts())):
            self.warn(text)
        return self._progress.seals(self.writer.digests_of).but(summary=written)

    def totals(self) -> RunTotals:
        """Return the totals of what is kept."""
        self._count_seconds()
        return RunTotals.of(self.writer.path, self._progress)

    def _count_seconds(self) -> None:
        now = time.monotonic()
        self._progress.wall_s += now - self._since
        self._since = now
