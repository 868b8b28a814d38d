"""Pictures of a run: one file a kind, each from a result and a request to a matplotlib figure; no torch.

matplotlib is imported inside functions, so that this can be imported without it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ihcli.files.locations import Location, locate
from ihcli.plots.bars import draw_bars
from ihcli.plots.calibration import draw_calibration
from ihcli.plots.canvas import default_style, save
from ihcli.plots.convergence import draw_convergence
from ihcli.plots.dependence import draw_dependence
from ihcli.plots.effect import draw_effect
from ihcli.plots.heatmap import draw_heatmap
from ihcli.plots.lorenz import draw_lorenz
from ihcli.plots.request import PlotRequest
from ihcli.plots.swarm import draw_swarm
from ihcli.plots.texts import draw_text
from ihcli.plots.waterfall import draw_waterfall
from ihcli.results.result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["KINDS", "PlotRequest", "draw", "write_plot"]

KINDS: dict[str, Callable[[Result, PlotRequest], "Figure"]] = {
    "summary": draw_swarm,
    "bar": draw_bars,
    "heatmap": draw_heatmap,
    "dependence": draw_dependence,
    "effect": draw_effect,
    "waterfall": draw_waterfall,
    "text": draw_text,
    "convergence": draw_convergence,
    "lorenz": draw_lorenz,
    "calibration": draw_calibration,
}


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
    return KINDS[request.kind](result, request)
