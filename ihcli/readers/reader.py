"""The protocol of readers: what explaining asks of a kind of record, and nothing else."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from ihcli.data.drawing import Baselines, Pool
from ihcli.data.sampling import Sampling
from ihcli.data.thinning import Balance
from ihcli.derivatives import FEW_GROUPS
from ihcli.errors import DataError, OptionError
from ihcli.methods import Method, partner
from ihcli.models.model import Model
from ihcli.readers.encoded import Encoded, Shape

REFINED_BYTES, SMOOTH_BYTES = 1024, 64
"""For a path and group: what panels or kinks hold while they are refined, of hard networks, and where that is seldom.
Measured of networks with ReLUs: 800 bytes under eh at 79 evaluations a path, 850 to 1,600 under eg and ig."""
KEPT_MATRICES = 4
"""Of a path with few groups: its panels' matrices, and their sums."""


@dataclass(frozen=True)
class Load:
    """What decides how much memory a record holds while it is explained, beside its shape.

    itemsize      bytes of a number
    second_order  whether there are matrices
    refined       whether panels or kinks are refined more than seldom
    sampled       whether the spread of matrices over baselines is taken as well: squares, spread, and what makes it
    core_width    m where matrices stay products of (m, G) and smaller ones; None: they are whole
    """

    itemsize: int
    second_order: bool
    refined: bool
    sampled: bool = False
    core_width: int | None = None

    def entry_bytes(self, n_groups: int) -> int:
        """Return what the figures of one explained entry hold."""
        if self.second_order and self.core_width is not None:
            figures = (
                2 * self.core_width * n_groups + self.core_width**2 + 4 * n_groups
            )  # two maps, one of them carried
        else:
            figures = ((4 if self.sampled else 1) if self.second_order else 0) * n_groups**2 + n_groups
        return self.itemsize * figures + 200

    def path_bytes(self, n_groups: int) -> int:
        """Return what is kept of a path while it is refined."""
        matrices = KEPT_MATRICES * n_groups * self.itemsize if self.second_order and n_groups <= FEW_GROUPS else 0
        return n_groups * ((REFINED_BYTES if self.refined else SMOOTH_BYTES) + matrices)


@dataclass(frozen=True)
class TrialRows:
    """Real records that a model is tried on before it explains others.

    batches  flat inputs (n, D), each of one D: the first ones of the first batch are called again and again
    few      values of records of one shape, to which paths are tried
    """

    batches: tuple[Tensor, ...]
    few: np.ndarray


@dataclass(frozen=True)
class Compared:
    """Baselines that are rows, as the data have them: (B, C), and which columns are numbers that can be compared."""

    rows: np.ndarray
    columns: np.ndarray
    names: Sequence[str]


