"""What a run will cost in time, disk and memory: foreseen from a pilot of its rows, and from a summary like its own."""

import json
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pyarrow as pa
import torch

from ihcli.execution.choosing import plan_devices
from ihcli.execution.preparation import PreparedRun, prepare_run
from ihcli.execution.refusals import parse
from ihcli.explanation import AnyExplanation
from ihcli.files.parquet import encode
from ihcli.memory import peak_bytes
from ihcli.quality import Status
from ihcli.runs.parts import attributions_table, interactions_table
from ihcli.runs.progress import Progress
from ihcli.runs.request import RunRequest, Workforce
from ihcli.runs.shards import Shard
from ihcli.runs.totals import Estimate, Observer

PILOT_S = 1.5
"""Of explaining rows for a forecast: as much as makes batches as full as those of the run."""
GROWTH = 8
MOST_TRIED = 1 << 21
"""Lines of a summary that is ranked for a forecast: fewer would stay in the caches, which those of wide runs do not."""
FULL_DIGITS = math.pi
"""Means over a few rows of float32 end in zeros, which take no bytes; over many rows they do not, nor times this."""
DISK_BYTES_PER_S = 300e6  # written and on disk: nothing is written for a forecast, so it is not measured
INFO_BYTES = 2600  # of run.json beside the names of features
SEAL_BYTES = 2 * 180  # of a part: its SHA-256 in run.json, and twice that of what was asked in its metadata
LINE_BYTES = 100
"""Of memory, for each pair and target at the end: the moments of all rows, those of a part, and the ranked table."""
RESULTS_ALIVE = 3
"""Explanations of a chunk held at once: one that is made, one that is written, and what is written of it."""
ALONE = Workforce()


@dataclass(frozen=True)
class Pilot:
    """Rows explained for a forecast, as a chunk of the run would be, and what that took.

    explain_s, keep_s  seconds of explaining them, and of summing them up and writing their part
    sizes              bytes of a part of one row, and of each row more
    progress           theirs; of a table of two rows at least where there are
    peak_bytes         most memory that the process had so far
    """

    rows: int
    explanation: AnyExplanation
    explain_s: float
    keep_s: float
    sizes: tuple[float, float]
    progress: Progress
    peak_bytes: int


def estimate(
    request: RunRequest, observer: Observer, workforce: Workforce = ALONE, shard: Shard | None = None
) -> Estimate:
    """Explain rows drawn from the data for about PILOT_S seconds and scale up; nothing is written.

    Of a shard the figures are those of its rows; of several workers, those of all of them together.
    """
    started = time.monotonic()
    prepared = prepare_run(parse(request), pilot=True)
    checks_s = time.monotonic() - started
    rows = announce(prepared, observer, shard)
    workers = _workers(workforce, request.device)
    with _threads_of(prepared, workers):
        pilot = _pilot(prepared, rows)
        lines = _summary_lines(prepared, pilot, rows)
        summary_s, summary_bytes = (0.0, 0) if shard is not None else _summary_cost(pilot, lines, pilot.rows == rows)
    full = rows * prepared.scan.n_complete / prepared.scan.n_rows
    n_parts = math.ceil(rows / prepared.chunk_rows)
    header, per_row = pilot.sizes
    explainer, effort = prepared.explainer, prepared.explainer.effort
    return Estimate(
        rows=rows,
        pilot_rows=pilot.rows,
        features=None if explainer.reader.units is None else len(explainer.reader.units),
        targets=explainer.targets_per_row,
        evaluations_per_row=float(pilot.explanation.evaluations.sum()) / pilot.rows,
        share_converged=float((pilot.explanation.status == Status.OK).mean()) if explainer.method.error_of else None,
        checks_s=checks_s,
        rows_s=_rows_s(pilot, full, n_parts, workers),
        summary_s=summary_s,
        parts_bytes=int(n_parts * (header + SEAL_BYTES) + (full - n_parts) * per_row) + _info_bytes(prepared),
        summary_bytes=summary_bytes,
        peak_bytes=_peak_bytes(prepared, pilot, rows, lines),
        workers=workers,
        tolerance=None if effort.share_that_counts else effort.tolerance,
        notes=tuple(_notes(prepared)),
        scan=prepared.scanned,
    )


def announce(prepared: PreparedRun, observer: Observer, shard: Shard | None = None) -> int:
    """Tell of warnings and of how many rows will be explained; return that."""
    for warning in prepared.warnings:
        observer.warned(warning)
    rows = prepared.scan.n_rows
    rows = rows if shard is None else shard.rows(rows, prepared.chunk_rows)
    observer.prepared(rows)
    return rows


