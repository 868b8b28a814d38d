"""heatmap: a matrix of pair effects between the features that interact most, strong pairs near the diagonal."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa

from ihcli.errors import OptionError, RunError
from ihcli.plots.canvas import entitle, name_rows, new_figure, short, source, values_in_words
from ihcli.plots.colours import colour_bar, sign_map, size_map
from ihcli.plots.request import PlotRequest, left_out, one_target, ranking_of, ranking_of_pairs
from ihcli.results.rankings import MAIN
from ihcli.results.result import Result
from ihcli.summaries.rest import rest_of
from ihcli.wording import either

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TOP_K = 30
STATISTICS = ("mean_abs", "mean")
BULK, FAR = 99.5, 2.0  # where the largest size is so many times this percentile, colours end there


def draw_heatmap(result: Result, request: PlotRequest) -> "Figure":
    """Draw mean |pair effect|, or with `by` the signed mean, for every pair; see `ihcli.plots.draw`."""
    target = one_target(result, request.target)
    by = _statistic(request)
    found = _matrix(result, target, by, request)
    names, shown = found.names, found.cells
    if not request.main_effects:
        np.fill_diagonal(shown, np.nan)
    inches = float(np.clip(0.27 * len(names), 3.2, 9.0))
    figure, axes = new_figure(inches + 3.6, inches + 2.6)
    limit = bulk(shown)
    signed = by == "mean"
    image = axes.imshow(
        shown,
        cmap=sign_map() if signed else size_map(),
        vmin=-limit if signed else 0,
        vmax=limit,
        interpolation="none",
    )
    axis: Literal["x", "y"]
    for axis in ("x", "y"):
        name_rows(axes, names, inches, axis)
    axes.spines[:].set_visible(False)
    colour_bar(figure, axes, image, f"{by} of the effect\n({values_in_words(result, target)})")
    what = "mean over rows, with its sign" if signed else "mean of the absolute values over rows"
    who = [source(result, result.layout.row_count(found.pairs)), *left_out(found.pairs)]
    notes = [*who, f"{by}: {what}.", "Off the diagonal: pair effects Gamma_ij + Gamma_ji"]
    notes[-1] += "; on it: main effects Gamma_ii." if request.main_effects else "; the diagonal is left out."
    if len(names) < found.n_names:
        notes.append(f"The {len(names)} of {found.n_names} {result.layout.noun} that interact most.")
    if np.isnan(shown[~np.eye(len(names), dtype=bool)]).any():
        notes.append(_grey(found.pairs))
    if np.nanmax(np.abs(shown), initial=0) > limit * (1 + 1e-9):
        notes.append(f"Colours end at {limit:.3g}; larger effects look the same.")
    entitle(figure, f"Interactions, target {short(target)}", notes)
    return figure


def _statistic(request: PlotRequest) -> str:
    by = request.by or STATISTICS[0]
    if by not in STATISTICS:
        raise OptionError(
            f"`by={by}`: is not what a cell of a heatmap shows. Expected {either(STATISTICS)}, got {by!r}. "
            f"Try `by={STATISTICS[0]}`."
        )
    return by


def _matrix(result: Result, target: str, by: str, request: PlotRequest) -> "_Matrix":
    """Return the features with the strongest pairs, and what stands between them."""
    features, pairs = ranking_of(result, target, result.summary_attributions()), ranking_of_pairs(result, target)
    found = features["feature"].to_pylist()
    ends = [pairs[column].to_pylist() for column in ("feature_i", "feature_j")]
    names = list(result.feature_names) or sorted({*found, *ends[0], *ends[1]})
    place = {name: position for position, name in enumerate(names)}
    first, second = (np.array([place[name] for name in column]) for column in ends)
    some = chosen(first, second, request.top_k or TOP_K)
    among = np.full(len(names), -1)
    among[some] = np.arange(len(some))
    first, second = among[first], among[second]
    shown = (first >= 0) & (second >= 0)
    first, second = first[shown], second[shown]
    sizes, cells = np.zeros((len(some),) * 2), np.full((len(some),) * 2, np.nan)
    sizes[first, second] = sizes[second, first] = pairs["mean_abs"].to_numpy()[shown]
    cells[first, second] = cells[second, first] = pairs[by].to_numpy()[shown]
    if request.main_effects:
        column = next(main for main, statistic in MAIN.items() if statistic == by)
        if column not in features.column_names:
            raise RunError(f"{result.path}: its summary has no column {column}. Try ihcli explain again.")
        mains = dict(zip(found, features[column].to_numpy(), strict=True))
        np.fill_diagonal(cells, [mains.get(names[at], np.nan) for at in some])
    order = seriated(sizes)
    return _Matrix([names[at] for at in some[order]], cells[np.ix_(order, order)], len(names), pairs)


@dataclass(frozen=True)
class _Matrix:
    """What is shown: names, cells between them, of how many names in all, and the ranking that they are of."""

    names: list[str]
    cells: np.ndarray
    n_names: int
    pairs: pa.Table


def chosen(first: np.ndarray, second: np.ndarray, top_k: int) -> np.ndarray:
    """Return the features with the strongest pairs, in their own order.

    Pairs are taken from the strongest on, as long as their features are few enough.

    Parameters:
        first, second: places of the features of pairs, the strongest first.
    """
    ends = np.stack([first, second], axis=1).ravel()
    _, where = np.unique(ends, return_index=True)
    return np.sort(ends[np.sort(where)][: max(2, top_k)])


def seriated(sizes: np.ndarray) -> np.ndarray:
    """Return an order in which features that interact strongly stand close to each other.

    By the second eigenvector of the normalised Laplacian (Shi, Malik 2000); the end with the stronger features first.
    """
    if len(sizes) < 3:
        return np.arange(len(sizes))
    strength = sizes.sum(axis=1)
    root = np.sqrt(np.maximum(strength, strength.max() * 1e-6 + np.finfo(np.float64).tiny))
    _, vectors = np.linalg.eigh(sizes / np.outer(root, root))
    order = np.argsort(np.round(vectors[:, -2] / root / np.abs(vectors[:, -2] / root).max(), 9), kind="stable")
    half = len(order) // 2
    return order if strength[order[:half]].sum() >= strength[order[-half:]].sum() else order[::-1]


def _grey(pairs: pa.Table) -> str:
    """Return what cells without a value are."""
    rest = next(iter(rest_of(pairs).values()), None)
    if rest is None:
        return "Grey: never in one text."
    return f"Grey: not among the {rest.listed:,} pairs that the run ranks, of {rest.listed + rest.pairs:,}."


def bulk(shown: np.ndarray) -> float:
    """Return the size at which colours end: the largest, but for a few that are far larger than all others."""
    sizes = np.abs(shown[np.isfinite(shown)])
    if not len(sizes) or not sizes.max():
        return 1.0
    largest, bulk = float(sizes.max()), float(np.percentile(sizes, BULK))
    return bulk if largest > FAR * bulk > 0 else largest
