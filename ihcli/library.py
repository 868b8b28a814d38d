"""The library's front door: explain rows, texts, or records of another kind, in memory."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from ihcli.data.categories import categories_of
from ihcli.data.columns import Columns
from ihcli.data.frames import rows_of
from ihcli.data.groups import Groups, check_groups
from ihcli.data.sampling import BASELINE_ROWS, SAMPLING_TOLERANCE, BaselineRows, require_rows
from ihcli.data.tables import ArrayDataset
from ihcli.data.texts import as_texts, have_words
from ihcli.errors import DataError, ModelError, OptionError
from ihcli.explainers.explainer import MEMORY_RAN_OUT, Explainer
from ihcli.explainers.scanning import settle
from ihcli.explainers.settings import Settings
from ihcli.explanation import AnyExplanation, Explanation, TextExplanation
from ihcli.integration.effort import Effort
from ihcli.methods import DEFAULT, method_named
from ihcli.models import Model, evaluating, wrap_module
from ihcli.models.signatures import carried_inputs, features_of
from ihcli.models.targets import OutputNames
from ihcli.models.texts import ZEROS
from ihcli.quality import WORD
from ihcli.readers import Reader
from ihcli.readers.questions import LayerQuestion, TableQuestion
from ihcli.readers.reader import require_reader
from ihcli.readers.sequences import SequenceQuestion, flattened, refuse_sequences
from ihcli.readers.tables import fills_of
from ihcli.readers.texts import TextReader, reads_texts
from ihcli.scales import MODEL, scale_named
from ihcli.vocabulary import Vocabulary

Categories = str | Path | Mapping[str, Any] | Vocabulary


class IhcliWarning(UserWarning):
    """Something to know before trusting an explanation."""


@torch.enable_grad()
def explain(
    model: Model | nn.Module,
    x: Any,
    *,
    method: str = DEFAULT,
    baseline: str | np.ndarray | None = None,
    target: str | int | None = None,
    scale: str = MODEL,
    output_names: Sequence[str] | None = None,
    labels: Sequence[Any] | np.ndarray | None = None,
    tolerance: float | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    inputs: Mapping[str, Sequence[str]] | None = None,
    layers: Sequence[str] = (),
    layer_names: Sequence[str] | None = None,
    categories: Categories | None = None,
    smooth: str | float = "auto",
    smooth_tolerance: float = 0.01,
    smooth_stable: float | None = None,
    max_evaluations: int | None = None,
    steps: int | None = None,
    baseline_rows: BaselineRows = BASELINE_ROWS,
    sampling_tolerance: float = SAMPLING_TOLERANCE,
    seed: int = 0,
    memory_bytes: int | None = None,
    engine: str = "auto",
    sequence: str | tuple[int, int] | None = None,
    units: str | None = None,
    channels_first: bool = False,
) -> Explanation:
    """Explain the rows of an array or a DataFrame.

    Parameters:
        model: a loaded model, or a torch module from (P, D) to (P,), (P, 1) or (P, K); a module is put into eval mode
            for the while and given back as it came.
        x: (N, D) array, or a DataFrame whose columns are the features (picked by name where the model has names). Text
            that pandas holds as categories becomes codes in their order. Sequences also come as (N, T, F), or, with
            `channels_first`, (N, F, T).
        method: name of a row of `ihcli.methods.METHODS`: ig, eg (attributions), ih or eh (interactions as well).
        baseline: "zeros", "mean", "median", "mode" of x, or D numbers, for ig and ih; "data" or (B, D) numbers for eg
            and eh. None: "zeros", or "mode" where the model looks codes up; "data" for eg and eh.
        target: "predicted", "all", "label", an output name or index. None: the predicted or the only output.
        scale: "model", "logit", "probability", "log-probability" or "margin": what of an output is explained, see
            `ihcli.heads.scales`.
        output_names: what the outputs are called, in their order; None: the model's own names, else their indices, and
            "prediction" where there is one.
        labels: N class names or indices, for target "label".
        tolerance: relative error at which a row is done. None: 0.01, or where baselines are drawn from more of them a
            fifth of the row's own sampling error if that is more, see `ihcli.integration.effort`.
        groups: name of each group of features that is explained as one.
        inputs: features of each argument of the model's forward, where it takes several; codes come as integers where
            it takes no others.
        layers: names of layers whose output, or with ":input" behind the name input, is explained in the place of the
            features, see `ihcli.openings.layers`; layer_names are those of all that they give, in order.
        categories: what codes of category columns stand for: the values of each column in the order of the codes, or
            the TOML file that says so, see `ihcli.data.categories.read_categories`. Such columns may hold text.
        smooth, smooth_tolerance: SoftPlus replacement, see `ihcli.smoothing.resolve_smoothing`; smooth "scan" tries
            many betas first, see `ihcli.explainers.scanning`, and so does smooth_stable with "auto", until pairs agree.
        max_evaluations, steps: see `ihcli.integration.certify.Effort`.
        baseline_rows, seed: so many of more baselines are drawn, see `ihcli.data.baselines.resolve_baselines`; "auto":
            as many as bring the sampling error to `sampling_tolerance`, see `ihcli.explainers.sampling`.
        memory_bytes: bound on the working set; None: see `ihcli.memory.default_memory_bytes`.
        engine: "auto", "mlp", "operations" or "autograd", see `ihcli.derivatives.choosing.choose_engine`.
        sequence: (T, F) or "24x5", for a module that takes (P, T, F): rows are sequences of T steps of F channels.
            Names of columns tell their order, else it is by step; "24x5:by-channel" says it.
        units: what is explained of a sequence: "step", "step:K" for blocks of K steps, "channel" or "column". None:
            steps, or blocks of them where there are more than 32, unless there are groups.
        channels_first: whether the module takes (P, F, T); found out where it does not take both.

    Raises DataError, OptionError and ModelError; warns with IhcliWarning.
    """
    wrapped = _as_model(model)
    if reads_texts(wrapped):
        raise ModelError(f"{wrapped.path or 'model'}: reads texts. Try ihcli.explain_texts(model, texts).")
    x, baseline, sequence = flattened(x, baseline, sequence, channels_first)
    asks = SequenceQuestion.of(sequence, units, channels_first, {"groups": groups, "inputs": inputs})
    inputs = carried_inputs(wrapped) if inputs is None else inputs
    of_columns = wrapped if asks is None else replace(wrapped, feature_names=asks.column_names(wrapped))
    data = _as_rows(of_columns, x, None if inputs is None else features_of(inputs), categories)
    data.fills = fills_of(wrapped, data.columns.features)
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
        engine=engine,
        sampling_tolerance=sampling_tolerance,
    )
    require_rows(baseline_rows, sampling_tolerance, method_named(method))

    def grouped(names: Sequence[str]) -> Groups:
        if groups is not None:
            check_groups(groups, Columns(tuple(names)))
        return Groups.of(names, groups)

    asked_layers = LayerQuestion.of(layers, layer_names, grouped)
    with evaluating(wrapped.module):
        wrapped, blocks = _rows_of(wrapped, asks, data)
        asked = TableQuestion(
            baseline,
            method_named(method).many_baselines,
            (blocks if groups is None else None) or (Groups.of if asked_layers else grouped)(data.columns.features),
            baseline_rows,
            seed,
            inputs=inputs,
            layers=asked_layers,
        )
        survey = asked.survey(data)
        if survey.scan.n_complete == 0:
            raise DataError("x: every row has a missing or infinite value. Expected at least one complete row.")
        reader = asked.reader(wrapped, data, survey)
        sample = survey.sample.first(reader.sample_records)
        _, explainer = settle(wrapped, reader, sample, settings)
        return cast(Explanation, _explained(explainer, np.concatenate(list(data.inputs())), labels))


@torch.enable_grad()
def explain_texts(
    model: Model,
    texts: Sequence[str | None],
    pairs: Sequence[str | None] | None = None,
    *,
    units: str = WORD,
    method: str = DEFAULT,
    baseline: str = ZEROS,
    target: str | int | None = None,
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
) -> TextExplanation:
    """Explain texts word by word, or pairs of texts.

    Parameters:
        model: a loaded Hugging Face checkpoint.
        texts, pairs: N strings each; None, and nothing but space, is flagged missing_input.
        units: "word", each the sum of its pieces, or "token".
        method: one over one baseline, ig or ih.
        baseline: "zeros", "pad" or "mask", see `ihcli.models.texts.TextEmbedder.baseline`.
        target and all others: as for `explain`.

    Raises DataError, OptionError and ModelError; warns with IhcliWarning.
    """
    if not reads_texts(wrapped := _as_model(model)):
        raise ModelError(
            f"{wrapped.path or 'model'}: takes numbers. Expected a Hugging Face checkpoint of a text "
            "classifier, from ihcli.load_model. Try ihcli.explain(model, x)."
        )
    inputs = as_texts(texts, pairs)
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
    )
    _, explainer = settle(wrapped, TextReader(units, baseline), inputs[have_words(inputs)], settings)
    return cast(TextExplanation, _explained(explainer, inputs, labels))


@torch.enable_grad()
def explain_records(
    model: Model | nn.Module,
    records: Sequence[Any],
    reader: Reader,
    *,
    method: str = DEFAULT,
    target: str | int | None = None,
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
) -> AnyExplanation:
    """Explain records of a kind of your own.

    Parameters:
        model: a loaded model, or a torch module, called by the reader's `outputs`.
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
    wrapped = _as_model(model)
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
    )
    present = np.flatnonzero(reader.on(wrapped).encode(records).present)
    sample = [records[i] for i in present[: reader.sample_records]]
    with evaluating(wrapped.module):
        _, explainer = settle(wrapped, reader, sample, settings)
        return _explained(explainer, records, labels)


