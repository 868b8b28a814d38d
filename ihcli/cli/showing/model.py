"""What stands above a ranking: what model it is that is explained, and how the explanation is spread."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ihcli.cli.showing.tables import Destination
    from ihcli.results.model_quality import ModelQuality
    from ihcli.runs.run import Run


@dataclass(frozen=True)
class Told:
    """Sentences that stand above all rankings over rows of a run, and above that of each target."""

    of_model: Sequence[str] = ()
    of_targets: Mapping[str, Sequence[str]] = field(default_factory=dict)


NOTHING_TOLD = Told()


def told_of_model(run: "Run") -> Told:
    """Return what a run tells of its model."""
    from ihcli.results.model_quality import model_quality

    found = model_quality(run)
    return Told(tuple(_of_model(found)), {target: tuple(_of_target(found, target)) for target in run.targets()})


def above_table(run: "Run", destination: "Destination") -> Told:
    """Return what a run tells of its model, where a person reads the table; of its rows as a whole nothing."""
    return Told(told_of_model(run).of_model) if destination.format == "table" else NOTHING_TOLD


def _of_model(found: "ModelQuality") -> Iterator[str]:
    if (words := found.model_in_words()) is not None:
        yield words
    yield from (f"Warning: {warning}" for warning in found.warnings())


def _of_target(found: "ModelQuality", target: str) -> Iterator[str]:
    yield from filter(None, (found.effects_in_words(target), found.company_in_words(target)))
