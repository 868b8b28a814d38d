"""What values in a file of JSON may be, told from the annotations of the dataclass that they become."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from ihcli.wording import printable, quoted

MOST_COUNT = 1 << 53


@dataclass(frozen=True, eq=False)
class Kind:
    """What a value may be.

    each    kind of the entries of a list, or of the values of an object under keys of any name; None: any
    keys    kinds of the values of an object by their keys
    record  the dataclass that an object becomes; None: it stays a mapping
    """

    words: str
    fits: Callable[[Any], bool]
    each: "Kind | None" = None
    keys: Mapping[str, "Kind"] = field(default_factory=dict)
    record: type | None = None


def _is_count(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= MOST_COUNT


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MOST_COUNT


PLAIN: Mapping[type, Kind] = {
    str: Kind("text", lambda value: isinstance(value, str)),
    bool: Kind("true or false", lambda value: isinstance(value, bool)),
    float: Kind("a number", _is_number),
}
Count = Annotated[int, Kind("a whole number of at least 0", lambda value: _is_count(value, 0))]
Positive = Annotated[int, Kind("a whole number of at least 1", lambda value: _is_count(value, 1))]
Nodes = Annotated[int, Kind("a whole number from 3 to 8", lambda value: _is_count(value, 3) and value <= 8)]


@cache
def kind_of(annotation: Any) -> Kind:
    """Return what a value may be that becomes a field of this type.

    Types are str, bool, float, `Count`, `Positive`, tuples and mappings of such, dataclasses, and any of them or None.
    """
    arguments = get_args(annotation)
    if get_origin(annotation) is Annotated:
        kind: Kind = arguments[1]
        return kind
    if get_origin(annotation) in (Union, UnionType):
        (some,) = (each for each in arguments if each is not NoneType)
        return _or_null(kind_of(some))
    if get_origin(annotation) is tuple:
        each = kind_of(arguments[0])
        return Kind(f"a list, each {each.words}", lambda value: isinstance(value, list), each)
    if get_origin(annotation) is Mapping:
        return _object(each=kind_of(arguments[1]))
    return _record(annotation) if is_dataclass(annotation) else PLAIN[annotation]


def faults_of(value: Any, kind: Kind, place: str = "") -> Iterator[str]:
    """Give what is wrong with a value of JSON and those within it; keys that are not known may hold anything."""
    if not kind.fits(value):
        yield f"{quoted(place)} is {_in_words(value)}. Expected {kind.words}"
        return
    if isinstance(value, list) and kind.each is not None:
        for position, entry in enumerate(value):
            if isinstance(entry, dict) or not kind.each.fits(entry):
                yield from faults_of(entry, kind.each, f"{place}[{position}]")
    if isinstance(value, dict):
        for name, entry in value.items():
            known = kind.keys.get(name, kind.each)
            if known is not None:
                yield from faults_of(entry, known, f"{place}.{name}".removeprefix("."))


def _or_null(kind: Kind) -> Kind:
    words, fits = f"{kind.words} or null", kind.fits
    return Kind(words, lambda value: value is None or fits(value), kind.each, kind.keys, kind.record)


def _record(cls: Any) -> Kind:
    hints = get_type_hints(cls, include_extras=True)
    return _object({each.name: kind_of(hints[each.name]) for each in fields(cls)}, record=cls)


def _object(keys: Mapping[str, Kind] | None = None, each: Kind | None = None, record: type | None = None) -> Kind:
    return Kind("an object", lambda value: isinstance(value, dict), each, keys or {}, record)


def _in_words(value: Any) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return "an object" if isinstance(value, dict) else "null" if value is None else printable(repr(value), 60)
