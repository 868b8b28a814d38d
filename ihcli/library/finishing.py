"""What all that explains in memory does in the end: explain, warn, and remember how it came about."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ihcli.advance import Tell, unheard
from ihcli.errors import OptionError
from ihcli.execution.describing import Sources, code_info, told_of
from ihcli.execution.opening import CHUNK_BYTES, MOST_CHUNK_ROWS
from ihcli.explainers.explainer import MEMORY_RAN_OUT, Explainer
from ihcli.explainers.settings import Settings
from ihcli.files.fingerprints import Snapshot
from ihcli.library.explanations import in_memory
from ihcli.library.provenance import IN_MEMORY, Provenance
from ihcli.library.rows import values_of
from ihcli.library.speaking import warn
from ihcli.models import Model
from ihcli.runs.categories import CategoriesInfo
from ihcli.runs.info import DataInfo, ModelInfo, RunInfo
from ihcli.runs.request import RunRequest
from ihcli.runs.sequences import SequenceInfo
from ihcli.runs.told import UNTOLD
from ihcli.vocabulary import Vocabulary, label_index
from ihcli.wording import listed, printable

Progress = bool | Tell
"""Whether to show a bar, or who hears what share is done."""
LABEL, TARGET = "label", "target"
"""Columns of what is true of a row, and of the output that was asked for it."""


@dataclass(frozen=True)
class Asked:
    """What was asked, as a run remembers it.

    request  with the places of what lies in files
    files    of the model, None where it was in memory
    names    of the columns that were explained, none of records of a kind of one's own
    others   see `Provenance`
    """

    request: RunRequest
    settings: Settings
    files: Snapshot | None
    names: tuple[str, ...] = ()
    vocabulary: Vocabulary | None = None
    categories: CategoriesInfo | None = None
    sequence: SequenceInfo | None = None
    groups: Mapping[str, tuple[str, ...]] | None = None
    layer_names: tuple[str, ...] | None = None
    began: float = 0.0

    def asking(self, **more: Any) -> "Asked":
        """Return this with more in its request."""
        return replace(self, request=replace(self.request, **more))


def finished(
    explainer: Explainer,
    records: Sequence[Any] | np.ndarray,
    labels: Sequence[Any] | np.ndarray | None,
    each: np.ndarray | None,
    asked: Asked,
    progress: Progress = False,
) -> Any:
    """Explain records, and return what they explain as an explanation of the front door.

    Parameters:
        labels: what is true of each;  each: the output that is asked for each, in the place of labels.
        progress: who hears of it.
    """
    for text in explainer.warnings:
        warn(text)
    if each is not None and labels is not None:
        raise OptionError(
            "`target`: says the output of each row, and `labels` too. Expected one of both. Try without `labels`."
        )
    if labels is not None and len(labels) != len(records):
        raise OptionError(f"`labels`: has {len(labels):,} of them. Expected one for each of the {len(records):,} rows.")
    chosen = labels if each is None else each
    chosen = None if chosen is None else values_of(chosen)
    _require_outputs(explainer, None if each is None else chosen)
    with _telling(progress) as tell:
        found = explainer.explain(records, chosen, tell=tell)
        tell(1.0)
    if explainer.memory_ran_out:
        warn(MEMORY_RAN_OUT)
    if each is not None and found.seen is not None:
        found = replace(found, seen=replace(found.seen, truth=None))
    return in_memory(found, _provenance(explainer, records, chosen, TARGET if labels is None else LABEL, asked))


def model_files(model: Model) -> Snapshot | None:
    """Return how the files of a model are now; None of one in memory."""
    if model.path is None:
        return None
    try:
        files = model.path.iterdir() if model.path.is_dir() else [model.path]
        return Snapshot.of(file for file in files if file.is_file())
    except OSError:
        return None


def _require_outputs(explainer: Explainer, each: np.ndarray | None) -> None:
    """Raise OptionError where the output that is asked for a row is none."""
    if each is None:
        return
    names = explainer.target.names
    for row, value in enumerate(each):
        if label_index(value, names) is None:
            raise OptionError(
                f"`target`: row {row} asks for {printable(repr(value))}, which is not an output of the model. Expected "
                f"one of {listed(names)}, or an index from 0 to {len(names) - 1}."
            )


@contextmanager
def _telling(progress: Progress) -> Iterator[Tell]:
    if not progress:
        yield unheard
        return
    if not isinstance(progress, bool):
        yield progress
        return
    from rich.console import Console
    from rich.progress import Progress as Bars

    with Bars(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("Explaining", total=1.0)
        yield lambda share: bars.update(task, completed=share)


def _provenance(
    explainer: Explainer,
    records: Sequence[Any] | np.ndarray,
    labels: np.ndarray | None,
    label: str,
    asked: Asked,
) -> Provenance:
    while label in asked.names:
        label += "_"
    rows = np.asarray(records) if asked.names else None
    starts = getattr(getattr(explainer.reader, "baselines", None), "values", None)
    return Provenance(
        info=_told(explainer, len(records), asked, None if labels is None else label),
        rows=rows,
        names=asked.names,
        vocabulary=asked.vocabulary,
        labels=labels,
        label=label,
        baseline=starts if asked.request.baseline == IN_MEMORY else None,
        starts=None if explainer.reader.description().get("openings") else starts,
        groups=asked.groups,
        layer_names=asked.layer_names,
        model=None if asked.files is None else explainer.original.path,
        model_files=asked.files,
        wall_s=time.monotonic() - asked.began,
    )


def _told(explainer: Explainer, n_rows: int, asked: Asked, label: str | None) -> RunInfo:
    """Return what run.json tells, but for what is known once files are written."""
    original, settings = explainer.original, asked.settings
    made_by = code_info(original.code)
    request = replace(
        asked.request,
        target=None if settings.target is None else str(settings.target),
        tolerance=settings.effort.tolerance if not settings.effort.sampling_share else None,
        smooth=str(settings.smooth),
        smooth_tolerance=settings.smooth_tolerance,
        max_evaluations=settings.effort.max_evaluations,
        steps=settings.effort.steps,
        memory_bytes=settings.memory_bytes,
        engine_derivatives=settings.engine,
        device=str(original.device),
        dtype=str(original.dtype).removeprefix("torch."),
        label=label,
        code=None if made_by is None else made_by.name,
        code_args=None if made_by is None else made_by.arguments,
    )
    model = ModelInfo(
        path=str(original.path or IN_MEMORY),
        sha256=UNTOLD,
        format=original.format,
        outputs=explainer.target.names,
        code=made_by,
    )
    data = DataInfo(path=IN_MEMORY, sha256=UNTOLD, format=IN_MEMORY, files=(), rows=n_rows)
    sources = Sources(
        model=model,
        data=data,
        origins={},
        columns=asked.names,
        categories=asked.categories,
        sequence=asked.sequence,
    )
    chunk_rows = int(np.clip(CHUNK_BYTES // explainer.row_bytes, 1, MOST_CHUNK_ROWS))
    return told_of(request, explainer, sources, chunk_rows, explainer.warnings)
