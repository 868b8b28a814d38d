"""What run.json tells of rows that are sequences."""

from ihcli.runs.kinds import Positive
from ihcli.runs.told import Told, record


@record
class SequenceInfo(Told):
    """Rows that are sequences.

    steps    None: of any length
    columns  "by-step" or "by-channel": how the columns come, or "lists";  named  whether their names say so
    model    "(N, T, F)" or "(N, F, T)": what the model takes
    units    what is explained: step, step:K, channel or column; None where `groups` or `groups_by` says
    """

    steps: Positive | None
    channels: Positive
    columns: str
    named: bool
    model: str
    units: str | None
