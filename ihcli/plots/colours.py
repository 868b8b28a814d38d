"""Colours that can be told apart under every common colour blindness, and in print."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

RAISES, LOWERS = "#e66101", "#266ebe"
MISSING, EMPTY = "#b0b0b0", "#ededed"
NEUTRAL = "#5f6f81"  # of points that no value colours
STATUS_COLOURS = {"ok": "#4c78a8", "not_converged": "#e66101", "rounding": "#7b3294", "uncertified": NEUTRAL}
STATUS_MARKS = {"ok": "o", "not_converged": "^", "rounding": "s", "uncertified": "D"}
LOW, HIGH = 5.0, 95.0  # percentiles of values between which colours change
MOST_TICKS = 6  # values that a colour bar shows one by one


def value_map() -> "Colormap":
    """Return the map of feature values: perceptually uniform, without the pale end that white paper swallows."""
    from matplotlib import colormaps
    from matplotlib.colors import LinearSegmentedColormap

    colours = colormaps["plasma"](np.linspace(0.02, 0.86, 256))
    return LinearSegmentedColormap.from_list("values", colours).with_extremes(bad=MISSING)


def size_map() -> "Colormap":
    """Return the map of sizes: from nearly white to dark, perceptually uniform."""
    from matplotlib import colormaps
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list(
        "sizes", ["#ffffff", *colormaps["viridis_r"](np.linspace(0.15, 1, 15))]
    ).with_extremes(bad=EMPTY)


def sign_map() -> "Colormap":
    """Return the map of signed numbers: blue lowers, white is nothing, orange raises."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("signs", ["#0b3c74", LOWERS, "#f8f8f8", RAISES, "#7f3000"]).with_extremes(
        bad=EMPTY
    )


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
    bar = figure.colorbar(mappable, ax=axes, label=label, aspect=35, pad=0.02, shrink=share, anchor=(0.0, 1.0))
    bar.outline.set_visible(False)
