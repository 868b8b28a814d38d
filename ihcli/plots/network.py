"""network: the strongest pairs as lines between features on a circle, those that interact most beside each other."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ihcli.errors import RunError
from ihcli.plots.canvas import entitle, new_figure, short, short_names, source, values_in_words, widest
from ihcli.plots.colours import LOWERS, NEUTRAL, RAISES
from ihcli.plots.heatmap import seriated
from ihcli.plots.request import PlotRequest, left_out, one_target, ranking_of, ranking_of_pairs
from ihcli.results.palette import mixed
from ihcli.results.rankings import MAIN
from ihcli.results.result import Result
from ihcli.summaries.ranking import floats
from ihcli.summaries.rest import rest_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TOP_K = 30  # pairs
MOST_NODES = 90  # whose names can be read around one circle
MOST_LEVEL = 24  # names that stand level: around more nodes they point outwards
NAME_WIDTH, LINE_INCHES = 24, 0.17
LEAST_RADIUS, LARGEST_NODE, SMALLEST_NODE = 1.7, 0.15, 0.025  # inches
WIDEST, THINNEST = 7.0, 0.5  # points
BEND = 0.75  # of the way to the middle of the circle that the longest lines bend


@dataclass(frozen=True)
class _Network:
    """What is drawn.

    names         of the nodes, in their order around the circle
    sizes, means  (n,) of the nodes, NaN where they are not known
    ends          (m, 2) nodes of each pair, the strongest pair first
    widths, signs (m,) mean_abs and mean of its effect
    """

    names: list[str]
    sizes: np.ndarray
    means: np.ndarray
    ends: np.ndarray
    widths: np.ndarray
    signs: np.ndarray


def draw_network(result: Result, request: PlotRequest) -> "Figure":
    """Draw the strongest pairs between the features that they are of; see `ihcli.plots.draw`."""
    target = one_target(result, request.target)
    ranking = ranking_of_pairs(result, target)
    found = _network(result, target, ranking, request)
    circle = _Circle(len(found.names))
    reach = circle.radius + LARGEST_NODE
    room = widest(short_names(found.names, NAME_WIDTH), circle.letters) + 0.15
    width, height = reach + room, reach + (LINE_INCHES if circle.is_level else room)
    figure, axes = new_figure(2 * width + 2.0, 2 * height + 1.1)
    axes.set(xlim=(-width, width), ylim=(-height, height), aspect="equal")
    axes.set_axis_off()
    _draw_lines(axes, circle, found)
    _draw_nodes(axes, circle, found)
    what = "main effect" if request.main_effects else "attribution"
    _draw_legend(figure, found, circle, what)
    entitle(figure, f"Network of interactions, target {short(target)}", _notes(result, target, ranking, found, what))
    return figure


def _network(result: Result, target: str, ranking: pa.Table, request: PlotRequest) -> _Network:
    nodes = ranking_of(result, target, result.summary_attributions())
    of_size, of_mean = ("main_mean_abs", "main_mean") if request.main_effects else ("mean_abs", "mean")
    if of_size not in nodes.column_names:
        raise RunError(f"{result.path}: its summary has no column {next(iter(MAIN))}. Try ihcli explain again.")
    ends = np.array([ranking[name].to_pylist() for name in ("feature_i", "feature_j")], object).T
    shown = _that_fit(ends, request.top_k or TOP_K)
    ends, widths, signs = ends[shown], floats(ranking, "mean_abs")[shown], floats(ranking, "mean")[shown]
    names = sorted({str(name) for name in ends.ravel()})
    place = {name: at for at, name in enumerate(names)}
    places = np.array([[place[one], place[other]] for one, other in ends]).reshape(-1, 2)
    strength = np.zeros((len(names),) * 2)
    strength[places[:, 0], places[:, 1]] = strength[places[:, 1], places[:, 0]] = widths
    order = _around(strength)
    figures = {
        name: both
        for name, *both in zip(
            nodes["feature"].to_pylist(), floats(nodes, of_size).tolist(), floats(nodes, of_mean).tolist(), strict=True
        )
    }
    sizes, means = np.array([figures.get(names[at], [np.nan, np.nan]) for at in order]).T
    return _Network([names[at] for at in order], sizes, means, np.argsort(order)[places], widths, signs)


def _that_fit(ends: np.ndarray, top_k: int) -> np.ndarray:
    """Return the places of the strongest pairs of two different names that are no more than can be read."""
    names: set[str] = set()
    found: list[int] = []
    for place, (one, other) in enumerate(ends.tolist()):
        if one == other:  # of texts: a word that occurs twice
            continue
        if len(found) == top_k or len(names | {one, other}) > MOST_NODES:
            break
        names |= {one, other}
        found.append(place)
    return np.array(found, np.int64)


def _around(strength: np.ndarray) -> np.ndarray:
    """Return an order of nodes in which those that hang together stand beside each other, the strongest first."""
    from scipy.sparse.csgraph import connected_components

    _, part = connected_components(strength > 0, directed=False)
    parts = [np.flatnonzero(part == each) for each in np.unique(part)]
    parts.sort(key=lambda some: -strength[some].sum())
    return np.concatenate([some[seriated(strength[np.ix_(some, some)])] for some in parts])


class _Circle:
    """Places of n nodes around a circle, the first at the top, in inches.

    radius    so large that names level with each other, or pointing outwards, do not meet
    is_level  whether names are written level, and their letters in points
    """

    def __init__(self, n: int) -> None:
        step = 2 * np.pi / max(2, n)
        self.is_level = n <= MOST_LEVEL
        between = np.cos(step / 2) - np.cos(1.5 * step) if self.is_level and n > 2 else step
        self.letters = 9.0 if self.is_level else 8.0
        self.radius = max(LEAST_RADIUS, LINE_INCHES / between)
        self.largest = min(LARGEST_NODE, 0.42 * step * self.radius)
        self.angles = np.pi / 2 - step * (np.arange(n) + 0.5)
        self.directions = np.stack([np.cos(self.angles), np.sin(self.angles)], axis=1)
        self.points = self.radius * self.directions


def _draw_lines(axes: "Axes", circle: _Circle, found: _Network) -> None:
    """Draw pairs as lines bent towards the middle, the strongest on top."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    for (one, other), width, sign in reversed(list(zip(found.ends, found.widths, found.signs, strict=True))):
        first, last = circle.points[one], circle.points[other]
        bend = BEND * np.sqrt(np.hypot(*(first - last)) / circle.radius / 2)
        path = Path([first, (first + last) / 2 * (1 - bend), last], [Path.MOVETO, Path.CURVE3, Path.CURVE3])
        share = width / (found.widths[0] or 1.0)
        axes.add_patch(
            PathPatch(path, fill=False, color=_colour(sign, width), linewidth=_points(share), alpha=0.3 + 0.6 * share)
        )


