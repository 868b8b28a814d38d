"""What is opened in a model of columns: flat inputs made of rows, and the model as a function of flat inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from ihcli.models.around import Around
from ihcli.models.model import Model
from ihcli.openings.lookups import Handing, Values


@dataclass(frozen=True, eq=False)
class Opening:
    """A lookup whose values are opened.

    number  among the calls of a run that may be lookups
    shape   of what it gives, without the axis of the rows;  axis is where that stands
    fold    so many entries of one row stand side by side on the axis of the rows
    owner   (width,) int64: the column that each of the values belongs to, flat
    codes   how many the table has; None of whole numbers that become floating point ones
    """

    number: int
    shape: tuple[int, ...]
    axis: int
    fold: int
    owner: Tensor
    codes: int | None

    @property
    def width(self) -> int:
        """Return how many values a row has."""
        return len(self.owner)

    @property
    def columns(self) -> tuple[int, ...]:
        """Return the columns that are looked up, ascending."""
        return tuple(self.owner.unique().tolist())

    def flattened(self, value: Tensor, n_rows: int) -> Tensor:
        """Return (n_rows, width) of what the lookup gives."""
        return value.unflatten(self.axis, (n_rows, self.fold)).movedim(self.axis, 0).flatten(1)

    def restored(self, flat: Tensor) -> Tensor:
        """Return what the lookup gives, of (n_rows, width)."""
        inner = (*self.shape[: self.axis], self.fold, *self.shape[self.axis :])
        return flat.reshape(len(flat), *inner).movedim(0, self.axis).flatten(self.axis, self.axis + 1)


@dataclass(frozen=True, eq=False)
class Openings:
    """What of a model's C columns is opened, and how.

    names        of the columns
    numeric      columns that the network takes as numbers
    lookups      what it looks up of the others
    held         columns that it reads in another way as well: they keep the value of the record all along its paths
    placeholder  (C,) a valid row, in the place of what is not known at a point of a path

    Flat inputs are [numeric | values of the lookups | held], D of them.
    """

    names: tuple[str, ...]
    numeric: tuple[int, ...]
    lookups: tuple[Opening, ...]
    held: tuple[int, ...]
    placeholder: Tensor

    @cached_property
    def owner(self) -> Tensor:
        """Return the column of every flat input, (D,) int64."""
        parts = [torch.tensor(self.numeric, dtype=torch.int64), *(lookup.owner for lookup in self.lookups)]
        return torch.cat([*parts, torch.tensor(self.held, dtype=torch.int64)])

    @property
    def coded(self) -> tuple[int, ...]:
        """Return the columns that are looked up and are no numbers besides, ascending."""
        return tuple(sorted({c for lookup in self.lookups for c in lookup.columns} - set(self.numeric)))

    @property
    def vectors(self) -> slice:
        """Return where the values of lookups stand in flat inputs."""
        return slice(len(self.numeric), len(self.owner) - len(self.held))

    def recording(self, model: Model) -> Model:
        """Return a model whose outputs (n, K + width) of rows (n, C) are followed by the values of all lookups."""
        return replace(model, module=_Recording(model.module, self.lookups))

    def flat(self, recording: Model, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the flat inputs (n, D) of rows (n, C), and the model's outputs (n, K) there. Cost: a forward."""
        width = sum(lookup.width for lookup in self.lookups)
        found = recording.outputs(rows)
        outputs, vectors = found[:, :-width], found[:, -width:]
        return torch.cat([rows[:, self.numeric], vectors, rows[:, self.held]], dim=1), outputs

    def outputs(self, module: nn.Module, flat: Tensor) -> Tensor:
        """Return what a module makes of flat inputs (P, D): its lookups are handed their part of them."""
        given = {}
        at = len(self.numeric)
        for lookup in self.lookups:
            given[lookup.number] = lookup.restored(flat[:, at : at + lookup.width])
            at += lookup.width
        # Column by column: nothing is written in place, so that gradients of the numbers pass.
        columns = list(self.placeholder.to(flat).expand(len(flat), -1).unbind(1))
        for place, column in enumerate(self.numeric):
            columns[column] = flat[:, place]
        for place, column in enumerate(self.held):
            columns[column] = flat[:, at + place].detach()
        with Handing(given):
            outputs: Tensor = module(torch.stack(columns, dim=1))
        return outputs

    def opened(self, model: Model) -> Model:
        """Return the model as a function of flat inputs."""
        return replace(model, module=_Flat(model.module, self), n_inputs=None)

    def description(self) -> list[Mapping[str, Any]]:
        """Return what run.json says of each lookup, see `ihcli.runs.openings.OpeningInfo`."""
        return [
            {
                "kind": "lookup" if lookup.codes is not None else "indicator",
                "columns": tuple(self.names[column] for column in lookup.columns),
                "width": lookup.width,
                "codes": lookup.codes,
                "held": tuple(self.names[column] for column in lookup.columns if column in self.held),
            }
            for lookup in self.lookups
        ]


class _Flat(Around):
    """A module of rows that takes flat inputs."""

    def __init__(self, module: nn.Module, openings: Openings) -> None:
        super().__init__(module)
        self._openings = openings

    def forward(self, flat: Tensor) -> Tensor:
        """Return the outputs (P, K)."""
        return self._openings.outputs(self.module, flat)


class _Recording(Around):
    """A module whose outputs are followed by what its lookups gave."""

    def __init__(self, module: nn.Module, lookups: Sequence[Opening]) -> None:
        super().__init__(module)
        self._lookups = tuple(lookups)

    def forward(self, rows: Tensor) -> Tensor:
        """Return the outputs and the values, (n, K + width)."""
        values = Values([lookup.number for lookup in self._lookups])
        with values:
            outputs: Tensor = self.module(rows)
        found = [lookup.flattened(values.given[lookup.number], len(rows)) for lookup in self._lookups]
        return torch.cat([outputs.reshape(len(rows), -1), *(value.to(outputs.dtype) for value in found)], dim=1)
