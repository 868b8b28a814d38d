"""A run of explanations that are there already, or that others make of runs: written from its first part to its end."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

import pyarrow as pa

from ihcli.explanation import AnyExplanation
from ihcli.methods import METHODS
from ihcli.runs.info import RunInfo
from ihcli.runs.parts import Units
from ihcli.runs.progress import Progress
from ihcli.runs.seals import question_sha256
from ihcli.runs.told import now
from ihcli.runs.totals import RunTotals
from ihcli.runs.writer import RunWriter
from ihcli.summaries.ranked import most_error


@dataclass(frozen=True)
class WholePart:
    """The explanation of so many rows of the data, and their keys, a line for each row."""

    rows: int
    explanation: AnyExplanation
    keys: pa.Table


def write_whole(writer: RunWriter, info: RunInfo, parts: Iterable[WholePart], began: float) -> RunTotals:
    """Write parts, summary and run.json of a run that was created; `began` is when the work for it did, see `time`.

    Raises RunError where the disk refuses, and whatever making the parts raises.
    """
    method = METHODS.get(info.method.name)
    writer = replace(
        writer,
        question=question_sha256(info),
        units=Units(info.arguments.scale, method is not None and method.is_slope),
        most_error=most_error(info.tolerance or 0.0, info.arguments.steps),
    )
    writer.write_info(info)
    progress = Progress()
    for number, part in enumerate(parts):
        digests = writer.write_part(number, part.explanation, part.keys)
        progress.merge(Progress.of_part(number, part.rows, part.explanation, digests, writer.most_error))
    progress.wall_s = time.monotonic() - began
    totals = RunTotals.of(writer.path, progress).under(info)
    summary = writer.write_summary(*progress.tables())
    seals = progress.seals(writer.digests_of).but(question=writer.question, summary=summary)
    writer.write_info(info.done(now(), totals.stored(), seals))
    return totals