def _draw_nodes(axes: "Axes", circle: _Circle, found: _Network) -> None:
    from matplotlib.patches import Circle

    largest = float(np.nanmax(found.sizes, initial=0)) or 1.0
    for place, name in enumerate(short_names(found.names, NAME_WIDTH)):
        share = np.nan_to_num(found.sizes[place] / largest)
        radius = max(SMALLEST_NODE, circle.largest * np.sqrt(share))
        colour = _colour(found.means[place], found.sizes[place])
        axes.add_patch(Circle(circle.points[place], radius, color=colour, zorder=3))
        is_right = circle.directions[place, 0] >= -1e-9
        turned = np.degrees(circle.angles[place]) + (0 if is_right else 180)
        x, y = circle.points[place] + (circle.largest + 0.07) * circle.directions[place]
        axes.text(
            x,
            y,
            name,
            ha="left" if is_right else "right",
            va="center",
            rotation=0 if circle.is_level else turned,
            rotation_mode="anchor",
            fontsize=circle.letters,
        )


def _colour(mean: float, size: float) -> str:
    """Return the colour of the sign of a mean, the greyer the more values differ in sign from row to row."""
    steady = np.sqrt(abs(mean) / size) if size > 0 and np.isfinite(mean) else 0.0
    return mixed(NEUTRAL, RAISES if mean >= 0 else LOWERS, min(1.0, steady))


def _points(share: float) -> float:
    return THINNEST + (WIDEST - THINNEST) * share


def _draw_legend(figure: "Figure", found: _Network, circle: _Circle, what: str) -> None:
    from matplotlib.lines import Line2D

    dot: dict[str, Any] = {"linestyle": "none", "marker": "o", "color": NEUTRAL, "markeredgewidth": 0}
    colours = {RAISES: "raises", LOWERS: "lowers", NEUTRAL: "either, by row"}
    handles = [Line2D([], [], **dot | {"color": colour}, markersize=6, label=told) for colour, told in colours.items()]
    titles = [len(handles)]
    handles.append(Line2D([], [], linestyle="none", label="pair effect"))
    for share in (1.0, 0.3):
        told = f"{share * found.widths[0]:.2g}"
        handles.append(Line2D([], [], color=NEUTRAL, linewidth=_points(share), alpha=0.3 + 0.6 * share, label=told))
    if np.isfinite(found.sizes).any():
        titles.append(len(handles))
        handles.append(Line2D([], [], linestyle="none", label=what))
        for share in (1.0, 0.3):
            told, points = f"{share * np.nanmax(found.sizes):.2g}", 144 * circle.largest * np.sqrt(share)
            handles.append(Line2D([], [], **dot, markersize=points, label=told))
    legend = figure.legend(handles=handles, loc="outside right upper", fontsize=8.5, labelspacing=0.9)
    for place in titles:
        legend.get_texts()[place].set_fontweight("bold")


def _notes(result: Result, target: str, ranking: pa.Table, found: _Network, what: str) -> list[str]:
    rest = rest_of(ranking).get(target)
    total = ranking.num_rows + (0 if rest is None else rest.pairs)
    notes = [
        source(result, result.layout.row_count(ranking)),
        *left_out(ranking),
        f"Widths and sizes: mean_abs of the pair effect Gamma_ij + Gamma_ji, and of the {what} "
        f"({values_in_words(result, target)}).",
        "Colour: the sign of the mean, the greyer the more the sign differs from row to row.",
    ]
    if len(found.ends) < total:
        share = sum(ranking["share"].to_pylist()[: len(found.ends)])
        who = (
            f"The {len(found.ends)} strongest of {total:,} pairs" if len(found.ends) > 1 else f"One of {total:,} pairs"
        )
        notes.append(f"{who}, a share of {share:.2g} in all mean_abs; others are left out.")
    if result.feature_names and len(found.names) < len(result.feature_names):
        notes.append(f"{len(found.names)} of {len(result.feature_names):,} features.")
    return notes
