"""Pictures of a run: one file a kind, each from a result and a request to a matplotlib figure; no torch.

matplotlib is imported inside functions, so that this can be imported without it.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ihcli.files.locations import Location, locate
from ihcli.plots.bars import draw_bars
from ihcli.plots.calibration import draw_calibration
from ihcli.plots.canvas import add_footnote, default_style, save
from ihcli.plots.convergence import draw_convergence
from ihcli.plots.dependence import draw_dependence
from ihcli.plots.effect import draw_effect
from ihcli.plots.heatmap import draw_heatmap
from ihcli.plots.lorenz import draw_lorenz
from ihcli.plots.network import draw_network
from ihcli.plots.request import PlotRequest, target_of_most_rows
from ihcli.plots.rows import draw_rows
from ihcli.plots.summary import draw_summary
from ihcli.plots.surface import draw_surface
from ihcli.plots.texts import draw_text
from ihcli.plots.waterfall import draw_waterfall
from ihcli.quality import TARGET
from ihcli.results.result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["KINDS", "PlotRequest", "draw", "write_plot"]

KINDS: dict[str, Callable[[Result, PlotRequest], "Figure"]] = {
    "summary": draw_summary,
    "bar": draw_bars,
    "heatmap": draw_heatmap,
    "network": draw_network,
    "rows": draw_rows,
    "dependence": draw_dependence,
    "surface": draw_surface,
    "effect": draw_effect,
    "waterfall": draw_waterfall,
    "text": draw_text,
    "convergence": draw_convergence,
    "lorenz": draw_lorenz,
    "calibration": draw_calibration,
}
OF_ANY_TARGET = ("waterfall", "text", "convergence", "calibration")
"""Kinds that do without a target, or find that of their row."""


def draw(result: Result, request: PlotRequest) -> "Figure":
    """Return the figure of a run; it belongs to no window and is freed when it is let go.

    Raises PackageError without matplotlib; OptionError, RunError and DataError for what cannot be drawn.
    """
    with default_style():
        return _drawn(result, request)


def write_plot(result: Result, request: PlotRequest, file: str | Location) -> None:
    """Draw into a file, in the format that its name ends in: png, svg or pdf; see `draw`.

    Raises OptionError for another ending, RunError where the disk refuses.
    """
    with default_style():
        save(_drawn(result, request), locate(file))


def _drawn(result: Result, request: PlotRequest) -> "Figure":
    result.layout.require_plot(result.path, request.kind)
    if request.target is not None or request.by == TARGET or request.kind in OF_ANY_TARGET or len(result.targets) < 2:
        return KINDS[request.kind](result, request)
    target = target_of_most_rows(result)
    figure = KINDS[request.kind](result, replace(request, target=target))
    add_footnote(figure, f"One of {len(result.targets)} targets: the first of those with the most rows.")
    return figure
