"""Figures without a window: made, titled, footnoted and saved in one style, whatever the user's settings are."""

import logging
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from ihcli.errors import OptionError, PackageError
from ihcli.files.durable import replacing
from ihcli.files.locations import Location
from ihcli.methods import METHODS
from ihcli.results.result import Result
from ihcli.wording import did_you_mean, isolated, shortened, told_apart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")
DPI = 120
STYLE: dict[str, Any] = {
    "text.parse_math": False,  # a $ in a name is a $
    "svg.hashsalt": "ihcli",  # the same picture, the same file
    "font.size": 10.0,
    "axes.titlesize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.edgecolor": "#808080",
    "axes.unicode_minus": True,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
    "legend.fontsize": 9.0,
}
FONT = "DejaVu Sans"  # comes with matplotlib
OTHER_FONTS = (
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans CJK TC", "Noto Sans CJK KR", "Source Han Sans"),
    *("Hiragino Sans", "Hiragino Sans GB", "PingFang SC", "Apple SD Gothic Neo", "Apple Symbols"),
    *("Yu Gothic", "MS Gothic", "Microsoft YaHei", "SimHei", "Malgun Gothic", "Nirmala UI", "Segoe UI Symbol"),
    *("IPAexGothic", "IPAGothic", "TakaoGothic", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "NanumGothic"),
    *("Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Tamil", "Noto Sans Thai", "Noto Emoji"),
    *("Arial Unicode MS", "Droid Sans Fallback", "Unifont"),
)
"""Where letters come from that FONT lacks, as far as these are installed."""
QUIET = "#707070"
NAME_WIDTH, HALF_NAME, CHARACTERS_PER_INCH = 30, 24, 15
LABEL_CHARACTERS_PER_INCH = 13
TITLE_SHARE = 0.65  # of as many letters in the larger, bold type of a title
# Metadata that would make two files of the same picture differ.
UNDATED: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None, "Producer": None},
}


@contextmanager
def default_style() -> Iterator[None]:
    """Draw with our settings on top of matplotlib's own; raises PackageError without matplotlib."""
    try:
        from matplotlib import font_manager, style
    except ImportError as error:
        raise PackageError("ihcli plot: needs the package matplotlib. Try pip install 'ihcli[plot]'.") from error
    installed = {font.name for font in font_manager.fontManager.ttflist}
    fonts = [FONT, *(font for font in OTHER_FONTS if font in installed)]
    with style.context(["default", STYLE, {"font.family": fonts}]):
        yield


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1, **settings: Any) -> "tuple[Figure, Any]":
    """Return a figure of that many inches, and its axes: one, or an array of them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, **settings)


def entitle(figure: "Figure", title: str, footnotes: Sequence[str] = ()) -> None:
    """Put a title above everything and footnotes, as wrapped sentences, below."""
    width = int(figure.get_figwidth() * CHARACTERS_PER_INCH)
    lines = textwrap.wrap(title, int(width * TITLE_SHARE))
    figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=12, fontweight="bold")
    if footnotes:
        add_footnote(figure, " ".join(footnotes))


def add_footnote(figure: "Figure", footnote: str) -> None:
    """Put one more sentence below everything."""
    text = f"{figure.get_supxlabel()} {footnote}".strip()
    width = int(figure.get_figwidth() * CHARACTERS_PER_INCH)
    figure.supxlabel("\n".join(textwrap.wrap(text, width)), x=0.01, ha="left", fontsize=8, color=QUIET)


def source(result: Result, n_rows: int | None = None) -> str:
    """Return the sentence that says what a picture is of."""
    rows = "" if n_rows is None else f" of {n_rows:,} rows" if n_rows != 1 else " of one row"
    title = METHODS[result.method].title if result.method in METHODS else result.method
    return f"{title}{rows}."


def save(figure: "Figure", file: Location) -> None:
    """Write a figure, whole or not at all; raises OptionError for an unknown ending, RunError."""
    suffix = require_suffix(file)
    with _quiet_about_glyphs(), replacing(file) as stream:
        figure.savefig(stream, format=suffix[1:], dpi=DPI, metadata=UNDATED[suffix], facecolor="white")


@contextmanager
def _quiet_about_glyphs() -> Iterator[None]:
    """Draw a box for a letter that no font has, a bold one in a font that has none as it is, and say nothing."""
    choosing = logging.getLogger("matplotlib.font_manager")
    level = choosing.level
    choosing.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            yield
    finally:
        choosing.setLevel(level)


def require_suffix(file: Location, option: str = "out") -> str:
    """Return how the file's name ends; raises OptionError where that is no format."""
    suffix = file.suffix.lower()
    if suffix not in SUFFIXES:
        close = did_you_mean(suffix, SUFFIXES)
        raise OptionError(
            f"`{option}={file}`: is not a picture. Expected a name that ends in .png, .svg or .pdf.{close}"
        )
    return suffix


def explained(result: Result, target: str) -> str:
    """Return what is explained of a target, in words."""
    return result.told.explained_in_words(short(target))


def values_in_words(result: Result, target: str) -> str:
    """Return what the values of a run are parts of, or of what they are slopes."""
    is_slope = result.method in METHODS and METHODS[result.method].is_slope
    return f"{'slope of' if is_slope else 'change in'} {explained(result, target)}"


def widest(names: Sequence[str], size: float) -> float:
    """Return how many inches the longest of some names takes, in letters of so many points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=size)
    with _quiet_about_glyphs():
        return max(text_to_path.get_text_width_height_descent(name, font, ismath=False)[0] for name in names) / 72


def fitted(label: str, inches: float) -> str:
    """Return a label in as many lines as it takes beside an axis of so many inches."""
    width = max(12, int(inches * LABEL_CHARACTERS_PER_INCH))
    return "\n".join(part for line in label.splitlines() for part in textwrap.wrap(line, width))


def short(name: str, width: int = NAME_WIDTH) -> str:
    """Return a name on one line; of a long one its start and its end."""
    return shortened(name, width)


def short_names(names: Sequence[str], width: int = NAME_WIDTH) -> list[str]:
    """Return names on one line, the long ones cut so that they can be told apart."""
    cut = told_apart(names, width)
    return [cut[name] for name in names]


def name_rows(
    axes: "Axes", names: Sequence[str], inches: float, axis: Literal["x", "y"] = "y", width: int = NAME_WIDTH
) -> None:
    """Label positions 0, 1, ... with names, as many as are readable on so many inches."""
    step = max(1, -(-len(names) * 11 // int(72 * inches)))
    places = range(0, len(names), step)
    cut = told_apart(names, width)
    labels = [cut[names[place]] for place in places]
    size = min(9.5, max(6.0, 72 * inches / max(1, len(names)) * step * 0.8))
    if axis == "y":
        axes.set_yticks(places, labels, fontsize=size)
    else:
        axes.set_xticks(places, labels, fontsize=size, rotation=90)
    axes.tick_params(axis=axis, length=0)


def pair_names(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Return what pairs are called, of long names their ends, told apart."""
    cut = told_apart([name for pair in pairs for name in pair], HALF_NAME)
    return [f"{isolated(cut[one])} · {isolated(cut[other])}" for one, other in pairs]


def rows_height(n: int) -> float:
    """Return inches for n labelled rows: less for each where there are many."""
    return max(1.2, 0.28 * min(n, 50) + 0.05 * max(0, min(n, 200) - 50))
