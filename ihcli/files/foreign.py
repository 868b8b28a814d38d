"""Files that someone else wrote: read within bounds, and whatever is wrong with them is one message that names them."""

import json
import math
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from ihcli.errors import IhcliError
from ihcli.files.locations import Location
from ihcli.wording import first_line, printable, quoted

MOST_JSON_BYTES = 4 << 20
"""Unless the reader asks for more: small objects take up to 35 times the bytes that they are written in."""
MOST_NESTING = 64
"""Of lists and objects of JSON within each other: far more than any file of ours or of a checkpoint has."""
AGAIN = "Try saving or copying it again."
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class _RefusedError(ValueError):
    """Text that is JSON to Python's reader and that nothing here can use."""


@contextmanager
def one_message(subject: object, error: type[IhcliError], what: str, advice: str = AGAIN) -> Iterator[None]:
    """Turn whatever the bytes of a stranger raise into one error: `<subject>: cannot be <what> (<reason>). <advice>`.

    Errors of ours are raised as they are: they are messages already.
    """
    try:
        yield
    except IhcliError:
        raise
    except Exception as raised:
        reason = first_line(raised)
        kind = type(raised).__name__
        reason = reason if reason == kind else f"{kind}: {reason}"
        raise error(f"{subject}: cannot be {what} ({reason}). {advice}") from raised


def foreign_bytes(
    path: Location, error: type[IhcliError], at_most_bytes: int = MOST_JSON_BYTES, advice: str = AGAIN
) -> bytes:
    """Return what a file holds; a pipe or a device is refused without waiting for it, and so is a file too large."""
    try:
        with _opened(path) as file:
            if isinstance(path, Path) and not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise error(f"{path}: a pipe or device. Expected a file.")
            content = file.read(at_most_bytes + 1)
    except OSError as raised:
        raise error(
            f"{path}: cannot be opened ({printable(raised.strerror or first_line(raised))}). {advice}"
        ) from raised
    if len(content) > at_most_bytes:
        raise error(f"{path}: holds more than {at_most_bytes} bytes. Expected fewer. {advice}")
    return content


def foreign_json(
    path: Location,
    error: type[IhcliError],
    *,
    at_most_bytes: int = MOST_JSON_BYTES,
    advice: str = AGAIN,
    finite: bool = True,
) -> Any:
    """Return what a file of JSON holds: plain values, nested at most `MOST_NESTING` deep, every key once.

    finite  refuse NaN and infinity, which are no JSON, and numbers so large that they become infinity

    Raises `error` with a message that names the file, for a file that cannot be opened, is none (a pipe), is larger
    than `at_most_bytes`, or holds anything else.
    """
    content = foreign_bytes(path, error, at_most_bytes, advice)
    return parsed_json(content, path, error, advice=advice, finite=finite)


def parsed_json(
    content: bytes | str, subject: object, error: type[IhcliError], *, advice: str = AGAIN, finite: bool = True
) -> Any:
    """Return the value in the content of such a file; `subject` is what the message names."""
    try:
        return _parsed(content if isinstance(content, str) else content.decode("utf-8"), finite)
    except RecursionError:
        reason = _too_deep()
    except ValueError as raised:  # UnicodeDecodeError and numbers of more digits than Python reads are such, too
        reason = first_line(raised)
    raise error(f"{subject}: not JSON ({reason}). {advice}")


def _opened(path: Location) -> BinaryIO:
    """Open a file; a pipe is opened without waiting for its other end."""
    if not isinstance(path, Path):
        return path.open()
    return open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0)))


def _parsed(text: str, finite: bool) -> Any:
    options: dict[str, Any] = {"parse_constant": _no_number, "parse_float": _finite} if finite else {}
    value = json.loads(text, object_pairs_hook=_unique, **options)
    _check_nesting(value)
    if _SURROGATE.search(text):
        json.dumps(value, ensure_ascii=False).encode()  # half of a pair of surrogates is no letter, and raises here
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object; one with a key twice would be read otherwise by another reader."""
    unique = dict(pairs)
    if len(unique) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise _RefusedError(f"holds the key {quoted(twice)} twice")
    return unique


def _no_number(name: str) -> NoReturn:
    raise _RefusedError(f"{name} is not a number of JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise _RefusedError(f"the number {printable(digits, 20)} is too large")
    return value


def _check_nesting(value: Any) -> None:
    """Refuse what recursive readers of the value would fail at; level by level, as they would not."""
    level = [value]
    for _ in range(MOST_NESTING + 1):
        containers = [each for each in level if isinstance(each, dict | list)]
        if not containers:
            return
        level = [inner for each in containers for inner in (each.values() if isinstance(each, dict) else each)]
    raise _RefusedError(_too_deep())


def _too_deep() -> str:
    return f"lists and objects are nested more than {MOST_NESTING} deep"
