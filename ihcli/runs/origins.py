"""Where the files of a run are, absolute and seen from the run, so that they are found from any directory."""

import glob
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ihcli.errors import IhcliError
from ihcli.files.locations import Location, is_glob, is_reachable, is_url, locate, matching
from ihcli.runs.seals import within

ORIGINS, ABSOLUTE, FROM_RUN = "origins", "absolute", "from_run"
NAMED = {"model": ("model", "path"), "data": ("data", "path")}
"""Keys of run.json under which what the user named stands; of others, an argument."""


def origins_of(named: Mapping[str, str | None], run: Location) -> dict[str, dict[str, str]]:
    """Return what run.json says of where files are: URLs as they are, and paths also from the run's directory.

    Parameters:
        named: path, URL or glob by what it is of; None is left out.
    """
    return {name: _places(place, run) for name, place in named.items() if place is not None}


def places_of(info: Mapping[str, Any], name: str, run: Location) -> list[str]:
    """Return where a file of a run may be, in the order in which to look: where it was, beside the run, from here."""
    told = within(info, (ORIGINS, name)) or {}
    found = [told[ABSOLUTE]] if ABSOLUTE in told else []
    if FROM_RUN in told and isinstance(run, Path):
        found.append(_joined(os.path.abspath(run), told[FROM_RUN]))
    written = within(info, NAMED.get(name, ("arguments", name)))
    return list(dict.fromkeys([*found, *([] if written is None else [written])]))


def there(places: list[str], *named: str | Location) -> Iterator[str]:
    """Give those of the places where something is; no store is asked that was not named, see `is_reachable`."""
    for place in places:
        if is_reachable(place, *named) and _is_there(place):
            yield place


def _places(place: str, run: Location) -> dict[str, str]:
    if is_url(place):
        return {ABSOLUTE: place}
    absolute = _joined(os.getcwd(), place)
    if not isinstance(run, Path):
        return {ABSOLUTE: absolute}
    return {ABSOLUTE: absolute, FROM_RUN: os.path.relpath(os.path.join(os.getcwd(), place), run.absolute())}


def _joined(directory: str, place: str) -> str:
    """Return a path from a directory; of a glob, one that does not take signs in the directory's name for its own."""
    joined = os.path.normpath(os.path.join(directory, place))
    if os.path.isabs(place) or not is_glob(Path(place)) or os.path.lexists(joined):
        return joined
    return os.path.normpath(os.path.join(glob.escape(directory), place))


def _is_there(place: str) -> bool:
    try:
        found = locate(place)
        return found.exists() or (is_glob(found) and bool(matching(found)))
    except (IhcliError, OSError, ValueError):
        return False
