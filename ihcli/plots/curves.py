"""What becomes of an output while units are kept or removed: small pictures side by side, a colour for each ranking."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from ihcli.files.locations import Location
from ihcli.plots.canvas import default_style, entitle, new_figure, save
from ihcli.plots.colours import LOWERS, NEUTRAL, RAISES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLES: dict[str, dict[str, Any]] = {
    "run": {"color": RAISES, "linewidth": 2.0, "marker": "o", "zorder": 4},
    "gradient_input": {"color": LOWERS, "marker": "s", "zorder": 3},
    "gradient": {"color": "#7b3294", "marker": "^", "zorder": 2},
    "random": {"color": NEUTRAL, "linestyle": "--", "zorder": 1},
}
WIDTH, HEIGHT = 2.9, 2.0
"""Inches of each picture."""


def write_curves(table: pa.Table, title: str, notes: Sequence[str], file: Location) -> None:
    """Draw curves into a file, in the format that its name ends in; see `draw_curves`.

    Raises PackageError without matplotlib, OptionError for another ending, RunError where the disk refuses.
    """
    with default_style():
        save(draw_curves(table, title, notes), file)


def draw_curves(table: pa.Table, title: str, notes: Sequence[str] = ()) -> "Figure":
    """Return a figure of the curves of one target: a row for each fill and change, a column for each sign.

    Parameters:
        table: with columns fill, change, sign, by, share and score.
    """
    rows = list(dict.fromkeys(zip(table["fill"].to_pylist(), table["change"].to_pylist(), strict=True)))
    fills = list(dict.fromkeys(fill for fill, _ in rows))
    rows.sort(key=lambda row: fills.index(row[0]))
    signs = table["sign"].unique().to_pylist()
    figure, axes = new_figure(
        WIDTH * max(2, len(signs)) + 0.6, HEIGHT * len(rows) + 1.2, len(rows), len(signs), squeeze=False, sharex=True
    )
    for i, (fill, change) in enumerate(rows):
        for j, sign in enumerate(signs):
            own = {"fill": fill, "change": change, "sign": sign}
            _draw(axes[i, j], _where(table, own))
            axes[i, j].set_title(f"{change} {sign}, {fill}", loc="left")
    for panel in axes[-1]:
        panel.set_xlabel("share of units")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper")
    entitle(figure, title, notes)
    return figure


def _draw(panel: "Axes", curves: pa.Table) -> None:
    for by in curves["by"].unique().to_pylist():
        curve = _where(curves, {"by": by})
        style: dict[str, Any] = {"linewidth": 1.4, "markersize": 3.0, **STYLES.get(by, {})}
        panel.plot(curve["share"].to_numpy(), curve["score"].to_numpy(), label=by, **style)
    panel.grid()
    if not curves.num_rows:
        panel.set_visible(False)


def _where(table: pa.Table, values: dict[str, str]) -> pa.Table:
    for name, value in values.items():
        table = table.filter(pc.equal(table[name], value))
    return table
