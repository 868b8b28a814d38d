"""Rows of a table: inputs of one width, and the same groups and baselines for all."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ihcli.data.drawing import Baselines, Pool
from ihcli.data.fills import Filled, Fills, filled_in_words
from ihcli.data.groups import Groups
from ihcli.data.sampling import Sampling
from ihcli.data.thinning import Balance
from ihcli.files.fingerprints import values_fingerprint
from ihcli.methods import Method
from ihcli.models.model import Model
from ihcli.models.signatures import Signature
from ihcli.readers.encoded import Encoded, Shape
from ihcli.readers.reader import Compared, Load, Reader, TrialRows

CPU_BATCH_BYTES = 64 << 20
"""Larger batches on a CPU are slower (0.54 s against 0.91 at 256 MiB for 32,768 rows of ig) and scatter its memory."""

MANY_UNITS = 10
REPAYS, REPAYS_FEW_UNITS = 256, 2_048
"""Rows: choosing takes what 20 to 70 rows of many units take, and 200 of 5 units, and saves an eighth to a half."""


@dataclass(frozen=True)
class TableReader(Reader):
    """Reads (N, D) numbers; a row with an infinite value, or a missing one that no imputer fills, has no input.

    rounding  dtype to which numbers are rounded first, None: as they are
    pool      what more baselines can be drawn from, until it is settled how many are enough; None: it is
    fills     what the model's own imputer puts in the place of missing numbers
    filled    what of the rows it fills
    signature  how columns reach the model; None: as one matrix
    n_rows     complete rows there are to explain, where that is known
    """

    groups: Groups
    baselines: Baselines
    rounding: str | None = None
    pool: Pool | None = None
    fills: Fills | None = None
    filled: tuple[Filled, ...] = ()
    signature: Signature | None = None
    n_rows: int = 0

    sample_records: ClassVar[int] = 256
    few_records: ClassVar[int] = 8
    batch_bytes: ClassVar[int] = CPU_BATCH_BYTES

    @property
    def units(self) -> tuple[str, ...]:
        """The features or groups."""
        return self.groups.names

    @property
    def columns(self) -> Sequence[str | None]:
        """The features."""
        return self.groups.inputs

    def called(self, model: Model) -> Model:
        """Return the model as it takes rows of the table."""
        return model if self.signature is None else self.signature.applied(model)

    def encode(self, records: Sequence[Any] | np.ndarray) -> Encoded:
        """Mark the complete rows."""
        rows = np.asarray(records)
        filled = rows if self.fills is None else self.fills.filled(rows)
        return Encoded(rows, ((rows.shape[1],),), np.where(np.isfinite(filled).all(axis=1), 0, -1))

    def inputs(self, some: np.ndarray) -> Tensor:
        """Return the rows, what is missing as the model's own imputer fills it."""
        some = some if self.fills is None else self.fills.filled(some)
        return torch.as_tensor(some if self.rounding is None else some.astype(self.rounding))

    def baseline(self, some: np.ndarray) -> Tensor:
        """Return the baselines, (B, D)."""
        return self.inputs(self.baselines.values)

    def owners(self, some: np.ndarray) -> np.ndarray | None:
        """Return the group of every feature, (D,), or None."""
        return self.groups.index

    @property
    def imputes(self) -> bool:
        """Whether the model has an imputer of numbers."""
        return self.fills is not None

    def imputed(self, some: np.ndarray) -> np.ndarray:
        """Return how many numbers of each row the model's imputer fills."""
        where = np.zeros(some.shape, bool) if self.fills is None else self.fills.where(some)
        return where.sum(axis=1, dtype=np.int32)

    def members(self, features: Sequence[str]) -> dict[str, tuple[str, ...]] | None:
        """Return the features of each group."""
        return {name: tuple(found) for name, found in self.groups.members(features).items()} or None

    @property
    def repays_choosing(self) -> bool:
        """Whether rows are many enough that it pays to find out with how many nodes paths begin."""
        return self.n_rows >= (REPAYS if len(self.units) >= MANY_UNITS else REPAYS_FEW_UNITS)

    @property
    def n_baselines(self) -> int:
        """B."""
        return len(self.baselines.values)

    @property
    def population(self) -> int:
        """Rows of the table that the baselines stand for."""
        return self.baselines.population

    @property
    def balance(self) -> Balance | None:
        """How the baselines stand to the rows that they were thinned from; None: they were not."""
        return self.baselines.balance

    def with_few_baselines(self, n: int) -> "TableReader":
        """Return the same with the first n baselines."""
        return replace(self, baselines=replace(self.baselines, values=self.baselines.values[:n]))

    def compared(self) -> Compared | None:
        """Return the baselines, and all columns."""
        values = self.baselines.values
        return Compared(values, np.arange(values.shape[1]), self.groups.inputs)

    def starting_from(self, baselines: Baselines) -> "TableReader":
        """Return the same with these baselines, and no others to draw."""
        return replace(self, baselines=baselines, pool=None)

    @property
    def sampling(self) -> Sampling | None:
        """How many baselines were found enough."""
        return self.baselines.sampling

    def warnings(self, sample: Encoded) -> Iterator[str]:
        """Yield what the model's imputer fills, and how far the baselines are from a tolerance that they miss."""
        if self.filled:
            yield filled_in_words(self.filled)
        shortfall = None if self.sampling is None else self.sampling.shortfall()
        if shortfall is not None:
            yield shortfall

    def check(self, method: Method) -> None:
        """Do nothing: baselines were resolved for the method."""

    def trial(self, sample: Encoded) -> TrialRows:
        """Return the sample as one batch."""
        return TrialRows((self.inputs(sample.values),), sample.values[: self.few_records])

    def description(self) -> dict[str, Any]:
        """Return what run.json says of features and baselines."""
        fills = {} if self.fills is None else {"imputed": self.fills.described()}
        baseline = {
            "source": self.baselines.source,
            "rows": self.n_baselines,
            "population": self.population,
            "sha256": values_fingerprint(self.baselines.values),
        }
        thinned = {} if self.balance is None else {"drawn_from": self.balance.rows}
        return fills | {"features": list(self.units), "baseline": baseline | thinned}

    def rounded(self, dtype: str) -> "TableReader":
        """Return the same for numbers rounded to a dtype."""
        return replace(self, rounding=dtype)

    def held_bytes(self, shape: Shape, load: Load) -> int:
        """Return about what panels and matrices of an entry hold; inputs are few beside them."""
        g = len(self.units)
        return self.n_baselines * load.path_bytes(g) + load.entry_bytes(g)

    def row_bytes(self, n_groups: int, targets: int, load: Load) -> int:
        """Return what a row and its explanation hold."""
        return targets * load.entry_bytes(n_groups) + 8 * self.baselines.values.shape[1]


def fills_of(model: Model, features: Sequence[str]) -> Fills | None:
    """Return what a model's imputer puts into the features, in their order."""
    if model.fills is None:
        return None
    return Fills.of(features, [model.fills[place] for place in model.order_of(features)])
