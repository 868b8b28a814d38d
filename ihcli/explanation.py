"""The result of explaining rows: plain numpy arrays, no torch, no files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

OK = "ok"
NOT_CONVERGED = "not_converged"
ROUNDING = "rounding"
MISSING_INPUT = "missing_input"
NON_FINITE = "non_finite"
STATUSES = (OK, NOT_CONVERGED, ROUNDING, MISSING_INPUT, NON_FINITE)


@dataclass(frozen=True)
class Explanation:
    """Attributions and interactions of N explained rows over G features or groups.

    One entry along N is one (row, target) pair: with `target="all"` a row of the data appears once per output.
    All figures but the errors are in units of the explained output.

    row                  (N,) int64: index of the row in the data
    target               (N,) str: name of the explained output, its index where the model has no names
    feature_names        G names, in the order of the columns of `attributions`
    attributions         (N, G): phi; sums to prediction - baseline_prediction
    interactions         (N, G, G) symmetric: Gamma; rows sum to phi; None under ig and eg
    prediction           (N,): f(x)
    baseline_prediction  (N,): mean of f(x') over the baselines
    completeness_gap     (N,): sum(phi) - (prediction - baseline_prediction), signed
    relative_error       (N,): certified relative L1 error of phi (ig, eg) or of the row sums of Gamma (ih, eh)
    sampling_error       (N,) relative L1 standard error of phi over subsampled baselines, else None
    drift                (N,): f_smooth(x) - f(x) when the model was smoothed, else None
    evaluations          (N,) int32: path points at which a gradient was taken
    status               (N,) str: one of STATUSES
    """

    row: np.ndarray
    target: np.ndarray
    feature_names: tuple[str, ...]
    attributions: np.ndarray
    interactions: np.ndarray | None
    prediction: np.ndarray
    baseline_prediction: np.ndarray
    completeness_gap: np.ndarray
    relative_error: np.ndarray
    sampling_error: np.ndarray | None
    drift: np.ndarray | None
    evaluations: np.ndarray
    status: np.ndarray

    def __len__(self) -> int:
        return len(self.row)


_PER_ENTRY = tuple(field.name for field in fields(Explanation) if field.name != "feature_names")


def join_explanations(parts: Sequence[Explanation]) -> Explanation:
    """Return one explanation of all entries of the parts, in order; parts share features and optional columns."""
    if len(parts) == 1:
        return parts[0]

    def joined(name: str) -> np.ndarray | None:
        arrays = [getattr(part, name) for part in parts]
        return None if arrays[0] is None else np.concatenate(arrays)

    return _with_entries(parts[0], joined)


def scatter(explanation: Explanation, present: np.ndarray) -> Explanation:
    """Put entries where `present` (N,) is True, in order; the others have missing input: NaN, and no evaluations."""
    if present.all():
        return explanation

    def spread(values: np.ndarray | None) -> np.ndarray | None:
        if values is None:
            return None
        fill = MISSING_INPUT if values.dtype == object else np.nan if values.dtype.kind == "f" else 0
        full = np.full((len(present), *values.shape[1:]), fill, dtype=values.dtype)
        full[present] = values
        return full

    return _with_entries(explanation, lambda name: spread(getattr(explanation, name)))


def _with_entries(explanation: Explanation, values: Callable[[str], Any]) -> Explanation:
    return replace(explanation, **{name: values(name) for name in _PER_ENTRY})
