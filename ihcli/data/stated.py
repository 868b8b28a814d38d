"""Small files in which users state something: tables in TOML, and names one a line."""

import tomllib
from pathlib import Path
from typing import Any

from ihcli.errors import OptionError
from ihcli.files.locations import Location, locate, neighbour_of
from ihcli.quality import RESERVED
from ihcli.wording import first_line, quoted

LINES = "Expected a file of text with a name a line."


def read_toml(option: str, file: Location, form: str) -> dict[str, Any]:
    """Read a TOML file; raises OptionError, which begins with the option and says what form is expected."""
    try:
        if isinstance(file, Path) and file.exists() and not file.is_file():
            raise OptionError(f"{option}: is not a file. {form}")
        with file.open("rb") as stream:
            return tomllib.load(stream)
    except OSError as error:
        raise OptionError(f"{option}: cannot be opened: {error.strerror}. {form}{_near(file, error)}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise OptionError(f"{option}: is not TOML: {first_line(error)}. {form}") from error


def read_layer_names(path: str) -> tuple[str, ...]:
    """Read a name for each value of the layers, in order; raises OptionError where the file is not of that form."""
    option, file = f"`layer_names={path}`", locate(path)
    try:
        with file.open("rb") as stream:
            text = stream.read().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise OptionError(f"{option}: cannot be read: {reason}. {LINES}{_near(file, error)}") from error
    names = tuple(line.strip() for line in text.splitlines() if line.strip())
    check_layer_names(names, option)
    return names


def check_layer_names(names: tuple[str, ...], option: str = "`layer_names`") -> None:
    """Raise OptionError for a name that stands twice, or is that of a column that a run writes."""
    for name in names:
        if names.count(name) > 1:
            raise OptionError(f"{option}: has the name {quoted(name)} twice. Expected each once.")
        if name in RESERVED:
            raise OptionError(f"{option}: {quoted(name)} is the name of a column that a run writes. Expected another.")


def _near(file: Location, error: Exception) -> str:
    return neighbour_of(file) if isinstance(error, FileNotFoundError) else ""
