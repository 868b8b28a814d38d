"""Pictures of the page: curves side by side, in the style of `ihcli plot`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ihcli.plots.canvas import default_style, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#808080")
"""Okabe and Ito's, which can be told apart under every common colour blindness."""
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
INCHES = 3.4


@dataclass(frozen=True)
class Panel:
    """One of the axes.

    curves  by name, x and y
    whole   whether marks are left out, as of curves of many points
    log     which axes are logarithmic, of "x" and "y"
    """

    title: str
    x: str
    y: str
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    whole: bool = False
    log: str = ""


def draw_curves(file: Path, panels: Sequence[Panel], height: float = 3.2) -> None:
    """Draw panels side by side, with one legend for the names that they share."""
    names = list(dict.fromkeys(name for panel in panels for name in panel.curves))
    with default_style():
        figure, every = new_figure(INCHES * len(panels), height, 1, len(panels), squeeze=False)
        for axes, panel in zip(every[0], panels, strict=True):
            for name, (x, y) in panel.curves.items():
                place = names.index(name)
                mark = None if panel.whole else MARKS[place]
                axes.plot(x, y, color=COLOURS[place], marker=mark, markersize=3.5, linewidth=1.4, label=name)
            _finish(axes, panel)
        handles = {label: h for axes in every[0] for h, label in zip(*axes.get_legend_handles_labels(), strict=True)}
        figure.legend([handles[name] for name in names], names, loc="outside lower left", ncols=min(len(names), 8))
        save(figure, file)


def _finish(axes: "Axes", panel: Panel) -> None:
    axes.set_title(panel.title, loc="left")
    axes.set_xlabel(panel.x)
    axes.set_ylabel(panel.y)
    axes.grid(True)
    if "x" in panel.log:
        axes.set_xscale("log")
    if "y" in panel.log:
        axes.set_yscale("log")