def _workers(workforce: Workforce, device: str) -> int:
    """Return how many processes of this machine will explain; a cluster's are not known before it is asked."""
    if workforce.executor != "local":
        return workforce.workers or 1
    return len(plan_devices(device, workforce.workers, torch.cuda.device_count()))


@contextmanager
def _threads_of(prepared: PreparedRun, workers: int) -> Iterator[None]:
    """Compute with as many threads as each worker will have."""
    before = torch.get_num_threads()
    if prepared.explainer.model.device.type == "cpu":
        torch.set_num_threads(max(1, before // workers))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _pilot(prepared: PreparedRun, most: int) -> Pilot:
    explainer = prepared.explainer
    inputs, labels, keys = rows_to_try(prepared, min(most, prepared.chunk_rows))

    def explained(some: slice) -> AnyExplanation:
        return explainer.explain(inputs[some], None if labels is None else labels[some])

    first = explained(slice(-1, None))  # which pays for starting up
    n = 1
    while True:
        started = time.monotonic()
        explanation = explained(slice(0, n))
        explain_s = time.monotonic() - started
        if n == len(inputs) or 2 * explain_s > PILOT_S:
            break
        n = min(len(inputs), GROWTH * n, max(n + 1, int(n * PILOT_S / explain_s)))
    started = time.monotonic()
    progress = Progress.of_part(0, n, explanation)
    sizes = _part_sizes(prepared, explanation, keys.slice(0, n), min(most, prepared.chunk_rows))
    keep_s = time.monotonic() - started + (sizes[0] + (n - 1) * sizes[1]) / DISK_BYTES_PER_S
    if n == 1 < len(inputs) and explainer.reader.units is not None:  # one row alone has no deviation
        progress.merge(Progress.of_part(1, 1, first))
    return Pilot(n, explanation, explain_s, keep_s, sizes, progress, peak_bytes())


def rows_to_try(prepared: PreparedRun, n: int) -> tuple[np.ndarray, np.ndarray | None, pa.Table]:
    """Return rows that may be explained, their labels where these say what, and as many rows of keys."""
    has_labels = prepared.request.target == "label"
    if has_labels or prepared.dataset.columns.keys:
        head = prepared.dataset.head(n)
        if has_labels:
            return head.inputs, head.labels, head.keys
        sample = prepared.pilot[: len(head)]
        return sample, None, head.keys.slice(0, len(sample))
    return prepared.pilot[:n], None, pa.table({})


def _part_sizes(prepared: PreparedRun, explanation: AnyExplanation, keys: pa.Table, rows: int) -> tuple[float, float]:
    """Return the bytes of a part of one row, and of each row more, encoded as in a part of so many rows."""
    storage, targets = prepared.asked.storage, prepared.explainer.targets_per_row
    tables = (attributions_table(explanation, keys), interactions_table(explanation, keys, storage))
    one = more = 0.0
    for table in tables:
        if table is not None:
            first = _encoded_bytes(table.slice(0, targets), rows * targets)
            one += first
            more += (_encoded_bytes(table, rows * targets) - first) / max(1, len(table) // targets - 1)
    return one, more


def _encoded_bytes(table: pa.Table, of_rows: int | None = None) -> int:
    sink = pa.MockOutputStream()
    encode(table, sink, of_rows)
    return int(sink.size())


def _rows_s(pilot: Pilot, rows: float, n_parts: int, workers: int) -> float:
    """Return the seconds of explaining and keeping all rows.

    In one process a thread keeps the last chunk while the next is explained, on one of the cores that both share;
    workers do both, each for its own.
    """
    explain_s, keep_s = (seconds * rows / pilot.rows for seconds in (pilot.explain_s, pilot.keep_s))
    if workers > 1:
        return (explain_s + keep_s) / min(workers, n_parts)
    last_s = keep_s / max(1, n_parts)  # nothing is explained meanwhile
    return max(explain_s + (keep_s - last_s) / torch.get_num_threads(), keep_s - last_s) + last_s


def _summary_cost(pilot: Pilot, lines: tuple[float, float], is_whole: bool) -> tuple[float, int]:
    """Return seconds and bytes of the summary of so many lines, from one of fewer pairs, or of fewer texts.

    Where rows of the pilot do not rank, there is another summary over all of them, of about as many lines.
    """
    summaries = 1 if pilot.progress.summary.all_rows() is None else 2
    summary = pilot.progress.summary.narrowed(MOST_TRIED, 1.0 if is_whole else FULL_DIGITS)
    started = time.monotonic()
    tables = [table for table in (summary.attributions(), summary.interactions()) if table is not None]
    sizes = [_scaled_bytes(table, len(table), whole) for table, whole in zip(tables, lines, strict=False)]
    seconds = time.monotonic() - started
    seconds = seconds * lines[len(tables) - 1] / max(1, len(tables[-1])) + sum(sizes) / DISK_BYTES_PER_S
    counts = pilot.progress.summary.counts_occurrences
    model = pilot.progress.model.table(tables[0], tables[1] if len(tables) > 1 else None, counts=counts)
    of_model = 0 if model is None else _encoded_bytes(model, len(model))
    return summaries * seconds, int(summaries * sum(sizes)) + of_model


def _scaled_bytes(table: pa.Table, n: int, whole: float) -> float:
    """Return the bytes of a file of `whole` lines, from a table of n that are like them."""
    one, all_of_them = (_encoded_bytes(some, round(whole)) for some in (table.slice(0, 1), table))
    return one + (all_of_them - one) * (whole - 1) / max(1, n - 1)


def _summary_lines(prepared: PreparedRun, pilot: Pilot, rows: int) -> tuple[float, float]:
    """Return how many lines the tables of features and of pairs will have.

    Of texts they are counted among those that were drawn, explained or not, and grow beyond by the power that the
    second half of these shows (Heaps 1978).
    """
    summary, reader = pilot.progress.summary, prepared.explainer.reader
    if summary.most_lines is None:
        return summary.lines
    encoded = reader.encode(prepared.pilot)
    drawn = reader.own_units(encoded.values[encoded.present])
    # Texts without words, and those whose label is no output, have none.
    explained = _distinct(units for units in getattr(pilot.explanation, "units", ()) if units is not None)
    lines = []
    for here, half, among, told in zip(
        _distinct(drawn), _distinct(drawn[: len(drawn) // 2]), explained, summary.lines, strict=True
    ):
        power = math.log2(here / half) if half else 1.0
        grown = here * max(1.0, rows / len(drawn)) ** power
        lines.append(min(summary.most_lines, grown * told / max(1, among)))  # told apart by target
    return lines[0], lines[1]


def _distinct(texts: Iterable[tuple[str, ...]]) -> tuple[int, int]:
    """Return how many units these texts have, and how many pairs of them."""
    units, pairs = set[str](), set[tuple[str, str]]()
    for names in texts:
        units.update(names)
        pairs.update(combinations(sorted(names), 2))
    return len(units), len(pairs)


def _peak_bytes(prepared: PreparedRun, pilot: Pilot, rows: int, lines: tuple[float, float]) -> int:
    """Return the most memory that this process, or each worker, will have: what it had, and what the run has more."""
    explainer, chunk_rows = prepared.explainer, min(rows, prepared.chunk_rows)
    results = explainer.row_bytes * (RESULTS_ALIVE * chunk_rows - pilot.rows)
    work = explainer.working_bytes(chunk_rows) - explainer.working_bytes(pilot.rows)
    held = max(pilot.progress.summary.held, sum(lines))  # of wide tables all pairs, and few of them in lines
    return int(pilot.peak_bytes + max(0, results) + max(0, work) + LINE_BYTES * held)


def _info_bytes(prepared: PreparedRun) -> int:
    names = prepared.explainer.description()["features"] or ()
    return INFO_BYTES + sum(len(json.dumps(name, ensure_ascii=False).encode()) + len(",\n    ") for name in names)


def _notes(prepared: PreparedRun) -> Iterator[str]:
    explainer = prepared.explainer
    by = f"derivatives by {explainer.engine.name}" if explainer.method.derivatives else "by outputs alone"
    yield f"{explainer.method.title}, {by}"
    yield f"model: {explainer.original.format}, {prepared.request.model}"
    yield f"baseline: {explainer.description()['baseline']['source']}"
    yield from prepared.settled_in_words()
    if explainer.smoothing is not None:
        yield (
            f"SoftPlus with beta {explainer.smoothing.beta:g} replaces {', '.join(explainer.smoothing.replaced)}; "
            f"drift {explainer.smoothing.drift:.2%} of the output's standard deviation"
        )
