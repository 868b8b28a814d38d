"""Records as a request asks for them, a function for each kind: opened, surveyed and checked, with their reader."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ihcli.data.columns import Columns, Roles
from ihcli.data.formats.opening import open_table
from ihcli.data.groups import Groups, check_groups, groups_by_prefix, read_groups
from ihcli.data.lists import MEDIAN_SEQUENCES, channel_baseline, longest_of, open_sequences
from ihcli.data.sequences import SequenceUnits
from ihcli.data.stated import read_layer_names
from ihcli.data.survey import Scan, Survey
from ihcli.data.tables import Dataset, open_dataset
from ihcli.data.texts import open_texts
from ihcli.errors import DataError, OptionError
from ihcli.models import Model
from ihcli.models.sequences import axes_of
from ihcli.models.signatures import Inputs, carried_inputs, features_of
from ihcli.models.texts import ZEROS
from ihcli.quality import WORD, Status
from ihcli.readers import Reader
from ihcli.readers.questions import LayerQuestion, TableQuestion
from ihcli.readers.sequences import FlatSequences, SequenceQuestion, either_warnings, refuse_sequences
from ihcli.readers.steps import LongSequences, StepReader
from ihcli.readers.tables import TableReader, fills_of
from ihcli.readers.texts import TextReader, embedder_of, reads_texts
from ihcli.runs.request import ParsedRequest, RunRequest
from ihcli.vocabulary import Vocabulary
from ihcli.wording import argument, did_you_mean, listed, quoted

CHUNK_BYTES = 64 << 20
MOST_CHUNK_ROWS = 16_384
"""Larger chunks are no faster, and their peak is: 1,040 against 887 MiB for 600,000 rows of 30 features under ig."""
PILOT_TEXTS = 2048


@dataclass(frozen=True)
class Opened:
    """Records that were opened and surveyed, and their reader.

    model  as a function of the rows, where these are sequences
    drawn  rows at random, as many as a forecast wants
    notes  what the data alone give to say
    sequences  what the rows are taken for, where they are sequences
    """

    dataset: Dataset
    survey: Survey
    reader: Reader
    model: Model
    drawn: np.ndarray
    notes: tuple[str, ...] = ()
    sequences: FlatSequences | LongSequences | None = None


def open_records(asked: ParsedRequest, model: Model, pilot: bool) -> Opened:
    """Open the records that a request is about, of whatever kind.

    Parameters:
        pilot: whether to draw rows for a forecast as well.

    Raises DataError, OptionError and ModelError for whatever the user can mend.
    """
    request = asked.text
    if request.text is not None:
        return _open_texts(request, model, request.text, pilot)
    if asked.has_lists:
        return _open_sequences(request, model, pilot)
    return _open_table(asked, model, pilot)


def _open_table(asked: ParsedRequest, model: Model, pilot: bool) -> Opened:
    request = asked.text
    if reads_texts(model):
        raise OptionError(f"{request.model}: reads texts. Expected the column they are in. Try `text=COLUMN`.")
    asks = _sequence_question(asked)
    inputs = request.inputs or carried_inputs(model)
    _require_columns(request.data, {} if inputs is None else inputs)
    dataset = open_dataset(
        request.data,
        keys=request.key,
        label=request.label,
        exclude=request.exclude,
        features=request.features if inputs is None else features_of(inputs),
        model_features=model.feature_names if asks is None else asks.column_names(model),
        vocabulary=_vocabulary(asked, model),
    )
    found: FlatSequences | None = None
    notes: tuple[str, ...] = ()
    if asks is None:
        refuse_sequences(model, len(dataset.columns.features))
    else:
        found = asks.answer(model, dataset.columns, dataset.path)
        found = replace(found, units=None) if _has_groups(request) else found
        model, notes = found.axes.of_rows(model), found.warnings(model)
    _require_feature_count(model, dataset)
    dataset.fills = fills_of(model, dataset.columns.features)
    question = TableQuestion(
        request.baseline,
        asked.method.many_baselines,
        _column_groups(request, dataset.columns, found),
        request.baseline_rows,
        request.seed,
        request.limit,
        asked.sampling,
        inputs,
        _layers(request),
        asked.thins,
    )
    wanted = _pilot_rows(request, dataset) if pilot else TableReader.sample_records
    survey = question.survey(dataset, max(wanted, TableReader.sample_records))
    _require_complete_inputs(request, survey.scan)
    reader, drawn = question.reader(model, dataset, survey), survey.sample.first(wanted)
    return Opened(dataset, survey, reader, model, drawn, (*notes, *_own_categories(dataset)), found)


def _sequence_question(asked: ParsedRequest) -> SequenceQuestion | None:
    if asked.sequence is None:
        return None
    return SequenceQuestion(asked.sequence, asked.text.units, asked.text.channels_first)


def _has_groups(request: RunRequest) -> bool:
    return request.groups is not None or request.groups_by is not None


def _open_texts(request: RunRequest, model: Model, column: str, pilot: bool) -> Opened:
    embedder_of(model)  # before its data: a table of numbers has no column of texts to name
    dataset = open_texts(request.data, column, request.text_pair, keys=request.key, label=request.label)
    wanted = PILOT_TEXTS if pilot else TextReader.sample_records
    survey = dataset.survey(wanted, request.seed, request.limit)
    scan = survey.scan
    if scan.n_complete == 0:
        raise DataError(f"{request.data}: every text in column {column!r} is empty or null. Expected one at least.")
    empty = scan.n_rows - scan.n_complete
    noted = f"{empty} of {scan.n_rows} texts are empty or null: they are flagged {Status.MISSING_INPUT}."
    reader = TextReader(request.units or WORD, request.baseline or ZEROS)
    return Opened(dataset, survey, reader, model, survey.sample.first(wanted), (noted,) if empty else ())


def _open_sequences(request: RunRequest, model: Model, pilot: bool) -> Opened:
    dataset = open_sequences(request.data, Roles(request.key, request.label, request.exclude, request.features))
    wanted = PILOT_TEXTS if pilot else StepReader.sample_records
    drawn = max(wanted, MEDIAN_SEQUENCES if request.baseline == "median" else 0)
    survey = dataset.survey(drawn, request.seed, request.limit)
    _require_complete_inputs(request, survey.scan)
    channels, longest = dataset.channels, longest_of(survey)
    axes = axes_of(model, (None, len(channels)), False, request.channels_first or None, longest)
    found = LongSequences(channels, longest, SequenceUnits.of(request.units, longest), axes)
    start = channel_baseline(request.baseline, dataset, survey, model.zero, request.limit is None)
    reader = StepReader(channels, found.units, start.values[0], start.source)
    notes = either_warnings(model, axes, longest, len(channels))
    return Opened(dataset, survey, reader, axes.of_rows(model), survey.sample.first(wanted), notes, found)


def _require_feature_count(model: Model, dataset: Dataset) -> None:
    features = dataset.columns.features
    if model.n_inputs is None or model.n_inputs == len(features):
        return
    takes = f" ({listed(model.feature_names)})" if model.feature_names else ""
    raise DataError(
        f"{dataset.path}: has {len(features)} features ({listed(features)}), but {model.path} takes "
        f"{model.n_inputs}{takes}. Try {_likely_label(features, model.n_inputs)}`features` to choose columns, or "
        "`exclude`, `key` and `label` to take them out."
    )


LABELS = ("label", "class", "target", "y", "outcome")
"""What columns of what a model predicts are often called."""


def _likely_label(features: Sequence[str], n_inputs: int) -> str:
    """Return which column may be what the model predicts: by its name, else the last where there is one too many."""
    too_many = len(features) - n_inputs
    likely = [name for name in features if name.lower() in LABELS] or (list(features[-1:]) if too_many == 1 else [])
    if too_many < 1 or not likely:
        return ""
    return f"`label={argument(likely[0])}` where that is what the model predicts, "


def _vocabulary(asked: ParsedRequest, model: Model) -> Vocabulary | None:
    if asked.text.categories is not None and model.vocabulary is not None:
        raise OptionError(
            f"`categories={asked.text.categories}`: {model.subject} brings its own categories, of "
            f"{listed(list(model.vocabulary.values))}. Try without `categories`."
        )
    return asked.vocabulary or model.vocabulary_of(asked.text.features)


def _own_categories(dataset: Dataset) -> Iterator[str]:
    """Yield what was taken where nobody said what codes stand for."""
    if dataset.own_categories and dataset.vocabulary is not None:
        columns = (f"{quoted(name)} ({dataset.vocabulary.size(name)})" for name in dataset.own_categories)
        yield (
            f"The codes of {', '.join(columns)} are places in the categories that {dataset.path} brings, in their "
            "order there, as nothing else was said. The model must take them so. Try `categories` for another order."
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


def _require_columns(data: str, inputs: Inputs) -> None:
    """Raise OptionError for a column that an argument of the model takes and that the table lacks."""
    names = open_table(data).schema.names if inputs else []
    for taking, columns in inputs.items():
        for column in (column for column in columns if column not in names):
            raise OptionError(
                f"`inputs={taking}=...`: {data} has no column {quoted(column)}. Expected one of its {len(names)} "
                f"columns: {listed(names)}.{did_you_mean(column, names)}"
            )


def _column_groups(request: RunRequest, columns: Columns, found: FlatSequences | None) -> Groups:
    """Return the groups of columns; where layers are explained in their place, groups are of what these give."""
    if request.layer:
        return Groups.of(columns.features)
    return _groups(request, columns) if found is None or found.units is None else found.groups(columns)


def _layers(request: RunRequest) -> LayerQuestion | None:
    if not request.layer:
        return None
    names = None if request.layer_names is None else read_layer_names(request.layer_names)
    return LayerQuestion(request.layer, names, lambda values: _groups(request, Columns(tuple(values))))


def _groups(request: RunRequest, columns: Columns) -> Groups:
    features = columns.features
    if request.groups is not None:
        return Groups.of(features, read_groups(request.groups, columns))
    if request.groups_by is not None:
        groups = groups_by_prefix(features, request.groups_by)
        check_groups(groups, columns, f"`groups_by={request.groups_by}`")
        return Groups.of(features, groups)
    return Groups.of(features)


def _pilot_rows(request: RunRequest, dataset: Dataset) -> int:
    """Return how many rows to draw for a forecast: those of a chunk, as far as they take no more memory than it."""
    wanted = request.chunk_rows or MOST_CHUNK_ROWS
    return int(np.clip(CHUNK_BYTES // (8 * len(dataset.columns.features)), 2, max(2, min(wanted, MOST_CHUNK_ROWS))))
