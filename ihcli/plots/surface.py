"""surface: a pair's effect over the values of both features, in colour; where there are no rows there is none."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ihcli.errors import DataError, OptionError
from ihcli.plots.canvas import entitle, new_figure, short, short_names, source, values_in_words
from ihcli.plots.colours import colour_bar, sign_map
from ihcli.plots.heatmap import bulk
from ihcli.plots.places import Places
from ihcli.plots.request import PlotRequest, one_target, require_feature, strongest_pairs
from ihcli.plots.sample import pair_effects, pair_rows, require_pairs, sample_rows
from ihcli.results.explained_data import FeatureValues, feature_values
from ihcli.results.palette import OTHERS
from ihcli.results.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

MOST_ROWS = 3_000
LOOKED_AT = 50  # pairs and rows, where none is named
MARGIN = 0.02
SPREAD = 0.4  # of a cell of few values: dots fill it
FEWEST_CELLS, MOST_CELLS = 4, 20  # along an axis of numbers
OUTER, FAR = 1.0, 3.0
"""Percent of values beyond an axis at either end, where all of them would make it so many times as long."""


def draw_surface(result: Result, request: PlotRequest) -> "Figure":
    """Draw the effect of a pair over its values: rows as dots, and their mean in cells; see `ihcli.plots.draw`."""
    require_pairs(result, request.kind)
    target = one_target(result, request.target)
    pair = request.pair or _strongest_with_values(result, target, request)
    for name in pair:
        require_feature(result, "pair", name)
    if pair[0] == pair[1]:
        raise OptionError(
            f"`pair={pair[0]},{pair[1]}`: is one feature twice. Expected two features. "
            f"Try ihcli plot RUN dependence with `feature={pair[0]}`."
        )
    sample = sample_rows(result, target, min(request.points or MOST_ROWS, pair_rows(result)), request.seed)
    values = feature_values(result, pair, sample.rows, request.data)
    effect = pair_effects(result, sample, target, [pair])[:, 0]
    across, along = (_axis(values, place, name) for place, name in enumerate(pair))
    there = np.isfinite(effect) & np.isfinite(across.places.values) & np.isfinite(along.places.values)
    figure, axes = new_figure(7.4, 5.8)
    points = _draw(axes, across, along, np.where(there, effect, np.nan), request.seed)
    one, other = short_names(pair)
    axes.set(xlabel=one, ylabel=other)
    across.places.name(axes, "x")
    along.places.name(axes, "y")
    colour_bar(figure, axes, points, f"effect of the pair\n({values_in_words(result, target)})")
    notes = [source(result, sample.population), *sample.footnotes(), "Dots: rows; cells: the mean of their rows."]
    if hidden := int((~there).sum()):
        notes.append(f"{hidden:,} rows without a value, or without an effect of this pair, are not drawn.")
    if outside := int((there & ~(across.shows & along.shows)).sum()):
        notes.append(f"{outside:,} rows lie beyond the axes.")
    notes += [note for of in (across, along) for note in of.places.notes()]
    entitle(figure, f"Effect of {one} and {other}, target {short(target)}", notes)
    return figure


def _strongest_with_values(result: Result, target: str, request: PlotRequest) -> tuple[str, str]:
    """Return the strongest pair both of whose features have values, as groups that are not one-hot have none."""
    pairs, _ = strongest_pairs(result, target, LOOKED_AT)
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    values = feature_values(result, names, sample_rows(result, target, LOOKED_AT, request.seed).rows, request.data)
    have = {name for name, found in zip(names, np.isfinite(values.numbers).any(axis=0), strict=True) if found}
    return next((pair for pair in pairs if have.issuperset(pair)), pairs[0])


@dataclass(frozen=True)
class _Axis:
    """Where rows stand along an axis, the edges of its cells, and which rows (n,) it shows."""

    places: Places
    edges: np.ndarray
    shows: np.ndarray

    @property
    def cells(self) -> np.ndarray:
        """Return the cell of each row, (n,)."""
        return np.clip(np.searchsorted(self.edges, self.places.values, side="right") - 1, 0, len(self.edges) - 2)

    @property
    def ends(self) -> tuple[float, float]:
        """The ends of the axis, a little beyond those of the cells, so that dots are whole."""
        low, high = self.edges[[0, -1]].tolist()
        return low - MARGIN * (high - low), high + MARGIN * (high - low)


def _axis(values: FeatureValues, place: int, name: str) -> _Axis:
    numbers = values.numbers[:, place]
    if np.isnan(numbers).all():
        raise DataError(
            f"`pair`: {name} has no values: it is a group of several columns and not one-hot, or missing in all rows. "
            "Expected features of one column, or one-hot groups. Try another `pair`."
        )
    places = Places.of(numbers, values.categories.get(name))
    distinct = places.distinct
    if places.are_few or len(distinct) == 1:
        middles = (distinct[1:] + distinct[:-1]) / 2
        ends = (distinct[:1] - 0.5, distinct[-1:] + 0.5)
        if places.words is None and len(distinct) > 1:
            ends = (2 * distinct[:1] - middles[:1], 2 * distinct[-1:] - middles[-1:])
        return _Axis(places, np.concatenate([ends[0], middles, ends[1]]), np.isfinite(places.values))
    finite = numbers[np.isfinite(numbers)]
    low, high = finite.min(), finite.max()
    inner = np.percentile(finite, [OUTER, 100 - OUTER])
    if high - low > FAR * (inner[1] - inner[0]) > 0:
        low, high = inner
    n_cells = int(np.clip(np.sqrt(len(finite)) / 2, FEWEST_CELLS, MOST_CELLS))
    return _Axis(places, np.linspace(low, high, n_cells + 1), (numbers >= low) & (numbers <= high))


def _draw(axes: "Axes", across: _Axis, along: _Axis, effect: np.ndarray, seed: int) -> "ScalarMappable":
    """Draw cells that have rows, and the rows on top."""
    shown = np.isfinite(effect) & across.shows & along.shows
    limit = bulk(effect[shown])
    colours = sign_map().with_extremes(bad=(0, 0, 0, 0))
    image = axes.pcolormesh(
        across.edges, along.edges, _means(across, along, effect, shown), cmap=colours, vmin=-limit, vmax=limit
    )
    axes.scatter(
        across.places.spread(seed, SPREAD)[shown],
        along.places.spread(seed + 1, SPREAD)[shown],
        c=effect[shown],
        cmap=colours,
        vmin=-limit,
        vmax=limit,
        s=16 if shown.sum() <= 800 else 7,
        linewidths=0.4 if shown.sum() <= 800 else 0.2,
        edgecolors=OTHERS,
        rasterized=True,
    )
    axes.set(xlim=across.ends, ylim=along.ends)
    return image


def _means(across: _Axis, along: _Axis, effect: np.ndarray, shown: np.ndarray) -> np.ma.MaskedArray:
    """Return the mean effect of the rows of each cell (rows up, columns across), masked where there are none."""
    shape = (len(along.edges) - 1, len(across.edges) - 1)
    cell = along.cells[shown] * shape[1] + across.cells[shown]
    counts, sums = (np.bincount(cell, weights, minlength=shape[0] * shape[1]) for weights in (None, effect[shown]))
    return np.ma.masked_where(counts == 0, sums / np.maximum(counts, 1)).reshape(shape)
