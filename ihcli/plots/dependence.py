"""dependence: attribution, main effect and interaction of a pair against a feature's value (Janizek et al. 2021)."""

from typing import TYPE_CHECKING

import numpy as np

from ihcli.errors import DataError
from ihcli.methods import names_of
from ihcli.plots.canvas import entitle, fitted, new_figure, short, short_names, source, values_in_words
from ihcli.plots.categories import Level, colours_of, draw_legend, levels
from ihcli.plots.colours import AROUND, AXIS, MOST_TICKS, NEUTRAL, colour_bar, span, value_map
from ihcli.plots.places import Places
from ihcli.plots.request import PlotRequest, one_target, require_feature, strongest
from ihcli.plots.sample import DrawnRows, attributions, gammas, matrix_rows, sample_rows
from ihcli.results.explained_data import FeatureValues, feature_values
from ihcli.results.rankings import Choice, ranked_pairs
from ihcli.results.result import Result
from ihcli.summaries.ranking import by_target

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

MOST_ROWS = 3_000
HEIGHT = 4.0
LOOKED_AT = 50  # features and rows, where none is named
TITLE_WIDTH = 22  # of names above a panel


def draw_dependence(result: Result, request: PlotRequest) -> "Figure":
    """Draw what a feature does at each of its values; see `ihcli.plots.draw`.

    Three panels where the run stores matrices: phi_A, Gamma_AA and Gamma_AB + Gamma_BA; else the first alone.
    """
    for option, name in (("feature", request.feature), ("color_by", request.color_by)):
        if name is not None:
            require_feature(result, option, name)
    target = one_target(result, request.target)
    feature = request.feature or _strongest_with_values(result, target, request)
    partner = request.color_by or strongest_partner(result, target, feature)
    panels = _Panels(result, target, feature, partner)
    most = request.points or MOST_ROWS
    sample = sample_rows(result, target, min(most, matrix_rows(result)) if panels.has_pairs else most, request.seed)
    names = [feature] if partner is None else [feature, partner]
    values = feature_values(result, names, sample.rows, request.data)
    if np.isnan(values.numbers[:, 0]).all():
        raise DataError(
            f"`feature={feature}`: has no values: it is a group of several columns and not one-hot, or missing in all "
            "rows. Expected a feature of one column, or a one-hot group. Try another `feature`."
        )
    return panels.draw(sample, values, request.seed)


def _strongest_with_values(result: Result, target: str, request: PlotRequest) -> str:
    """Return the strongest feature that has values, as groups that are not one-hot have none."""
    names, _ = strongest(result, target, LOOKED_AT)
    values = feature_values(result, names, sample_rows(result, target, LOOKED_AT, request.seed).rows, request.data)
    have = np.isfinite(values.numbers).any(axis=0)
    return names[int(have.argmax())]


def strongest_partner(result: Result, target: str, feature: str) -> str | None:
    """Return the other feature of the strongest pair; None where the run has no interactions."""
    if result.method not in names_of(order=2):
        return None
    ranking = by_target(ranked_pairs(result.run, Choice(1, features=(feature,)))).get(target)
    if ranking is None or not ranking.num_rows:
        return None
    pair = [ranking[name][0].as_py() for name in ("feature_i", "feature_j")]
    return str(pair[0] if pair[1] == feature else pair[1])


