"""convergence: the certified error of every row beside the tolerance, and what it cost."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ihcli.errors import RunError
from ihcli.plots.canvas import entitle, new_figure, short, source
from ihcli.plots.colours import INK, STATUS_COLOURS, STATUS_MARKS
from ihcli.plots.request import PlotRequest, one_target
from ihcli.quality import EVALUATIONS, INTERACTION_ERROR, RELATIVE_ERROR, ROW, STATUS, TARGET, WITHOUT_VALUES, Status
from ihcli.results.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_POINTS = 20_000
SPAN = 30.0  # largest over smallest that the axis of errors has at least, so that several ticks are on it
WIDE = 30.0  # largest over smallest from which an axis is logarithmic


@dataclass(frozen=True)
class _Entries:
    """Row, relative error, evaluations and status of entries with values, and how many entries have none."""

    row: np.ndarray
    error: np.ndarray
    evaluations: np.ndarray
    status: np.ndarray
    left_out: int

    def __len__(self) -> int:
        return len(self.row)

    def taken(self, places: np.ndarray) -> "_Entries":
        return _Entries(
            self.row[places], self.error[places], self.evaluations[places], self.status[places], self.left_out
        )


def draw_convergence(result: Result, request: PlotRequest) -> "Figure":
    """Draw relative error and evaluations over rows, by status; see `ihcli.plots.draw`.

    Of many rows those that missed the tolerance are drawn first.
    """
    target = None if request.target is None else one_target(result, request.target)
    entries = _read(result, target)
    counts = {name: int((entries.status == name).sum()) for name in STATUS_COLOURS if (entries.status == name).any()}
    drawn = _chosen(entries, request.points or MOST_POINTS, request.seed)
    figure, axes = new_figure(8.2, 5.6, 2, 1, sharex=True, height_ratios=[3, 2])
    floor = _floor(entries.error)
    for name, count in counts.items():
        mask = drawn.status == name
        style = {"color": STATUS_COLOURS[name], "marker": STATUS_MARKS[name], "linestyle": "none", "rasterized": True}
        style |= {"markersize": 3 if len(drawn) > 1000 else 4.5, "markeredgewidth": 0, "alpha": 0.75}
        axes[0].plot(drawn.row[mask], np.maximum(drawn.error[mask], floor), label=f"{name}: {count:,}", **style)
        axes[1].plot(drawn.row[mask], drawn.evaluations[mask], **style)
    if tolerance := result.told.tolerance:
        label = f"tolerance {tolerance:g}{' at least' if result.told.sampling_share else ''}"
        axes[0].axhline(tolerance, color=INK, linewidth=1, linestyle="--", label=label)
    _scale(axes, entries)
    axes[0].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    notes = [source(result, len(np.unique(entries.row)))]
    if len(drawn) < len(entries):
        notes.append(f"{len(drawn):,} of {len(entries):,} drawn, those over the tolerance first, seed {request.seed}.")
    if result.told.sampling_share:
        notes.append(f"Tolerance: {result.told.tolerance_in_words}.")
    if (entries.error < floor).any():
        notes.append(f"Errors below {floor:.1g} are drawn there.")
    if entries.left_out:
        notes.append(f"{entries.left_out:,} without values are left out.")
    entitle(figure, f"Convergence{'' if target is None else f', target {short(target)}'}", notes)
    return figure


def _read(result: Result, target: str | None) -> _Entries:
    """Read what is drawn of the parts, a row group at a time; the error is the larger, of rows that have two."""
    tables, left_out = [], 0
    errors = [name for name in (RELATIVE_ERROR, INTERACTION_ERROR) if name in result.run.attribution_parts.schema.names]
    for table in result.entries([ROW, TARGET, EVALUATIONS, STATUS, *errors]):
        wanted = table if target is None else table.filter(pc.equal(table[TARGET], target))
        is_empty = pc.is_in(wanted[STATUS], pa.array(WITHOUT_VALUES))
        left_out += pc.sum(is_empty).as_py() or 0
        tables.append(wanted.filter(pc.invert(is_empty)).drop_columns([TARGET]))
    whole = pa.concat_tables(tables) if tables else None
    if whole is None or not whole.num_rows:
        raise RunError(f"{result.path}: no row has values. Expected one explained row at least.")
    row, evaluations, status = (whole[name].to_numpy() for name in (ROW, EVALUATIONS, STATUS))
    error = np.fmax.reduce([whole[name].to_numpy() for name in errors])
    if np.isnan(error).all():
        raise RunError(
            f"{result.path}: {result.method} knows no error, so there is no convergence to draw. Expected a run of a "
            "method with a certified error. Try another kind of plot."
        )
    return _Entries(row, error, evaluations, status, left_out)


def _chosen(entries: _Entries, most: int, seed: int) -> _Entries:
    if len(entries) <= most:
        return entries
    order = np.random.default_rng(seed).permutation(len(entries))
    missed_first = np.argsort(entries.status[order] == Status.OK, kind="stable")
    return entries.taken(np.sort(order[missed_first][:most]))


def _floor(errors: np.ndarray) -> float:
    """Return the smallest error that the axis shows: errors of nothing, such as of x = x', have no logarithm."""
    positive = errors[errors > 0]
    return float(max(positive.min(), np.median(positive) * 1e-6)) if len(positive) else 1e-16


def _scale(axes: "np.ndarray", entries: _Entries) -> None:
    from matplotlib.ticker import MaxNLocator

    for panel, label in zip(axes, ("relative error", "evaluations"), strict=True):
        panel.set_ylabel(label)
        panel.grid()
    axes[0].set_yscale("log")
    smallest = max(1, int(entries.evaluations.min()))
    if entries.evaluations.max() / smallest > WIDE:
        axes[1].set_yscale("log")
    else:
        axes[1].set_ylim(0, entries.evaluations.max() * 1.08)
    axes[1].set_xlabel("row")
    axes[1].xaxis.set_major_locator(MaxNLocator(integer=True))
    low, high = axes[0].get_ylim()
    axes[0].set_ylim(min(low, high / SPAN), high)
    for panel in axes:
        _plain_ticks(panel)


def _plain_ticks(panel: "Axes") -> None:
    """Write the numbers of a logarithmic axis without mathematics, which is switched off for the sake of names."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    if panel.get_yscale() == "log":
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        panel.yaxis.set_minor_formatter(NullFormatter())
