"""Swarms of points, one above the other: every row a point, so that points of one place stand apart."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ihcli.plots.colours import colour_bar, value_map

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TOP_K = 20
MOST_POINTS, FEWEST_ROWS, MOST_ROWS = 60_000, 200, 2_000
BINS = 120  # across the axis; points of one bin are stacked
HALF_HEIGHT = 0.42
SCALE_INCHES = 5.6


def most_rows(n_swarms: int) -> int:
    """Return how many rows are drawn where that is not said."""
    return int(np.clip(MOST_POINTS // n_swarms, FEWEST_ROWS, MOST_ROWS))


def draw_points(axes: "Axes", phi: np.ndarray, colours: Sequence[dict[str, Any]]) -> None:
    """Draw a swarm of points (n,) for each column of phi, coloured as `scatter` takes it; NaN is not drawn."""
    finite = phi[np.isfinite(phi)]
    ends = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    size = 14 if len(phi) <= 600 else 7
    for place in range(phi.shape[1]):
        there, heights = np.isfinite(phi[:, place]), np.full(len(phi), np.nan)
        heights[there] = place + stacked(phi[there, place], ends)
        axes.scatter(
            phi[:, place],
            heights,
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
    return side * min(2 * HALF_HEIGHT / counts.max(initial=1), 0.06)


def draw_scale(
    figure: "Figure",
    axes: "Axes",
    share: float,
    label: str = "value of the feature",
    ends: tuple[str, str] = ("low", "high"),
) -> None:
    """Draw what colours mean, from one end to the other, along that share of the height of the axes."""
    from matplotlib.cm import ScalarMappable

    scale = ScalarMappable(cmap=value_map())
    scale.set_clim(0, 1)
    colour_bar(figure, axes, scale, label, share)
    figure.axes[-1].set_yticks([0, 1], ends)
    figure.axes[-1].yaxis.labelpad = -14
