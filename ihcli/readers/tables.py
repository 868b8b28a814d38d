"""Rows of a table: inputs of one width, and the same groups and baselines for all."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ihcli.data.baselines import Baselines, Pool, drawn_rows, find_pool, resolve_baselines
from ihcli.data.groups import Groups
from ihcli.data.rows import Rows
from ihcli.data.sampling import AUTO, BASELINE_ROWS, BaselineRows, Sampling
from ihcli.data.survey import Survey
from ihcli.files.fingerprints import values_fingerprint
from ihcli.methods import Method
from ihcli.models.model import Model
from ihcli.readers.encoded import Encoded, Shape
from ihcli.readers.reader import REFINED_BYTES, Load, Reader, TrialRows

CPU_BATCH_BYTES = 64 << 20
"""Larger batches on a CPU are slower (0.54 s against 0.91 at 256 MiB for 32,768 rows of ig) and scatter its memory."""
START, MOST = 50, 2000
"""Baselines that are drawn first, and at most, where their sampling error decides how many."""
HELD_BYTES, DRAWN_BYTES = 1 << 30, 128 << 20
"""Of one row's paths, and of baselines while they are drawn, at most: of wide tables they are fewer. Half of the memory
that a run has by default, and the same on every machine, as all shards of a run draw the same."""
BYTES_OF_VALUE = 16
"""Of a value of a baseline, while it is drawn."""


@dataclass(frozen=True)
class TableReader(Reader):
    """Reads (N, D) numbers; a row with a missing or infinite value has no input.

    rounding  dtype to which numbers are rounded first, None: as they are
    pool      what more baselines can be drawn from, until it is settled how many are enough; None: it is
    """

    groups: Groups
    baselines: Baselines
    rounding: str | None = None
    pool: Pool | None = None

    sample_records: ClassVar[int] = 256
    few_records: ClassVar[int] = 8
    batch_bytes: ClassVar[int] = CPU_BATCH_BYTES

    @property
    def units(self) -> tuple[str, ...]:
        """The features or groups."""
        return self.groups.names

    @property
    def columns(self) -> tuple[str, ...]:
        """The features."""
        return self.groups.inputs

    def encode(self, records: Sequence[Any] | np.ndarray) -> Encoded:
        """Mark the complete rows."""
        rows = np.asarray(records)
        return Encoded(rows, ((rows.shape[1],),), np.where(np.isfinite(rows).all(axis=1), 0, -1))

    def inputs(self, some: np.ndarray) -> Tensor:
        """Return the rows."""
        return torch.as_tensor(some if self.rounding is None else some.astype(self.rounding))

    def baseline(self, some: np.ndarray) -> Tensor:
        """Return the baselines, (B, D)."""
        return self.inputs(self.baselines.values)

    def owners(self, some: np.ndarray) -> np.ndarray | None:
        """Return the group of every feature, (D,), or None."""
        return self.groups.index

    def members(self, features: Sequence[str]) -> dict[str, tuple[str, ...]] | None:
        """Return the features of each group."""
        return {name: tuple(found) for name, found in self.groups.members(features).items()} or None

    @property
    def n_baselines(self) -> int:
        """B."""
        return len(self.baselines.values)

    @property
    def population(self) -> int:
        """Rows of the table that the baselines stand for."""
        return self.baselines.population

    def with_one_baseline(self) -> "TableReader":
        """Return the same with the first baseline."""
        return replace(self, baselines=replace(self.baselines, values=self.baselines.values[:1]))

    def starting_from(self, baselines: Baselines) -> "TableReader":
        """Return the same with these baselines, and no others to draw."""
        return replace(self, baselines=baselines, pool=None)

    @property
    def sampling(self) -> Sampling | None:
        """How many baselines were found enough."""
        return self.baselines.sampling

    def warnings(self, sample: Encoded) -> Iterator[str]:
        """Yield how far the baselines are from a tolerance that they miss."""
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
        return {
            "features": list(self.units),
            "baseline": {
                "source": self.baselines.source,
                "rows": self.n_baselines,
                "population": self.population,
                "sha256": values_fingerprint(self.baselines.values),
            },
        }

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


@dataclass(frozen=True)
class TableQuestion:
    """What is asked of a table beside the model and the method's settings.

    baseline, many, seed  see `resolve_baselines`
    baseline_rows  its `limit_rows`, or "auto"
    groups    of its features
    limit     only so many rows, the first ones, are explained; None: all. Baselines are of all the data
    settled   what a run that goes on, or another shard of it, found out of "auto"
    """

    baseline: str | np.ndarray | None
    many: bool
    groups: Groups
    baseline_rows: BaselineRows = BASELINE_ROWS
    seed: int = 0
    limit: int | None = None
    settled: Sampling | None = None

    def survey(self, rows: Rows, least: int = TableReader.sample_records) -> Survey:
        """Scan the rows to explain and draw what explaining needs of them, at least so many, in one pass."""
        drawn = drawn_rows(self.baseline, self.many, self.most_rows(rows))
        return rows.survey(max(least, drawn), self.seed, self.limit)

    def reader(self, model: Model, rows: Rows, survey: Survey) -> TableReader:
        """Resolve the baselines of the rows that were surveyed; raises what `resolve_baselines` raises.

        Of "auto" they are the first ones, until `ihcli.explainers.sampling.settle_baselines` is asked.
        """
        surveyed, most = survey if self.limit is None else None, self.most_rows(rows)
        if self.baseline_rows == AUTO:
            pool = find_pool(self.baseline, rows, surveyed, most, self.seed, auto=True)
            if self.settled is not None:
                return TableReader(self.groups, pool.settled(self.settled))
            return TableReader(self.groups, pool.first(START), pool=pool)
        baselines = resolve_baselines(
            self.baseline,
            many=self.many,
            dataset=rows,
            survey=surveyed,
            zero=_zero(model, rows.columns.features),
            limit_rows=most,
            seed=self.seed,
        )
        return TableReader(self.groups, baselines)

    def most_rows(self, rows: Rows) -> int:
        """Return how many baselines may be drawn."""
        if self.baseline_rows != AUTO:
            return self.baseline_rows
        if self.settled is not None:
            return self.settled.rows
        held = HELD_BYTES // (REFINED_BYTES * len(self.groups.names))
        drawn = DRAWN_BYTES // (BYTES_OF_VALUE * len(rows.columns.features))
        return min(MOST, max(BASELINE_ROWS, min(held, drawn)))


def _zero(model: Model, features: tuple[str, ...]) -> tuple[float, ...] | None:
    """Return the model's zero in the order of the features."""
    if model.zero is None or model.feature_names is None or set(model.feature_names) != set(features):
        return model.zero
    of_name = dict(zip(model.feature_names, model.zero, strict=True))
    return tuple(of_name[name] for name in features)
