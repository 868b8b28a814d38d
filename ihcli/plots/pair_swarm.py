"""summary of pairs: every row's pair effects, one swarm of points a pair, coloured by the values of both features."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ihcli.plots.canvas import HALF_NAME, entitle, name_rows, new_figure, pair_names, rows_height, short, source
from ihcli.plots.canvas import values_in_words as in_words
from ihcli.plots.categories import Level, colours_of, draw_legend, legend_height, levels
from ihcli.plots.colours import AXIS, HIGH, MISSING, value_map
from ihcli.plots.request import PlotRequest, one_target, strongest_pairs
from ihcli.plots.sample import pair_effects, pair_rows, require_pairs, sample_rows
from ihcli.plots.swarm import SCALE_INCHES, TOP_K, draw_points, draw_scale, most_rows
from ihcli.results.explained_data import FeatureValues, feature_values
from ihcli.results.result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Pair = tuple[str, str]


def draw_pair_swarm(result: Result, request: PlotRequest) -> "Figure":
    """Draw pair effect against pair, the strongest on top; see `ihcli.plots.draw`."""
    require_pairs(result, "a summary of pairs")
    target = one_target(result, request.target)
    pairs, n_pairs = strongest_pairs(result, target, request.top_k or TOP_K)
    most = request.points or most_rows(len(pairs))
    sample = sample_rows(result, target, min(most, pair_rows(result)), request.seed)
    effects = pair_effects(result, sample, target, pairs)
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    values = feature_values(result, names, sample.rows, request.data)
    groups = {
        name: levels(values.numbers[:, place], values.categories[name])
        for place, name in enumerate(names)
        if name in {_category(pair, values) for pair in pairs}
    }
    colours = _colours(pairs, names, values, groups)
    height = rows_height(len(pairs))
    figure, axes = new_figure(11.0 if groups else 9.2, max(height + 1.5, legend_height(groups) + 0.4))
    draw_points(axes, effects, colours)
    name_rows(axes, pair_names(pairs), height, width=len(" · ") + 2 * HALF_NAME)
    axes.set(ylim=(len(pairs) - 0.4, -0.6), xlabel=f"pair effect ({in_words(result, target)})")
    axes.grid(axis="x")
    axes.axvline(0, color=AXIS, linewidth=0.8, zorder=0.5)
    has_numbers = any("cmap" in colour for colour in colours)
    if has_numbers:
        draw_scale(figure, axes, min(1.0, SCALE_INCHES / height), "both values", ("unlike", "alike"))
    if groups:
        draw_legend(figure, groups)
    notes = [source(result, sample.population), "A pair's effect is Gamma_ij + Gamma_ji."]
    if len(pairs) < n_pairs:
        notes.append(f"The {len(pairs)} strongest of {n_pairs:,} pairs.")
    notes += sample.footnotes()
    if has_numbers:
        notes.append(
            "Colour: the product of both values' distances from their means; alike where both are above, or below."
        )
    if groups:
        notes.append("Of a pair with categories: the category, of the first.")
    if np.isnan(values.numbers).any():
        notes.append("Grey: no value; a group that is not one-hot has none.")
    if np.isnan(effects).any():
        notes.append("Rows that list their largest pairs, and not this one, are not drawn.")
    entitle(figure, f"Pair effects, target {short(target)}", notes)
    return figure


def _category(pair: Pair, values: FeatureValues) -> str | None:
    """Return the feature whose categories colour a pair: the first that has some."""
    return next((name for name in pair if name in values.categories), None)


def _colours(
    pairs: Sequence[Pair], names: Sequence[str], values: FeatureValues, groups: dict[str, list[Level]]
) -> list[dict[str, Any]]:
    """Return how the points of each pair are coloured, as `scatter` takes it."""
    distances = {name: _distances(column) for name, column in zip(names, values.numbers.T, strict=True)}
    found: list[dict[str, Any]] = []
    for pair in pairs:
        if (name := _category(pair, values)) is not None:
            found.append({"c": colours_of(groups[name], len(values.numbers)).tolist()})
            continue
        product = distances[pair[0]] * distances[pair[1]]
        if np.isnan(product).all():
            found.append({"c": MISSING})
            continue
        limit = float(np.nanpercentile(np.abs(product), HIGH)) or float(np.nanmax(np.abs(product))) or 1.0
        scaled = np.ma.masked_invalid(0.5 + product / limit / 2)
        found.append({"c": scaled, "plotnonfinite": True, "cmap": value_map(), "vmin": 0, "vmax": 1})
    return found


def _distances(column: np.ndarray) -> np.ndarray:
    """Return values (n,) less their mean, NaN where there is none."""
    there = np.isfinite(column)
    return np.where(there, column - (column[there].mean() if there.any() else np.nan), np.nan)
