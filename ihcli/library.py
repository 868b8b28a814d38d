"""The library's front door: explain rows, or texts, in memory."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import nn

from ihcli.data.columns import Columns
from ihcli.data.groups import Groups, check_groups
from ihcli.data.tables import ArrayDataset
from ihcli.data.texts import have_words
from ihcli.errors import DataError, ModelError
from ihcli.explainers.explainer import MEMORY_RAN_OUT, Settings
from ihcli.explainers.tables import TableQuestion
from ihcli.explainers.texts import prepare_text_explainer
from ihcli.explanation import Explanation, TextExplanation
from ihcli.integration.certify import Effort
from ihcli.methods import DEFAULT, method_named
from ihcli.models import Model, evaluating, wrap_module
from ihcli.models.texts import WORD, ZEROS

E = TypeVar("E", covariant=True)


class IhcliWarning(UserWarning):
    """Something to know before trusting an explanation."""


def explain(
    model: Model | nn.Module,
    x: Any,
    *,
    method: str = DEFAULT,
    baseline: str | np.ndarray | None = None,
    target: str | int | None = None,
    labels: Sequence[Any] | np.ndarray | None = None,
    tolerance: float = 0.01,
    groups: Mapping[str, Sequence[str]] | None = None,
    smooth: str | float = "auto",
    smooth_tolerance: float = 0.01,
    max_evaluations: int | None = None,
    steps: int | None = None,
    baseline_rows: int = 200,
    seed: int = 0,
    memory_bytes: int | None = None,
    engine: str = "auto",
) -> Explanation:
    """Explain the rows of an array or a DataFrame.

    Parameters:
        model: a loaded model, or a torch module from (P, D) to (P,), (P, 1) or (P, K); a module is put into eval mode
            for the while and given back as it came.
        x: (N, D) array, or a DataFrame whose columns are the features (picked by name where the model has names).
        method: name of a row of `ihcli.methods.METHODS`: ig, eg (attributions), ih or eh (interactions as well).
        baseline: "zeros", "mean", "median" of x, or D numbers, for ig and ih; "data" or (B, D) numbers for eg and eh.
            None: "zeros" or "data".
        target: "predicted", "all", "label", an output name or index. None: the predicted or the only output.
        labels: N class names or indices, for target "label".
        tolerance: relative error at which a row is done.
        groups: name of each group of features that is explained as one.
        smooth, smooth_tolerance: SoftPlus replacement, see `ihcli.smoothing.resolve_smoothing`.
        max_evaluations, steps: see `ihcli.integration.certify.Effort`.
        baseline_rows, seed: see `ihcli.data.baselines.resolve_baselines`.
        memory_bytes: bound on the working set; None: see `ihcli.memory.default_memory_bytes`.
        engine: "auto", "autograd" or "mlp", see `ihcli.derivatives.choosing.choose_engine`.

    Raises DataError, OptionError and ModelError; warns with IhcliWarning.
    """
    wrapped = model if isinstance(model, Model) else wrap_module(model)
    if wrapped.text is not None:
        raise ModelError(f"{wrapped.path or 'model'}: reads texts. Try ihcli.explain_texts(model, texts).")
    data = _as_dataset(wrapped, x)
    settings = Settings(
        method=method,
        target=target,
        effort=Effort(tolerance, max_evaluations, steps),
        smooth=smooth,
        smooth_tolerance=smooth_tolerance,
        memory_bytes=memory_bytes,
        engine=engine,
    )
    if groups is not None:
        check_groups(groups, Columns(data.columns.features))
    named = Groups.of(data.columns.features, groups)
    asked = TableQuestion(baseline, method_named(method).many_baselines, named, baseline_rows, seed)
    survey = asked.survey(data)
    if survey.scan.n_complete == 0:
        raise DataError("x: every row has a missing or infinite value. Expected at least one complete row.")
    with evaluating(wrapped.module):
        explainer = asked.explainer(wrapped, data, survey, settings)
        return _explained(explainer, np.concatenate(list(data.inputs())), labels)


def explain_texts(
    model: Model,
    texts: Sequence[str | None],
    pairs: Sequence[str | None] | None = None,
    *,
    units: str = WORD,
    method: str = DEFAULT,
    baseline: str = ZEROS,
    target: str | int | None = None,
    labels: Sequence[Any] | np.ndarray | None = None,
    tolerance: float = 0.01,
    smooth: str | float = "auto",
    smooth_tolerance: float = 0.01,
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
        baseline: "zeros", "pad" or "mask", see `ihcli.models.texts.TextReader.baseline`.
        target and all others: as for `explain`.

    Raises DataError, OptionError and ModelError; warns with IhcliWarning.
    """
    inputs = _as_texts(texts, pairs)
    settings = Settings(
        method=method,
        target=target,
        effort=Effort(tolerance, max_evaluations, steps),
        smooth=smooth,
        smooth_tolerance=smooth_tolerance,
        memory_bytes=memory_bytes,
    )
    explainer = prepare_text_explainer(model, inputs[have_words(inputs)], settings, units, baseline)
    return _explained(explainer, inputs, labels)


class _Explains(Protocol[E]):
    """What explainers of tables and of texts have in common here."""

    @property
    def warnings(self) -> tuple[str, ...]: ...

    @property
    def memory_ran_out(self) -> bool: ...

    def explain(self, inputs: np.ndarray, labels: np.ndarray | None = None, /) -> E: ...


def _explained(explainer: _Explains[E], inputs: np.ndarray, labels: Sequence[Any] | np.ndarray | None) -> E:
    for text in explainer.warnings:
        warnings.warn(text, IhcliWarning, stacklevel=3)
    explanation = explainer.explain(inputs, None if labels is None else np.asarray(labels, dtype=object))
    if explainer.memory_ran_out:
        warnings.warn(MEMORY_RAN_OUT, IhcliWarning, stacklevel=3)
    return explanation


def _as_texts(texts: Sequence[str | None], pairs: Sequence[str | None] | None) -> np.ndarray:
    """Return N strings as (N, 1), N pairs as (N, 2), None for nulls."""
    if isinstance(texts, str) or isinstance(pairs, str):
        raise DataError("texts: is one string. Expected a sequence of strings. Try [text].")
    columns = [list(column) for column in (texts, pairs) if column is not None]
    if not columns[0] or len(columns[0]) != len(columns[-1]):
        raise DataError(
            f"texts: has {len(columns[0])} strings and {len(columns[-1])} pairs. Expected as many, not none."
        )
    if not all(text is None or isinstance(text, str) for column in columns for text in column):
        raise DataError("texts: holds something that is no string. Expected strings, and None where there is none.")
    rows = np.empty((len(columns[0]), len(columns)), dtype=object)
    for i, column in enumerate(columns):
        rows[:, i] = column
    return rows


def _as_dataset(model: Model, x: Any) -> ArrayDataset:
    if isinstance(x, torch.Tensor):
        x = x.detach().cpu().numpy()
    if not hasattr(x, "columns"):
        return ArrayDataset(np.asarray(x), model.feature_names)
    names = list(x.columns) if model.feature_names is None else list(model.feature_names)
    missing = [name for name in names if name not in x.columns]
    if missing:
        raise DataError(f"x: lacks {len(missing)} of the model's features, the first is {missing[0]!r}.")
    return ArrayDataset(x[names].to_numpy(), [str(name) for name in names])
