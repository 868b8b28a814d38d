"""Colours of the page as properties of its style: those of the pictures, and on a dark screen lighter ones."""

from collections.abc import Mapping

from ihcli.results.palette import (
    CATEGORIES,
    EMPTY,
    LOWERS,
    MISSING,
    NEUTRAL,
    OTHERS,
    RAISES,
    SIGNS,
    SIZES,
    VALUES,
    mixed,
    parts,
)

BLACK, WHITE = "#000000", "#ffffff"
NOTHING = "#2a2f37"  # on a dark screen what white is on paper


def palette_style() -> str:
    """Return the rules that define the colours; `-rgb` are parts of a colour that style can fade."""
    light, dark = (" ".join(f"--{name}: {value};" for name, value in found.items()) for found in (_light(), _dark()))
    of_dark = f"@media screen and (prefers-color-scheme: dark) {{ :root:not([data-light]) {{ {dark} }} }}"
    return f":root {{ {light} }}\n{of_dark}\n"


def _light() -> Mapping[str, str]:
    """Return the colours on paper and light screens; words in them are darker, so that they can be read."""
    return {
        "raises": mixed(RAISES, BLACK, 0.15),
        "lowers": mixed(LOWERS, BLACK, 0.15),
        "raises-rgb": " ".join(map(str, parts(RAISES))),
        "lowers-rgb": " ".join(map(str, parts(LOWERS))),
        "values": " ".join(VALUES),
        "sizes": " ".join(SIZES),
        "signs": " ".join(SIGNS),
        "categories": " ".join(CATEGORIES),
        "others": OTHERS,
        "missing": MISSING,
        "empty": EMPTY,
        "plain": NEUTRAL,
    }


def _dark() -> Mapping[str, str]:
    """Return those that differ on a dark screen."""
    return {
        "raises": _lighter(RAISES),
        "lowers": _lighter(LOWERS, 0.4),
        "values": " ".join(map(_lighter, VALUES)),
        "sizes": " ".join((NOTHING, mixed(NOTHING, LOWERS, 0.5), LOWERS, _lighter(LOWERS, 0.6))),
        "signs": " ".join((_lighter(LOWERS, 0.6), LOWERS, NOTHING, RAISES, _lighter(RAISES, 0.6))),
        "categories": " ".join(map(_lighter, CATEGORIES)),
        "others": _lighter(OTHERS, 0.75),
        "missing": mixed(MISSING, NOTHING, 0.4),
        "empty": mixed(NOTHING, BLACK, 0.3),
        "plain": _lighter(NEUTRAL),
    }


def _lighter(colour: str, share: float = 0.25) -> str:
    return mixed(colour, WHITE, share)
