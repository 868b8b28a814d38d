"""A kind of record in one file: sequences of any length, explained step by step along paths from zeros."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ihcli.readers import Encoded, EncodedRecord, Reader


class SequenceReader(Reader):
    """Reads (steps, channels) arrays; None, and arrays without steps or with gaps, have no input."""

    def __init__(self, channels: int) -> None:
        self.channels = channels

    def encode(self, records: Sequence[Any] | np.ndarray) -> Encoded:
        """Name the steps, each of which owns its channels; sequences of one length are explained together."""
        return Encoded.of([self._encoded(record) for record in records])

    def inputs(self, some: np.ndarray) -> Tensor:
        """Return the sequences, flat."""
        return torch.as_tensor(np.stack([record.values.ravel() for record in some]))

    def baseline(self, some: np.ndarray) -> Tensor:
        """Return zeros, one baseline for each sequence."""
        return torch.zeros_like(self.inputs(some))[:, None]

    def outputs(self, module: nn.Module, flat: Tensor) -> Tensor:
        """Give the network sequences again, (P, steps, channels)."""
        outputs: Tensor = module(flat.unflatten(1, (-1, self.channels)))
        return outputs

    def _encoded(self, record: Any) -> EncodedRecord | None:
        steps = np.zeros((0, self.channels)) if record is None else np.asarray(record, dtype=np.float64)
        if not len(steps) or not np.isfinite(steps).all():
            return None
        names = tuple(f"step {i}" for i in range(len(steps)))
        return EncodedRecord(steps, names, owner=np.repeat(np.arange(len(steps)), self.channels))
