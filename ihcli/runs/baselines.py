"""What run.json tells of baselines: how many there are, and why so many where nobody said how many."""

from dataclasses import asdict, fields
from typing import Self

from ihcli.data.sampling import Sampling
from ihcli.runs.kinds import Count, Positive
from ihcli.runs.told import UNTOLD, Told, left_out, record, untold


@record
class SamplingInfo(Told):
    """How many baselines were found enough, see `ihcli.data.baselines.Sampling`."""

    rows: Positive
    tolerance: float
    error: float | None
    within: Count
    tried: Count
    of: str
    needed: Count | None

    def found(self) -> Sampling:
        """Return what was found."""
        return Sampling(**{each.name: getattr(self, each.name) for each in fields(Sampling)})


@record
class BaselineInfo(Told):
    """The baselines: so many rows drawn from a population; those of texts have no SHA-256, the model has them.

    drawn_from  rows drawn at random that they were thinned from; None: they were not, as in runs of before
    """

    source: str
    rows: Count
    population: Count
    sha256: str = untold()
    sampling: SamplingInfo | None = left_out(None)
    drawn_from: Count | None = left_out(None)

    def sampled(self, found: Sampling | None) -> Self:
        """Return this with why there are so many, where nobody said how many."""
        return self.but(sampling=UNTOLD if found is None else SamplingInfo(**asdict(found)))
