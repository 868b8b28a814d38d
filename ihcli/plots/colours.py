"""The palette as matplotlib takes it: maps of values, sizes and signs, and bars that say which colour means what."""

from typing import TYPE_CHECKING

import numpy as np

from ihcli.plots.canvas import fitted
from ihcli.results.palette import EMPTY, HIGH, LOW, LOWERS, MISSING, NEUTRAL, RAISES, SIGNS, SIZES, VALUES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

__all__ = [
    "AROUND",
    "AXIS",
    "EMPTY",
    "HIGH",
    "INK",
    "LOW",
    "LOWERS",
    "MISSING",
    "MOST_TICKS",
    "NEUTRAL",
    "PALE",
    "RAISES",
    "STATUS_COLOURS",
    "STATUS_MARKS",
    "colour_bar",
    "sign_map",
    "size_map",
    "span",
    "value_map",
]

STATUS_COLOURS = {"ok": "#4c78a8", "not_converged": RAISES, "rounding": "#7b3294", "uncertified": NEUTRAL}
STATUS_MARKS = {"ok": "o", "not_converged": "^", "rounding": "s", "uncertified": "D"}
PALE = "#c9d3df"  # of bars
AXIS, INK = "#808080", "#303030"  # of lines through zero, and of what is written into a picture
AROUND = 1.5  # inches above and below the axes
MOST_TICKS = 6  # values that a colour bar shows one by one


def value_map() -> "Colormap":
    """Return the map of feature values."""
    return _map("values", VALUES, MISSING)


def size_map() -> "Colormap":
    """Return the map of sizes."""
    return _map("sizes", SIZES, EMPTY)


def sign_map() -> "Colormap":
    """Return the map of signed numbers."""
    return _map("signs", SIGNS, EMPTY)


def _map(name: str, colours: tuple[str, ...], of_missing: str) -> "Colormap":
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list(name, colours).with_extremes(bad=of_missing)


def span(values: np.ndarray) -> tuple[float, float]:
    """Return the ends between which values (n,) are coloured; two different numbers."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 1.0
    low, high = np.percentile(finite, [LOW, HIGH])
    if low == high or len(np.unique(finite)) <= MOST_TICKS:
        low, high = finite.min(), finite.max()
    return (float(low), float(high)) if low < high else (float(low) - 0.5, float(low) + 0.5)


def colour_bar(
    figure: "Figure", axes: "Axes | list[Axes]", mappable: "ScalarMappable", label: str, share: float = 1.0
) -> None:
    """Draw a colour bar at the right of the axes, as long as that share of their height, from the top."""
    told = fitted(label, share * (figure.get_figheight() - AROUND))
    bar = figure.colorbar(mappable, ax=axes, label=told, aspect=35, pad=0.02, shrink=share, anchor=(0.0, 1.0))
    bar.outline.set_visible(False)
