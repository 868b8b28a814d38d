"""rows: attributions as an image, a column for every row, with the model's output above."""

from typing import TYPE_CHECKING

import numpy as np

from ihcli.errors import OptionError
from ihcli.plots.canvas import (
    entitle,
    explained,
    fitted,
    name_rows,
    new_figure,
    rows_height,
    short,
    source,
    values_in_words,
)
from ihcli.plots.colours import NEUTRAL, colour_bar, sign_map
from ihcli.plots.heatmap import bulk
from ihcli.plots.request import PlotRequest, one_target, strongest
from ihcli.plots.sample import attributions, predictions, sample_rows
from ihcli.results.result import Result
from ihcli.wording import either

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TOP_K = 20
MOST_ROWS = 500
SORTS = {"similarity": "rows, similar ones next to each other", "prediction": "rows, by the model's output"}
OUTPUT_INCHES = 0.9


def draw_rows(result: Result, request: PlotRequest) -> "Figure":
    """Draw attributions of rows by the strongest features, these on top; see `ihcli.plots.draw`."""
    sort = request.sort or next(iter(SORTS))
    if sort not in SORTS:
        raise OptionError(
            f"`sort={sort}`: is not an order of rows. Expected {either(tuple(SORTS))}, got {sort!r}. "
            "Try `sort=prediction`."
        )
    target = one_target(result, request.target)
    names, n_features = strongest(result, target, request.top_k or TOP_K)
    sample = sample_rows(result, target, request.points or MOST_ROWS, request.seed)
    phi, (output, baseline) = attributions(result, sample, target, names), predictions(result, sample, target).T
    order = np.argsort(output, kind="stable") if sort == "prediction" else ordered(phi, output)
    height = rows_height(len(names))
    figure, axes = new_figure(
        8.6, height + OUTPUT_INCHES + 1.6, 2, 1, sharex=True, height_ratios=[OUTPUT_INCHES, height]
    )
    _draw_output(axes[0], output[order], baseline[order])
    axes[0].set_ylabel(fitted(explained(result, target), OUTPUT_INCHES), fontsize=8)
    limit, interpolation = bulk(phi), "nearest" if len(phi) <= MOST_ROWS else "antialiased"
    image = axes[1].imshow(
        phi[order].T, cmap=sign_map(), vmin=-limit, vmax=limit, aspect="auto", interpolation=interpolation
    )
    name_rows(axes[1], names, height)
    axes[1].set_xlabel(SORTS[sort])
    axes[1].set_xticks([])
    axes[1].spines[:].set_visible(False)
    colour_bar(figure, list(axes), image, f"attribution\n({values_in_words(result, target)})")
    notes = [source(result, sample.population), *sample.footnotes(), "Dashed: the baseline."]
    if len(names) < n_features:
        notes.append(f"The {len(names)} strongest of {n_features:,} features.")
    if np.nanmax(np.abs(phi), initial=0) > limit * (1 + 1e-9):
        notes.append(f"Colours end at {limit:.3g}; larger attributions look the same.")
    entitle(figure, f"Attributions of rows, target {short(target)}", notes)
    return figure


def ordered(phi: np.ndarray, output: np.ndarray) -> np.ndarray:
    """Return an order (n,) of rows of phi (n, F) in which similar ones stand beside each other.

    Rows are cut in two at the mean along the direction in which they differ most, and each part again (Boley 1998,
    principal direction divisive partitioning); parts with the larger outputs come last.
    """
    order: list[np.ndarray] = []
    waiting = [np.arange(len(phi))]
    while waiting:
        some = waiting.pop()
        centred = np.nan_to_num(phi[some] - phi[some].mean(axis=0))
        if len(some) <= 2 or not centred.any():
            order.append(some[np.argsort(output[some], kind="stable")])
            continue
        along = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
        sides = [some[along > 0], some[along <= 0]]
        if not all(map(len, sides)):
            order.append(some[np.argsort(output[some], kind="stable")])
            continue
        waiting += sorted(sides, key=lambda side: -float(output[side].mean()))
    return np.concatenate(order)


def _draw_output(axes: "Axes", output: np.ndarray, baseline: np.ndarray) -> None:
    places = np.arange(len(output))
    edges = np.append(places - 0.5, len(output) - 0.5)
    axes.stairs(output, edges, color=NEUTRAL, linewidth=1.1, baseline=None)
    axes.stairs(baseline, edges, color=NEUTRAL, linewidth=0.8, linestyle="--", baseline=None)
    axes.grid(axis="y")
    axes.tick_params("x", length=0, labelbottom=False)