class Reader(ABC):
    """How one kind of record becomes inputs that gates open, and where the paths to it start.

    A reader must say five things: `units`, `encode`, `inputs`, `baseline` and, where the model does not take inputs as
    they come flat, `outputs`. All else has an answer that a reader gives better where it can. `some` are values of
    `Encoded`, of records of one shape; arrays and tensors come in any floating dtype, on any device.

    sample_records   how many of a sample the checks before a run take;  like_records  of one shape at most
    few_records      those to which paths are tried
    batch_bytes      most that a batch of an engine may hold on a CPU, whatever the memory
    unlike_chain     why no closed form is looked for, which keeps every array of a forward; empty: it is
    looks_for_kinks  whether kinks are looked for also where no operation hints at one
    nothing_found    what to say where no record of a sample has an input
    """

    sample_records: ClassVar[int] = 64
    like_records: ClassVar[int] = 8
    few_records: ClassVar[int] = 2
    batch_bytes: ClassVar[int] = 256 << 20
    unlike_chain: ClassVar[str] = ""
    looks_for_kinks: ClassVar[bool] = True
    nothing_found: ClassVar[str] = "records: none of a sample has any input. Expected one at least."

    # What a reader must say

    @property
    def units(self) -> tuple[str, ...] | None:
        """Names of the G groups where these are the same for all records; None: each record has units of its own."""
        return None

    @abstractmethod
    def encode(self, records: Sequence[Any] | np.ndarray) -> Encoded:
        """Encode records as they come from the data; those without input are marked so."""

    @abstractmethod
    def inputs(self, some: np.ndarray) -> Tensor:
        """Return the inputs at the ends of the paths, (n, D)."""

    @abstractmethod
    def baseline(self, some: np.ndarray) -> Tensor:
        """Return where the paths start: (B, D) for all records alike, or (n, B, D)."""

    def outputs(self, module: nn.Module, flat: Tensor) -> Tensor:
        """Return the model's outputs at points of paths, flat (P, D)."""
        outputs: Tensor = module(flat)
        return outputs

    # Groups

    def owners(self, some: np.ndarray) -> np.ndarray | None:
        """Return the group of every input, (D,) or (n, D) int64; None: each input is a group of its own."""
        return None if self.units is not None else np.stack([record.owner for record in some])

    def own_units(self, some: np.ndarray) -> list[tuple[str, ...]]:
        """Return the units of each record, where these are its own."""
        return [record.units for record in some]

    def truncated(self, some: np.ndarray) -> np.ndarray:
        """Return which records go on beyond what the model takes, (n,) bool, where units are their own."""
        return np.array([record.truncated for record in some], dtype=bool)

    @property
    def imputes(self) -> bool:
        """Whether the model fills missing numbers of records itself."""
        return False

    def imputed(self, some: np.ndarray) -> np.ndarray:
        """Return how many missing numbers of each record the model fills itself, (n,) int32."""
        return np.zeros(len(some), np.int32)

    def members(self, features: Sequence[str]) -> Mapping[str, tuple[str, ...]] | None:
        """Return the features of each group that is more than one feature; None where there are no features."""
        return None

    @property
    def columns(self) -> Sequence[str | None] | None:
        """Names of the D inputs, where these are something that a record has; None where they are not, as embeddings.

        A model may read such an input in a way that no gradient reaches, which is looked for; but not of inputs without
        a name, which are the same at both ends of every path.
        """
        return None

    @property
    def is_open(self) -> Tensor | None:
        """Which of the D inputs move along paths, (D,) bool; None: all. The others have no name in `columns`."""
        names = self.columns
        return None if names is None or None not in names else torch.tensor([name is not None for name in names])

    @property
    def repays_choosing(self) -> bool:
        """Whether there are so many records of one shape that it pays to find out how their paths begin at best."""
        return False

    # Baselines

    @property
    def n_baselines(self) -> int:
        """B, the same for all records."""
        return 1

    @property
    def population(self) -> int:
        """How many baselines there were to draw these B from."""
        return self.n_baselines

    @property
    def balance(self) -> Balance | None:
        """How the baselines stand to the rows drawn at random that they were thinned from; None: they were not."""
        return None

    @property
    def sampling(self) -> Sampling | None:
        """How many baselines were found enough; None where somebody said how many."""
        return None

    @property
    def pool(self) -> Pool | None:
        """What more baselines can be drawn from, until it is settled how many are enough; None: it is."""
        return None

    def compared(self) -> Compared | None:
        """Return the baselines beside which rows of the data can be set; None where they are none."""
        return None

    def starting_from(self, baselines: Baselines) -> Self:
        """Return the same reader with these baselines, where there is a pool of them."""
        return self

    def with_few_baselines(self, n: int) -> Self:
        """Return the same reader with the first n of its baselines, at least one, to try something with them."""
        return self

    # The model, and checks before a run

    def called(self, model: Model) -> Model:
        """Return the model as it takes one matrix, where records reach it in another form."""
        return model

    def on(self, model: Model) -> Self:
        """Return this reader for a model; raises ModelError where it reads nothing that the model takes."""
        return self

    def opened(self, model: Model) -> Model | None:
        """Return the model as a function of flat inputs; None where it is, or `outputs` makes it one."""
        return None

    def whole(self) -> Self:
        """Return this reader with units that can stand alone: words, where it cuts these into tokens."""
        return self

    def check(self, method: Method) -> None:
        """Raise OptionError where a method averages over baselines, of which there is one."""
        if method.many_baselines and self.n_baselines == 1:
            raise OptionError(
                f"`method={method.name}`: averages over many baselines, and these records have one. "
                f"Try `method={partner(method, many_baselines=False).name}`."
            )

    def trial(self, sample: Encoded) -> TrialRows:
        """Return what a model is tried on: the smallest records first, as large ones can need a GiB for each.

        Raises DataError where no record of the sample has inputs.
        """
        alike = [places for _, places in sample.alike()]
        if not alike:
            raise DataError(self.nothing_found)
        few = sample.values[alike[0][: self.few_records]]
        alike.sort(key=lambda places: int(places[0]))
        batches = (self.inputs(sample.values[places[: self.like_records]]) for places in alike)
        return TrialRows((self.inputs(few), *batches), few)

    def warnings(self, sample: Encoded) -> Iterator[str]:
        """Yield what a user should know of a sample of records before trusting anything."""
        yield from ()

    def settled(self) -> Iterator[str]:
        """Yield what nobody said and is settled before records are explained, as how many baselines are drawn."""
        if self.sampling is not None:
            yield self.sampling.in_words()

    def description(self) -> Mapping[str, Any]:
        """Return what run.json says of features and baselines."""
        rows = {"rows": self.n_baselines, "population": self.population}
        features = None if self.units is None else list(self.units)
        return {"features": features, "baseline": {"source": type(self).__name__} | rows}

    def rounded(self, dtype: str) -> Self:
        """Return the same reader of numbers as a run in that dtype saw them."""
        return self

    # Memory

    def held_bytes(self, shape: Shape, load: Load) -> int:
        """Return about what panels and matrices of one entry hold while it is explained."""
        d = math.prod(shape)
        g = d if self.units is None else len(self.units)
        inputs = (4 * load.itemsize + 8) * d
        return inputs + self.n_baselines * load.path_bytes(g) + load.entry_bytes(g)

    def row_bytes(self, n_groups: int, targets: int, load: Load) -> int:
        """Return about what one record and its explanation hold once it is explained, or more."""
        return targets * load.entry_bytes(n_groups)


def require_reader(reader: object) -> None:
    """Raise DataError for what is not a reader."""
    if not isinstance(reader, Reader):
        raise DataError(f"reader: not a reader. Expected an ihcli.readers.Reader, got {type(reader).__name__}.")