class _Panels:
    """What is drawn side by side of a feature and its partner."""

    def __init__(self, result: Result, target: str, feature: str, partner: str | None) -> None:
        self._result, self._target = result, target
        self._feature, self._partner = feature, partner
        self._names = short_names([feature] if partner in (None, feature) else [feature, str(partner)])
        self._titles = short_names([feature] if partner in (None, feature) else [feature, str(partner)], TITLE_WIDTH)
        self.has_pairs = partner not in (None, feature) and result.stores_matrices

    def draw(self, sample: DrawnRows, values: FeatureValues, seed: int) -> "Figure":
        """Return the figure of the rows of a sample, given the values of the feature and its partner."""
        effects = self._effects(sample)
        n = len(effects)
        figure, axes = new_figure(3.7 * n + 1.5, HEIGHT, 1, n, squeeze=False, sharex=True)
        across = Places.of(values.numbers[:, 0], values.categories.get(self._feature))
        places = across.spread(seed)
        shade = _shade(values, self._partner)
        points = None
        for panel, (title, effect) in zip(axes[0], effects.items(), strict=True):
            points = _draw_points(panel, places, effect, shade)
            panel.set_title(title, loc="left")
            panel.set_xlabel(self._names[0])
            across.name(panel)
        axes[0, 0].set_ylabel(fitted(values_in_words(self._result, self._target), HEIGHT - AROUND))
        if isinstance(shade, list) and self._partner is not None:
            draw_legend(figure, {self._partner: shade})
        elif points is not None and shade is not None:
            _draw_scale(figure, list(axes[0]), points, values.numbers[:, 1], self._names[-1])
        with_partner = f" with {self._names[1]}" if self.has_pairs else ""
        title = f"{self._names[0]}{with_partner}, target {short(self._target)}"
        notes = self._notes(sample, across.are_few, values.numbers)
        entitle(figure, title, [*notes, *across.notes()])
        return figure

    def _effects(self, sample: DrawnRows) -> dict[str, np.ndarray]:
        effects = {
            f"attribution of {self._titles[0]}": attributions(self._result, sample, self._target, [self._feature])[:, 0]
        }
        if self.has_pairs and self._partner is not None:
            a, b = (self._result.feature_names.index(name) for name in (self._feature, self._partner))
            gamma = gammas(self._result, sample, self._target, [(a, a), (a, b), (b, a)])
            effects[f"main effect of {self._titles[0]}"] = gamma[:, 0]
            effects[f"interaction with {self._titles[1]}"] = gamma[:, 1] + gamma[:, 2]
        return effects

    def _notes(self, sample: DrawnRows, is_spread: bool, values: np.ndarray) -> list[str]:
        notes = [source(self._result, sample.population), *sample.footnotes()]
        if self.has_pairs:
            notes.append("The interaction is Gamma_AB + Gamma_BA, the main effect Gamma_AA; vertical scales differ.")
        elif self._partner is not None:
            notes.append("The run stores no matrices of single rows, so main effect and interaction are not drawn.")
        if is_spread:
            notes.append("Points of one value are spread sideways.")
        if self._partner is not None and np.isnan(values[:, 1]).all():
            notes.append(f"{short(self._partner)} has no values, a group that is not one-hot, and gives no colour.")
        elif np.isnan(values).any():
            notes.append("Grey, or not drawn: no value.")
        return notes


def _shade(values: FeatureValues, partner: str | None) -> "np.ndarray | list[Level] | None":
    """Return what colours the points: numbers, categories, or nothing where the partner has no values."""
    if partner is None or np.isnan(values.numbers[:, 1]).all():
        return None
    numbers = values.numbers[:, 1]
    return levels(numbers, values.categories[partner]) if partner in values.categories else numbers


def _draw_points(
    panel: "Axes", places: np.ndarray, effect: np.ndarray, colours: "np.ndarray | list[Level] | None"
) -> "ScalarMappable | None":
    panel.grid()
    panel.axhline(0, color=AXIS, linewidth=0.8, zorder=0.8)
    size = 18 if len(places) <= 800 else 7
    if colours is None:
        panel.scatter(places, effect, s=size, color=NEUTRAL, linewidths=0, alpha=0.8, rasterized=True)
        return None
    if isinstance(colours, list):
        shades = colours_of(colours, len(places)).tolist()
        panel.scatter(places, effect, s=size, color=shades, linewidths=0, rasterized=True)
        return None
    low, high = span(colours)
    return panel.scatter(
        places,
        effect,
        c=np.ma.masked_invalid(colours),
        plotnonfinite=True,
        cmap=value_map(),
        vmin=low,
        vmax=high,
        s=size,
        linewidths=0,
        rasterized=True,
    )


def _draw_scale(figure: "Figure", axes: "list[Axes]", points: "ScalarMappable", values: np.ndarray, label: str) -> None:
    colour_bar(figure, axes, points, label)
    distinct = np.unique(values[np.isfinite(values)])
    if 1 < len(distinct) <= MOST_TICKS:
        figure.axes[-1].set_yticks(distinct, [f"{value:g}" for value in distinct])
