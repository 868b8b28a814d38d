"""A run: chunks of a table to explanations to part files, with what was run written beside them."""

import hashlib
import platform
import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ihcli.dataset import Chunk
from ihcli.errors import RunError
from ihcli.explainer import MEMORY_RAN_OUT
from ihcli.explanation import OK, Explanation
from ihcli.output import RunWriter, create_run, refuse_existing
from ihcli.overlap import ahead, behind
from ihcli.parts import InteractionStorage
from ihcli.preparation import PreparedRun, prepare_run
from ihcli.request import Estimate, Observer, RunRequest, RunTotals
from ihcli.summary import Summary
from ihcli.table_explainer import TableExplainer

PILOT_ROWS = 32


def run(request: RunRequest, out: str | Path, observer: Observer, overwrite: bool = False) -> RunTotals:
    """Explain every row and write the run directory; reading and writing go on while rows are explained.

    The observer hears of finished chunks from the thread that writes.

    Raises RunError when the directory cannot be written, and what `prepare_run` raises. After a failure the finished
    parts stay and run.json says so; without any, no run is left behind.
    """
    refuse_existing(out, overwrite)  # before the minutes that checking a large table can take
    prepared = prepare_run(request)
    _announce(prepared, observer)
    writer = create_run(out, interactions=request.interactions, overwrite=overwrite)
    started = time.monotonic()
    info = _describe(prepared)
    with _kept_honest(writer, info):
        writer.write_info(info)
        record = _Record(writer, observer)
        with closing(_explained(prepared)) as explained:
            behind(record.keep, explained)
        if prepared.explainer.memory_ran_out:
            observer.warned(MEMORY_RAN_OUT)
        totals = record.finish(started)
        writer.write_info({**info, "status": "done", "finished": _now(), "totals": _totals(totals)})
    return totals


class _Explained(NamedTuple):
    part: int
    chunk: Chunk
    explanation: Explanation


def _explained(prepared: PreparedRun) -> Generator[_Explained]:
    """Explain chunk after chunk while the next one is read."""
    with closing(ahead(prepared.chunks())) as chunks:
        for part, chunk in enumerate(chunks):
            yield _Explained(part, chunk, prepared.explainer.explain(chunk.inputs, chunk.labels, chunk.first_row))


class _Record:
    """What a run has on disk so far, and its figures; used by one thread at a time."""

    def __init__(self, writer: RunWriter, observer: Observer) -> None:
        self._writer = writer
        self._observer = observer
        self._summary = Summary()
        self._statuses = Counter[str]()
        self._rows = self._evaluations = 0

    def keep(self, explained: _Explained) -> None:
        """Write a part, then count it, so that what is counted is on disk."""
        part, chunk, explanation = explained
        self._writer.write_part(part, explanation, chunk.keys)
        self._summary.update(explanation)
        self._statuses.update(explanation.status.tolist())
        self._evaluations += int(explanation.evaluations.sum())
        self._rows += len(chunk)
        self._observer.chunk_done(len(chunk), explanation)

    def finish(self, started: float) -> RunTotals:
        """Write the summary, and return the totals of a run that started then (monotonic seconds)."""
        self._writer.write_summary(self._summary.attributions(), self._summary.interactions())
        return RunTotals(
            path=self._writer.path,
            rows=self._rows,
            entries=self._statuses.total(),
            statuses=dict(sorted(self._statuses.items(), key=lambda item: (item[0] != OK, item[0]))),
            evaluations=self._evaluations,
            wall_s=time.monotonic() - started,
        )


def estimate(request: RunRequest, observer: Observer) -> Estimate:
    """Explain up to PILOT_ROWS rows drawn from the data and scale up; nothing is written."""
    prepared = prepare_run(request)
    _announce(prepared, observer)
    explainer = prepared.explainer
    inputs, labels = _pilot_rows(prepared)
    explainer.explain(inputs[:1], None if labels is None else labels[:1])  # the first call pays for starting up
    started = time.monotonic()
    explanation = explainer.explain(inputs, labels)
    rows_per_s = len(inputs) / (time.monotonic() - started)
    rows = prepared.scan.n_rows
    return Estimate(
        rows=rows,
        pilot_rows=len(inputs),
        features=len(explainer.groups.names),
        targets=explainer.targets_per_row,
        evaluations_per_row=float(explanation.evaluations.sum()) / len(inputs),
        share_converged=float((explanation.status == OK).mean()),
        rows_per_s=rows_per_s,
        wall_s=rows / rows_per_s,
        disk_bytes=rows * explainer.targets_per_row * _stored_bytes(explainer, request.interactions),
        notes=tuple(_notes(prepared)),
    )


