"""summary: every row's attributions, one swarm of points a feature, coloured by the feature's value or category."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ihcli.plots.canvas import entitle, name_rows, new_figure, rows_height, short, source, values_in_words
from ihcli.plots.categories import Level, colours_of, draw_legend, legend_height, levels
from ihcli.plots.colours import AXIS, LOW, MISSING, span, value_map
from ihcli.plots.pair_swarm import draw_pair_swarm
from ihcli.plots.request import PlotRequest, one_target, strongest
from ihcli.plots.sample import attributions, sample_rows
from ihcli.plots.swarm import SCALE_INCHES, TOP_K, draw_points, draw_scale, most_rows
from ihcli.results.explained_data import FeatureValues, feature_values
from ihcli.results.result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_summary(result: Result, request: PlotRequest) -> "Figure":
    """Draw attribution against feature, or with `pairs` effect against pair, the strongest on top."""
    if request.pairs:
        return draw_pair_swarm(result, request)
    target = one_target(result, request.target)
    names, n_features = strongest(result, target, request.top_k or TOP_K)
    sample = sample_rows(result, target, request.points or most_rows(len(names)), request.seed)
    phi = attributions(result, sample, target, names)
    values = feature_values(result, names, sample.rows, request.data)
    groups = {
        name: levels(values.numbers[:, place], values.categories[name])
        for place, name in enumerate(names)
        if name in values.categories
    }
    height = rows_height(len(names))
    figure, axes = new_figure(10.0 if groups else 8.2, max(height + 1.5, legend_height(groups) + 0.4))
    draw_points(axes, phi, _colours(values, names, groups))
    name_rows(axes, names, height)
    axes.set(ylim=(len(names) - 0.4, -0.6), xlabel=f"attribution ({values_in_words(result, target)})")
    axes.grid(axis="x")
    axes.axvline(0, color=AXIS, linewidth=0.8, zorder=0.5)
    has_numbers = bool(np.isfinite(_numbers(values, names)).any())
    if has_numbers:
        draw_scale(figure, axes, min(1.0, SCALE_INCHES / height))
    if groups:
        draw_legend(figure, groups)
    notes = [source(result, sample.population)]
    if len(names) < n_features:
        notes.append(f"The {len(names)} strongest of {n_features} features.")
    notes += sample.footnotes()
    if has_numbers:
        notes.append(f"Low and high: {LOW:g} % of the values lie beyond either.")
    if np.isnan(values.numbers).any():
        notes.append("Grey: no value; a group that is not one-hot has none.")
    entitle(figure, f"Attributions, target {short(target)}", notes)
    return figure


def _numbers(values: FeatureValues, names: Sequence[str]) -> np.ndarray:
    """Return the numbers that are no places of categories, (n, features)."""
    return values.numbers[:, [name not in values.categories for name in names]]


def _colours(values: FeatureValues, names: Sequence[str], groups: Mapping[str, list[Level]]) -> list[dict[str, Any]]:
    """Return how the points of each feature are coloured, as `scatter` takes it."""
    found: list[dict[str, Any]] = []
    for column, name in zip(values.numbers.T, names, strict=True):
        if name in groups:
            found.append({"c": colours_of(groups[name], len(column)).tolist()})
            continue
        if np.isnan(column).all():
            found.append({"c": MISSING})
            continue
        low, high = span(column)
        scaled = np.ma.masked_invalid((column - low) / (high - low))
        found.append({"c": scaled, "plotnonfinite": True, "cmap": value_map(), "vmin": 0, "vmax": 1})
    return found
