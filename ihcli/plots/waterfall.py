"""waterfall: how the attributions of one row lead from the baseline's prediction to its own."""

from typing import TYPE_CHECKING

import numpy as np

from ihcli.errors import DataError, OptionError, RunError
from ihcli.plots.canvas import entitle, explained, name_rows, new_figure, rows_height, short, source
from ihcli.plots.colours import AXIS, INK, LOWERS, RAISES
from ihcli.plots.request import PlotRequest
from ihcli.results.explained_data import feature_values
from ihcli.results.records import Record, attribution_effects
from ihcli.results.result import Result
from ihcli.wording import isolated, told_apart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TOP_K = 14
NAME_WIDTH = 24


def draw_waterfall(result: Result, request: PlotRequest) -> "Figure":
    """Draw one row's attributions, the largest on top and the small ones as one; see `ihcli.plots.draw`."""
    record = record_of_request(result, request)
    effects = attribution_effects(record)
    top_k = min(request.top_k or TOP_K, len(record.names))
    shown = effects.first[:top_k]
    labels, notes = _labels(result, record, shown, request.data)
    steps = effects.values[:top_k]
    if rest := len(record.names) - top_k:
        labels.append(f"{rest} other{'s' if rest > 1 else ''}")
        steps = np.append(steps, effects.values[top_k:].sum())
    height = rows_height(len(labels) + 2)
    figure, axes = new_figure(8.2, height + 1.3)
    _draw_steps(axes, record, steps)
    name_rows(axes, [f"prediction of row {record.row}", *labels, "baseline"], height, width=2 * NAME_WIDTH + len(" = "))
    axes.set(ylim=(len(labels) + 1.6, -0.6), xlabel=f"{explained(result, record.target)}")
    axes.grid(axis="x")
    entitle(figure, _title(record), [source(result), *notes, quality_note(record)])
    return figure


def record_of_request(result: Result, request: PlotRequest) -> Record:
    """Return the record that `row` or `key` means; raises OptionError, and RunError where it has no values."""
    if request.row is None and not request.key:
        raise OptionError(f"`row`: is not given. Expected which row {request.kind} shows. Try `row=0`.")
    record = result.record(request.row, key=request.key, target=request.target)
    if not record.has_values:
        raise RunError(f"`row={record.row}`: has no values, its status is {record.quality['status']}.")
    return record


def quality_note(record: Record) -> str:
    """Return how well a record is explained, in a sentence."""
    names = {"relative_error": "relative error", "completeness_gap": "completeness gap"}
    figures = [
        f"{words} {record.quality[name]:.2g}" for name, words in names.items() if record.quality[name] is not None
    ]
    note = ", ".join([*figures, f"status {record.quality['status']}."])
    sums = "" if "completeness gap" in note else " The attributions need not add up to the prediction."
    return f"{note[0].upper()}{note[1:]}{sums}"


def _title(record: Record) -> str:
    who = ", ".join([f"row {record.row}", *(f"{short(name)} {short(str(key))}" for name, key in record.keys.items())])
    return f"Attributions of {who}, target {short(record.target)}"


def _labels(result: Result, record: Record, shown: np.ndarray, data: str | None) -> tuple[list[str], list[str]]:
    """Return what stands beside each step, and footnotes."""
    if result.layout.in_reading_order:
        words = [f"{record.names[place]} ({place})" for place in shown]
        return words, ["In brackets: the position in the text, from 0."]
    names = [record.names[place] for place in shown]
    try:
        values = feature_values(result, names, [record.row], data)
    except DataError as error:
        if data is not None:
            raise
        return names, [f"Values of features are not shown: {str(error).partition(' Expected')[0]}"]
    told = [values.told(0, place, name) for place, name in enumerate(names)]
    cut = told_apart(names, NAME_WIDTH)
    return [
        cut[name] if value is None else f"{isolated(cut[name])} = {short(value, NAME_WIDTH)}"
        for name, value in zip(names, told, strict=True)
    ], []


def _draw_steps(axes: "Axes", record: Record, steps: np.ndarray) -> None:
    """Draw from the baseline at the bottom up to the prediction; the smallest step comes first."""
    start, end = record.quality["baseline_prediction"], record.quality["prediction"]
    ends = start + np.cumsum(steps[::-1])[::-1]
    starts = np.append(ends[1:], start)
    places = np.arange(1, len(steps) + 1)
    colours = [RAISES if step >= 0 else LOWERS for step in steps]
    axes.barh(places, steps, left=starts, height=0.7, color=colours)
    for place, reached in enumerate(ends, 1):
        axes.plot([reached, reached], [place - 0.65, place + 0.35], color=AXIS, linewidth=0.8)
    axes.plot([start, start], [len(steps) + 0.65, len(steps) + 1.35], color=INK, linewidth=2)
    axes.plot([end, end], [-0.35, 0.35], color=INK, linewidth=2)
    reach = np.concatenate([starts, ends, [start, end]])
    width = float(np.ptp(reach)) or 1.0
    axes.set_xlim(reach.min() - 0.14 * width, reach.max() + 0.14 * width)
    for place, step, first, last in zip(places.tolist(), steps.tolist(), starts.tolist(), ends.tolist(), strict=True):
        outer, side = (max(first, last), 1) if step >= 0 else (min(first, last), -1)
        _write(axes, outer + side * 0.01 * width, place, f"{step:+.3g}", side)
    _write(axes, start + 0.01 * width, len(steps) + 1, f"{start:.4g}", 1)
    _write(axes, end + 0.01 * width, 0, f"{end:.4g}", 1)


def _write(axes: "Axes", x: float, y: float, text: str, side: int) -> None:
    text = text.replace("-", "−")
    axes.text(x, y, text, ha="left" if side > 0 else "right", va="center", fontsize=8.5, color=INK)
