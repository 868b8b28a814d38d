"""bar by groups: mean_abs of the strongest features or pairs, with a bar for each group of rows, or each target."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ihcli.errors import OptionError, RunError
from ihcli.plots.canvas import HALF_NAME, NAME_WIDTH, entitle, name_rows, new_figure, pair_names, short, source
from ihcli.plots.canvas import values_in_words as in_words
from ihcli.plots.request import PlotRequest, one_target, strongest, strongest_pairs
from ihcli.quality import TARGET
from ihcli.results.contrasting.sizes import sizes_by
from ihcli.results.palette import CATEGORIES
from ihcli.results.result import Result
from ihcli.summaries.ranking import by_target, floats
from ihcli.wording import printable, told_apart

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TOP_K = 12
LABEL_WIDTH = 32
BAR_INCHES, GAP_INCHES, MOST_INCHES = 0.11, 0.14, 40.0


@dataclass(frozen=True)
class _Groups:
    """What is drawn: what the values are of, groups with their rows, mean_abs (groups, names), and sentences."""

    names: list[str]
    labels: tuple[str, ...]
    rows: tuple[int | None, ...]
    mean_abs: np.ndarray
    notes: tuple[str, ...]

    def largest(self, most: int) -> "_Groups":
        """Return those groups, in their order, that have the most rows."""
        if len(self.labels) <= most:
            return self
        kept = np.sort(np.argsort([-(rows or 0) for rows in self.rows], kind="stable")[:most]).tolist()
        dropped = sum(rows or 0 for rows in self.rows) - sum(self.rows[at] or 0 for at in kept)
        who = f"{len(self.labels) - most} smaller groups" + (f" of {dropped:,} rows" if dropped else "")
        return _Groups(
            self.names,
            tuple(self.labels[at] for at in kept),
            tuple(self.rows[at] for at in kept),
            self.mean_abs[kept],
            (*self.notes, f"{who} are not drawn."),
        )


def draw_group_bars(result: Result, request: PlotRequest) -> "Figure":
    """Draw bars of mean_abs, those of the groups of `by` beside each other; see `ihcli.plots.draw`."""
    is_by_target = request.by == TARGET
    found = (_by_target if is_by_target else _by_column)(result, request).largest(len(CATEGORIES))
    n_groups, n_names = len(found.labels), len(found.names)
    height = min(MOST_INCHES, n_names * (GAP_INCHES + BAR_INCHES * n_groups))
    figure, axes = new_figure(10.4, max(height, 0.24 * n_groups) + 1.6)
    thick = BAR_INCHES / (GAP_INCHES + BAR_INCHES * n_groups)
    labels = told_apart(found.labels, LABEL_WIDTH)
    bars: list[Any] = []
    told: list[str] = []
    for group, (label, rows) in enumerate(zip(found.labels, found.rows, strict=True)):
        places = np.arange(n_names) + (group - (n_groups - 1) / 2) * thick
        bars.append(axes.barh(places, found.mean_abs[group], height=thick, color=CATEGORIES[group]))
        told.append(labels[label] + ("" if rows is None else f" ({rows:,} row{'s' if rows != 1 else ''})"))
    name_rows(axes, found.names, height, width=len(" · ") + 2 * HALF_NAME if request.pairs else NAME_WIDTH)
    what = "pair effect" if request.pairs else "attribution"
    target = None if is_by_target else one_target(result, request.target)
    unit = "change in the output of each target" if target is None else in_words(result, target)
    axes.set(ylim=(n_names - 0.4, -0.6), xlabel=f"mean_abs of the {what} ({unit})")
    axes.grid(axis="x")
    figure.legend(bars, told, loc="outside right upper")
    notes = [source(result), *found.notes, "mean_abs: mean of the absolute values over the rows of a group."]
    plural = "Pair effects" if request.pairs else "Attributions"
    whose = "by target" if target is None else f"by {short(request.by or '')}, target {short(target)}"
    entitle(figure, f"{plural} {whose}", notes)
    return figure


def _by_column(result: Result, request: PlotRequest) -> _Groups:
    if not result.layout.is_aligned:
        raise OptionError(
            f"`by={printable(request.by or '')}`: {result.path} explains texts, whose words differ from row to row. "
            f"Expected `by={TARGET}`, the bars of each target."
        )
    target, top_k = one_target(result, request.target), request.top_k or TOP_K
    names: list[tuple[str, ...]]
    if request.pairs:
        pairs, total = strongest_pairs(result, target, top_k)
        names = [*pairs]
    else:
        features, total = strongest(result, target, top_k)
        names = [(name,) for name in features]
    found = sizes_by(result, request.by or "", target, names, data=request.data, all_rows=request.all_rows)
    effects = found.effects
    if request.pairs:
        ends = zip(effects.first.tolist(), effects.second.tolist(), strict=True)
        shown = pair_names([(effects.names[one], effects.names[other]) for one, other in ends])
    else:
        shown = list(effects.features)
    notes = (*_strongest(len(shown), total, "pairs" if request.pairs else "features"), *found.notes)
    return _Groups(shown, found.labels, found.rows, found.mean_abs, notes)


def _by_target(result: Result, request: PlotRequest) -> _Groups:
    """Return the mean_abs of every target, each over its own rows, of what is strongest over all targets."""
    if request.target is not None:
        raise OptionError("`target`, `by=_target`: the bars are of all targets. Try one of them.")
    table = result.summary_interactions() if request.pairs else result.summary_attributions()
    rankings = by_target(table)
    if not rankings:
        raise result.run.nothing_ranks(result.targets[0]) if result.targets else RunError(f"{result.path}: no values.")
    columns = ("feature_i", "feature_j") if request.pairs else ("feature",)
    ends = [list(zip(*(ranking[name].to_pylist() for name in columns), strict=True)) for ranking in rankings.values()]
    every = list(dict.fromkeys(name for names in ends for name in names))
    place = {name: at for at, name in enumerate(every)}
    sizes = np.full((len(rankings), len(every)), np.nan)
    for group, (names, ranking) in enumerate(zip(ends, rankings.values(), strict=True)):
        sizes[group, [place[name] for name in names]] = floats(ranking, "mean_abs")
    order = np.argsort(-np.nansum(sizes, axis=0), kind="stable")[: request.top_k or TOP_K]
    names = [every[at] for at in order]
    shown = pair_names(names) if request.pairs else [str(name) for (name,) in names]
    rows = tuple(result.layout.row_count(ranking) for ranking in rankings.values())
    notes = _strongest(len(names), len(every), "pairs" if request.pairs else result.layout.noun)
    return _Groups(shown, tuple(rankings), rows, sizes[:, order], notes)


def _strongest(shown: int, total: int, what: str) -> tuple[str, ...]:
    return (f"The {shown} strongest of {total:,} {what}.",) if shown < total else ()
