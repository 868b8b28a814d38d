"""What run.json says of a run, as far as its other files must agree with it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from ihcli.errors import IhcliError, RunError
from ihcli.layouts.choosing import require_layout
from ihcli.layouts.columns import known_beside
from ihcli.layouts.layout import Layout
from ihcli.methods import METHODS
from ihcli.quality import (
    COMPLETENESS_GAP,
    INTERACTION_ERROR,
    RELATIVE_ERROR,
    WITHOUT_INTERACTION_ERROR,
    QualityColumn,
    Trait,
    columns_of,
)
from ihcli.runs.info import DONE, RunInfo
from ihcli.runs.names import part_count
from ihcli.runs.storage import InteractionStorage
from ihcli.runs.told import if_told
from ihcli.summaries.ranked import most_error

FLOATS = {"float32": pa.float32(), "float64": pa.float64()}
NEEDED = (
    *("arguments", "model", "data", "baseline", "keys", "method", "target", "dtype", "chunk_rows", "totals"),
    *("features", "smoothing", "groups_sha256"),
)


@dataclass(frozen=True)
class Described:
    """A finished run as run.json tells it.

    layout    of its entries: the features, or the units of texts
    outputs   names of the model's outputs;  target is predicted, all, label or one of them
    tolerance, sampling_share  see `ihcli.integration.effort`
    """

    info: RunInfo
    method: str
    layout: Layout[Any]
    keys: tuple[str, ...]
    target: str
    outputs: tuple[str, ...]
    tolerance: float
    sampling_share: float
    dtype: str
    storage: InteractionStorage
    rows: int
    chunk_rows: int

    @classmethod
    def of(cls, info: RunInfo) -> "Described":
        """Read run.json; raises RunError where the run is not done, or something is not told or cannot be."""
        status = if_told(lambda: info.status)
        if status != DONE:
            raise RunError(f"status {status!r}. Expected {DONE!r}. Try ihcli explain with `resume`")
        untold = [name for name in NEEDED if not info.tells(name)]
        if untold:
            raise RunError(f"lacks {', '.join(untold)}")
        try:
            return cls._of(info)
        except (ValueError, IhcliError) as error:
            raise RunError(f"cannot be understood: {type(error).__name__} {error}") from error

    @classmethod
    def _of(cls, info: RunInfo) -> "Described":
        for name in ("tolerance", "interactions"):  # which have defaults
            if not info.arguments.tells(name):
                raise info.arguments.lacks(name)
        if (tolerance := info.tolerance) is None:
            raise info.lacks("integrals")
        described = cls(
            info=info,
            method=info.method.name,
            layout=require_layout(info.features, info.units),
            keys=info.keys,
            target=info.target,
            outputs=info.model.outputs,
            tolerance=tolerance,
            sampling_share=info.sampling_share,
            dtype=info.dtype,
            storage=InteractionStorage.parse(info.arguments.interactions),
            rows=info.totals.rows,
            chunk_rows=info.chunk_rows,
        )
        if described.method not in METHODS or described.dtype not in FLOATS:
            raise ValueError(f"method {described.method}, dtype {described.dtype}")
        if info.categories is not None and info.categories.vocabulary().sha256 != info.categories.sha256:
            raise ValueError("categories are not those of their SHA-256")
        if described.n_baselines < 1 or not all(map(info.totals.tells, ("entries", "statuses", "evaluations"))):
            raise ValueError("baseline or totals are incomplete")
        return described

    @property
    def second_order(self) -> bool:
        """Whether there are interactions."""
        return METHODS[self.method].second_order

    @property
    def adds_up(self) -> bool:
        """Whether attributions of a row are meant to sum to the difference of the predictions."""
        return METHODS[self.method].adds_up

    @property
    def has_error(self) -> bool:
        """Whether rows report an error."""
        return METHODS[self.method].error_of is not None

    @property
    def unknown(self) -> tuple[str, ...]:
        """The quality columns that are null in every row."""
        there = {RELATIVE_ERROR: self.has_error, INTERACTION_ERROR: self.has_error, COMPLETENESS_GAP: self.adds_up}
        return tuple(name for name, is_there in there.items() if not is_there and name in self.measures)

    @property
    def stores_matrices(self) -> bool:
        """Whether the interactions parts hold whole matrices."""
        return self.second_order and self.storage.kind == "full"

    @property
    def stores_pairs(self) -> bool:
        """Whether the interactions parts hold the largest pairs of every row."""
        return self.second_order and self.storage.kind == "top"

    @property
    def targets_per_row(self) -> int:
        """Entries that each row of the data has."""
        return len(self.outputs) if self.target == "all" else 1

    @property
    def n_baselines(self) -> int:
        """B."""
        return self.info.baseline.rows

    @property
    def n_parts(self) -> int:
        """How many part files there must be."""
        return part_count(self.rows, self.chunk_rows)

    @property
    def float_type(self) -> pa.DataType:
        """Type of attributions and interactions."""
        return FLOATS[self.dtype]

    @property
    def eps(self) -> float:
        """Rounding of the run's dtype."""
        return float(np.finfo(self.dtype).eps)

    @cached_property
    def traits(self) -> frozenset[Trait]:
        """What it is that decides which columns its files have."""
        traits: set[Trait] = {*self.layout.traits}
        if self.second_order and not self.is_of_first_version:
            traits.add("interactions")
        if self.info.smoothing is not None:
            traits.add("smoothed")
        if self.info.baseline.population > self.n_baselines:
            traits.add("subsampled")
        if self.info.imputed is not None:
            traits.add("imputed")
        return frozenset(traits)

    @cached_property
    def columns(self) -> tuple[QualityColumn, ...]:
        """The columns beside the values that its parts have."""
        return columns_of(self.traits)

    @property
    def is_of_first_version(self) -> bool:
        """Whether ihcli 0.1.0 made it, which ranked all rows and knew no error of single interactions."""
        return self.info.versions.ihcli in WITHOUT_INTERACTION_ERROR

    @property
    def most_error(self) -> float | None:
        """The largest error with which rows rank; None where all do."""
        return None if self.is_of_first_version else most_error(self.tolerance, self.info.arguments.steps)

    @property
    def beside_pairs(self) -> tuple[str, ...]:
        """What stands beside the values of the largest pairs of every row."""
        return known_beside(self.traits, self.n_baselines)

    @property
    def measures(self) -> tuple[str, ...]:
        """The quality columns of floats."""
        return tuple(column.name for column in self.columns if column.is_measure)
