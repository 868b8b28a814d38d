"""What may not be written over: runs, shards of one, and files that are none."""

from typing import Literal, get_args

from ihcli.errors import OptionError, RunError
from ihcli.files.durable import is_temporary
from ihcli.files.leases import LOCK, refusal
from ihcli.files.locations import Location, locate
from ihcli.files.lock import is_locked
from ihcli.runs.info import DONE
from ihcli.runs.names import INFO, SHARDS
from ihcli.runs.run import UNMERGED, open_run
from ihcli.wording import either

Existing = Literal["refuse", "replace", "resume"]
"""What becomes of a run that is there: the new one is refused, it is replaced, or gone on with."""
REFUSE, REPLACE, RESUME = get_args(Existing)


def require_existing(existing: str) -> None:
    """Raise OptionError for what does not tell what becomes of a run that is there."""
    if existing not in get_args(Existing):
        raise OptionError(f"`existing={existing}`: is not understood. Expected {either(get_args(Existing))}.")


def refuse_existing(path: str | Location, existing: Existing) -> None:
    """Raise RunError where something is at the path that a run may not replace, or go on with."""
    path = locate(path)
    if not path.exists():
        return
    if not path.is_dir():
        raise RunError(f"{path}: is a file. Expected a new directory for the run. Try another `out`.")
    if not (path / INFO).is_file():
        if (path / SHARDS).is_dir():
            raise RunError(f"{path}: {UNMERGED}, or another `out`.")
        if all(entry.name == LOCK or is_temporary(entry) for entry in path.iterdir()):
            return
        raise RunError(f"{path}: holds files that are not a run, so it is left alone. Try a new directory with `out`.")
    if existing == REFUSE:
        raise _existing(path)


def _existing(path: Location) -> RunError:
    if is_locked(path):
        return refusal(path)
    status = open_run(path).status
    if status == DONE:
        return RunError(f"{path}: holds a run already. Try `overwrite` to replace it, or another `out`.")
    return RunError(
        f"{path}: holds a run that did not finish (status {status}). Try `resume` to continue it, `overwrite` to "
        "start over, or another `out`."
    )
