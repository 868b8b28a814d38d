"""What run.json tells of how values were computed: how exact, of which model, by whom and with which versions."""

from ihcli.runs.kinds import Nodes
from ihcli.runs.told import Told, left_out, record


@record
class IntegralsInfo(Told):
    """At which relative error rows are done, see `ihcli.integration.effort`; the share is 0 where it does not count.

    nodes  with which whole paths begin, where a sample of rows took less with so few; None: with as many as ever
    """

    tolerance: float
    sampling_share: float
    nodes: Nodes | None = left_out(None)


@record
class ScaleInfo(Told):
    """The scale on which outputs are explained, see `ihcli.scales`, and how the model ends, in words."""

    name: str
    ending: str


@record
class SmoothingInfo(Told):
    """What smoothing did to the model, see `ihcli.smoothing.Smoothing`."""

    beta: float | None
    replaced: tuple[str, ...]
    kinks: tuple[str, ...]
    drift: float | None
    changed: float | None
    within_tolerance: bool


@record
class EngineInfo(Told):
    """Who took derivatives, and why."""

    name: str
    reason: str


@record
class VersionsInfo(Told):
    """Versions of what computed."""

    ihcli: str
    python: str
    torch: str
    transformers: str
    numpy: str
    pyarrow: str
