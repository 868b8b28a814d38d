"""What run.json of a mean of runs tells of each of them."""

from ihcli.runs.told import Told, record, untold


@record
class MemberInfo(Told):
    """A run that a mean is of: where it was, and its model."""

    run: str
    model: str
    sha256: str
    question: str = untold()
