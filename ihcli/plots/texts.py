"""text: the words of one text shaded by attribution, with its strongest pairs as arcs, or as a matrix."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ihcli.plots.canvas import entitle, name_rows, new_figure, short, source, values_in_words
from ihcli.plots.colours import LOWERS, RAISES, colour_bar, sign_map
from ihcli.plots.heatmap import chosen
from ihcli.plots.request import PlotRequest
from ihcli.plots.waterfall import quality_note, record_of_request
from ihcli.results.records import Effects, Record, pair_effects
from ihcli.results.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TOP_PAIRS, TOP_WORDS = 10, 24
LINE = 92  # characters of a line of words; a text that fits into one has arcs
SEEN = 0.005  # of a value with two digits
GAP = 1.0  # characters between words
LINE_INCHES, CHARACTER_INCHES = 0.42, 0.105
DARK = 0.45  # luminance below which white reads better than black


@dataclass(frozen=True)
class _Word:
    """A word on the page: its line, and where it starts and ends in characters."""

    text: str
    line: int
    start: float
    end: float

    @property
    def middle(self) -> float:
        return (self.start + self.end) / 2


def draw_text(result: Result, request: PlotRequest) -> "Figure":
    """Draw one text; see `ihcli.plots.draw`."""
    record = record_of_request(result, request)
    words, unit = list(_laid_out(record.names)), values_in_words(result, record.target)
    effects = pair_effects(record)
    if effects is None or not len(effects.values):
        figure = _with_words_only(record, words)
        notes = []
    elif words[-1].line == 0 or record.interactions is None:
        figure = _with_arcs(record, words, effects, request.top_k or TOP_PAIRS)
        shown = min(request.top_k or TOP_PAIRS, len(effects.values))
        notes = [f"Arcs: the {shown} strongest of {len(effects.values):,} pairs, as wide as their effect is large."]
        notes += [f"The first {effects.certain} ranks are certain, others within error."] if effects.certain else []
    else:
        figure = _with_matrix(record, words, record.interactions, request.top_k or TOP_WORDS, unit)
        notes = ["The matrix: pair effects Gamma_ij + Gamma_ji of the words that interact most."]
    who = ", ".join([f"row {record.row}", *(f"{short(name)} {short(str(key))}" for name, key in record.keys.items())])
    start, end = (record.quality[name] for name in ("baseline_prediction", "prediction"))
    signs = f"{short(record.target)} goes from {start:.3g} (baseline) to {end:.3g}; orange raises it, blue lowers it."
    entitle(
        figure, f"Text of {who}, target {short(record.target)}", [source(result), signs, *notes, quality_note(record)]
    )
    return figure


def _laid_out(names: tuple[str, ...]) -> Iterator[_Word]:
    line, column = 0, 0.0
    for name in names:
        text = short(name)
        width = len(text) + 0.6
        if column and column + width > LINE:
            line, column = line + 1, 0.0
        yield _Word(text, line, column, column + width)
        column += width + GAP


def _with_words_only(record: Record, words: list[_Word]) -> "Figure":
    height = LINE_INCHES * (words[-1].line + 1)
    figure, axes = new_figure(_width(words), height + 1.5)
    _draw_words(axes, record, words)
    axes.set_ylim(words[-1].line + 0.6, -0.6)
    return figure


def _with_arcs(record: Record, words: list[_Word], effects: Effects, top: int) -> "Figure":
    rise = 5.0  # lines of words that the widest arc takes
    figure, axes = new_figure(_width(words), LINE_INCHES * (words[-1].line + 1 + rise) + 1.2)
    _draw_words(axes, record, words)
    strongest = abs(effects.values[0]) or 1.0
    spans = [abs(words[i].middle - words[j].middle) for i, j in zip(effects.first, effects.second, strict=True)]
    widest = max(spans[:top]) or 1.0
    bars = np.full(len(spans), np.nan) if effects.error_bars is None else effects.error_bars
    for i, j, value, bar, span in list(zip(effects.first, effects.second, effects.values, bars, spans, strict=True))[
        :top
    ]:
        told = f"{value:+.2g}±{bar:.1g}" if bar > SEEN * abs(value) else f"{value:+.2g}"
        _draw_arc(axes, words[i], words[j], rise * np.sqrt(span / widest) * 0.95, value / strongest, told)
    axes.set_ylim(words[-1].line + 0.6, -0.6 - rise)
    return figure


def _draw_arc(axes: "Axes", first: _Word, second: _Word, rise: float, level: float, told: str) -> None:
    """Draw half an ellipse above the words, its width and its strength of colour by the share of the largest effect."""
    angle = np.linspace(0, np.pi, 60)
    middle, half = (first.middle + second.middle) / 2, abs(first.middle - second.middle) / 2
    top = min(first.line, second.line) - 0.4
    share = abs(level)
    colour = RAISES if level >= 0 else LOWERS
    axes.plot(
        middle + half * np.cos(angle),
        top - rise * np.sin(angle),
        color=colour,
        linewidth=0.6 + 3 * share,
        alpha=0.35 + 0.6 * share,
    )
    if share > 0.4:
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
        axes.text(middle, top - rise, told, ha="center", va="center", fontsize=8, color=colour, bbox=box)


def _strongest_first(record: Record) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of the words of all pairs, the strongest first."""
    pairs = pair_effects(record)
    assert pairs is not None
    return pairs.first, pairs.second


def _with_matrix(record: Record, words: list[_Word], gamma: np.ndarray, top: int, unit: str) -> "Figure":
    effects = gamma + gamma.T
    np.fill_diagonal(effects, 0)
    order = chosen(*_strongest_first(record), top)
    shown = effects[np.ix_(order, order)]
    np.fill_diagonal(shown, np.nan)
    inches = float(np.clip(0.27 * len(order), 3.0, 7.0))
    lines = LINE_INCHES * (words[-1].line + 1)
    figure, axes = new_figure(_width(words), lines + inches + 2.6, 2, 1, height_ratios=[lines, inches])
    _draw_words(axes[0], record, words)
    axes[0].set_ylim(words[-1].line + 0.6, -0.6)
    limit = float(np.nanmax(np.abs(shown))) or 1.0
    image = axes[1].imshow(shown, cmap=sign_map(), vmin=-limit, vmax=limit, interpolation="none")
    axes[1].spines[:].set_visible(False)
    axis: Literal["x", "y"]
    for axis in ("x", "y"):
        name_rows(axes[1], [f"{short(record.names[place], 20)} ({place})" for place in order], inches, axis)
    colour_bar(figure, axes[1], image, unit)
    return figure


def _draw_words(axes: "Axes", record: Record, words: list[_Word]) -> None:
    from matplotlib.patches import Rectangle

    colours = sign_map()
    limit = float(np.abs(record.attributions).max(initial=0)) or 1.0
    for word, phi in zip(words, record.attributions, strict=True):
        shade = colours(0.5 + 0.42 * phi / limit)
        luminance = float(np.dot(shade[:3], (0.299, 0.587, 0.114)))
        axes.add_patch(Rectangle((word.start, word.line - 0.36), word.end - word.start, 0.72, color=shade, linewidth=0))
        axes.text(
            word.middle,
            word.line,
            word.text,
            ha="center",
            va="center",
            fontsize=9.5,
            family="monospace",
            color="white" if luminance < DARK else "black",
        )
    axes.set_xlim(-0.5, max(word.end for word in words) + 0.5)
    axes.set_axis_off()


def _width(words: list[_Word]) -> float:
    return float(np.clip(CHARACTER_INCHES * max(word.end for word in words) + 0.6, 6.5, 12.0))
