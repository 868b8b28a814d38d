"""From a request to everything a run needs, opened and checked before any work."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch

from ihcli.data.groups import Groups, check_groups, groups_by_prefix, read_groups
from ihcli.data.rows import Chunk
from ihcli.data.survey import Scan, Survey
from ihcli.data.tables import Dataset, open_dataset
from ihcli.data.texts import open_texts
from ihcli.errors import DataError, OptionError, RunError
from ihcli.explainers.explainer import Explainer
from ihcli.explainers.settings import Settings
from ihcli.explainers.settling import prepare
from ihcli.files.fingerprints import Snapshot
from ihcli.files.locations import Location
from ihcli.integration.certify import Effort
from ihcli.methods import method_named
from ihcli.models import Model, load_model
from ihcli.models.texts import ZEROS
from ihcli.quality import Status
from ihcli.readers import Reader
from ihcli.readers.tables import TableQuestion, TableReader
from ihcli.readers.texts import TextReader, embedder_of, reads_texts
from ihcli.runs.request import ParsedRequest, RunRequest
from ihcli.wording import listed

CHUNK_BYTES = 64 << 20
MOST_CHUNK_ROWS = 16_384
"""Larger chunks are no faster, and their peak is: 1,040 against 887 MiB for 600,000 rows of 30 features under ig."""
PILOT_TEXTS = 2048
DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class PreparedRun:
    """A request whose model and data were opened and checked; nothing is written yet.

    model_files  as they were before the model was read
    reader       of the rows, before it is put on the model
    sample       real rows, complete ones, drawn from all of them;  pilot: more of them, for a forecast
    warnings     sentences the user should read before trusting the result
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
            engine_derivatives=explainer.engine.name,
            device=device,
            memory_bytes=memory_bytes,
        )
        return Recipe(settled, self.reader, self.sample)

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
    """

    request: RunRequest
    reader: Reader
    sample: np.ndarray

    def explainer(self) -> Explainer:
        """Load the model and make the explainer."""
        return prepare(_load(self.request), self.reader, self.sample, _settings(self.request))


@dataclass(frozen=True)
class _Opened:
    """Data that were opened and surveyed, and their reader.

    drawn  rows at random, as many as a forecast wants
    notes  what the data alone give to say
    """

    dataset: Dataset
    survey: Survey
    reader: Reader
    drawn: np.ndarray
    notes: tuple[str, ...] = ()


def prepare_run(asked: ParsedRequest, *, pilot: bool = False) -> PreparedRun:
    """Open and check everything a run needs: one pass over the data, a few calls of the model.

    Parameters:
        pilot: whether to draw rows for a forecast as well, as many as a chunk may have.

    Raises ModelError, DataError and OptionError for whatever the user can mend, before any work.
    """
    request, model_files = asked.text, _snapshot(asked.model)
    model = _load(request)
    opened = (_open_table if request.text is None else _open_texts)(request, model, pilot)
    sample = opened.survey.sample.first(opened.reader.sample_records)
    explainer = prepare(model, opened.reader, sample, _settings(request))
    return PreparedRun(
        asked=asked,
        model_files=model_files,
        dataset=opened.dataset,
        scan=opened.survey.scan,
        reader=opened.reader,
        sample=sample,
        explainer=explainer,
        warnings=(*explainer.warnings, *opened.notes),
        pilot=opened.drawn,
    )


def _load(request: RunRequest) -> Model:
    dtype = None if request.dtype is None else DTYPES[request.dtype]
    return load_model(request.model, trust=request.trust, device=_device(request.device), dtype=dtype)


def _snapshot(model: Location) -> Snapshot:
    """Take a snapshot of a model file, or of those directly in a directory, where checkpoints have theirs."""
    try:
        files = model.iterdir() if model.is_dir() else [model]
        return Snapshot.of(file for file in files if file.is_file())
    except OSError:  # loading says why
        return Snapshot({})


def _open_table(request: RunRequest, model: Model, pilot: bool) -> _Opened:
    if reads_texts(model):
        raise OptionError(f"{request.model}: reads texts. Expected the column they are in. Try `text=COLUMN`.")
    dataset = open_dataset(
        request.data,
        keys=request.key,
        label=request.label,
        exclude=request.exclude,
        features=request.features,
        model_features=model.feature_names,
    )
    _require_feature_count(model, dataset)
    asked = TableQuestion(
        request.baseline,
        method_named(request.method).many_baselines,
        _groups(request, dataset),
        request.baseline_rows,
        request.seed,
        request.limit,
    )
    wanted = max(TableReader.sample_records, _pilot_rows(request, dataset) if pilot else 0)
    survey = asked.survey(dataset, wanted)
    _require_complete_inputs(request, survey.scan)
    return _Opened(dataset, survey, asked.reader(model, dataset, survey), survey.sample.first(wanted))


def _open_texts(request: RunRequest, model: Model, pilot: bool) -> _Opened:
    embedder_of(model)  # before its data: a table of numbers has no column of texts to name
    dataset = open_texts(request.data, request.text or "", request.text_pair, keys=request.key, label=request.label)
    wanted = PILOT_TEXTS if pilot else TextReader.sample_records
    survey = dataset.survey(wanted, request.seed, request.limit)
    scan = survey.scan
    if scan.n_complete == 0:
        raise DataError(
            f"{request.data}: every text in column {request.text!r} is empty or null. Expected one at least."
        )
    empty = scan.n_rows - scan.n_complete
    noted = f"{empty} of {scan.n_rows} texts are empty or null: they are flagged {Status.MISSING_INPUT}."
    reader = TextReader(request.units, request.baseline or ZEROS)
    return _Opened(dataset, survey, reader, survey.sample.first(wanted), (noted,) if empty else ())


def _settings(request: RunRequest) -> Settings:
    return Settings(
        method=request.method,
        target=request.target,
        effort=Effort(request.tolerance, request.max_evaluations, request.steps),
        smooth=request.smooth,
        smooth_tolerance=request.smooth_tolerance,
        memory_bytes=request.memory_bytes,
        engine=request.engine_derivatives,
    )


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(name)
    except RuntimeError:
        raise OptionError(f"`device`: {name!r} is not a device. Expected auto, cpu or cuda, also cuda:1.") from None


def _require_feature_count(model: Model, dataset: Dataset) -> None:
    features = dataset.columns.features
    if model.n_inputs is None or model.n_inputs == len(features):
        return
    takes = f" ({listed(model.feature_names)})" if model.feature_names else ""
    raise DataError(
        f"{dataset.path}: has {len(features)} features ({listed(features)}), but {model.path} takes "
        f"{model.n_inputs}{takes}. Try `features` to choose columns, or `exclude`, `key` and `label` to take them out."
    )


def _require_complete_inputs(request: RunRequest, scan: Scan) -> None:
    if request.missing == "error" and scan.missing:
        first = scan.missing[0]
        others = f" ({len(scan.missing) - 1} more such columns)" if len(scan.missing) > 1 else ""
        values = "value" if first.count == 1 else "values"
        raise DataError(
            f"{request.data}: column {first.column!r} has {first.count} {first.kind} {values}, the first in row "
            f"{first.first_row}{others}. Expected finite numbers. Try `missing=flag`, which writes such rows without "
            "figures."
        )
    if scan.n_complete == 0:
        raise DataError(
            f"{request.data}: every row has a missing or infinite value. Expected one complete row at least."
        )


def _groups(request: RunRequest, dataset: Dataset) -> Groups:
    features = dataset.columns.features
    if request.groups is not None:
        return Groups.of(features, read_groups(request.groups, dataset.columns))
    if request.groups_by is not None:
        groups = groups_by_prefix(features, request.groups_by)
        check_groups(groups, dataset.columns, f"`groups_by={request.groups_by}`")
        return Groups.of(features, groups)
    return Groups.of(features)


def _pilot_rows(request: RunRequest, dataset: Dataset) -> int:
    """Return how many rows to draw for a forecast: those of a chunk, as far as they take no more memory than it."""
    wanted = request.chunk_rows or MOST_CHUNK_ROWS
    return int(np.clip(CHUNK_BYTES // (8 * len(dataset.columns.features)), 2, max(2, min(wanted, MOST_CHUNK_ROWS))))
