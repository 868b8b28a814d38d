"""Rows of a table whose codes a network looks up: what it looks them up as is opened, not the codes themselves."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ihcli.data.baselines import MEAN, MEDIAN, MODE, ZEROS
from ihcli.data.frequencies import Frequencies
from ihcli.models.model import Model
from ihcli.openings import Openings
from ihcli.openings.words import opened_in_words, unlisted_codes
from ihcli.readers.encoded import Encoded, Shape
from ihcli.readers.reader import Compared, Load
from ihcli.readers.tables import TableReader
from ihcli.vocabulary import Vocabulary
from ihcli.wording import listed

MOST_ROWS = 4096
"""Looked up together, of a column with many values."""


class Start(Enum):
    """Where the values of lookups start from."""

    ZEROS = "a vector of zeros"
    MEAN = "the mean vector over the data"
    USUAL = "the most frequent code's vector"
    GIVEN = "the baseline's vector"
    DRAWN = "each baseline's vector"

    @classmethod
    def of(cls, baseline: str | np.ndarray | None, many: bool) -> "Start":
        """Return what a baseline asks for."""
        if many or not isinstance(baseline, str):
            return cls.DRAWN if many else cls.GIVEN
        return {ZEROS: cls.ZEROS, MEAN: cls.MEAN, MEDIAN: cls.USUAL, MODE: cls.USUAL}.get(baseline, cls.GIVEN)

    @property
    def is_no_code(self) -> bool:
        """Return whether it is something that no code is looked up as."""
        return self in (Start.ZEROS, Start.MEAN)


@dataclass(frozen=True, kw_only=True)
class OpenedTableReader(TableReader):
    """Reads (N, C) numbers, some of them codes; the flat inputs are those of `ihcli.openings.Openings`.

    openings  what of the columns is opened
    start     of the values of lookups
    codes     how often the values of columns occur, for their mean
    known     what codes stand for, where it is not the model that says so
    model     that the reader was put on
    """

    openings: Openings
    start: Start = Start.GIVEN
    codes: tuple[Frequencies, ...] = ()
    known: Vocabulary | None = None
    model: Model | None = None

    def on(self, model: Model) -> "OpenedTableReader":
        """Return the same for a model, which looks codes up."""
        return replace(self, model=model)

    @property
    def columns(self) -> tuple[str | None, ...]:
        """The column of every flat input, None of those that are held."""
        names = [self.groups.inputs[column] for column in self.openings.owner.tolist()]
        return (*names[: len(names) - len(self.openings.held)], *[None] * len(self.openings.held))

    def compared(self) -> Compared | None:
        """Return the baselines, and the columns that are no codes."""
        numeric = np.array(self.openings.numeric, np.int64)
        return Compared(self.baselines.values, numeric, [self.groups.inputs[column] for column in numeric])

    def encode(self, records: Sequence[Any] | np.ndarray) -> Encoded:
        """Mark the complete rows; their shape is that of the flat inputs."""
        return replace(super().encode(records), shapes=((len(self.openings.owner),),))

    def inputs(self, some: np.ndarray) -> Tensor:
        """Return the flat inputs. Cost: a forward."""
        return self._flat(some)

    def baseline(self, some: np.ndarray) -> Tensor:
        """Return the flat baselines, (B, D); (n, B, D) where columns are held, as each row holds its own."""
        held, starts = self.openings.held, self._starts
        if not held:
            return starts
        own = starts.expand(len(some), *starts.shape).clone()
        own[..., -len(held) :] = self._rows(some)[:, None, held]
        return own

    def outputs(self, module: nn.Module, flat: Tensor) -> Tensor:
        """Return the outputs, the lookups being handed their part of the inputs."""
        return self.openings.outputs(module, flat)

    def owners(self, some: np.ndarray) -> np.ndarray:
        """Return the group of every flat input, (D,)."""
        columns = self.openings.owner.numpy()
        return columns if self.groups.index is None else self.groups.index[columns]

    def settled(self) -> Iterator[str]:
        """Yield what is opened, beside how many baselines are drawn."""
        yield from super().settled()
        yield opened_in_words(self.openings, self.start.value)

    def warnings(self, sample: Encoded) -> Iterator[str]:
        """Yield what is read in another way as well, and codes without values, beside what tables warn of."""
        yield from super().warnings(sample)
        if self.known is not None:
            yield from unlisted_codes(self.openings, self.known)
        if self.openings.held:
            names = listed([self.openings.names[column] for column in self.openings.held])
            yield (
                f"the network reads {names} in another way besides looking them up (as a mask does): that is held at "
                "each row's own value, so that _baseline_prediction is the output at the baseline with it."
            )

    def description(self) -> dict[str, Any]:
        """Return what run.json says of features, openings and baselines."""
        told = super().description()
        if self.start.is_no_code:  # which the baselines do not say
            told["baseline"]["source"] += f"; of lookups {self.start.value}"
        return told | {"openings": self.openings.description()}

    def held_bytes(self, shape: Shape, load: Load) -> int:
        """Return about what an entry holds while it is explained: inputs are wider than the row."""
        own = self.n_baselines if self.openings.held else 0
        return super().held_bytes(shape, load) + (2 + own) * load.itemsize * shape[0]

    @cached_property
    def _recording(self) -> Model:
        return self.openings.recording(self._on)

    @cached_property
    def _starts(self) -> Tensor:
        starts = self._flat(self.baselines.values)
        if self.start is Start.ZEROS:
            starts[:, self.openings.vectors] = 0
        elif self.start is Start.MEAN:
            for each in self.codes:
                own = torch.as_tensor(self.openings.owner == each.column, device=starts.device)
                starts[:, own] = self._mean_vector(each)[own]
        return starts

    def _mean_vector(self, of: Frequencies) -> Tensor:
        """Return the mean of flat inputs over the values of one column, the others as in the baseline, (D,)."""
        rows = np.repeat(self.baselines.values[:1], len(of.values), axis=0)
        rows[:, of.column] = of.values
        mean = torch.zeros(len(self.openings.owner), dtype=self._on.dtype, device=self._on.device)
        for some in np.array_split(np.arange(len(rows)), -(-len(rows) // MOST_ROWS)):
            shares = torch.as_tensor(of.counts[some] / of.counts.sum(), dtype=self._on.dtype, device=self._on.device)
            mean = mean + shares @ self._flat(rows[some])
        return mean

    def _flat(self, values: np.ndarray) -> Tensor:
        with torch.no_grad():
            flat, _ = self.openings.flat(self._recording, self._rows(values))
        return flat

    def _rows(self, values: np.ndarray) -> Tensor:
        return super().inputs(values).to(device=self._on.device, dtype=self._on.dtype)

    @property
    def _on(self) -> Model:
        if self.model is None:
            raise ValueError("a reader of looked up codes before it is put on a model")
        return self.model
