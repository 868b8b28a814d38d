"""Objects of run.json as frozen dataclasses: what one does not tell is an error where it is asked for, and only there.

A field is told where run.json has its key. Asking for another is a RunError that names file and key; of a field with a
default it is the default, which is how runs of before are read that did not have the key.
"""

import math
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, dataclass_transform

import numpy as np

from ihcli.errors import RunError
from ihcli.files.stores import StorePath
from ihcli.runs.kinds import Kind, kind_of

T = TypeVar("T")

ADVICE = "Try run.json as ihcli explain wrote it, or ihcli explain again with `overwrite`."
UNTOLD: Any = object()
LEFT_OUT = {"left out": True}


def untold() -> Any:
    """Return the field of what is not told of every run."""
    return field(default_factory=lambda: UNTOLD)


def left_out(value: Any) -> Any:
    """Return the field of what is left out where it is this."""
    return field(default=value, metadata=LEFT_OUT)


@dataclass_transform(frozen_default=True, kw_only_default=True, eq_default=False)
def record(cls: type[T]) -> type[T]:
    """Make a frozen dataclass of a class, whose fields need not all be told."""
    return dataclass(frozen=True, kw_only=True, eq=False, repr=False)(cls)


class Told:
    """An object of run.json; subclasses are frozen dataclasses."""

    def __post_init__(self) -> None:
        for each in fields(self):  # type: ignore[arg-type]
            value = vars(self)[each.name]
            if value is UNTOLD or (each.metadata == LEFT_OUT and value == each.default):
                object.__delattr__(self, each.name)

    if not TYPE_CHECKING:  # names that are no field stay errors to a type checker

        def __getattr__(self, name: str) -> Any:
            if name not in _keys(type(self)):
                raise AttributeError(name)
            raise self.lacks(name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.content()})"

    def lacks(self, name: str) -> RunError:
        """Return the error that this is not told."""
        place = f"{vars(self).get('_place', '')}{name}"
        file = vars(self).get("_file", "run.json")
        return RunError(f"{file}: lacks {place!r}. Expected what ihcli explain writes. {ADVICE}")

    def tells(self, name: str) -> bool:
        """Return whether a field is told, be it as nothing."""
        return name in vars(self)

    def content(self) -> dict[str, Any]:
        """Return what JSON holds of it: fields that are told, in their order, and keys that are not known."""
        told = vars(self)
        known = {each.name: told[each.name] for each in fields(self) if each.name in told}  # type: ignore[arg-type]
        content: dict[str, Any] = plain({**known, **self.others})
        return content

    @property
    def others(self) -> Mapping[str, Any]:
        """What stands under keys that are not known."""
        found: Mapping[str, Any] = vars(self).get("_others", {})
        return found

    def but(self, **changes: Any) -> Self:
        """Return a copy with changes of some fields; UNTOLD takes one out."""
        if unknown := changes.keys() - _keys(type(self)):
            raise TypeError(f"{type(self).__name__} has no {', '.join(unknown)}")
        copy = object.__new__(type(self))
        told = {name: value for name, value in {**vars(self), **changes}.items() if value is not UNTOLD}
        vars(copy).update(told)
        return copy


def _keys(record: Any) -> Set[str]:
    return kind_of(record).keys.keys()


def now() -> str:
    """Return the time, as run.json has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def if_told(ask: Callable[[], T]) -> T | None:
    """Return what is asked for, None where run.json does not tell it."""
    try:
        return ask()
    except RunError:
        return None


def read_as(kind: Kind, value: Any, file: object, place: str = "") -> Any:
    """Return a value of JSON, which is of that kind, as what it becomes: lists are tuples, objects are records."""
    if isinstance(value, list):
        each = kind.each or kind
        return tuple(read_as(each, entry, file, f"{place[:-1]}[{number}].") for number, entry in enumerate(value))
    if not isinstance(value, dict):
        return value
    if kind.record is None:
        each = kind.each or kind
        return {name: read_as(each, entry, file, f"{place}{name}.") for name, entry in value.items()}
    known = {name: entry for name, entry in value.items() if name in kind.keys}
    found: Any = object.__new__(kind.record)
    told = {name: read_as(kind.keys[name], entry, file, f"{place}{name}.") for name, entry in known.items()}
    others = {name: entry for name, entry in value.items() if name not in known}
    vars(found).update(told, _others=others, _file=file, _place=place)
    return found


def plain(value: Any) -> Any:
    """Return what JSON can hold: numpy values and tuples as Python's, paths as text, NaN and infinity as None."""
    if isinstance(value, Told):
        return value.content()
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str | Path | StorePath):  # names of files need not be UTF-8, and then hold what JSON cannot
        return str(value).encode("utf-8", "backslashreplace").decode("utf-8")
    return value
