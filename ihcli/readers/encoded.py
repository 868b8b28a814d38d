"""Records as a reader encodes them: values by place, and which of them have one shape."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np

Shape = tuple[int, ...]
"""Of a record's inputs; their number D is its product."""


@dataclass(frozen=True, eq=False)
class EncodedRecord:
    """One record with units of its own.

    values     numbers of any shape, the inputs at the end of the path
    units      G names of what is explained, in the order of the record
    owner      (D,) int64: index into units of each of the inputs, as they come flat
    truncated  whether the record goes on beyond what the model takes

    Raises ValueError where inputs and owners are not as many, or an owner is no unit.
    """

    values: np.ndarray
    units: tuple[str, ...]
    owner: np.ndarray
    truncated: bool = False

    def __post_init__(self) -> None:
        if self.owner.shape != (self.values.size,):
            raise ValueError(f"owners of shape {self.owner.shape}, where the record has {self.values.size} inputs")
        if not np.isin(self.owner, np.arange(len(self.units))).all():
            raise ValueError(f"owners {self.owner.min()} to {self.owner.max()}, where the record has {len(self.units)}")

    @property
    def shape(self) -> Shape:
        """That of the values."""
        return self.values.shape


@dataclass(frozen=True, eq=False)
class Encoded:
    """N records, encoded; those of one shape are explained together.

    values  (N, ...): whatever the reader takes back, picked by arrays of places
    shapes  the shapes there are, ascending
    kind    (N,) index into shapes; -1: the record has no input
    """

    values: np.ndarray
    shapes: tuple[Shape, ...]
    kind: np.ndarray

    @classmethod
    def of(cls, records: Sequence[Any], shape_of: Callable[[Any], Shape] = attrgetter("shape")) -> "Encoded":
        """Put encoded records together; None for one without input."""
        values = np.empty(len(records), dtype=object)
        for i, record in enumerate(records):
            values[i] = record
        found = [None if record is None else shape_of(record) for record in records]
        shapes = tuple(sorted({shape for shape in found if shape is not None}))
        place: dict[Shape | None, int] = {None: -1} | {shape: i for i, shape in enumerate(shapes)}
        return cls(values, shapes, np.array([place[shape] for shape in found], dtype=np.int64))

    @property
    def present(self) -> np.ndarray:
        """Which records have inputs, (N,) bool."""
        return self.kind >= 0

    def only(self, which: np.ndarray) -> "Encoded":
        """Return those of the records, (N,) bool."""
        return Encoded(self.values[which], self.shapes, self.kind[which])

    def alike(self, entries: np.ndarray | None = None) -> Iterator[tuple[Shape, np.ndarray]]:
        """Yield each shape and the ascending places of its records.

        entries  (M,) records: the places are then among these entries
        """
        kind = self.kind if entries is None else self.kind[entries]
        for i, shape in enumerate(self.shapes):
            places = np.flatnonzero(kind == i)
            if len(places):
                yield shape, places
