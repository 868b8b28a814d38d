"""What everybody who writes, reads or shows an explanation asks: one protocol, which each kind answers in its file."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
import pyarrow as pa

from ihcli.explanation import AnyExplanation
from ihcli.files.locations import Location
from ihcli.quality import Trait
from ihcli.summaries.summary import AnySummary

E = TypeVar("E", bound=AnyExplanation)
Types = Mapping[str, tuple[pa.DataType, ...]]
"""Types that a column may have, by its name."""
Columns = list[tuple[pa.Field, pa.Array]]


@dataclass(frozen=True)
class Sized:
    """The entries of a block that have values over n features or units each.

    place  (m,) positions in the block
    phi    (m, n) float64
    gamma  (m, n, n) as stored; None where whole matrices are not
    """

    place: np.ndarray
    phi: np.ndarray
    gamma: np.ndarray | None


OF_MODEL = ("lorenz", "calibration")
"""Pictures of the whole run and its model, whatever its entries are."""


class Layout(Protocol[E]):
    """How the entries of a run are laid out.

    plots               kinds of pictures that there are
    is_aligned          whether all entries have the same units, so that they can be set side by side, and their values
                        stand in the data
    in_reading_order    whether the units of an entry stand in an order, may repeat, and are told apart by position
    counts_occurrences  whether summaries are over occurrences of a unit, not over rows
    """

    plots: ClassVar[tuple[str, ...]]
    is_aligned: ClassVar[bool]
    in_reading_order: ClassVar[bool]
    counts_occurrences: ClassVar[bool]

    @property
    def noun(self) -> str:
        """What a message calls what values are of, in the plural."""

    @property
    def features(self) -> tuple[str, ...]:
        """The G names that all entries share, none where each has its own."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of an attributions part that hold the values, and the names where these are an entry's own."""

    @property
    def shared(self) -> tuple[str, ...]:
        """Columns of names, which both kinds of parts have."""

    @property
    def traits(self) -> frozenset[Trait]:
        """What its runs are, which decides the columns that they have beside the values."""

    @property
    def metadata(self) -> Mapping[str, object]:
        """What the schema of a part says of the names, as JSON."""

    # What is written

    def attributions(self, explanation: E, is_empty: np.ndarray) -> Columns:
        """Return the columns of values of an attributions part, null where an entry is empty (N,)."""

    def interactions(self, explanation: E, is_empty: np.ndarray, top: int | None) -> Columns:
        """Return those of an interactions part: the largest pairs of each entry, or its matrix where `top` is None."""

    def summary(self) -> AnySummary[E]:
        """Return an empty summary of such explanations."""

    # What may stand in files

    def attribution_types(self, floats: pa.DataType) -> Types:
        """Return what `attributions` may be stored as, of a run that computed in that type."""

    def interaction_types(self, floats: pa.DataType, *, pairs: bool, beside: Sequence[str] = ()) -> Types:
        """Return what `interactions` may be stored as, pairs with that `beside` their values."""

    # What is read

    def record(self, entry: Mapping[str, Any]) -> tuple[tuple[str, ...], Sequence[float]]:
        """Return names and attributions of an entry of an attributions part."""

    def names(self, entries: pa.Table) -> list[tuple[str, ...]]:
        """Return the names of the values of each entry of an attributions part, none where it has no values."""

    def matrices(self, column: pa.ChunkedArray) -> list[np.ndarray | None]:
        """Return the matrix of each entry of an interactions part, None where it has none."""

    def sized(self, entries: pa.Table, interactions: pa.ChunkedArray | None, has_values: np.ndarray) -> Iterator[Sized]:
        """Give the entries that have values, those of one size together; misshapen ones are left out.

        Parameters:
            entries: of an attributions part;  interactions are their matrices, None where they are not stored.
            has_values: which of them must have values, (N,) bool.
        """

    def explanation(self, entries: pa.Table, some: Sized, known: Mapping[str, Any]) -> E:
        """Put an explanation together from some of the entries of a part and what is `known` beside their values."""

    # What is shown

    def own_names(self, names: tuple[str, ...]) -> tuple[str, ...] | None:
        """Return the names of a record where they are its own, None where all records have the same."""

    def typical_size(self, n_shown: int) -> int:
        """Return about how many values a record has of which `n_shown` shared names are shown."""

    def row_count(self, ranking: pa.Table) -> int | None:
        """Return the rows that a ranking of a summary is over; None where entries are over different ones."""

    def weights(self, mean_abs: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return what the entries of a ranking weigh in its sum, of which `share` is a part."""

    def require_features(self, path: Location, reason: str) -> tuple[str, ...]:
        """Return the features that all entries share; raises RunError with the reason where there are none."""

    def require_plot(self, path: Location, kind: str) -> None:
        """Raise RunError where there is no such picture."""
