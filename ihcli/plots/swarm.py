"""summary: every row's attributions, one swarm of points a feature, coloured by the feature's value or category."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ihcli.plots.canvas import entitle, name_rows, new_figure, rows_height, short, source, values_in_words
from ihcli.plots.categories import Level, colours_of, draw_legend, legend_height, levels
from ihcli.plots.colours import LOW, MISSING, colour_bar, span, value_map
from ihcli.plots.request import PlotRequest, one_target, strongest
from ihcli.plots.sample import attributions, sample_rows
from ihcli.results.explained_data import FeatureValues, feature_values
from ihcli.results.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TOP_K = 20
MOST_POINTS, FEWEST_ROWS, MOST_ROWS = 60_000, 200, 2_000
BINS = 120  # across the axis; points of one bin are stacked
HALF_HEIGHT = 0.42
SCALE_INCHES = 5.6


def draw_swarm(result: Result, request: PlotRequest) -> "Figure":
    """Draw attribution against feature, the strongest on top; see `ihcli.plots.draw`."""
    target = one_target(result, request.target)
    names, n_features = strongest(result, target, request.top_k or TOP_K)
    most = request.points or int(np.clip(MOST_POINTS // len(names), FEWEST_ROWS, MOST_ROWS))
    sample = sample_rows(result, target, most, request.seed)
    phi = attributions(result, sample, target, names)
    values = feature_values(result, names, sample.rows, request.data)
    groups = {
        name: levels(values.numbers[:, place], values.categories[name])
        for place, name in enumerate(names)
        if name in values.categories
    }
    height = rows_height(len(names))
    figure, axes = new_figure(10.0 if groups else 8.2, max(height + 1.5, legend_height(groups) + 0.4))
    _draw_points(axes, phi, _colours(values, names, groups))
    name_rows(axes, names, height)
    axes.set(ylim=(len(names) - 0.4, -0.6), xlabel=f"attribution ({values_in_words(result, target)})")
    axes.grid(axis="x")
    axes.axvline(0, color="#808080", linewidth=0.8, zorder=0.5)
    has_numbers = bool(np.isfinite(_numbers(values, names)).any())
    if has_numbers:
        _draw_scale(figure, axes, min(1.0, SCALE_INCHES / height))
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


def _draw_points(axes: "Axes", phi: np.ndarray, colours: list[dict[str, Any]]) -> None:
    ends = float(np.nanmin(phi)), float(np.nanmax(phi))
    size = 14 if len(phi) <= 600 else 7
    for place in range(phi.shape[1]):
        axes.scatter(
            phi[:, place],
            place + stacked(phi[:, place], ends),
            **colours[place],
            s=size,
            linewidths=0,
            rasterized=True,
        )


def stacked(positions: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    """Return how far from the middle each point lies, so that points of one place stand apart; at most HALF_HEIGHT.

    Parameters:
        positions: (n,) along the axis.
        ends: of the axis.
    """
    width = (ends[1] - ends[0]) / BINS or 1.0
    bins = np.floor((positions - ends[0]) / width).astype(np.int64)
    order = np.lexsort((positions, bins))
    counts = np.bincount(bins)
    starts = np.cumsum(counts) - counts
    within = np.empty(len(positions), np.int64)
    within[order] = np.arange(len(positions)) - starts[bins[order]]
    side = np.where(within % 2, 1, -1) * ((within + 1) // 2)
    return side * min(2 * HALF_HEIGHT / max(1, counts.max()), 0.06)


def _draw_scale(figure: "Figure", axes: "Axes", share: float) -> None:
    from matplotlib.cm import ScalarMappable

    scale = ScalarMappable(cmap=value_map())
    scale.set_clim(0, 1)
    colour_bar(figure, axes, scale, "value of the feature", share)
    figure.axes[-1].set_yticks([0, 1], ["low", "high"])
    figure.axes[-1].yaxis.labelpad = -14
