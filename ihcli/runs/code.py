"""What run.json tells of code that made the model."""

from collections.abc import Mapping

from ihcli.runs.told import Told, record


@record
class CodeInfo(Told):
    """Code of the user's own that made the model, never run by who reads this, see `ihcli.models.model.RunCode`."""

    name: str
    arguments: str | None
    files: Mapping[str, str]
