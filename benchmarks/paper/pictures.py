"""Pictures of the page: curves side by side, in the style of `ihcli plot`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ihcli.plots.canvas import default_style, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#808080", "#f0e442")
"""Okabe and Ito's, which can be told apart under every common colour blindness."""
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*", "p")
INCHES, CHARACTERS_PER_INCH = 3.4, 10


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


def draw_curves(file: Path, panels: Sequence[Panel], height: float = 3.2, width: float = INCHES) -> None:
    """Draw panels side by side, each of that many inches, with one legend for the names that they share."""
    names = list(dict.fromkeys(name for panel in panels for name in panel.curves))
    with default_style():
        figure, every = new_figure(width * len(panels), height, 1, len(panels), squeeze=False)
        for axes, panel in zip(every[0], panels, strict=True):
            for name, (x, y) in panel.curves.items():
                place = names.index(name)
                mark = None if panel.whole else MARKS[place]
                axes.plot(x, y, color=COLOURS[place], marker=mark, markersize=3.5, linewidth=1.4, label=name)
            _finish(axes, panel)
        handles = {label: h for axes in every[0] for h, label in zip(*axes.get_legend_handles_labels(), strict=True)}
        columns = max(1, int(CHARACTERS_PER_INCH * width * len(panels) / (max(map(len, names)) + len("-o- "))))
        figure.legend([handles[name] for name in names], names, loc="outside lower left", ncols=columns)
        save(figure, file)


def draw_points(file: Path, x: Sequence[float], y: Sequence[float], x_label: str, y_label: str) -> None:
    """Draw one point for each row."""
    with default_style():
        figure, axes = new_figure(4.6, 3.2)
        axes.scatter(x, y, s=10, color=COLOURS[0], alpha=0.7, linewidths=0)
        axes.grid(True)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        save(figure, file)


def draw_images(file: Path, images: Sequence[tuple[str, np.ndarray]]) -> None:
    """Draw an image in grey, and beside it maps of values in two colours."""
    with default_style():
        figure, every = new_figure(2.2 * len(images), 2.3, 1, len(images))
        for axes, (title, pixels) in zip(every, images, strict=True):
            most = np.abs(pixels).max()
            is_map = axes is not every[0]
            axes.imshow(pixels, cmap="RdBu_r" if is_map else "gray", vmin=-most if is_map else 0, vmax=most)
            axes.set_title(title)
            axes.set_axis_off()
        save(figure, file)


def _finish(axes: "Axes", panel: Panel) -> None:
    axes.set_title(panel.title, loc="left")
    axes.set_xlabel(panel.x)
    axes.set_ylabel(panel.y)
    axes.grid(True)
    for name, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        if name in panel.log:
            axes.set(**{f"{name}scale": "log"})
            axis.set_major_formatter("{x:g}")  # matplotlib's own are formulas, which are not read here
            axis.set_minor_formatter("")
