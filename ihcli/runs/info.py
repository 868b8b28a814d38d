"""run.json: the only reader and writer of it, of ihcli's own and of whatever anybody may have written in its place."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Self

from ihcli.data.sampling import Sampling, tolerance_in_words
from ihcli.errors import RunError
from ihcli.files.foreign import foreign_json
from ihcli.files.locations import Location
from ihcli.layouts.choosing import layout_of_run
from ihcli.layouts.layout import Layout
from ihcli.methods import names_of
from ihcli.quality import Circumstances
from ihcli.runs.baselines import BaselineInfo
from ihcli.runs.categories import CategoriesInfo
from ihcli.runs.code import CodeInfo
from ihcli.runs.computation import EngineInfo, IntegralsInfo, ScaleInfo, SmoothingInfo, VersionsInfo
from ihcli.runs.kinds import Count, Positive, faults_of, kind_of
from ihcli.runs.members import MemberInfo
from ihcli.runs.names import part_count
from ihcli.runs.openings import OpeningInfo
from ihcli.runs.request import RunRequest
from ihcli.runs.sequences import SequenceInfo
from ihcli.runs.told import ADVICE, UNTOLD, Told, if_told, left_out, read_as, record, untold
from ihcli.scales import MODEL, output_in_words
from ihcli.vocabulary import Vocabulary

MOST_BYTES = 256 << 20
"""Of a run.json: one of 1,000,000 parts, which it tells the SHA-256 of, takes about that."""
RUNNING, DONE = "running", "done"


@record
class ModelInfo(Told):
    """The model that was explained; the outputs are all that it has."""

    path: str
    sha256: str
    format: str
    outputs: tuple[str, ...]
    code: CodeInfo | None = left_out(None)


@record
class DataInfo(Told):
    """The data that were explained; rows are those that were asked for."""

    path: str
    sha256: str
    format: str
    files: tuple[str, ...]
    rows: Count


@record
class Origin(Told):
    """Where a file was, and where it was seen from the run; URLs and runs on a store have no such place."""

    absolute: str = untold()
    from_run: str = untold()


@record
class MethodInfo(Told):
    """The method, by its row in `ihcli.methods.METHODS`."""

    name: str
    title: str


@record
class TotalsInfo(Told):
    """What came of it: rows of the data, entries (rows x targets) and their statuses, evaluations and seconds."""

    rows: Count
    entries: Count
    statuses: Mapping[str, Count]
    evaluations: Count
    truncated: Count = 0
    wall_s: float


@record
class FailedChunkInfo(Told):
    """Rows that were tried again and again."""

    part: Count
    first_row: Count
    rows: Count
    error: str


@record
class SealsInfo(Told):
    """SHA-256 of what was asked, of the files of the run, and of run.json without this; see `ihcli.runs.seals`."""

    question: str = untold()
    attributions: tuple[str, ...] = untold()
    interactions: tuple[str, ...] = untold()
    summary: Mapping[str, str] = untold()
    run: str = untold()

    def parts(self, kind: str) -> tuple[str, ...]:
        """Return those of the parts of a kind; none where they are not told."""
        found: tuple[str, ...] = vars(self).get(kind, ())
        return found

    def of_summary(self) -> Mapping[str, str]:
        """Return those of the tables of the summary, by their kind; none where they are not told."""
        return if_told(lambda: self.summary) or {}


@record
class ShardInfo(Told):
    """One of the shards that a run was merged from."""

    shard: str
    started: str
    finished: str
    device: str
    memory_bytes: Positive
    totals: TotalsInfo


@record
class RunInfo(Told):
    """What run.json tells of a run, its keys in this order.

    status    running, interrupted, failed or done; a killed run stays running
    keys      the key columns
    features  the G features or groups that are explained; None for texts
    units     what texts are explained by; None for tables
    openings  places in the network that are opened in the place of columns
    imputed   what the model's own imputer puts in the place of missing numbers, by column; None: it has none
    sequence  what rows are that are sequences
    target    what was asked for, or taken where nothing was: predicted, all, label or an output
    groups    columns of each group
    scale     on which outputs are explained; None: the model's own
    categories  what the codes of features stand for; None: all features are numbers
    jumps     what helps where the checks before the run found jumps of the model, in words
    shard     which share of a run it is, while it is one
    resumed   when it was gone on with
    members   the runs that it is the mean of
    """

    status: str
    started: str
    arguments: RunRequest
    model: ModelInfo
    data: DataInfo
    origins: Mapping[str, Origin]
    features: tuple[str, ...] | None
    units: str | None = left_out(None)
    openings: tuple[OpeningInfo, ...] = left_out(())
    imputed: Mapping[str, float] | None = left_out(None)
    sequence: SequenceInfo | None = left_out(None)
    baseline: BaselineInfo
    keys: tuple[str, ...]
    method: MethodInfo
    target: str
    groups: Mapping[str, tuple[str, ...]] | None
    groups_sha256: str | None
    categories: CategoriesInfo | None = left_out(None)
    scale: ScaleInfo | None = left_out(None)
    integrals: IntegralsInfo = untold()
    smoothing: SmoothingInfo | None
    engine: EngineInfo
    device: str
    dtype: str
    memory_bytes: Positive
    chunk_rows: Positive
    warnings: tuple[str, ...]
    jumps: str = left_out("")
    versions: VersionsInfo
    shard: str = untold()
    resumed: tuple[str, ...] = left_out(())
    finished: str = untold()
    error: str = untold()
    failed_chunks: tuple[FailedChunkInfo, ...] = left_out(())
    totals: TotalsInfo = untold()
    sha256: SealsInfo = untold()
    shards: tuple[ShardInfo, ...] = left_out(())
    members: tuple[MemberInfo, ...] = left_out(())

    @classmethod
    def of(cls, content: Mapping[str, Any], file: object = "run.json") -> "RunInfo":
        """Return what the content of a run.json tells; raises RunError where a value is not of its type."""
        kind = kind_of(RunInfo)
        for fault in faults_of(content, kind):
            raise RunError(f"{file}: {fault}. {ADVICE}")
        info: RunInfo = read_as(kind, content, file)
        return info

    @property
    def is_new(self) -> bool:
        """Whether the run was killed while it was made: nothing is told yet."""
        return self.content() == NEW.content()

    @property
    def circumstances(self) -> Circumstances:
        """What remedies for its rows depend on."""
        return Circumstances(self.arguments.steps, self.dtype, self.jumps)

    @property
    def is_done(self) -> bool:
        """Whether all rows are explained and summed up."""
        return self.status == DONE

    @property
    def layout(self) -> Layout[Any]:
        """How entries are laid out; one that does not tell its features is of a table, without any."""
        return layout_of_run(if_told(lambda: self.features), self.units)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The G features or groups; empty for texts. Raises RunError where neither is told."""
        if self.units is not None:
            return ()
        if (features := self.features) is None:
            raise self.lacks("features")
        return features

    def explained_in_words(self, target: str) -> str:
        """Return what is explained of a target, in words."""
        scale = if_told(lambda: self.scale)
        return output_in_words(MODEL if scale is None else scale.name, target)

    @property
    def tolerance(self) -> float | None:
        """Relative error at which rows are done, or a larger one, see `sampling_share`; None where it is not told."""
        return if_told(lambda: self.arguments.tolerance) or if_told(lambda: self.integrals.tolerance)

    @property
    def sampling_share(self) -> float:
        """Share of a row's own sampling error at which it is done, where that is more; 0 where it does not count."""
        asked = if_told(lambda: self.arguments.tolerance)
        return 0.0 if asked else if_told(lambda: self.integrals.sampling_share) or 0.0

    @property
    def tolerance_in_words(self) -> str | None:
        """At which relative error rows are done; None where it is not told."""
        return None if (found := self.tolerance) is None else tolerance_in_words(found, self.sampling_share)

    @property
    def second_order(self) -> bool:
        """Whether there are interactions."""
        return self.method.name in names_of(order=2)

    @property
    def sampling(self) -> Sampling | None:
        """How many baselines were found enough; None where somebody said how many. Raises RunError."""
        told = self.baseline.sampling
        return None if told is None else told.found()

    @property
    def vocabulary(self) -> Vocabulary | None:
        """What the codes of features stand for; None where all are numbers. Raises RunError where it is not told."""
        return None if self.categories is None else self.categories.vocabulary()

    @property
    def seals(self) -> SealsInfo:
        """What it tells of SHA-256, be it nothing."""
        return if_told(lambda: self.sha256) or SealsInfo()

    @property
    def n_parts(self) -> int:
        """Into how many parts the data are cut."""
        return part_count(self.data.rows, self.chunk_rows)

    def of_shard(self, shard: str) -> Self:
        """Return this of a share of the run."""
        return self.but(shard=shard)

    def continuing(self, begun: "RunInfo", now: str) -> Self:
        """Return this of a run that goes on: what it was begun with, and when it was resumed."""
        return self.but(started=begun.started, arguments=begun.arguments, resumed=(*begun.resumed, now))

    def done(self, finished: str, totals: TotalsInfo, seals: SealsInfo) -> Self:
        """Return this of a run that came to its end."""
        return self.but(status=DONE, finished=finished, totals=totals, sha256=seals)

    def stopped(self, status: str, finished: str, error: str, chunks: Sequence[FailedChunkInfo] = ()) -> Self:
        """Return this of a run that failed or was interrupted."""
        return self.but(status=status, finished=finished, error=error, failed_chunks=tuple(chunks) or UNTOLD)

    def merged(self, shards: Sequence["RunInfo"], totals: TotalsInfo, seals: SealsInfo) -> Self:
        """Return this of the run that all shards make; `self` is one of them."""
        return self.but(
            started=min(info.started for info in shards),
            finished=max(info.finished for info in shards),
            shard=UNTOLD,
            resumed=UNTOLD,
            totals=totals,
            sha256=seals,
            shards=tuple(info._as_shard() for info in shards),
        )

    def with_seal(self, sha256: str | None) -> Self:
        """Return this with another SHA-256 of run.json, or with none."""
        return self.but(sha256=self.seals.but(run=UNTOLD if sha256 is None else sha256))

    def text(self) -> str:
        """Return the text of run.json; NaN and infinity are null in it."""
        return json.dumps(self.content(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def _as_shard(self) -> ShardInfo:
        return ShardInfo(
            shard=self.shard,
            started=self.started,
            finished=self.finished,
            device=self.device,
            memory_bytes=self.memory_bytes,
            totals=self.totals,
        )


NEW = RunInfo.of({"status": RUNNING})
"""Of a run that is just being made."""


def read_info(file: Location) -> RunInfo:
    """Return what a run.json tells; raises RunError where it cannot be read, or a value is not of its type."""
    content = foreign_json(file, RunError, at_most_bytes=MOST_BYTES, advice=ADVICE)
    if not isinstance(content, dict):
        raise RunError(f"{file}: is not what ihcli explain writes. Expected a JSON object. {ADVICE}")
    return RunInfo.of(content, file)
