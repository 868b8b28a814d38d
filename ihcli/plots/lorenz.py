"""lorenz: which share of all effects the weakest features, and pairs, have together."""

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ihcli.plots.canvas import entitle, fitted, new_figure, short, source, values_in_words
from ihcli.plots.colours import AROUND, AXIS, LOWERS, RAISES
from ihcli.plots.request import PlotRequest, left_out, one_target, ranking_of
from ihcli.results.result import Result
from ihcli.summaries.concentration import MOST
from ihcli.summaries.ranking import floats
from ihcli.summaries.rest import rest_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT = 5.8


def draw_lorenz(result: Result, request: PlotRequest) -> "Figure":
    """Draw the Lorenz curves of features and of pairs, each from the weakest on; see `ihcli.plots.draw`."""
    target = one_target(result, request.target)
    features = ranking_of(result, target, result.summary_attributions())
    figure, axes = new_figure(7.2, HEIGHT)
    axes.plot([0, 1], [0, 1], color=AXIS, linewidth=0.8, linestyle="--", label="all alike")
    notes = [source(result, result.layout.row_count(features)), *left_out(features)]
    _draw(axes, result, target, features, "features", RAISES)
    if result.run.has_summary_of_pairs and features.num_rows > 1:
        pairs = result.summary_interactions()
        _draw(axes, result, target, ranking_of(result, target, pairs), "pairs", LOWERS)
        if target in rest_of(pairs):
            notes.append("Pairs that the summary does not list are taken to be alike.")
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1),
        xlabel="share of all, the weakest first",
        ylabel=fitted(f"share of the sum of mean_abs ({values_in_words(result, target)})", HEIGHT - AROUND),
    )
    axes.grid()
    axes.legend(loc="upper left")
    notes.append(
        f"What is right of a dot makes {100 * MOST:.0f} % of the sum. Gini: about twice the area to the diagonal."
    )
    entitle(figure, f"Lorenz curves, target {short(target)}", notes)
    return figure


def _draw(axes: "Axes", result: Result, target: str, ranking: pa.Table, of: str, colour: str) -> None:
    shares = _shares(ranking, target)
    p, reached = len(shares), np.concatenate([[0.0], np.cumsum(np.sort(shares))])
    quality = result.model_quality
    gini, needed = (quality.figure(f"{name}_of_{of}", "target", target) for name in ("gini", "make_90"))
    words = f"{p:,} {result.layout.noun if of == 'features' else of}"
    told = "" if gini is None else f", Gini {gini:.2f}"
    axes.plot(np.arange(p + 1) / p, reached, color=colour, linewidth=1.8, label=f"{words}{told}")
    if needed is not None:
        place = p - int(needed)
        axes.plot(place / p, reached[place], "o", color=colour, markersize=6)


def _shares(ranking: pa.Table, target: str) -> np.ndarray:
    """Return the share of every line, and of what is not listed."""
    shares, rest = floats(ranking, "share"), rest_of(ranking).get(target)
    others = 0 if rest is None else rest.pairs
    return np.concatenate([shares, np.full(others, max(0.0, 1 - shares.sum()) / max(1, others))])
