"""From a request to everything a run needs, opened and checked before any work."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch

from ihcli.data.rows import Chunk
from ihcli.data.sampling import tolerance_in_words
from ihcli.data.survey import Scan
from ihcli.data.tables import Dataset
from ihcli.errors import DataError, OptionError, RunError
from ihcli.execution.opening import CHUNK_BYTES, MOST_CHUNK_ROWS, open_records
from ihcli.explainers.explainer import Explainer
from ihcli.explainers.scanning import settle
from ihcli.explainers.settings import Settings
from ihcli.explainers.settling import prepare
from ihcli.explanation.betas import BetaScan
from ihcli.files.code import Code
from ihcli.files.fingerprints import Snapshot
from ihcli.files.locations import Location
from ihcli.integration.effort import Effort
from ihcli.models import Model, load_model
from ihcli.models.reinitialising import reinitialise
from ihcli.models.sequences import Axes
from ihcli.models.targets import OutputNames
from ihcli.readers import Reader
from ihcli.readers.sequences import FlatSequences
from ihcli.readers.steps import LongSequences
from ihcli.runs.request import ParsedRequest, RunRequest
from ihcli.runs.storage import FULL

DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class PreparedRun:
    """A request whose model and data were opened and checked; nothing is written yet.

    model_files  as they were before the model was read, and code that made it, after it was run
    reader       of the rows, before it is put on the model
    sample       real rows, complete ones, drawn from all of them;  pilot: more of them, for a forecast
    warnings     sentences the user should read before trusting the result
    sequences    what the rows are taken for, where they are sequences
    """

    asked: ParsedRequest
    model_files: Snapshot
    dataset: Dataset
    scan: Scan
    reader: Reader
    sample: np.ndarray
    explainer: Explainer
    warnings: tuple[str, ...]
    pilot: np.ndarray
    sequences: FlatSequences | LongSequences | None = None

    @property
    def request(self) -> RunRequest:
        """The text of what was asked."""
        return self.asked.text

    @property
    def chunk_rows(self) -> int:
        """Rows read and written together: as asked, else so many that a chunk's results stay near CHUNK_BYTES."""
        if self.request.chunk_rows is not None:
            return self.request.chunk_rows
        per_row = self.explainer.row_bytes
        return int(np.clip(CHUNK_BYTES // per_row, 1, MOST_CHUNK_ROWS))

    @property
    def scanned(self) -> BetaScan | None:
        """The betas that were tried; None: they were not."""
        return None if self.explainer.smoothing is None else self.explainer.smoothing.scan

    def settled_in_words(self) -> Iterator[str]:
        """Yield what was settled: what rows are, what the reader left to the run, and how exact integrals are."""
        if self.sequences is not None:
            yield self.sequences.in_words()
        yield from self.reader.settled()
        if share := self.explainer.effort.share_that_counts:
            yield f"Tolerance: {tolerance_in_words(self.explainer.effort.tolerance, share)}."

    def chunks(self) -> Iterator[Chunk]:
        """Stream the rows to explain."""
        return self.dataset.chunks(self.chunk_rows, self.request.limit)

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Raise RunError where model or data were written until the end of this, so that rows may come of two tables.

        That is also said in place of a DataError, which is most likely what came of it.
        """
        try:
            yield
        except DataError:
            self._require_unchanged()
            raise
        self._require_unchanged()

    def recipe(self, device: str, memory_bytes: int) -> "Recipe":
        """Return what makes such an explainer on another device, or with another bound on memory."""
        explainer = self.explainer
        settled = replace(
            self.request,
            model=str(self.asked.model.absolute()),
            smooth="none" if explainer.smoothing is None else repr(explainer.smoothing.beta),
            smooth_stable=None,
            engine_derivatives=explainer.engine.name,
            device=device,
            memory_bytes=memory_bytes,
        )
        made_by, axes = explainer.original.code, None if self.sequences is None else self.sequences.axes
        files = None if made_by is None else made_by.files
        whole_matrices = self.asked.storage == FULL
        start = explainer.effort.start
        random = self.asked.random_weights, self.asked.chosen
        return Recipe(settled, self.reader, self.sample, start, self.asked.code, files, axes, whole_matrices, *random)

    def _require_unchanged(self) -> None:
        changed = [*self.model_files.changed(), *self.dataset.snapshot.changed()]
        if changed:
            raise RunError(
                f"{changed[0]}: was changed while the run read it. Expected model and data that stay as they are until "
                "the end. Try `overwrite` to start over, once nothing writes to it."
            )


@dataclass(frozen=True)
class Recipe:
    """What makes the explainer of a prepared run in another process: all is settled, and no data are read again.

    request  with the beta of the smoothing and the engine that were chosen
    start    nodes that were chosen for paths to begin with
    code     that makes the network;  files: SHA-256 of what was run of it
    axes     how rows that are sequences are put to the model
    whole_matrices  see `Settings`
    random_weights, chosen  see `ParsedRequest`
    """

    request: RunRequest
    reader: Reader
    sample: np.ndarray
    start: int | None
    code: Code | None = None
    files: Mapping[str, str] | None = None
    axes: Axes | None = None
    whole_matrices: bool = True
    random_weights: int | None = None
    chosen: np.ndarray | None = None

    def explainer(self) -> Explainer:
        """Load the model and make the explainer; raises RunError where code of the model is another by now."""
        model = _load(self.request, self.code, self.random_weights)
        found = {} if model.code is None else model.code.files
        is_other = any(found.get(name, sha256) != sha256 for name, sha256 in (self.files or {}).items())
        if is_other and self.code is not None:
            raise RunError(
                f"{self.code.option}: was changed while the run read it. Expected code that stays as it is until the "
                "end. Try `overwrite` to start over, once nothing writes to it."
            )
        model = model if self.axes is None else self.axes.of_rows(model)
        settings = _settings(self.request, self.start, self.whole_matrices)
        return _choosing(prepare(model, self.reader, self.sample, settings), self.chosen)


def prepare_run(asked: ParsedRequest, *, pilot: bool = False) -> PreparedRun:
    """Open and check everything a run needs: one pass over the data, a few calls of the model.

    Parameters:
        pilot: whether to draw rows for a forecast as well, as many as a chunk may have.

    Raises ModelError, DataError and OptionError for whatever the user can mend, before any work.
    """
    request, model_files = asked.text, _snapshot(asked.model)
    model = _load(request, asked.code, asked.random_weights)
    if model.code is not None:
        model_files = model_files.with_files(model.code.root / file for file in model.code.files)
    opened = open_records(asked, model, pilot)
    sample = opened.survey.sample.first(opened.reader.sample_records)
    settings = _settings(request, asked.start, asked.storage == FULL)
    reader, explainer = settle(opened.model, opened.reader, sample, settings, asked.scan)
    return PreparedRun(
        asked=asked,
        model_files=model_files,
        dataset=opened.dataset,
        scan=opened.survey.scan,
        reader=reader,
        sample=sample,
        explainer=_choosing(explainer, asked.chosen),
        warnings=(*explainer.warnings, *opened.notes),
        pilot=opened.drawn,
        sequences=opened.sequences,
    )


def _choosing(explainer: Explainer, chosen: np.ndarray | None) -> Explainer:
    """Return the explainer with outputs that count as predicted."""
    return replace(explainer, target=replace(explainer.target, chosen=chosen))


def _load(request: RunRequest, code: Code | None, random_weights: int | None = None) -> Model:
    dtype = None if request.dtype is None else DTYPES[request.dtype]
    model = load_model(request.model, trust=request.trust, device=_device(request.device), dtype=dtype, code=code)
    if random_weights is not None:
        reinitialise(model, random_weights)
    return model


def _snapshot(model: Location) -> Snapshot:
    """Take a snapshot of a model file, or of those directly in a directory, where checkpoints have theirs."""
    try:
        files = model.iterdir() if model.is_dir() else [model]
        return Snapshot.of(file for file in files if file.is_file())
    except OSError:  # loading says why
        return Snapshot({})


def _settings(request: RunRequest, start: int | None, whole_matrices: bool) -> Settings:
    return Settings(
        method=request.method,
        target=request.target,
        scale=request.scale,
        outputs=OutputNames.of(request.output_names, request.label),
        effort=replace(Effort.asked(request.tolerance, request.max_evaluations, request.steps), start=start),
        smooth=request.smooth,
        smooth_tolerance=request.smooth_tolerance,
        smooth_stable=request.smooth_stable,
        memory_bytes=request.memory_bytes,
        engine=request.engine_derivatives,
        sampling_tolerance=request.sampling_tolerance,
        whole_matrices=whole_matrices,
        sees_model=True,
    )


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(name)
    except RuntimeError:
        raise OptionError(f"`device`: {name!r} is not a device. Expected auto, cpu or cuda, also cuda:1.") from None
