"""What a run tells while it goes and when it is done, and what it is expected to cost."""

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from ihcli.data.sampling import TOLERANCE
from ihcli.explanation.betas import BetaScan
from ihcli.files.locations import Location
from ihcli.runs.info import RunInfo, TotalsInfo

if TYPE_CHECKING:  # summaries of texts import pandas, which takes as long as all else that a request needs
    from ihcli.runs.progress import Progress

TOTALS = tuple(each.name for each in fields(TotalsInfo))


@dataclass(frozen=True)
class Estimate:
    """What a run is expected to cost.

    features  None for texts, each of which has units of its own
    targets   explained outputs per row
    checks_s, rows_s, summary_s  seconds until rows are explained, of explaining and writing them, of the summary
    parts_bytes, summary_bytes   on disk, in the end
    peak_bytes  most memory at once, of each of the workers where there are several
    tolerance  relative error at which rows are done; None: it depends on the row, as a note says
    notes     sentences on how it will be done
    """

    rows: int
    pilot_rows: int
    features: int | None
    targets: int
    evaluations_per_row: float
    share_converged: float | None
    checks_s: float
    rows_s: float
    summary_s: float
    parts_bytes: int
    summary_bytes: int
    peak_bytes: int
    workers: int = 1
    tolerance: float | None = TOLERANCE
    notes: tuple[str, ...] = ()
    scan: BetaScan | None = None

    @property
    def rows_per_s(self) -> float:
        """Return the pace of explaining and writing."""
        return self.rows / max(self.rows_s, 1e-9)

    @property
    def wall_s(self) -> float:
        """Return the seconds of all of it."""
        return self.checks_s + self.rows_s + self.summary_s

    @property
    def disk_bytes(self) -> int:
        """Return the size of the run directory."""
        return self.parts_bytes + self.summary_bytes


@dataclass(frozen=True)
class Remedy:
    """An option that makes a run shorter, and by how much in words."""

    option: str
    gain: str


@dataclass(frozen=True)
class Outlook:
    """What is expected of explaining so many rows: seconds, and what would make them fewer.

    is_least  whether it may well be more: of few rows none is tried whole
    """

    rows: int
    wall_s: float
    remedies: tuple[Remedy, ...]
    is_least: bool = False


class Observer:
    """What a run tells while it goes; override what is of interest.

    `chunk_done` is called from the thread that writes, one chunk at a time.

    asks_outlook  whether it wants to hear, before rows are explained, that this will take minutes
    """

    asks_outlook = False

    def foreseen(self, outlook: Outlook) -> None:
        """Explaining is about to begin, and will take more than a minute."""

    def warned(self, text: str) -> None:
        """Something the user should know that does not stop the run."""

    def settled(self, text: str) -> None:
        """Something that was left to the run is settled, as how many baselines it draws."""

    def scanned(self, scan: BetaScan) -> None:
        """Betas were tried, and one was taken."""

    def locked(self, path: Location) -> None:
        """From here on nothing is written but into this run, whose directory is there; its model is read next."""

    def prepared(self, n_rows: int) -> None:
        """The model and the data are checked; so many rows will be explained."""

    def resumed(self, rows: int) -> None:
        """So many of them are explained and written already; said once, by a run that goes on."""

    def explained(self, rows: float) -> None:
        """So many rows are explained besides those written: whole chunks, and of those under way about the share done.

        Said now and then, from the thread that explains.
        """

    def chunk_done(self, done: "Progress") -> None:
        """A chunk is explained and written: its rows, entries, statuses and evaluations."""

    def saving(self) -> None:
        """Explaining was left before its end, by a failure or an interruption; what is finished is being saved."""


@dataclass(frozen=True)
class RunTotals:
    """A finished run: rows of the data, entries (rows x targets), their statuses, evaluations and seconds.

    path      the run directory
    statuses  count of entries by status, "ok" first, only those that occur
    wall_s    all attempts of a resumed run together
    truncated  texts whose end was left out
    was_done  whether it was finished before, so that nothing was left to resume
    sampling_error  that of the median entry, about; None where there is none, or a run was finished before
    tolerance, sampling_share  see `ihcli.integration.effort`
    dtype, jumps  see `ihcli.quality.Circumstances`
    """

    path: Location
    rows: int
    entries: int
    statuses: dict[str, int]
    evaluations: int
    wall_s: float
    truncated: int = 0
    was_done: bool = False
    sampling_error: float | None = None
    tolerance: float = TOLERANCE
    sampling_share: float = 0.0
    dtype: str = "float32"
    jumps: str = ""

    @classmethod
    def of(cls, path: Location, progress: "Progress") -> "RunTotals":
        """Return the totals of a run that came so far."""
        found = {name: getattr(progress, name) for name in TOTALS}
        return cls(path=path, **found, sampling_error=progress.sampling_error)

    @classmethod
    def told(cls, path: Location, totals: TotalsInfo) -> "RunTotals":
        """Return the totals of a run that was finished before, from what run.json says of them."""
        found = {name: getattr(totals, name) for name in TOTALS}
        return cls(path=path, **found, was_done=True)

    def stored(self) -> TotalsInfo:
        """Return what run.json says of them."""
        found = {name: getattr(self, name) for name in TOTALS}
        return TotalsInfo(**{**found, "wall_s": round(self.wall_s, 3)})

    def under(self, info: RunInfo) -> "RunTotals":
        """Return the totals with what run.json says of circumstances."""
        tolerance, share = info.tolerance or TOLERANCE, info.sampling_share
        return replace(self, tolerance=tolerance, sampling_share=share, dtype=info.dtype, jumps=info.jumps)

    @property
    def missed(self) -> int:
        """Return how many entries are not `ok`."""
        return self.entries - self.statuses.get("ok", 0)
