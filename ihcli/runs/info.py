"""run.json as anybody may have written it: read within bounds, every value of its type, and what is missing said so."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ihcli.errors import RunError
from ihcli.files.foreign import foreign_json
from ihcli.files.locations import Location
from ihcli.files.stores import StorePath
from ihcli.wording import printable

MOST_BYTES = 256 << 20
"""Of a run.json: one of 1,000,000 parts, which it tells the SHA-256 of, takes about that."""
MOST_COUNT = 1 << 53
DONE = "done"
NEW = {"status": "running"}  # run.json of a run that is just being made
ADVICE = "Try run.json as ihcli explain wrote it, or ihcli explain again with `overwrite`."


class Told(dict[str, Any]):
    """An object of run.json; asking for a key that it does not have is a RunError that names both.

    file   run.json
    place  of the object in it, with a dot behind; empty for all of it
    """

    def __init__(
        self, values: Iterable[tuple[str, Any]] | Mapping[str, Any] = (), *, file: object = "run.json", place: str = ""
    ) -> None:
        super().__init__(values)
        self._file = file
        self._place = place

    def __missing__(self, key: str) -> Any:
        raise RunError(f"{self._file}: does not tell {self._place + str(key)!r}. {ADVICE}")


def read_info(file: Location) -> Told:
    """Return what a run.json tells; raises RunError where it cannot be read, or a value is not of its type."""
    info = foreign_json(file, RunError, at_most_bytes=MOST_BYTES, advice=ADVICE)
    if not isinstance(info, dict):
        raise RunError(f"{file}: is not what ihcli explain writes. Expected a JSON object. {ADVICE}")
    for fault in faults_of(info):
        raise RunError(f"{file}: {fault}. {ADVICE}")
    told: Told = _told(info, file, "")
    return told


def faults_of(info: Any, kind: "_Kind | None" = None, place: str = "") -> Iterator[str]:
    """Give what is wrong with the values of a run.json; keys that are not known may hold anything."""
    kind = RUN if kind is None else kind
    if not kind.fits(info):
        yield f"{printable(place)!r} is {_in_words(info)}. Expected {kind.words}"
        return
    if isinstance(info, list) and kind.each is not None:
        for position, value in enumerate(info):
            if isinstance(value, dict) or not kind.each.fits(value):
                yield from faults_of(value, kind.each, f"{place}[{position}]")
    if isinstance(info, dict):
        for name, value in info.items():
            known = kind.keys.get(name, kind.each)
            if known is not None:
                yield from faults_of(value, known, f"{place}.{name}".removeprefix("."))


@dataclass(frozen=True)
class _Kind:
    """What a value may be.

    each  kind of the entries of a list, or of the values of an object under keys of any name; None: any
    keys  kinds of the values of an object by their keys
    """

    words: str
    fits: Callable[[Any], bool]
    each: "_Kind | None" = None
    keys: Mapping[str, "_Kind"] = field(default_factory=dict)


def _is_count(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= MOST_COUNT


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MOST_COUNT


ANY = _Kind("anything", lambda value: True)
WORD = _Kind("text", lambda value: isinstance(value, str))
FLAG = _Kind("true or false", lambda value: isinstance(value, bool))
NUMBER = _Kind("a number", _is_number)
COUNT = _Kind("a whole number of at least 0", lambda value: _is_count(value, 0))
POSITIVE = _Kind("a whole number of at least 1", lambda value: _is_count(value, 1))


def _or_null(kind: _Kind) -> _Kind:
    return _Kind(f"{kind.words} or null", lambda value: value is None or kind.fits(value), kind.each, kind.keys)


def _list(each: _Kind) -> _Kind:
    return _Kind(f"a list, each {each.words}", lambda value: isinstance(value, list), each)


def _object(keys: Mapping[str, _Kind], each: _Kind | None = None) -> _Kind:
    return _Kind("an object", lambda value: isinstance(value, dict), each, keys)


WORDS = _list(WORD)
ARGUMENTS = _object(
    {
        **dict.fromkeys(("model", "data", "method", "smooth", "device", "missing", "interactions", "units"), WORD),
        **dict.fromkeys(("baseline", "target", "label", "groups", "groups_by", "dtype"), _or_null(WORD)),
        **dict.fromkeys(("text", "text_pair", "engine_derivatives"), _or_null(WORD)),
        **dict.fromkeys(("key", "exclude"), WORDS),
        "features": _or_null(WORDS),
        **dict.fromkeys(("tolerance", "smooth_tolerance"), NUMBER),
        **dict.fromkeys(("memory_bytes", "limit", "max_evaluations", "steps", "chunk_rows"), _or_null(POSITIVE)),
        **dict.fromkeys(("baseline_rows", "seed"), COUNT),
        "trust": FLAG,
    }
)
TOTALS = _object(
    {
        **dict.fromkeys(("rows", "entries", "evaluations", "truncated"), COUNT),
        "statuses": _object({}, COUNT),
        "wall_s": NUMBER,
    }
)
SHARD = _object(
    {**dict.fromkeys(("shard", "started", "finished", "device"), WORD), "memory_bytes": POSITIVE, "totals": TOTALS}
)
RUN = _object(
    {
        **dict.fromkeys(("status", "started", "finished", "error", "target", "device", "dtype", "shard"), WORD),
        **dict.fromkeys(("units", "groups_sha256"), _or_null(WORD)),
        **dict.fromkeys(("keys", "warnings", "resumed"), WORDS),
        **dict.fromkeys(("memory_bytes", "chunk_rows"), POSITIVE),
        "arguments": ARGUMENTS,
        "model": _object({**dict.fromkeys(("path", "sha256", "format"), WORD), "outputs": WORDS}),
        "data": _object({**dict.fromkeys(("path", "sha256", "format"), WORD), "files": WORDS, "rows": COUNT}),
        "features": _or_null(WORDS),
        "baseline": _object({**dict.fromkeys(("source", "sha256"), WORD), "rows": COUNT, "population": COUNT}),
        **dict.fromkeys(("method", "engine", "versions"), _object({}, WORD)),
        "smoothing": _or_null(
            _object(
                {
                    **dict.fromkeys(("beta", "drift", "changed"), _or_null(NUMBER)),
                    **dict.fromkeys(("replaced", "kinks"), WORDS),
                    "within_tolerance": FLAG,
                }
            )
        ),
        "failed_chunks": _list(
            _object({**dict.fromkeys(("part", "first_row", "rows"), COUNT), "error": WORD}),
        ),
        "totals": TOTALS,
        "origins": _object({}, _object({}, WORD)),
        "groups": _or_null(_object({}, WORDS)),
        "sha256": _object(
            {
                **dict.fromkeys(("question", "run"), WORD),
                **dict.fromkeys(("attributions", "interactions"), WORDS),
                "summary": _object({}, WORD),
            }
        ),
        "shards": _list(SHARD),
    }
)


def _in_words(value: Any) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return "an object" if isinstance(value, dict) else "null" if value is None else printable(repr(value), 60)


def _told(value: Any, file: Location, place: str) -> Any:
    if isinstance(value, list):
        return [_told(entry, file, f"{place[:-1]}[{position}].") for position, entry in enumerate(value)]
    if isinstance(value, dict):
        told = {name: _told(entry, file, f"{place}{name}.") for name, entry in value.items()}
        return Told(told, file=file, place=place)
    return value


def plain(value: Any) -> Any:
    """Return what JSON can hold: numpy values and tuples as Python's, paths as text, NaN and infinity as None."""
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
