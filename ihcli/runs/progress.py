"""What is known of the parts of a run that are done: which, their counts and their summary; mergeable and storable."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from ihcli.errors import RunError
from ihcli.explanation import AnyExplanation
from ihcli.files.foreign import one_message
from ihcli.layouts.choosing import layout_of, summary_of_state
from ihcli.quality import Status
from ihcli.runs.info import SealsInfo
from ihcli.runs.seals import Digests, read_digests, seals_of_parts, stored_digests
from ihcli.summaries.doubts import doubts
from ihcli.summaries.figures import lines_of
from ihcli.summaries.model import ModelSummary
from ihcli.summaries.ranked import RankedSummary
from ihcli.summaries.tables import Summary


class SummaryTables(NamedTuple):
    """The tables of a summary, see `ihcli.runs.writer.RunWriter.write_summary`."""

    attributions: pa.Table
    interactions: pa.Table | None
    all_rows: tuple[pa.Table, pa.Table | None] | None
    model: pa.Table | None

    def doubts(self) -> Iterator[str]:
        """Yield what these tell of the model that a user should look at first."""
        if self.model is not None:
            yield from doubts(lines_of(self.model))


class Progress:
    """Parts of a run, the rows, statuses, evaluations and cut texts in them, the seconds they took, and their summary.

    Records of different parts merge; the counts of a merged progress are exact, its summary is up to rounding.

    parts    ranges of part numbers that do not touch, in order
    sampling_error  that of the median entry, within 12 %; None where all baselines there are were used
    model    what rows show of the model, of those parts that no older ihcli explained
    digests  SHA-256 of the files of each part, by its number; of those that an older ihcli wrote, none
    """

    def __init__(self) -> None:
        self.parts: list[range] = []
        self.digests: dict[int, Digests] = {}
        self.rows = self.evaluations = self.truncated = 0
        self.wall_s = 0.0
        self.model = ModelSummary()
        self._summary: RankedSummary | None = None
        self._statuses = Counter[str]()
        self._sampling = Counter[int]()  # entries by their sampling error, in whole decibels

    @classmethod
    def of_part(
        cls,
        part: int,
        rows: int,
        explanation: AnyExplanation,
        digests: Digests = (),
        most_error: float | None = None,
    ) -> "Progress":
        """Return the progress of one part: the explanation of so many rows of the data, in files of these digests.

        Without digests, the files are read once more in the end. Entries rank with `most_error`, None: all do.
        """
        progress = cls()
        progress.digests = {part: digests} if digests else {}
        progress.parts, progress.rows = [range(part, part + 1)], rows
        progress.evaluations = int(explanation.evaluations.sum())
        progress._statuses.update(explanation.status.tolist())
        if explanation.truncated is not None:
            progress.truncated = int(explanation.truncated.sum())
        if (errors := explanation.leading_sampling_error) is not None:
            decibels = 10 * np.log10(errors[np.isfinite(errors) & (errors > 0)])
            progress._sampling.update(decibels.round().astype(int).tolist())
        progress._summary = RankedSummary(layout_of(explanation).summary)
        progress._summary.update(explanation, most_error)
        progress.model.update(explanation.seen)
        return progress

    @property
    def summary(self) -> RankedSummary:
        """The summary of all parts, an empty one where there are none."""
        return self._summary or RankedSummary(Summary)

    @property
    def statuses(self) -> dict[str, int]:
        """Count of entries by status, "ok" first, only those that occur."""
        return dict(sorted(self._statuses.items(), key=lambda item: (item[0] != Status.OK, item[0])))

    @property
    def sampling_error(self) -> float | None:
        """The sampling error of the median entry, of those that have one."""
        seen, half = 0, self._sampling.total() / 2
        for decibel, count in sorted(self._sampling.items()):
            seen += count
            if seen >= half:
                return float(10 ** (decibel / 10))
        return None

    @property
    def entries(self) -> int:
        """Explained entries: rows times targets."""
        return self._statuses.total()

    def __contains__(self, part: int) -> bool:
        return any(part in some for some in self.parts)

    def merge(self, other: "Progress") -> None:
        """Add what is known of other parts; raises ValueError where a part is in both."""
        self.parts = _joined([*self.parts, *other.parts])
        self.digests |= other.digests
        self.rows += other.rows
        self.evaluations += other.evaluations
        self.wall_s += other.wall_s
        self.truncated += other.truncated
        self.model.merge(other.model)
        self._statuses.update(other._statuses)
        self._sampling.update(other._sampling)
        if self._summary is None:
            self._summary = other._summary
        elif other._summary is not None:
            self._summary.merge(other._summary)

    def tables(self) -> SummaryTables:
        """Return the tables of the summary."""
        found = self.summary
        both = found.attributions(), found.interactions()
        return SummaryTables(*both, found.all_rows(), self.model.table(*both, counts=found.counts_occurrences))

    def seals(self, digests_of: Callable[[int], Digests]) -> SealsInfo:
        """Return what run.json says of the parts; `digests_of` gives what is not known of one."""
        parts = [part for some in self.parts for part in some]
        return seals_of_parts([self.digests.get(part) or digests_of(part) for part in parts])

    def state(self) -> dict[str, np.ndarray]:
        """Return all of it as arrays by name, from which `of_state` makes an equal progress."""
        counts = {
            "rows": self.rows,
            "evaluations": self.evaluations,
            "truncated": self.truncated,
            "wall_s": self.wall_s,
            "statuses": dict(self._statuses),
            "sampling": list(self._sampling.items()),
        }
        text = np.frombuffer(json.dumps(counts).encode(), np.uint8)
        parts = np.array([(some.start, some.stop) for some in self.parts], np.int64)
        known = sorted(self.digests)
        digests = stored_digests([self.digests[part] for part in known])
        sealed = {"sealed": np.array(known, np.int64), "digests": digests}
        return {"parts": parts, "counts": text, **sealed, **self.summary.state(), **self.model.state()}

    @classmethod
    def of_state(cls, arrays: Mapping[str, np.ndarray]) -> "Progress":
        """Return the progress of which these arrays are the state."""
        progress = cls()
        with one_message("the state of a run", RunError, "read", "Try `overwrite` to start over."):
            counts = json.loads(arrays["counts"].tobytes())
            progress.parts = [range(start, stop) for start, stop in arrays["parts"].tolist()]
            if "sealed" in arrays:
                digests = read_digests(arrays["digests"])
                progress.digests = dict(zip(arrays["sealed"].tolist(), digests, strict=True))
            for name in ("rows", "evaluations", "truncated", "wall_s"):
                setattr(progress, name, counts[name])
            progress._statuses.update(counts["statuses"])
            progress._sampling.update({int(decibel): int(count) for decibel, count in counts.get("sampling", ())})
            progress._summary = RankedSummary.of_state(arrays, summary_of_state)
            progress.model = ModelSummary.of_state(arrays)
        return progress


def _joined(parts: Iterable[range]) -> list[range]:
    joined: list[range] = []
    for some in sorted(parts, key=lambda some: some.start):
        if joined and some.start < joined[-1].stop:
            raise ValueError(f"part {some.start} would count twice")
        if joined and some.start == joined[-1].stop:
            some = range(joined.pop().start, some.stop)
        joined.append(some)
    return joined
