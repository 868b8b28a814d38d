"""Steps over numbers: scalers, functions of numpy, affine maps between columns, and choices of columns."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ihcli.models.estimators.columns import Applied, Clipped, Column, Mix, Mixed, Scaled, Step, numeric, then_all
from ihcli.models.estimators.reading import (
    UnfoldedError,
    broken,
    fitted,
    fitted_matrix,
    fitted_numbers,
    parameter,
    require_width,
)
from ihcli.models.pickles.allow_list import Record
from ihcli.models.pickles.scikit_learn_names import FUNCTIONS, Named
from ihcli.wording import printable

_CENTRES = {
    "StandardScaler": ("mean_", "with_mean", "with_std"),
    "RobustScaler": ("center_", "with_centering", "with_scaling"),
}


_SAVERS = ("cloudpickle", "dill")
"""Packages that save functions, lambdas as well, with their code, which is not run."""


def scaled(scaler: Record, columns: Sequence[Column]) -> list[Column]:
    """Return what the `transform` of a scaler makes of columns."""
    require_width(scaler, len(columns))
    scale, shift = scale_and_shift(scaler, len(columns))
    found = then_all(columns, [Scaled(float(a), float(b)) for a, b in zip(scale, shift, strict=True)])
    if not parameter(scaler, "clip", False):
        return found
    low, high = _bounds(scaler)
    return then_all(found, [Clipped(low, high)] * len(found))


def scale_and_shift(scaler: Record, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the affine map that the scaler's `transform` is, before it clips."""
    if scaler.name == "MinMaxScaler":
        return fitted_numbers(scaler, "scale_", width), fitted_numbers(scaler, "min_", width)
    centre_name, with_centre, with_scale = _CENTRES.get(scaler.name, ("", "", ""))
    ones = np.ones(width)
    is_scaled = not with_scale or parameter(scaler, with_scale, True)
    scale = ones / _scales(scaler, width) if is_scaled else ones
    is_centred = with_centre and parameter(scaler, with_centre, True)
    return scale, -fitted_numbers(scaler, centre_name, width) * scale if is_centred else 0 * ones


def _scales(scaler: Record, width: int) -> np.ndarray:
    found = fitted_numbers(scaler, "scale_", width)
    if not found.all():
        raise broken(scaler, "scale_")
    return found


def _bounds(scaler: Record) -> tuple[float, float]:
    low, high = parameter(scaler, "feature_range", (0, 1)) if scaler.name == "MinMaxScaler" else (-1.0, 1.0)
    return float(low), float(high)


def applied(transformer: Record, columns: Sequence[Column]) -> list[Column]:
    """Return what a FunctionTransformer makes of columns: one of the known functions, or nothing."""
    step = function_of(transformer, "func", "kw_args")
    return list(columns) if step is None else then_all(columns, [step] * len(columns))


def function_of(transformer: Record, name: str, keywords: str) -> Step | None:
    """Return the function under a name, None for the one that does nothing; raises UnfoldedError for another."""
    function = parameter(transformer, name)
    if function is None:
        return None
    known = isinstance(function, Named) and function.name in FUNCTIONS
    if known and not parameter(transformer, keywords):
        return Applied(function.name)
    raise UnfoldedError(f"FunctionTransformer of {_named(function)}{' with arguments' if known else ''}")


def _named(function: Any) -> str:
    """Return what a function is called, that of a file of strangers or one in memory."""
    name = str(getattr(function, "name", None) or getattr(function, "__name__", None) or type(function).__name__)
    savers = [package for package in _SAVERS if package in name.split(".")]
    return f"a function that {savers[0]} saved" if savers else printable(name, 60)


def projected(transformer: Record, columns: Sequence[Column]) -> list[Column]:
    """Return the components of PCA or TruncatedSVD: (x - mean) times components, divided where they are whitened."""
    require_width(transformer, len(columns))
    weight = fitted_matrix(transformer, "components_", len(columns))
    centre = np.zeros(len(columns))
    if transformer.name != "TruncatedSVD":
        centre = fitted_numbers(transformer, "mean_", len(columns))
        if parameter(transformer, "whiten", False):
            variance = fitted_numbers(transformer, "explained_variance_", len(weight))
            weight = weight / np.maximum(np.sqrt(variance), np.finfo(np.float64).eps)[:, np.newaxis]
    mix = Mix(tuple(numeric(column) for column in columns), weight, -weight @ centre, centre)
    return [Mixed(mix, place) for place in range(len(weight))]


def chosen(selector: Record, columns: Sequence[Column]) -> list[Column]:
    """Return the columns that a selector keeps."""
    require_width(selector, len(columns))
    kept = _KEPT[selector.name](selector, len(columns))
    return [column for column, is_kept in zip(columns, kept, strict=True) if is_kept]


def _of_variance(selector: Record, width: int) -> np.ndarray:
    found = fitted(selector, "variances_")
    if not isinstance(found, np.ndarray) or found.dtype.kind != "f" or found.shape != (width,):
        raise broken(selector, "variances_")
    return np.asarray(found > float(parameter(selector, "threshold", 0.0)))


def _scores(selector: Record, width: int) -> np.ndarray:
    """Return the scores, the lowest number in place of none, as scikit-learn has it."""
    found = fitted(selector, "scores_")
    if not isinstance(found, np.ndarray) or found.dtype.kind != "f" or found.shape != (width,):
        raise broken(selector, "scores_")
    return np.where(np.isnan(found), np.finfo(found.dtype).min, found)


def _best(selector: Record, width: int) -> np.ndarray:
    k, scores = parameter(selector, "k", 10), _scores(selector, width)
    kept = np.full(width, k == "all")
    if k != "all" and k != 0:
        kept[np.argsort(scores, kind="mergesort")[-int(k) :]] = True
    return kept


def _best_share(selector: Record, width: int) -> np.ndarray:
    percentile, scores = float(parameter(selector, "percentile", 10)), _scores(selector, width)
    if percentile in (0.0, 100.0):
        return np.full(width, percentile == 100.0)
    threshold = np.percentile(scores, 100 - percentile)
    kept = np.asarray(scores > threshold)
    ties = np.flatnonzero(scores == threshold)
    kept[ties[: int(width * percentile / 100) - kept.sum()]] = True
    return kept


_KEPT = {"SelectKBest": _best, "SelectPercentile": _best_share, "VarianceThreshold": _of_variance}
SELECTORS = tuple(_KEPT)
