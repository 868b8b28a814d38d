"""Which layout an explanation, a run or a state has: the one place where kinds are told apart."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ihcli.explanation import AnyExplanation, TextExplanation
from ihcli.layouts.layout import Layout
from ihcli.layouts.tables import TableLayout
from ihcli.layouts.texts import TextLayout
from ihcli.summaries.summary import AnySummary
from ihcli.summaries.tables import Summary
from ihcli.summaries.texts import TextSummary


def layout_of(explanation: AnyExplanation) -> Layout[Any]:
    """Return the layout of an explanation."""
    return TextLayout() if isinstance(explanation, TextExplanation) else TableLayout(explanation.feature_names)


def layout_of_run(features: Sequence[str] | None, units: str | None) -> Layout[Any]:
    """Return the layout of a run whose run.json tells these features or units."""
    return TableLayout(tuple(features or ())) if units is None else TextLayout(units)


def require_layout(features: Sequence[str] | None, units: str | None) -> Layout[Any]:
    """Return the layout of a run; raises ValueError where it tells both, or neither."""
    if (features is None) == (units is None):
        raise ValueError("features and units: exactly one of both says what is explained")
    return layout_of_run(features, units)


def summary_of_state(arrays: Mapping[str, np.ndarray]) -> AnySummary[Any]:
    """Return the summary of which these arrays are the state; each kind has names of its own."""
    return TextSummary.of_state(arrays) if "units.count" in arrays else Summary.of_state(arrays)
