"""Explanations of given values, with figures about them that are the same everywhere unless a test says others."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ihcli.explanation import Explanation, TextExplanation
from ihcli.quality import Status


def of_table(interactions: np.ndarray, names: Sequence[str], target: Sequence[str], **others: Any) -> Explanation:
    """Return what explains a table: interactions (N, D, D) and the attributions that are their sums."""
    values = {"attributions": interactions.sum(axis=2), "interactions": interactions, "feature_names": tuple(names)}
    return Explanation(**{**_figures(target, interactions.dtype), **values, **others})


def of_texts(units: np.ndarray, interactions: np.ndarray, target: Sequence[str], **others: Any) -> TextExplanation:
    """Return what explains texts: the units of each, (N,) of tuples, and its matrix; None where it has none."""
    attributions = np.empty(len(units), object)
    for i, gamma in enumerate(interactions):
        attributions[i] = None if gamma is None else gamma.sum(1)
    values = {"units": units, "attributions": attributions, "interactions": interactions}
    figures = _figures(target, np.dtype(np.float64))
    return TextExplanation(**{**figures, **values, "truncated": np.zeros(len(units), bool), **others})


def _figures(target: Sequence[str], dtype: np.dtype) -> dict[str, Any]:
    n = len(target)
    return {
        "row": np.arange(n),
        "target": np.array(target, object),
        "prediction": np.zeros(n, dtype),
        "baseline_prediction": np.zeros(n, dtype),
        "completeness_gap": np.zeros(n),
        "relative_error": np.full(n, 1e-3),
        "interaction_error": np.full(n, 2e-3),
        "sampling_error": None,
        "interaction_sampling_error": None,
        "drift": None,
        "evaluations": np.full(n, 8, np.int32),
        "status": np.full(n, Status.OK, object),
    }
