"""The library's front door: explain rows in memory."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from ihcli.baselines import resolve_baselines
from ihcli.certify import Effort
from ihcli.columns import Columns
from ihcli.dataset import ArrayDataset
from ihcli.errors import DataError
from ihcli.explainer import MEMORY_RAN_OUT, Settings
from ihcli.explanation import Explanation
from ihcli.gates import Groups
from ihcli.groups import check_groups
from ihcli.methods import method_named
from ihcli.models import Model, evaluating, wrap_module
from ihcli.table_explainer import SAMPLE_ROWS, prepare_table_explainer


class IhcliWarning(UserWarning):
    """Something to know before trusting an explanation."""


def explain(
    model: Model | nn.Module,
    x: Any,
    *,
    method: str = "ih",
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
        method: "ig", "eg" (attributions), "ih" or "eh" (interactions as well); see `ihcli.methods`.
        baseline: "zeros", "mean", "median" of x, or D numbers, for ig and ih; "data" or (B, D) numbers for eg and eh.
            None: "zeros" or "data".
        target: "predicted", "all", "label", an output name or index. None: the predicted or the only output.
        labels: N class names or indices, for target "label".
        tolerance: relative error at which a row is done.
        groups: name of each group of features that is explained as one.
        smooth, smooth_tolerance: SoftPlus replacement, see `ihcli.smoothing.resolve_smoothing`.
        max_evaluations, steps: see `ihcli.certify.Effort`.
        baseline_rows, seed: see `ihcli.baselines.resolve_baselines`.
        memory_bytes: bound on the working set; None: see `ihcli.memory.default_memory_bytes`.
        engine: "auto", "autograd" or "mlp", see `ihcli.derivatives.choosing.choose_engine`.

    Raises DataError, OptionError and ModelError; warns with IhcliWarning.
    """
    wrapped = model if isinstance(model, Model) else wrap_module(model)
    many = method_named(method).many_baselines
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
    baselines = resolve_baselines(
        baseline,
        many=many,
        dataset=data,
        zero=wrapped.zero,
        limit_rows=baseline_rows,
        seed=seed,
    )
    sample = resolve_baselines("data", many=True, dataset=data, limit_rows=SAMPLE_ROWS, seed=seed).values
    if groups is not None:
        check_groups(groups, Columns(data.columns.features), "groups")
    with evaluating(wrapped.module):
        explainer = prepare_table_explainer(
            wrapped, Groups.of(data.columns.features, groups), baselines, sample, settings
        )
        for text in explainer.warnings:
            warnings.warn(text, IhcliWarning, stacklevel=2)
        inputs = np.concatenate(list(data.inputs()))
        explanation = explainer.explain(inputs, None if labels is None else np.asarray(labels, dtype=object))
    if explainer.memory_ran_out:
        warnings.warn(MEMORY_RAN_OUT, IhcliWarning, stacklevel=2)
    return explanation


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
