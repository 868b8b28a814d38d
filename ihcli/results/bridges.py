"""Explanations in the layouts of shap and shapiq, so that the plots of those packages draw them."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from ihcli.errors import PackageError

SHAPIQ_INDEX = "k-SII"  # main effects and pairs that add up to the output: how shapiq's plots read values


def shap_explanation(
    values: np.ndarray,
    baseline_prediction: np.ndarray,
    names: Sequence[str],
    data: np.ndarray | None,
    shown: np.ndarray | None = None,
) -> Any:
    """Return a `shap.Explanation` of (N, G) attributions, or of (N, G, G) interactions.

    Parameters:
        data: (N, G) values that shap's plots colour by;  shown are those that they write, None: the same.

    Raises PackageError without shap.
    """
    shap = _needed("shap", "to_shap()")
    told = {} if shown is None else {"display_data": shown}
    return shap.Explanation(
        values=values, base_values=baseline_prediction, data=data, feature_names=list(names), **told
    )


def shap_texts(
    units: Sequence[Sequence[str]], attributions: Sequence[Sequence[float]], baseline_prediction: np.ndarray
) -> Any:
    """Return a `shap.Explanation` of texts, which its text plot draws: a blank behind each word, as that joins them.

    Raises PackageError without shap.
    """
    shap = _needed("shap", "to_shap()")
    words, values = np.empty(len(units), object), np.empty(len(units), object)
    for place, (some, phi) in enumerate(zip(units, attributions, strict=True)):
        words[place] = np.array([f"{word} " for word in some], dtype=object)
        values[place] = np.asarray(phi, np.float64)
    return shap.Explanation(values=values, base_values=baseline_prediction, data=words)


def shapiq_values(interactions: np.ndarray, baseline_prediction: float) -> Any:
    """Return `shapiq.InteractionValues` of order 2 of one record: Gamma_gg alone, Gamma_gh + Gamma_hg in pairs.

    The values are those of ih or eh; the index they are labelled with says only that they add up.

    Parameters:
        interactions: (G, G).

    Raises PackageError without shapiq.
    """
    shapiq = _needed("shapiq", "to_shapiq()")
    n_players = len(interactions)
    first, second = np.triu_indices(n_players, 1)
    keys = [(g,) for g in range(n_players)] + list(zip(first.tolist(), second.tolist(), strict=True))
    effects = interactions + interactions.T
    return shapiq.InteractionValues(
        values=np.concatenate([np.diagonal(interactions), effects[first, second]]),
        index=SHAPIQ_INDEX,
        max_order=2,
        min_order=1,
        n_players=n_players,
        interaction_lookup={key: position for position, key in enumerate(keys)},
        estimated=False,
        baseline_value=float(baseline_prediction),
    )


def _needed(package: str, purpose: str) -> Any:
    try:
        return import_module(package)
    except ImportError as error:
        raise PackageError(f"{purpose}: needs the package {package}. Try pip install {package}.") from error
