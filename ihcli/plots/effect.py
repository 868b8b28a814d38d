"""effect: a pair's effect, or an attribution, against any column of the data (Janizek et al. 2021, figure 7)."""

from typing import TYPE_CHECKING

import numpy as np

from ihcli.errors import OptionError
from ihcli.plots.canvas import entitle, fitted, new_figure, short, short_names, source, values_in_words
from ihcli.plots.colours import AROUND, AXIS, NEUTRAL, RAISES
from ihcli.plots.places import spread
from ihcli.plots.request import PlotRequest
from ihcli.results.contrasting.drivers import Along, DriversRequest, along
from ihcli.results.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_ROWS = 3_000
HEIGHT = 4.2
FEW_VALUES = 12  # of numbers: means are drawn at each, as at each word
MOST_LETTERS = 40  # of words that stand side by side


def draw_effect(result: Result, request: PlotRequest) -> "Figure":
    """Draw an effect of every row against a column, with its mean at each of few values; see `ihcli.plots.draw`."""
    if request.against is None:
        raise OptionError("`against`: is not given. Expected the column that is the horizontal axis.")
    found = along(result, _asked(request), request.against)
    figure, axes = new_figure(6.0, HEIGHT)
    _draw(axes, found, request.seed)
    axes.set_xlabel(short(request.against))
    axes.set_ylabel(fitted(values_in_words(result, found.target), HEIGHT - AROUND))
    what = _named(request)
    where = "".join(f", {condition}" for condition in request.where)
    correlation = f"{found.told[0].upper()}{found.told[1:]}"
    told = f"{correlation}, over the rows with a value." if np.isnan(found.values).any() else f"{correlation}."
    entitle(
        figure,
        f"{what[0].upper()}{what[1:]} against {short(request.against)}{where}, target {short(found.target)}",
        [source(result, len(found.effect)), told, *found.notes],
    )
    return figure


def _asked(request: PlotRequest) -> DriversRequest:
    return DriversRequest(
        pair=request.pair,
        feature=request.feature,
        data=request.data,
        where=request.where,
        target=request.target,
        points=request.points or MOST_ROWS,
        all_rows=request.all_rows,
        seed=request.seed,
    )


def _named(request: PlotRequest) -> str:
    if request.pair is None:
        return f"attribution of {short(request.feature or '')}"
    one, other = short_names(request.pair)
    return f"main effect of {one}" if request.pair[0] == request.pair[1] else f"effect of {one} and {other}"


def _draw(axes: "Axes", found: Along, seed: int) -> None:
    places, _ = spread(found.values, seed, is_always=bool(found.words))
    axes.grid()
    axes.axhline(0, color=AXIS, linewidth=0.8, zorder=0.8)
    size = 18 if len(places) <= 800 else 7
    axes.scatter(places, found.effect, s=size, color=NEUTRAL, linewidths=0, alpha=0.6, rasterized=True)
    distinct = np.unique(found.values[~np.isnan(found.values)])
    if len(distinct) <= FEW_VALUES or found.words:
        means = [found.effect[found.values == value].mean() for value in distinct]
        axes.scatter(distinct, means, s=500, marker="_", color=RAISES, linewidths=2.5, zorder=3)
        names = [short(found.words[int(value)]) for value in distinct] if found.words else [f"{v:g}" for v in distinct]
        axes.set_xticks(distinct, names)
        if sum(map(len, names)) > MOST_LETTERS:
            axes.tick_params("x", rotation=90, labelsize=8)
