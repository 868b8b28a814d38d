"""bar: the strongest features or pairs, mean of sizes and mean."""

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ihcli.bars import DEVIATIONS
from ihcli.layouts.columns import ERROR_BAR, STANDARD_ERROR
from ihcli.plots.canvas import (
    HALF_NAME,
    NAME_WIDTH,
    entitle,
    name_rows,
    new_figure,
    rows_height,
    short,
    source,
    values_in_words,
)
from ihcli.plots.colours import AXIS, LOWERS, PALE, RAISES
from ihcli.plots.group_bars import draw_group_bars
from ihcli.plots.request import PlotRequest, left_out, one_target, ranking_of
from ihcli.results.rankings import Choice, ranked_features, ranked_pairs
from ihcli.results.result import Result
from ihcli.summaries.ranking import by_target
from ihcli.summaries.rest import rest_of
from ihcli.wording import isolated, told_apart

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TOP_K = 20
WHISKERS = {"ecolor": "#5f6b7a", "elinewidth": 1.1, "capsize": 2.5}


def draw_bars(result: Result, request: PlotRequest) -> "Figure":
    """Draw a ranking: bars of mean_abs, and the signed mean as a mark; with `by` bars of groups of rows instead."""
    if request.by is not None:
        return draw_group_bars(result, request)
    target = one_target(result, request.target)
    choice = Choice(request.top_k or TOP_K, main_effects=request.main_effects)
    rank = ranked_pairs if request.pairs else ranked_features
    ranking = ranking_of(result, target, rank(result.run, choice))
    names = _names(ranking)
    height = rows_height(len(names))
    figure, axes = new_figure(9.8, height + 1.6)
    places, means = np.arange(len(names)), ranking["mean"].to_numpy()
    sizes = ranking["mean_abs"].to_numpy()
    axes.barh(places, sizes, height=0.7, color=PALE, label="mean_abs")
    if ERROR_BAR in ranking.column_names:
        errors, words = ranking[ERROR_BAR].to_numpy(), "error bar"
        if STANDARD_ERROR in ranking.column_names:
            errors = errors + DEVIATIONS * ranking[STANDARD_ERROR].to_numpy()
            words += " and two standard errors"
        axes.errorbar(sizes, places, xerr=errors, fmt="none", **WHISKERS, label=words)
    for colour, words, chosen in ((RAISES, "mean, raises", means >= 0), (LOWERS, "mean, lowers", means < 0)):
        axes.plot(means[chosen], places[chosen], "D", color=colour, markersize=5, label=words)
    name_rows(axes, names, height, width=len(" · ") + 2 * HALF_NAME + len(" (main)") if request.pairs else NAME_WIDTH)
    what = "effect" if request.main_effects else "pair effect" if request.pairs else "attribution"
    axes.set(ylim=(len(names) - 0.4, -0.6), xlabel=f"{what} ({values_in_words(result, target)})")
    axes.grid(axis="x")
    axes.axvline(0, color=AXIS, linewidth=0.8)
    figure.legend(loc="outside right upper")
    plural = "Main and pair effects" if request.main_effects else "Pair effects" if request.pairs else "Attributions"
    entitle(figure, f"{plural}, target {short(target)}", _notes(result, ranking, target, request))
    return figure


def _names(ranking: pa.Table) -> list[str]:
    if "feature" in ranking.column_names:
        return [str(name) for name in ranking["feature"].to_pylist()]
    kinds = ranking["kind"].to_pylist() if "kind" in ranking.column_names else ["pair"] * ranking.num_rows
    first, second = ranking["feature_i"].to_pylist(), ranking["feature_j"].to_pylist()
    cut = {name: isolated(short) for name, short in told_apart([*first, *second], HALF_NAME).items()}
    pairs = zip(kinds, first, second, strict=True)
    return [f"{cut[i]} (main)" if kind == "main" else f"{cut[i]} · {cut[j]}" for kind, i, j in pairs]


def _notes(result: Result, ranking: pa.Table, target: str, request: PlotRequest) -> list[str]:
    whole = result.summary_interactions() if request.pairs else result.summary_attributions()
    listed, rest = by_target(whole).get(target), rest_of(whole).get(target)
    total = (0 if listed is None else listed.num_rows) + (0 if rest is None else rest.pairs)
    notes = [
        source(result, result.layout.row_count(ranking)),
        *left_out(ranking),
        "mean_abs: mean of the absolute values over rows; mean: with their signs.",
    ]
    if request.pairs:
        notes.append("A pair's effect is Gamma_ij + Gamma_ji.")
    if ranking.num_rows < total and not request.main_effects:
        share = sum(ranking["share"].to_pylist())
        what = "pairs" if request.pairs else result.layout.noun
        notes.append(f"The {ranking.num_rows} strongest of {total:,} {what}, a share of {share:.2g} in all mean_abs.")
    return notes
