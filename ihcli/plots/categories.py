"""Categories of one-hot groups: a colour for each, and what a legend says of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ihcli.plots.canvas import short
from ihcli.results.palette import CATEGORIES, MISSING, OTHERS
from ihcli.wording import told_apart

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME_WIDTH, TITLE_WIDTH = 20, 22
LINE_INCHES = 0.19  # of a legend


@dataclass(frozen=True)
class Level:
    """A category, or several rare ones as one: its label, its colour, and the rows (n,) that have it."""

    label: str
    colour: str
    rows: np.ndarray


def levels(codes: np.ndarray, categories: Sequence[str]) -> list[Level]:
    """Return the categories that occur among codes (n,), in their order; where colours end, the rare ones are one."""
    present, counts = np.unique(codes[np.isfinite(codes)].astype(np.int64), return_counts=True)
    order = present[np.argsort(-counts, kind="stable")]
    own = order if len(order) <= len(CATEGORIES) else order[: len(CATEGORIES) - 1]
    labels = told_apart([categories[code] for code in present], NAME_WIDTH)
    found = [
        Level(labels[categories[code]], colour, codes == code)
        for code, colour in zip(sorted(own.tolist()), CATEGORIES, strict=False)
    ]
    if len(own) < len(order):
        found.append(Level(f"{len(order) - len(own)} others", OTHERS, np.isin(codes, np.setdiff1d(order, own))))
    return found


def colours_of(found: Sequence[Level], n: int) -> np.ndarray:
    """Return the colour of each of n points."""
    colours = np.full(n, MISSING, dtype=object)
    for level in found:
        colours[level.rows] = level.colour
    return colours


def draw_legend(figure: "Figure", groups: dict[str, list[Level]]) -> None:
    """Write at the right of a figure which colour means what, group by group."""
    from matplotlib.lines import Line2D

    style: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 5, "markeredgewidth": 0}
    handles = []
    for group, found in groups.items():
        handles.append(Line2D([], [], linestyle="none", label=short(group, TITLE_WIDTH)))
        handles += [Line2D([], [], color=level.colour, label=level.label, **style) for level in found]
    legend = figure.legend(handles=handles, loc="outside right upper", fontsize=8, handletextpad=0.2, labelspacing=0.25)
    titles = np.cumsum([0, *(1 + len(found) for found in groups.values())])[:-1]
    for place in titles.tolist():
        legend.get_texts()[place].set_fontweight("bold")


def legend_height(groups: dict[str, list[Level]]) -> float:
    """Return the inches that a legend takes."""
    return LINE_INCHES * sum(1 + len(found) for found in groups.values())
