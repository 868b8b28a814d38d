"""What every summary does, whatever it is of."""

from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
import pyarrow as pa

from ihcli.explanation import AnyExplanation

E = TypeVar("E", bound=AnyExplanation, contravariant=True)


class AnySummary(Protocol[E]):
    """Statistics per target of all explanations added to it, accumulated while they stream by."""

    counts_occurrences: ClassVar[bool]
    """Whether statistics are over occurrences of a unit, so that each weighs as often as it occurs."""

    @property
    def note(self) -> str | None:
        """A sentence on what is missing, None where nothing is."""

    @property
    def lines(self) -> tuple[int, int]:
        """How many lines both tables have, over all targets."""

    @property
    def held(self) -> int:
        """How many features and pairs it has figures of, over all targets: more than lines where some are summed up."""

    @property
    def most_lines(self) -> int | None:
        """How many lines a table can grow to as entries are added; None where it does not, as all have the same."""

    def narrowed(self, lines: int, times: float = 1.0) -> "AnySummary[E]":
        """Return one of about that many lines at most, moments multiplied by `times`, to try what writing costs."""

    def update(self, explanation: E) -> None:
        """Add an explanation; entries that have no values are left out."""

    def merge(self, other: Any) -> None:
        """Add what another summary of the same kind has seen; halves merged equal the whole up to rounding."""

    def without_interactions(self) -> "AnySummary[E]":
        """Return what was seen of the attributions alone."""

    def attributions(self) -> pa.Table:
        """Return what attributions are of, ranked by mean |phi| for every target."""

    def interactions(self) -> pa.Table | None:
        """Return the ranked pairs of every target; None without interactions."""

    def state(self) -> dict[str, np.ndarray]:
        """Return all that was seen as arrays by name."""
