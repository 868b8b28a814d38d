"""Rows of a table, explained from inner layers on: what these give of a row is opened, not its columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ihcli.models.model import Model
from ihcli.openings import Layers
from ihcli.readers.encoded import Encoded, Shape
from ihcli.readers.reader import Compared, Load
from ihcli.readers.tables import TableReader


@dataclass(frozen=True, kw_only=True)
class LayerReader(TableReader):
    """Reads (N, C) numbers; the flat inputs are those of `ihcli.openings.Layers`, and groups are of these.

    layers      that are opened
    from_zeros  whether paths start from zeros there; else from what the layers give of the baselines
    model       that the reader was put on
    """

    layers: Layers
    from_zeros: bool = False
    model: Model | None = None

    def on(self, model: Model) -> "LayerReader":
        """Return the same for a model, which has the layers."""
        return replace(self, model=model)

    def opened(self, model: Model) -> Model:
        """Return the model, cut at the layers."""
        return self.layers.opened(model)

    @property
    def columns(self) -> Sequence[str | None]:
        """The value of a layer that each flat input is, None where it is held."""
        held = len(self.layers.placeholder) if self.layers.is_around else 0
        return (*self.groups.inputs, *[None] * held)

    def compared(self) -> Compared | None:
        """Return the baselines, none of whose columns is what is explained; outputs are compared alone."""
        return Compared(self.baselines.values, np.zeros(0, np.int64), ())

    def encode(self, records: Sequence[Any] | np.ndarray) -> Encoded:
        """Mark the complete rows; their shape is that of the flat inputs."""
        return replace(super().encode(records), shapes=((len(self.columns),),))

    def inputs(self, some: np.ndarray) -> Tensor:
        """Return the flat inputs. Cost: a forward."""
        return self._flat(some)

    def baseline(self, some: np.ndarray) -> Tensor:
        """Return the flat baselines, (B, D); (n, B, D) where each row is held along its own paths."""
        if not self.layers.is_around:
            return self._starts
        own = self._starts.expand(len(some), *self._starts.shape).clone()
        own[..., self.layers.width :] = self._rows(some)[:, None]
        return own

    def members(self, features: Sequence[str]) -> dict[str, tuple[str, ...]] | None:
        """Return the values of layers of each group."""
        return super().members(self.groups.inputs)

    def owners(self, some: np.ndarray) -> np.ndarray:
        """Return the group of every flat input, (D,); those that are held are of the first, as they never change."""
        opened = np.arange(self.layers.width) if self.groups.index is None else self.groups.index
        return np.concatenate([opened, np.zeros(len(self.columns) - self.layers.width, np.int64)])

    def warnings(self, sample: Encoded) -> Iterator[str]:
        """Yield what is not explained where the output depends on rows in other ways than through the layers."""
        yield from super().warnings(sample)
        if self.layers.is_around:
            yield (
                "the output depends on rows in other ways than through what is opened: these are held at each row, so "
                "that f(x) less f with the layers at their baseline is explained, not f(x) - f(x')."
            )

    def description(self) -> dict[str, Any]:
        """Return what run.json says of features, layers and baselines."""
        told = super().description()
        told["baseline"]["source"] = "zeros at the layers" if self.from_zeros else told["baseline"]["source"]
        return told | {"openings": self.layers.description()}

    def held_bytes(self, shape: Shape, load: Load) -> int:
        """Return about what an entry holds while it is explained: inputs are not as wide as the row."""
        own = self.n_baselines if self.layers.is_around else 0
        return super().held_bytes(shape, load) + (2 + own) * load.itemsize * shape[0]

    @cached_property
    def _recording(self) -> Model:
        return self.layers.recording(self._on)

    @cached_property
    def _starts(self) -> Tensor:
        starts = self._flat(self.baselines.values)
        if self.from_zeros:
            starts[:, : self.layers.width] = 0
        return starts

    def _flat(self, values: np.ndarray) -> Tensor:
        with torch.no_grad():
            return self.layers.flat(self._recording, self._rows(values))

    def _rows(self, values: np.ndarray) -> Tensor:
        return super().inputs(values).to(device=self._on.device, dtype=self._on.dtype)

    @property
    def _on(self) -> Model:
        if self.model is None:
            raise ValueError("a reader of layers before it is put on a model")
        return self.model