def _pilot_rows(prepared: PreparedRun) -> tuple[np.ndarray, np.ndarray | None]:
    if prepared.request.target == "label":
        chunk = prepared.dataset.head(min(PILOT_ROWS, prepared.scan.n_rows))
        return chunk.inputs, chunk.labels
    return prepared.sample[:PILOT_ROWS], None


def _announce(prepared: PreparedRun, observer: Observer) -> None:
    for warning in prepared.explainer.warnings:
        observer.warned(warning)
    observer.prepared(prepared.scan.n_rows)


def _stored_bytes(explainer: TableExplainer, interactions: str) -> int:
    """Return about what one entry takes on disk, in bytes, before compression."""
    g, width = len(explainer.groups.names), explainer.model.dtype.itemsize
    storage = InteractionStorage.parse(interactions)
    pairs = 0
    if explainer.method.second_order and storage.kind != "none":
        pairs = 24 * storage.top if storage.kind == "top" else width * g * g
    return pairs + width * g + 64


@contextmanager
def _kept_honest(writer: RunWriter, info: dict[str, Any]) -> Iterator[None]:
    """Say in run.json that a run failed or was interrupted, or remove it when it has no finished part."""
    try:
        yield
    except BaseException as error:
        status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        with suppress(RunError):  # a full disk would hide what happened first
            writer.write_info({**info, "status": status, "finished": _now(), "error": str(error)})
            writer.abandon()
        raise


def _describe(prepared: PreparedRun) -> dict[str, Any]:
    request, explainer = prepared.request, prepared.explainer
    smoothing = explainer.smoothing
    return {
        "status": "running",
        "started": _now(),
        "arguments": asdict(request),
        "model": {
            "path": str(request.model),
            "sha256": _sha256(Path(request.model)),
            "format": explainer.original.format,
            "outputs": list(explainer.target.names),
        },
        "data": {
            "path": str(request.data),
            "sha256": prepared.dataset.fingerprint(),
            "format": prepared.dataset.format,
            "files": [str(file) for file in prepared.dataset.files],
            "rows": prepared.scan.n_rows,
        },
        "features": list(explainer.groups.names),
        "keys": list(prepared.dataset.columns.keys),
        "method": {"name": explainer.method.name, "title": explainer.method.title},
        "target": explainer.target.spec,
        "baseline": {
            "source": prepared.baselines.source,
            "rows": len(prepared.baselines.values),
            "population": prepared.baselines.population,
        },
        "smoothing": None if smoothing is None else asdict(smoothing),
        "engine": {"name": explainer.engine.name, "reason": explainer.engine_reason},
        "device": str(explainer.model.device),
        "dtype": str(explainer.model.dtype).removeprefix("torch."),
        "memory_bytes": explainer.memory_bytes,
        "chunk_rows": prepared.chunk_rows,
        "warnings": list(explainer.warnings),
        "versions": {
            "ihcli": version("ihcli"),
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "numpy", "pyarrow")},
        },
    }


def _notes(prepared: PreparedRun) -> Iterator[str]:
    explainer = prepared.explainer
    yield f"{explainer.method.title}, derivatives by {explainer.engine.name}"
    yield f"model: {explainer.original.format}, {prepared.request.model}"
    yield f"baseline: {prepared.baselines.source}"
    if explainer.smoothing is not None:
        yield (
            f"SoftPlus with beta {explainer.smoothing.beta:g} replaces {', '.join(explainer.smoothing.replaced)}; "
            f"drift {explainer.smoothing.drift:.2%} of the output's standard deviation"
        )


def _totals(totals: RunTotals) -> dict[str, Any]:
    return {
        "rows": totals.rows,
        "entries": totals.entries,
        "statuses": totals.statuses,
        "evaluations": totals.evaluations,
        "wall_s": round(totals.wall_s, 3),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
