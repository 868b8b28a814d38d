"""calibration: how often what the model gives a probability of is so, in ten bins."""

from typing import TYPE_CHECKING

import numpy as np

from ihcli.errors import RunError
from ihcli.plots.canvas import entitle, new_figure, short
from ihcli.plots.colours import AXIS, PALE, RAISES
from ihcli.plots.request import PlotRequest, one_target
from ihcli.results.model_quality import ModelQuality
from ihcli.results.result import Result
from ihcli.runs.members import require_no_mean
from ihcli.runs.told import if_told

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEVIATIONS = 1.96


def draw_calibration(result: Result, request: PlotRequest) -> "Figure":
    """Draw frequencies against predicted probabilities, and how many rows are in each bin; see `ihcli.plots.draw`.

    The model is judged, whichever of its outputs are explained, so that targets make no difference.
    """
    if request.target is not None:
        one_target(result, request.target)
    quality = result.model_quality
    probability, frequency, rows = _bins(result, quality)
    figure, axes = new_figure(6.4, 6.6, 2, 1, sharex=True, height_ratios=[4, 1])
    there = rows > 0
    axes[0].plot([0, 1], [0, 1], color=AXIS, linewidth=0.8, linestyle="--", label="calibrated")
    axes[0].errorbar(
        *(probability[there], frequency[there]),
        yerr=_chance(frequency[there], rows[there]),
        fmt="o",
        color=RAISES,
        capsize=2.5,
        linewidth=1.2,
        label="rows of a bin, and what chance allows",
    )
    axes[1].bar((np.arange(len(rows)) + 0.5) / len(rows), rows, width=0.9 / len(rows), color=PALE)
    chosen = quality.calibrated_class
    axes[0].set(xlim=(0, 1), ylim=(-0.02, 1.02), ylabel="share of rows in which it is so")
    told = "the chosen class" if chosen is None else short(chosen)
    axes[1].set(xlabel=f"predicted probability of {told}", ylabel="rows")
    axes[0].grid()
    axes[0].legend(loc="best")
    notes = [f"{int(rows.sum()):,} rows with labels.", "Bars: 95 % of what chance allows (Wilson's interval)."]
    if (error := quality.figure("calibration_error")) is not None:
        notes.append(f"Expected calibration error {error:.3g}: the mean distance to the diagonal over rows.")
    entitle(figure, "Calibration of the model", notes)
    return figure


def _chance(frequency: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return how far below and above frequencies (n,) of so many rows the true ones may be, (2, n); Wilson (1927)."""
    z = DEVIATIONS**2 / rows
    centre = (frequency + z / 2) / (1 + z)
    half = np.sqrt(z * frequency * (1 - frequency) + z**2 / 4) / (1 + z)
    return np.stack([frequency - np.maximum(0, centre - half), np.minimum(1, centre + half) - frequency]).clip(0)


def _bins(result: Result, quality: ModelQuality) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return probabilities, frequencies and rows of the bins, NaN where there is none; raises RunError without any."""
    found = [line for line in quality.lines if line.of == "bin"]
    if not found and quality.figure("labels"):
        raise RunError(
            f"{result.path}: its labels are numbers, or its model gives no probabilities of classes, and there is no "
            "picture of that. Expected a classifier, on another scale than margin. Try ihcli plot RUN lorenz."
        )
    if not found:
        require_no_mean(result.path, if_told(lambda: result.told.members) or (), "ihcli plot of each")
        raise RunError(
            f"{result.path}: has no labels to compare probabilities with. Expected a run that knows the true classes. "
            "Try ihcli explain with `label=COLUMN`."
        )
    values = [[line.value for line in found if line.figure == name] for name in ("probability", "frequency")]
    probability, frequency = (np.array([np.nan if one is None else one for one in each]) for each in values)
    return probability, frequency, np.array([line.rows for line in found if line.figure == "probability"])
