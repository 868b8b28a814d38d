"""Sequences of any length: steps of each one's own, or channels that all have, and those of one length together."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ihcli.data.sequences import CHANNEL, SequenceUnits, last_blocks
from ihcli.files.fingerprints import values_fingerprint
from ihcli.methods import Method, require_one_start
from ihcli.models.sequences import Axes
from ihcli.readers.encoded import Encoded, EncodedRecord, Shape
from ihcli.readers.reader import Load, Reader


@dataclass(frozen=True)
class StepReader(Reader):
    """Reads arrays (T, F), one for each record; None, and arrays without steps or with gaps, have no input.

    channels  F names
    cut       what is explained: steps or blocks of them, which are counted from the last one, or channels
    start     (F,) baseline of each channel, the same at every step;  source  where it comes from, in words
    """

    channels: tuple[str, ...]
    cut: SequenceUnits
    start: np.ndarray
    source: str = "zeros"

    @property
    def units(self) -> tuple[str, ...] | None:
        """The channels, where these are explained; steps are each record's own."""
        return self.channels if self.cut.kind == CHANNEL else None

    def encode(self, records: Sequence[Any] | np.ndarray) -> Encoded:
        """Name the steps; `records` are arrays, or (N, 1) of them."""
        rows = records[:, 0] if isinstance(records, np.ndarray) and records.ndim == 2 else records
        return Encoded.of([self._encoded(row) for row in rows])

    def inputs(self, some: np.ndarray) -> Tensor:
        """Return the sequences, step by step."""
        return torch.as_tensor(np.stack([record.values.ravel() for record in some]))

    def baseline(self, some: np.ndarray) -> Tensor:
        """Return the one baseline of sequences of one length, (1, D)."""
        return torch.as_tensor(np.tile(self.start, len(some[0].values))[None])

    def owners(self, some: np.ndarray) -> np.ndarray:
        """Return the unit of every number, (D,): sequences of one length are cut alike."""
        owner: np.ndarray = some[0].owner
        return owner

    def check(self, method: Method) -> None:
        """Raise OptionError for a method of many baselines: rows of other lengths are none."""
        require_one_start(method)

    def description(self) -> dict[str, Any]:
        """Return what run.json says of features and baselines."""
        baseline = {"source": self.source, "rows": 1, "population": 1, "sha256": values_fingerprint(self.start)}
        if self.units is not None:
            return {"features": list(self.units), "baseline": baseline}
        return {"features": None, "units": str(self.cut), "baseline": baseline}

    def held_bytes(self, shape: Shape, load: Load) -> int:
        """Return about what a sequence holds while it is explained."""
        d, g = shape[0] * shape[1], len(self._cut_of(shape[0])[0])
        return (4 * load.itemsize + 8) * d + load.path_bytes(g) + load.entry_bytes(g)

    def row_bytes(self, n_groups: int, targets: int, load: Load) -> int:
        """Return about what a long sequence and its explanation hold."""
        return super().row_bytes(n_groups, targets, load) + 64 * n_groups * len(self.channels)

    def _encoded(self, row: Any) -> EncodedRecord | None:
        values = np.zeros((0, len(self.channels))) if row is None else np.asarray(row, dtype=np.float64)
        if not len(values) or not np.isfinite(values).all():
            return None
        return EncodedRecord(values, *self._cut_of(len(values)))

    def _cut_of(self, steps: int) -> tuple[tuple[str, ...], np.ndarray]:
        """Return the units of a sequence of so many steps, and which of its numbers belong to which."""
        return _cut(self.cut, self.channels, steps)


@lru_cache(maxsize=4096)
def _cut(cut: SequenceUnits, channels: tuple[str, ...], steps: int) -> tuple[tuple[str, ...], np.ndarray]:
    if cut.kind == CHANNEL:
        return channels, np.tile(np.arange(len(channels)), steps)
    names, owner = last_blocks(steps, cut.size)
    return names, np.repeat(owner, len(channels))


@dataclass(frozen=True)
class LongSequences:
    """Sequences of any length: their channels, what of them is explained, and how they are put to a model.

    longest  most steps that one has
    """

    channels: tuple[str, ...]
    longest: int
    units: SequenceUnits
    axes: Axes

    def in_words(self) -> str:
        """Return what they are taken for."""
        return (
            f"Sequences of up to {self.longest} steps of {len(self.channels)} channels, in columns of lists; the model "
            f"takes {self.axes.taken}; explained by {self.units.in_words()}."
        )

    def told(self) -> dict[str, Any]:
        """Return what run.json says of them."""
        about = {"steps": None, "channels": len(self.channels), "columns": "lists", "named": True}
        return {**about, "model": self.axes.taken, "units": str(self.units)}