def _rows_of(model: Model, asks: SequenceQuestion | None, data: ArrayDataset) -> tuple[Model, Groups | None]:
    """Return the model as one of rows, and the units of sequences, None where rows are none."""
    if asks is None:
        refuse_sequences(model, len(data.columns.features))
        return model, None
    found = asks.answer(model, data.columns, "x")
    for text in found.warnings(model):
        warnings.warn(text, IhcliWarning, stacklevel=4)
    return found.axes.of_rows(model), found.groups(data.columns)


def _as_model(model: Model | nn.Module) -> Model:
    return model if isinstance(model, Model) else wrap_module(model)


def _explained(
    explainer: Explainer, records: Sequence[Any] | np.ndarray, labels: Sequence[Any] | np.ndarray | None
) -> AnyExplanation:
    for text in explainer.warnings:
        warnings.warn(text, IhcliWarning, stacklevel=3)
    explanation = explainer.explain(records, None if labels is None else np.asarray(labels, dtype=object))
    if explainer.memory_ran_out:
        warnings.warn(MEMORY_RAN_OUT, IhcliWarning, stacklevel=3)
    return explanation


def _as_rows(model: Model, x: Any, features: Sequence[str] | None, categories: Categories | None) -> ArrayDataset:
    """Return x as rows; `features` are those of the model's inputs, where it has several."""
    if categories is not None and model.vocabulary is not None:
        raise OptionError("`categories`: the model brings its own. Try without.")
    given = model.vocabulary if categories is None else categories_of(categories)
    if isinstance(x, torch.Tensor):
        x = x.detach().cpu().numpy()
    if features is not None and not hasattr(x, "columns"):
        x = _picked(np.asarray(x), features)
    return rows_of(x, model.feature_names if features is None else features, given)


def _picked(x: np.ndarray, features: Sequence[str]) -> np.ndarray:
    """Return the columns of an array that inputs name by their numbers."""
    known = [str(i) for i in range(x.shape[1])] if x.ndim == 2 else []
    missing = [name for name in features if name not in known]
    if missing:
        raise DataError(
            f"`inputs`: column {missing[0]!r} is not one of x, an array of shape {x.shape}. Expected '0', '1', ... Try "
            "a DataFrame, whose columns have names."
        )
    return x[:, [int(name) for name in features]]
