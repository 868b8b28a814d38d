"""What was found of some records, put into an explanation: over fixed units, or over units of each record's own."""

from dataclasses import dataclass

import numpy as np

from ihcli.explanation import AnyExplanation, Explanation, TextExplanation
from ihcli.integration.assembly import ExplainedRows, sampling_error
from ihcli.methods import Method
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


@dataclass(frozen=True)
class Figures:
    """The figures that every entry has, whatever it explains, (n,) each; see `Entries`."""

    prediction: np.ndarray
    baseline_prediction: np.ndarray
    completeness_gap: np.ndarray
    relative_error: np.ndarray
    drift: np.ndarray | None
    evaluations: np.ndarray
    status: np.ndarray

    @classmethod
    def of(cls, found: ExplainedRows, method: Method, original: np.ndarray, is_smoothed: bool) -> "Figures":
        """Take them from rows explained by a method; `original` (n,) is what the model gives before smoothing."""
        certificate = found.certificate
        baseline_prediction = certificate.baseline_prediction.mean(axis=1)
        with np.errstate(invalid="ignore"):  # infinity less infinity where f is not finite, nor is the row then
            gap = found.attributions.sum(axis=1) - (certificate.prediction - baseline_prediction)
            drift = certificate.prediction - original if is_smoothed else None
        if not method.adds_up:
            gap = np.full_like(gap, np.nan)
        return cls(
            prediction=certificate.prediction,
            baseline_prediction=baseline_prediction,
            completeness_gap=gap,
            relative_error=certificate.relative_error,
            drift=drift,
            evaluations=certificate.evaluations,
            status=certificate.status,
        )

    @classmethod
    def of_nothing(cls, is_smoothed: bool) -> "Figures":
        """Return those of no entries."""
        nothing = np.zeros(0)
        drift = nothing if is_smoothed else None
        return cls(nothing, nothing, nothing, nothing, drift, np.zeros(0, np.int32), np.zeros(0, object))


def gathered(
    reader: Reader, form: Form, some: np.ndarray, found: ExplainedRows, original: np.ndarray
) -> AnyExplanation:
    """Return the explanation of encoded records; `original` (n,) is what the model gives before smoothing."""
    figures = Figures.of(found, form.method, original, form.is_smoothed)
    spread = None
    if reader.population > reader.n_baselines:
        spread = sampling_error(found.certificate.attributions, reader.population)
    attributions = found.attributions.astype(form.dtype)
    if reader.units is None:
        return _over_own_units(reader, form, some, figures, attributions, found.interactions, spread)
    return _over_fixed_units(reader.units, figures, attributions, found.interactions, spread)


def nothing(reader: Reader, form: Form) -> AnyExplanation:
    """Return an explanation of no records, with the columns that one of some would have."""
    figures, none = Figures.of_nothing(form.is_smoothed), np.zeros(0, dtype=object)
    spread = np.zeros(0) if reader.population > reader.n_baselines else None
    g = len(reader.units or ())
    attributions = np.zeros((0, g), form.dtype)
    interactions = np.zeros((0, g, g), form.dtype) if form.method.second_order else None
    if reader.units is None:
        return _over_own_units(reader, form, none, figures, attributions, interactions, spread)
    return _over_fixed_units(reader.units, figures, attributions, interactions, spread)


def _over_fixed_units(
    units: tuple[str, ...],
    figures: Figures,
    attributions: np.ndarray,
    interactions: np.ndarray | None,
    spread: np.ndarray | None,
) -> Explanation:
    n = len(attributions)
    return Explanation(
        row=np.zeros(n, np.int64),
        target=np.zeros(n, object),
        feature_names=units,
        attributions=attributions,
        interactions=interactions,
        sampling_error=spread,
        **vars(figures),
    )


def _over_own_units(
    reader: Reader,
    form: Form,
    some: np.ndarray,
    figures: Figures,
    attributions: np.ndarray,
    interactions: np.ndarray | None,
    spread: np.ndarray | None,
) -> TextExplanation:
    n = len(some)
    units, phi, gamma = (np.empty(n, dtype=object) for _ in range(3))
    for i, names in enumerate(reader.own_units(some)):
        g = len(names)
        units[i], phi[i] = names, attributions[i, :g]
        gamma[i] = None if interactions is None else interactions[i, :g, :g]
    return TextExplanation(
        row=np.zeros(n, np.int64),
        target=np.zeros(n, object),
        units=units,
        attributions=phi,
        interactions=gamma if form.method.second_order else None,
        sampling_error=spread,
        truncated=reader.truncated(some),
        **vars(figures),
    )
