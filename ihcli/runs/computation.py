"""What run.json tells of how values were computed: how exact, of which model, by whom and with which versions."""

from dataclasses import fields
from typing import Any, Self

from ihcli.explanation.betas import BetaScan, TriedBeta, TurningPair
from ihcli.runs.kinds import Count, Nodes
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
class TriedBetaInfo(Told):
    """What smoothing with one beta gave, see `ihcli.explanation.betas.TriedBeta`."""

    beta: float
    drift: float | None
    changed: float | None
    within_tolerance: bool
    evaluations: float
    converged: float
    pairs_share: float | None
    agreement: float | None
    following: float | None
    top: Count | None
    turned: Count | None


@record
class TurningPairInfo(Told):
    """A pair whose sign depends on beta, see `ihcli.explanation.betas.TurningPair`."""

    feature_1: str
    feature_2: str
    row: Count | None
    effect: float
    betas: tuple[float, ...]


@record
class ScanInfo(Told):
    """Betas that were tried, see `ihcli.explanation.betas.BetaScan`."""

    rows: Count
    chosen: float
    stable: float
    is_stable: bool | None
    betas: tuple[TriedBetaInfo, ...]
    sharpest: float | None
    top_k: Count
    turning: tuple[TurningPairInfo, ...]
    n_turning: Count

    @classmethod
    def of(cls, scan: BetaScan) -> Self:
        """Return what run.json tells of a scan."""
        told = _fields_of(BetaScan, scan)
        told["betas"] = tuple(TriedBetaInfo(**_fields_of(TriedBeta, each)) for each in scan.betas)
        told["turning"] = tuple(TurningPairInfo(**_fields_of(TurningPair, each)) for each in scan.turning)
        return cls(**told)

    def found(self) -> BetaScan:
        """Return what was found."""
        found = _fields_of(BetaScan, self)
        found["betas"] = tuple(TriedBeta(**_fields_of(TriedBeta, each)) for each in self.betas)
        found["turning"] = tuple(TurningPair(**_fields_of(TurningPair, each)) for each in self.turning)
        return BetaScan(**found)


def _fields_of(kind: Any, each: Any) -> dict[str, Any]:
    return {name.name: getattr(each, name.name) for name in fields(kind)}


@record
class SmoothingInfo(Told):
    """What smoothing did to the model, see `ihcli.smoothing.Smoothing`."""

    beta: float | None
    replaced: tuple[str, ...]
    kinks: tuple[str, ...]
    drift: float | None
    changed: float | None
    within_tolerance: bool
    scan: ScanInfo | None = left_out(None)


def scan_told(smoothing: SmoothingInfo | None) -> BetaScan | None:
    """Return what betas gave that were tried; None where none were. Raises RunError where something is missing."""
    told = None if smoothing is None else smoothing.scan
    return None if told is None else told.found()


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
