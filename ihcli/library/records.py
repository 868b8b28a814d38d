"""Texts, and records of a kind of one's own, explained in memory."""

import time
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch

from ihcli.data.texts import as_texts, have_words
from ihcli.errors import DataError, ModelError
from ihcli.explainers.scanning import settle
from ihcli.explainers.settings import Settings
from ihcli.integration.effort import Effort
from ihcli.library.explanations import InMemory, TextExplanation
from ihcli.library.finishing import Asked, Progress, finished, model_files
from ihcli.library.models import Anything, model_of
from ihcli.library.provenance import IN_MEMORY
from ihcli.library.rows import Targets, targets_of
from ihcli.library.speaking import answering, warn
from ihcli.methods import DEFAULT
from ihcli.models import evaluating
from ihcli.models.targets import OutputNames
from ihcli.models.texts import ZEROS
from ihcli.quality import WORD, Status
from ihcli.readers import Reader
from ihcli.readers.reader import require_reader
from ihcli.readers.texts import TextReader, reads_texts
from ihcli.runs.request import RunRequest
from ihcli.scales import MODEL, scale_named

TEXT, PAIR = "text", "text_pair"
"""Columns of texts, in the data of a run that an explanation is saved as."""


@answering
@torch.enable_grad()
def explain_texts(
    model: Anything,
    texts: Sequence[str | None],
    pairs: Sequence[str | None] | None = None,
    *,
    units: str = WORD,
    method: str = DEFAULT,
    baseline: str = ZEROS,
    target: Targets = None,
    scale: str = MODEL,
    output_names: Sequence[str] | None = None,
    labels: Sequence[Any] | np.ndarray | None = None,
    tolerance: float | None = None,
    smooth: str | float = "auto",
    smooth_tolerance: float = 0.01,
    smooth_stable: float | None = None,
    max_evaluations: int | None = None,
    steps: int | None = None,
    memory_bytes: int | None = None,
    device: str | torch.device | None = None,
    dtype: str | np.dtype | torch.dtype | None = None,
    progress: Progress = False,
) -> TextExplanation:
    """Explain texts word by word, or pairs of texts.

    Parameters:
        model: a Hugging Face checkpoint, by its directory or as `ihcli.load_model` gives it.
        texts, pairs: N strings each; None, and nothing but space, is flagged missing_input.
        units: "word", each the sum of its pieces, or "token".
        method: one over one baseline, ig or ih.
        baseline: "zeros", "pad" or "mask", see `ihcli.models.texts.TextEmbedder.baseline`.
        target and all others: as for `explain`.

    Raises DataError, OptionError and ModelError; warns with IhcliWarning.
    """
    began = time.monotonic()
    if not reads_texts(wrapped := model_of(model, device, dtype)):
        raise ModelError(
            f"{wrapped.path or 'model'}: takes numbers. Expected a Hugging Face checkpoint of a text "
            "classifier, from ihcli.load_model. Try ihcli.explain(model, x)."
        )
    files, inputs = model_files(wrapped), as_texts(texts, pairs)
    target, each = targets_of(target, len(inputs))
    settings = Settings(
        method=method,
        target=target,
        scale=scale_named(scale),
        outputs=OutputNames.of(output_names),
        effort=Effort.asked(tolerance, max_evaluations, steps),
        smooth=smooth,
        smooth_tolerance=smooth_tolerance,
        smooth_stable=smooth_stable,
        memory_bytes=memory_bytes,
        sees_model=True,
    )
    present = have_words(inputs)
    if not present.all():
        empty = int((~present).sum())
        warn(f"{empty} of {len(inputs)} texts are empty or null: they are flagged {Status.MISSING_INPUT}.")
    _, explainer = settle(wrapped, TextReader(units, baseline), inputs[present], settings)
    names = (TEXT,) if pairs is None else (TEXT, PAIR)
    request = RunRequest(
        model=str(wrapped.path or IN_MEMORY),
        data=IN_MEMORY,
        method=method,
        baseline=baseline,
        output_names=None if output_names is None else tuple(output_names),
        scale=scale,
        smooth_stable=smooth_stable,
        text=TEXT,
        text_pair=None if pairs is None else PAIR,
        units=units,
    )
    asked = Asked(request, settings, files, names=names, began=began)
    return cast(TextExplanation, finished(explainer, inputs, labels, each, asked, progress))


@answering
@torch.enable_grad()
def explain_records(
    model: Anything,
    records: Sequence[Any],
    reader: Reader,
    *,
    method: str = DEFAULT,
    target: Targets = None,
    scale: str = MODEL,
    output_names: Sequence[str] | None = None,
    labels: Sequence[Any] | np.ndarray | None = None,
    tolerance: float | None = None,
    smooth: str | float = "auto",
    smooth_tolerance: float = 0.01,
    smooth_stable: float | None = None,
    max_evaluations: int | None = None,
    steps: int | None = None,
    memory_bytes: int | None = None,
    device: str | torch.device | None = None,
    dtype: str | np.dtype | torch.dtype | None = None,
    progress: Progress = False,
) -> InMemory:
    """Explain records of a kind of your own.

    Parameters:
        model: as for `explain`, called by the reader's `outputs`.
        records: N of them, each whatever the reader reads; one without input is flagged missing_input.
        reader: how a record becomes inputs; see `ihcli.readers.Reader`.
        method: one over many baselines where the reader has many.
        target and all others: as for `explain`.

    Returns an Explanation where the reader's units are the same for all records, else a TextExplanation.
    Raises DataError, OptionError and ModelError; warns with IhcliWarning.
    """
    require_reader(reader)
    if not len(records):
        raise DataError("records: there are none. Expected one at least.")
    began = time.monotonic()
    wrapped = model_of(model, device, dtype)
    target, each = targets_of(target, len(records))
    settings = Settings(
        method=method,
        target=target,
        scale=scale_named(scale),
        outputs=OutputNames.of(output_names),
        effort=Effort.asked(tolerance, max_evaluations, steps),
        smooth=smooth,
        smooth_tolerance=smooth_tolerance,
        smooth_stable=smooth_stable,
        memory_bytes=memory_bytes,
        sees_model=True,
    )
    present = np.flatnonzero(reader.on(wrapped).encode(records).present)
    sample = [records[i] for i in present[: reader.sample_records]]
    with evaluating(wrapped.module):
        _, explainer = settle(wrapped, reader, sample, settings)
        request = RunRequest(
            str(wrapped.path or IN_MEMORY), IN_MEMORY, method, scale=scale, smooth_stable=smooth_stable
        )
        asked = Asked(request, settings, model_files(wrapped), began=began)
        return cast(InMemory, finished(explainer, records, labels, each, asked, progress))
