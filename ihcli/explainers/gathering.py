"""What was found of some records, put into an explanation: over fixed units, or over units of each record's own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ihcli.explanation import AnyExplanation, Explanation, TextExplanation
from ihcli.explanation.factors import Matrices, whole
from ihcli.integration.assembly import ExplainedRows
from ihcli.integration.spread import sampling_error
from ihcli.methods import Method
from ihcli.quality import COLUMNS, Trait, columns_of
from ihcli.readers.reader import Reader


@dataclass(frozen=True)
class Form:
    """What every explanation of one explainer has.

    dtype         of attributions and interactions
    method        under which there are interactions or not;  is_smoothed whether there is a drift
    """

    dtype: type[np.floating]
    method: Method
    is_smoothed: bool


def gathered(
    reader: Reader, form: Form, some: np.ndarray, found: ExplainedRows, original: np.ndarray
) -> AnyExplanation:
    """Return the explanation of encoded records; `original` (n,) is what the model gives before smoothing."""
    known = _figures(reader, form, some, found, original)
    attributions = found.attributions.astype(form.dtype)
    if reader.units is None:
        gamma = None if found.interactions is None else whole(found.interactions)
        return _over_own_units(reader, form, some, known, attributions, gamma)
    return _over_fixed_units(reader.units, known, attributions, found.interactions, found.interaction_spread)


def _figures(
    reader: Reader, form: Form, some: np.ndarray, found: ExplainedRows, original: np.ndarray
) -> dict[str, np.ndarray | None]:
    """Return the columns beside the values, by their fields in `Entries`; rows and targets are told later."""
    certificate, n = found.certificate, len(original)
    baseline_prediction = certificate.baseline_prediction.mean(axis=1)
    with np.errstate(invalid="ignore"):  # infinity less infinity where f is not finite, nor is the row then
        gap = found.attributions.sum(axis=1) - (certificate.prediction - baseline_prediction)
        drift = certificate.prediction - original if form.is_smoothed else None
    is_sampled = reader.population > reader.n_baselines
    drawn = reader.population, reader.balance
    spread = sampling_error(certificate.attributions, *drawn) if is_sampled else None
    of_pairs = found.interaction_sampling_error
    if is_sampled and found.interactions is not None and of_pairs is None:
        of_pairs = np.full(n, np.nan)  # one baseline says nothing about the spread of them
    return {
        "row": np.zeros(n, np.int64),
        "target": np.zeros(n, object),
        "prediction": certificate.prediction,
        "baseline_prediction": baseline_prediction,
        "completeness_gap": gap if form.method.adds_up else np.full_like(gap, np.nan),
        "relative_error": certificate.relative_error,
        "drift": drift,
        "sampling_error": spread,
        "interaction_error": found.interaction_error,
        "interaction_sampling_error": of_pairs,
        "evaluations": certificate.evaluations,
        "truncated": reader.truncated(some) if reader.units is None else None,
        "imputed": reader.imputed(some) if reader.imputes else None,
        "status": certificate.status,
    }


def nothing(reader: Reader, form: Form) -> AnyExplanation:
    """Return an explanation of no records, with the columns that one of some would have."""
    known, none = _no_figures(reader, form), np.zeros(0, dtype=object)
    g = len(reader.units or ())
    attributions = np.zeros((0, g), form.dtype)
    interactions = np.zeros((0, g, g), form.dtype) if form.method.second_order else None
    if reader.units is None:
        return _over_own_units(reader, form, none, known, attributions, interactions)
    return _over_fixed_units(reader.units, known, attributions, interactions)


def _no_figures(reader: Reader, form: Form) -> dict[str, np.ndarray | None]:
    is_there: dict[Trait, bool] = {
        "interactions": form.method.second_order,
        "smoothed": form.is_smoothed,
        "subsampled": reader.population > reader.n_baselines,
        "texts": reader.units is None,
        "imputed": reader.imputes,
    }
    present = columns_of([trait for trait, there in is_there.items() if there])
    known: dict[str, np.ndarray | None] = {column.attribute: None for column in COLUMNS}
    return known | {column.attribute: np.zeros(0, column.arrow_type.to_pandas_dtype()) for column in present}


def _over_fixed_units(
    units: tuple[str, ...],
    known: Mapping[str, Any],
    attributions: np.ndarray,
    interactions: Matrices | None,
    spread: np.ndarray | None = None,
) -> Explanation:
    return Explanation(
        feature_names=units,
        attributions=attributions,
        interactions=interactions,
        interaction_spread=spread,
        **known,
    )


def _over_own_units(
    reader: Reader,
    form: Form,
    some: np.ndarray,
    known: Mapping[str, Any],
    attributions: np.ndarray,
    interactions: np.ndarray | None,
) -> TextExplanation:
    units, phi, gamma = (np.empty(len(some), dtype=object) for _ in range(3))
    for i, names in enumerate(reader.own_units(some)):
        g = len(names)
        units[i], phi[i] = names, attributions[i, :g]
        gamma[i] = None if interactions is None else interactions[i, :g, :g]
    gammas = gamma if form.method.second_order else None
    return TextExplanation(units=units, attributions=phi, interactions=gammas, **known)
