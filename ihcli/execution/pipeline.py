"""A run: chunks of a table to explanations to part files, with what was run written beside them."""

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, replace

from ihcli.errors import RunError
from ihcli.execution.choosing import choose_executor
from ihcli.execution.describing import described
from ihcli.execution.forecasting import announce
from ihcli.execution.outlook import look_ahead
from ihcli.execution.preparation import PreparedRun, prepare_run
from ihcli.execution.refusals import parse
from ihcli.execution.tasks import Executor, FailedChunksError, Task
from ihcli.files.locations import Location, locate
from ihcli.files.lock import locked
from ihcli.runs.directory import REFUSE, RESUME, Existing
from ihcli.runs.info import FailedChunkInfo, RunInfo, SealsInfo
from ihcli.runs.keeping import Keeper
from ihcli.runs.parts import Units
from ihcli.runs.progress import Progress
from ihcli.runs.request import ParsedRequest, RunRequest, Workforce
from ihcli.runs.resuming import BegunRun, find_begun, settled_by_others
from ihcli.runs.seals import question_sha256
from ihcli.runs.shards import Place, Shard
from ihcli.runs.told import now
from ihcli.runs.totals import Observer, RunTotals
from ihcli.runs.writer import RunWriter
from ihcli.summaries.ranked import most_error

ALONE = Workforce()


def run(
    request: RunRequest,
    out: str | Location,
    observer: Observer,
    existing: Existing = REFUSE,
    shard: Shard | None = None,
    workforce: Workforce = ALONE,
) -> RunTotals:
    """Explain every row and write the run directory; reading and writing go on while rows are explained.

    The observer hears of finished chunks from the thread that writes.

    Parameters:
        existing: what becomes of a run that is there. "refuse": the new one is refused. "replace": it is replaced.
            "resume": it is gone on with, and its finished parts stay: the result is, byte for byte, that of a run that
            nothing stopped, on the same machine. Without a run there one is begun; a finished one is left as it is.
        shard: explain only this share of the chunks, beside those of other shards; `ihcli.runs.merging.merge` makes a
            run of them.
        workforce: who explains: this process, others, or a cluster.

    Raises OptionError for another `existing`; RunError when the directory cannot be written, another process writes it,
    or a run that shall go on was begun with something else; and what `prepare_run` raises. After a failure the finished
    parts stay and run.json says so; without any, no run is left behind. Raises FailedChunksError where chunks failed
    again and again, once all others are done; resuming tries them again.
    """
    return carry_out(parse(request), Place(locate(out), shard, existing), observer, workforce)


def carry_out(asked: ParsedRequest, place: Place, observer: Observer, workforce: Workforce = ALONE) -> RunTotals:
    """Do the same of a request that was read before; see `run`."""
    with closing(choose_executor(workforce, asked.text.device)) as executor:
        return _run(asked, place, executor, observer)


def _run(asked: ParsedRequest, place: Place, executor: Executor, observer: Observer) -> RunTotals:
    shard, resume = place.shard, place.existing == RESUME
    merged = find_begun(place.path) if resume and shard is not None else None
    if merged is not None and merged.is_done:
        merged.require_same_question(asked)
        return merged.totals()
    place.refuse_existing()  # before the minutes that checking a large table can take
    with locked(place.home, observer.warned):
        place.refuse_existing()  # what another process did meanwhile
        observer.locked(place.path)
        begun = find_begun(place.home) if resume else None
        if begun is not None:
            begun.require_same_question(asked)
            if begun.is_done:
                if shard is None:
                    place.reopen().states.forget()  # a kill can come between the last word and this
                return begun.totals()
            asked = begun.settle(asked)
        elif shard is not None:
            asked = settled_by_others(asked, place)
        return _explain_into(place, prepare_run(asked), executor, observer, begun)


def _explain_into(
    place: Place,
    prepared: PreparedRun,
    executor: Executor,
    observer: Observer,
    begun: BegunRun | None,
) -> RunTotals:
    info = described(prepared, place.path)
    info = info if place.shard is None else info.of_shard(str(place.shard))
    if begun is not None:
        begun.require_same_meaning(info)
        info = info.continuing(begun.info, now())
    for settled in prepared.settled_in_words():
        observer.settled(settled)
    if (scan := prepared.scanned) is not None:
        observer.scanned(scan)
    rows = announce(prepared, observer, place.shard)
    storage = prepared.asked.storage
    writer = place.create(storage) if begun is None else place.reopen(storage)
    asked = question_sha256(info)
    effort = prepared.explainer.effort
    most = most_error(effort.tolerance, effort.steps)
    units = Units(info.arguments.scale, prepared.explainer.method.is_slope)
    writer = replace(writer, question=asked, units=units, most_error=most)
    with _kept_honest(writer, info):
        writer.write_info(info)
        done = _done_before(writer, begun, observer)
        keeper = Keeper(writer, observer, done)
        outlook = look_ahead(prepared, rows - done.rows, executor.workers) if observer.asks_outlook else None
        if outlook is not None:
            observer.foreseen(outlook)
        with prepared.unchanged():
            executor.execute(prepared, _tasks(prepared, done, place.shard), keeper)
        seals = keeper.summarise() if place.shard is None else SealsInfo()
        totals = keeper.totals().under(info)
        writer.write_info(info.done(now(), totals.stored(), seals.but(question=asked)))
        if place.shard is None:
            writer.states.forget()
    return totals


def _done_before(writer: RunWriter, begun: BegunRun | None, observer: Observer) -> Progress:
    """Return the progress of the parts that are on disk."""
    state = writer.read_state()
    progress = Progress() if state is None else Progress.of_state(state)
    if begun is not None:
        observer.resumed(progress.rows)
    return progress


def _tasks(prepared: PreparedRun, done: Progress, shard: Shard | None) -> Iterator[Task]:
    """Yield the chunks whose parts are not done."""
    for part, chunk in enumerate(prepared.chunks()):
        if part not in done and (shard is None or shard.owns(part)):
            yield Task(part, chunk)


@contextmanager
def _kept_honest(writer: RunWriter, info: RunInfo) -> Iterator[None]:
    """Say in run.json that a run failed or was interrupted, or remove it when it has no finished part."""
    try:
        yield
    except BaseException as error:
        status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        chunks = error.chunks if isinstance(error, FailedChunksError) else ()
        failed = [FailedChunkInfo(**asdict(chunk)) for chunk in chunks]
        with suppress(RunError):  # a full disk would hide what happened first
            writer.write_info(info.stopped(status, now(), str(error), failed))
            writer.abandon()
        raise
