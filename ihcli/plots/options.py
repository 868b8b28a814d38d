"""Which options each kind of picture has, and what values they take: what is asked for, checked before it is drawn."""

import operator
from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from typing import Any

from ihcli.errors import OptionError
from ihcli.plots.request import PlotRequest
from ihcli.wording import did_you_mean, printable

OF_KIND: dict[str, tuple[str, ...]] = {
    "summary": ("top_k", "pairs", "all_rows", "data", "points", "seed"),
    "bar": ("top_k", "pairs", "main_effects", "by", "all_rows", "data"),
    "heatmap": ("top_k", "by", "main_effects", "all_rows"),
    "network": ("top_k", "main_effects", "all_rows"),
    "rows": ("top_k", "sort", "all_rows", "points", "seed"),
    "dependence": ("feature", "color_by", "all_rows", "data", "points", "seed"),
    "surface": ("pair", "all_rows", "data", "points", "seed"),
    "effect": ("pair", "feature", "against", "where", "all_rows", "data", "points", "seed"),
    "waterfall": ("row", "key", "top_k", "data"),
    "text": ("row", "key", "top_k"),
    "convergence": ("points", "seed"),
    "lorenz": ("all_rows",),
    "calibration": (),
}
"""Options that a kind has, beside `target`, which all do."""
ELSEWHERE: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("beeswarm", "summary_plot", "violin", "dot"), ("summary",)),
    **dict.fromkeys(("bar_plot", "importance", "feature_importance"), ("bar",)),
    **dict.fromkeys(("scatter", "dependence_plot", "partial_dependence", "pdp", "ale"), ("dependence",)),
    **dict.fromkeys(("force", "force_plot", "decision", "decision_plot"), ("waterfall",)),
    **dict.fromkeys(("matrix", "interactions", "correlation"), ("heatmap",)),
    **dict.fromkeys(("graph", "chord"), ("network",)),
    **dict.fromkeys(("image", "clustermap"), ("rows",)),
    "reliability": ("calibration",),
    "gini": ("lorenz",),
}
"""What other tools call a kind."""
LEAST = {"top_k": 1, "points": 1, "seed": 0}
FLAGS = ("pairs", "main_effects", "all_rows")


def meant_by(kind: str) -> str:
    """Return a sentence that says which kind somebody means who calls it otherwise; nothing where none is near."""
    return did_you_mean(kind, tuple(OF_KIND), ELSEWHERE)


def asked(kind: str, options: Mapping[str, Any]) -> PlotRequest:
    """Return what is asked for; None, False and what is empty mean that an option is left out.

    Raises OptionError for a kind that there is not, for options that are not for it, and for values of another type.
    """
    if not isinstance(kind, str) or kind not in OF_KIND:
        raise OptionError(
            f"`kind`: {kind!r} is not a kind of picture. Expected one of {', '.join(OF_KIND)}.{meant_by(str(kind))}"
        )
    given = {
        name: value
        for name, value in options.items()
        if value is not None and value is not False and not (isinstance(value, str | tuple | list | dict) and not value)
    }
    require_of_kind(kind, given)
    return PlotRequest(kind, **{name: _checked(name, value) for name, value in given.items()})


def require_of_kind(kind: str, given: Iterable[str]) -> None:
    """Raise OptionError where an option is not for this kind of picture, or lacks another that it needs."""
    names = set(given)
    for name in given:
        if name != "target" and name not in OF_KIND[kind]:
            kinds = ", ".join(other for other, known in OF_KIND.items() if name in known)
            raise OptionError(f"`{name}`: is not for {kind}. Expected with {kinds}. Try without it.")
    if kind != "bar":
        return
    if "main_effects" in names and "pairs" not in names:
        raise OptionError("`main_effects`: is for pairs. Try `pairs` too.")
    if {"main_effects", "by"} <= names:
        raise OptionError("`main_effects`, `by`: are not drawn together. Try one of them.")
    if "data" in names and "by" not in names:
        raise OptionError("`data`: is for `by`, whose column it has. Try `by` too.")


def _checked(name: str, value: Any) -> Any:
    """Return a value as a request has it; raises OptionError for one of another type."""
    if name in LEAST or name == "row":
        return _whole(name, value)
    return CHECKS.get(name, _text)(name, value)


def _whole(name: str, value: Any) -> int:
    least = LEAST.get(name)
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or (least is not None and number < least):
        raise _other(name, value, "a whole number" + ("" if least is None else f" of at least {least}"))
    return number


def _flag(name: str, value: Any) -> bool:
    if value is not True:
        raise _other(name, value, "True or False")
    return True


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _other(name, value, "text")
    return value


def _target(name: str, value: Any) -> str:
    return _text(name, str(value) if isinstance(value, int) and not isinstance(value, bool) else value)


def _path(name: str, value: Any) -> str:
    if not isinstance(value, str | PathLike):
        raise _other(name, value, "the path of a table")
    return str(value)


def _pair(name: str, value: Any) -> tuple[str, str]:
    names = value.split(",") if isinstance(value, str) else value if isinstance(value, tuple | list) else ()
    if len(names) != 2 or not all(isinstance(one, str) for one in names):
        raise OptionError(f"`{name}`: {_shown(value)}. Expected two features. Try `pair=('A', 'B')`.")
    return names[0], names[1]


def _conditions(name: str, value: Any) -> tuple[str, ...]:
    found = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, tuple | list) else ()
    if not found or not all(isinstance(one, str) for one in found):
        raise _other(name, value, "conditions, as text")
    return found


def _key(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _other(name, value, "the value of each key column, {'COLUMN': VALUE}")
    return value


CHECKS: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(FLAGS, _flag),
    "target": _target,
    "data": _path,
    "pair": _pair,
    "where": _conditions,
    "key": _key,
}


def _other(name: str, value: Any, expected: str) -> OptionError:
    return OptionError(f"`{name}`: {_shown(value)}. Expected {expected}.")


def _shown(value: Any) -> str:
    simple = isinstance(value, str | int | float | tuple | list | dict | bool)
    return f"is {printable(repr(value), 60)}" if simple else f"is a {type(value).__name__}"
