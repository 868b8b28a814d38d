"""Where the files of a run are, absolute and seen from the run, so that they are found from any directory."""

import glob
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ihcli.errors import IhcliError
from ihcli.files.locations import Location, is_glob, is_reachable, is_url, locate, matching
from ihcli.runs.info import Origin, RunInfo
from ihcli.runs.told import if_told

NAMED: Mapping[str, Callable[[RunInfo], str | None]] = {
    "model": lambda info: info.model.path,
    "data": lambda info: info.data.path,
    "groups": lambda info: info.arguments.groups,
    "categories": lambda info: info.arguments.categories,
    "baseline": lambda info: info.arguments.baseline,
}
"""What the user named, by what it is of."""


def origins_of(named: Mapping[str, str | None], run: Location) -> dict[str, Origin]:
    """Return what run.json says of where files are: URLs as they are, and paths also from the run's directory.

    Parameters:
        named: path, URL or glob by what it is of; None is left out.
    """
    return {name: _places(place, run) for name, place in named.items() if place is not None}


def places_of(info: RunInfo, name: str, run: Location) -> list[str]:
    """Return where a file of a run may be, in the order in which to look: where it was, beside the run, from here."""
    told = (if_told(lambda: info.origins) or {}).get(name, Origin())
    found = [if_told(lambda: told.absolute)]
    if isinstance(run, Path) and told.tells("from_run"):
        found.append(_joined(os.path.abspath(run), told.from_run))
    found.append(if_told(lambda: NAMED[name](info)))
    return list(dict.fromkeys(place for place in found if place is not None))


def there(places: list[str], *named: str | Location) -> Iterator[str]:
    """Give those of the places where something is; no store is asked that was not named, see `is_reachable`."""
    for place in places:
        if is_reachable(place, *named) and _is_there(place):
            yield place


def _places(place: str, run: Location) -> Origin:
    if is_url(place):
        return Origin(absolute=place)
    absolute = _joined(os.getcwd(), place)
    if not isinstance(run, Path):
        return Origin(absolute=absolute)
    return Origin(absolute=absolute, from_run=os.path.relpath(os.path.join(os.getcwd(), place), run.absolute()))


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
