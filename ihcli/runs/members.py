"""What run.json of a mean of runs tells of each of them, and what a mean cannot be asked."""

from collections.abc import Sequence

from ihcli.errors import RunError
from ihcli.files.locations import Location
from ihcli.runs.told import Told, record, untold
from ihcli.wording import listed


@record
class MemberInfo(Told):
    """A run that a mean is of: where it was, and its model."""

    run: str
    model: str
    sha256: str
    question: str = untold()


def mean_in_words(members: Sequence[MemberInfo]) -> str:
    """Return of which runs a mean is."""
    return f"the mean of {len(members)} runs, which no one model gives: {listed([some.run for some in members], 3)}"


def require_no_mean(path: str | Location, members: Sequence[MemberInfo], remedy: str) -> None:
    """Raise RunError, which ends in a remedy, where a run is a mean."""
    if members:
        raise RunError(f"{path}: is {mean_in_words(members)}. Expected a run of one model. Try {remedy}.")
