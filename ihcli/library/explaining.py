"""Rows explained in memory: whatever model and rows people bring, made ready, explained, and remembered."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch

from ihcli.data.columns import Columns
from ihcli.data.groups import Groups, check_groups
from ihcli.data.sampling import BASELINE_ROWS, SAMPLING_TOLERANCE, BaselineRows, require_rows
from ihcli.data.survey import Missing
from ihcli.data.tables import ArrayDataset
from ihcli.errors import DataError, ModelError
from ihcli.explainers.scanning import settle
from ihcli.explainers.settings import Settings
from ihcli.integration.effort import Effort
from ihcli.library.containers import plain
from ihcli.library.explanations import Explanation
from ihcli.library.finishing import Asked, Progress, finished, model_files
from ihcli.library.models import Anything, in_its_precision, model_of
from ihcli.library.provenance import IN_MEMORY
from ihcli.library.rows import Baseline, Categories, Targets, baseline_of, brought, targets_of
from ihcli.library.speaking import answering, warn
from ihcli.methods import DEFAULT, method_named
from ihcli.models import Model, evaluating
from ihcli.models.targets import OutputNames
from ihcli.quality import Status
from ihcli.readers.questions import LayerQuestion, TableQuestion
from ihcli.readers.sequences import FlatSequences, SequenceQuestion, flattened, refuse_sequences
from ihcli.readers.tables import fills_of
from ihcli.readers.texts import reads_texts
from ihcli.runs.categories import CategoriesInfo
from ihcli.runs.request import RunRequest
from ihcli.runs.sequences import SequenceInfo
from ihcli.scales import MODEL, scale_named
from ihcli.wording import listed

TRIED_ROWS = 8
"""Rows that a function of tensors is tried with."""


@answering
@torch.enable_grad()
def explain(
    model: Anything,
    x: Any,
    *,
    method: str = DEFAULT,
    baseline: Baseline | Any = None,
    target: Targets = None,
    scale: str = MODEL,
    feature_names: Sequence[str] | None = None,
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
    device: str | torch.device | None = None,
    dtype: str | np.dtype | torch.dtype | None = None,
    progress: Progress = False,
    sequence: str | tuple[int, int] | None = None,
    units: str | None = None,
    channels_first: bool = False,
) -> Explanation:
    """Explain the rows of an array or a frame: attributions, interactions, and a certified error of each row.

        attributions phi_i, sum_i phi_i = f(x) - f(x')       interactions Gamma_ij, sum_j Gamma_ij = phi_i

    Under ig phi_i is Integrated Gradients (Sundararajan, Taly, Yan 2017), the integral of (x_i - x'_i) df/dx_i along
    the straight path from the baseline x' to x, under eg its mean over baselines (Erion et al. 2021). Under ih Gamma_ij
    is Integrated Hessians (Janizek, Sturmfels, Lee 2021), the path's integral of an integral, under eh its mean. All
    are in units of the explained output. `ihcli.methods` has the equations of all methods, docs/method.md says what the
    error covers, and where not to trust it.

    >>> explanation = ihcli.explain(model, frame, target="yes")
    >>> explanation.attributions, explanation.interactions, explanation.relative_error
    >>> explanation.to_frame(), explanation.plot("summary"), explanation.save("run")

    Parameters:
        model: a path of a model file; a torch module, from (P, D) to (P,), (P, 1) or (P, K); a fitted estimator of
            scikit-learn that ends in a network, a linear model, a support vector machine or a Gaussian process; a
            function of tensors that gradients flow through, or any function of them where the method needs none
            (shapley, sii, occlusion); or what `ihcli.load_model` gives. A module is put into eval mode for the while
            and given back as it came.
        x: (N, D) numbers, as an array or a tensor, or a frame whose columns are the features, picked by name where the
            model has names: of pandas, polars, or any that Arrow can read. Text that a frame holds as categories
            becomes codes in their order. A tuple or a dictionary has a part for each argument of the model's forward,
            (N,) or (N, D) each. Sequences also come as (N, T, F), or, with `channels_first`, (N, F, T).
        method: name of a row of `ihcli.methods.METHODS`: ig, eg (attributions), ih or eh (interactions as well), ...
        baseline: "zeros", "mean", "median", "mode" of x, a number for all features, or D numbers, for ig and ih; "data"
            or (B, D) numbers for eg and eh. In parts, as x, where x is. None: "zeros", or "mode" where the model looks
            codes up; "data" for eg and eh.
        target: "predicted", "all", "label", an output name or index; or one of these last two for each row, in a list
            of N. None: the predicted or the only output.
        scale: "model", "logit", "probability", "log-probability" or "margin": what of an output is explained, see
            `ihcli.heads.scales`.
        feature_names: what the columns of an array are called; which columns of a frame are taken, in what order.
        output_names: what the outputs are called, in their order; None: the model's own names, else their indices, and
            "prediction" where there is one.
        labels: N class names or indices: the true ones, for target "label" and for what is told of the model.
        tolerance: relative error at which a row is done. None: 0.01, or where baselines are drawn from more of them a
            fifth of the row's own sampling error if that is more, see `ihcli.integration.effort`.
        groups: name of each group of features that is explained as one.
        inputs: features of each argument of the model's forward, where it takes several and x is one table; codes come
            as integers where it takes no others.
        layers: names of layers whose output, or with ":input" behind the name input, is explained in the place of the
            features, see `ihcli.openings.layers`; layer_names are those of all that they give, in order.
        categories: what codes of category columns stand for: the values of each column in the order of the codes, or
            the TOML file that says so, see `ihcli.data.categories.read_categories`. Such columns may hold text.
        smooth, smooth_tolerance: SoftPlus replacement, see `ihcli.smoothing.resolve_smoothing`; smooth "scan" tries
            many betas first, see `ihcli.explainers.scanning`, and so does smooth_stable with "auto", until pairs agree.
        max_evaluations, steps: see `ihcli.integration.certify.Effort`.
        baseline_rows, seed: so many of more baselines are drawn, see `ihcli.data.baselines.resolve_baselines`; "auto":
            as many as bring the sampling error to `sampling_tolerance`, see `ihcli.explainers.sampling`.
        memory_bytes: bound on the working set; None: see `ihcli.memory.default_memory_bytes`. Batches are made to fit.
        engine: "auto", "mlp", "operations" or "autograd", see `ihcli.derivatives.choosing.choose_engine`.
        device: where to compute, "cpu" or "cuda:0"; None: where the model is. A module that is elsewhere is copied.
        dtype: in which precision, "float32" or "float64"; None: that of the model. A module in another is copied.
        progress: True for a bar on standard error, or a function that hears the share that is done, from 0 to 1.
        sequence: (T, F) or "24x5", for a module that takes (P, T, F): rows are sequences of T steps of F channels.
            Names of columns tell their order, else it is by step; "24x5:by-channel" says it.
        units: what is explained of a sequence: "step", "step:K" for blocks of K steps, "channel" or "column". None:
            steps, or blocks of them where there are more than 32, unless there are groups.
        channels_first: whether the module takes (P, F, T); found out where it does not take both.

    Returns an `ihcli.Explanation`: entries (N, or N times K for target "all") in the order of the rows. A row with a
    missing or infinite value has no figures, and is warned of.

    Raises OptionError, DataError or ModelError for what can be mended, before work where that can be told; an argument
    that does not exist is an OptionError, and a TypeError. Warns with IhcliWarning of what to know before trusting it.

    Cost: under ig and ih about 8 gradients a row where the path is smooth, more where the error asks for it, under eg
    and eh that for each baseline; under ih and eh as well a Hessian at each of these points.
    """
    began = time.monotonic()
    wrapped = model_of(model, device, dtype)
    files = model_files(wrapped)
    if reads_texts(wrapped):
        raise ModelError(f"{wrapped.path or 'model'}: reads texts. Try ihcli.explain_texts(model, texts).")
    x, start, sequence = flattened(plain(x), plain(baseline), sequence, channels_first)
    asks = SequenceQuestion.of(sequence, units, channels_first, {"groups": groups, "inputs": inputs})
    of_columns = wrapped if asks is None else replace(wrapped, feature_names=asks.column_names(wrapped))
    table = brought(of_columns, x, start, feature_names, inputs)
    data = table.rows(of_columns, categories)
    features = data.columns.features
    if asks is None:
        _require_width(wrapped, features)
    start = baseline_of(table.baseline, len(features))
    data.fills = fills_of(wrapped, features)
    rows = np.concatenate(list(data.inputs()))
    target, each = targets_of(target, len(rows))
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
        sees_model=True,
        sampling_tolerance=sampling_tolerance,
    )
    require_rows(baseline_rows, sampling_tolerance, method_named(method))

    def grouped(names: Sequence[str]) -> Groups:
        if groups is not None:
            check_groups(groups, Columns(tuple(names)))
        return Groups.of(names, groups)

    asked_layers = LayerQuestion.of(layers, layer_names, grouped)
    with evaluating(wrapped.module):
        wrapped, found = _of_rows(wrapped, asks, data)
        blocks = None if found is None else found.groups(data.columns)
        asked = TableQuestion(
            start,
            method_named(method).many_baselines,
            (blocks if groups is None else None) or (Groups.of if asked_layers else grouped)(features),
            baseline_rows,
            seed,
            inputs=table.inputs,
            layers=asked_layers,
        )
        survey = asked.survey(data)
        if survey.scan.n_complete == 0:
            raise DataError("x: every row has a missing or infinite value. Expected at least one complete row.")
        for missing in survey.scan.missing[:1]:
            warn(_missing_in_words(missing, len(survey.scan.missing)))
        tried = torch.as_tensor(survey.sample.values[:TRIED_ROWS])
        wrapped = in_its_precision(wrapped, features, tried, table.inputs, method_named(method).derivatives)
        reader = asked.reader(wrapped, data, survey)
        sample = survey.sample.first(reader.sample_records)
        _, explainer = settle(wrapped, reader, sample, settings)
        remembered = Asked(
            request=_request(wrapped, settings, asked, data),
            settings=settings,
            files=files,
            names=features,
            vocabulary=data.vocabulary,
            categories=None if data.vocabulary is None else CategoriesInfo.of(data.vocabulary, ()),
            sequence=None if found is None else SequenceInfo(**found.told()),
            groups=None if groups is None else {name: tuple(some) for name, some in groups.items()},
            layer_names=None if layer_names is None else tuple(layer_names),
            began=began,
        )
        if groups is not None:
            remembered = remembered.asking(groups=IN_MEMORY)
        if asks is not None:
            form = str(asks.form)
            remembered = remembered.asking(sequence=form, units=units, channels_first=channels_first)
        return cast(Explanation, finished(explainer, rows, labels, each, remembered, progress))


def _request(model: Model, settings: Settings, asked: TableQuestion, data: ArrayDataset) -> RunRequest:
    """Return what was asked of a table as a run remembers it, but for groups and sequences."""
    has_own = model.vocabulary is not None or data.vocabulary is None
    return RunRequest(
        model=str(model.path or IN_MEMORY),
        data=IN_MEMORY,
        method=settings.method,
        baseline=asked.baseline if isinstance(asked.baseline, str | None) else IN_MEMORY,
        output_names=settings.outputs.stated,
        scale=settings.scale,
        smooth_stable=settings.smooth_stable,
        features=data.columns.features if model.feature_names is None else None,
        inputs=None if asked.inputs is None else {name: tuple(some) for name, some in asked.inputs.items()},
        layer=() if asked.layers is None else asked.layers.layers,
        categories=None if has_own else IN_MEMORY,
        missing="flag",
        baseline_rows=asked.baseline_rows,
        sampling_tolerance=settings.sampling_tolerance,
        seed=asked.seed,
    )


def _require_width(model: Model, features: Sequence[str]) -> None:
    if model.n_inputs is None or model.n_inputs == len(features) or model.sequence_shape is not None:
        return
    takes = f" ({listed(model.feature_names)})" if model.feature_names else ""
    raise DataError(
        f"x: has {len(features)} features ({listed(features)}), but the model takes {model.n_inputs}{takes}. Try "
        "`feature_names` with the columns of a frame that it takes, or x of these columns."
    )


def _of_rows(model: Model, asks: SequenceQuestion | None, data: ArrayDataset) -> tuple[Model, FlatSequences | None]:
    """Return the model as one of rows, and what these are where they are sequences."""
    if asks is None:
        refuse_sequences(model, len(data.columns.features))
        return model, None
    found = asks.answer(model, data.columns, "x")
    for text in found.warnings(model):
        warn(text)
    return found.axes.of_rows(model), found


def _missing_in_words(missing: Missing, columns: int) -> str:
    values = "value" if missing.count == 1 else "values"
    others = f" ({columns - 1} more such columns)" if columns > 1 else ""
    return (
        f"x: column {missing.column!r} has {missing.count} {missing.kind} {values}, the first in row "
        f"{missing.first_row}{others}. Such rows have no figures: their status is {Status.MISSING_INPUT}."
    )
