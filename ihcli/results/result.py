"""Results of a run, read back: tables of everything, single records, and arrays of interactions on demand."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ihcli.errors import OptionError, RunError
from ihcli.files.locations import Location
from ihcli.layouts.columns import holds_top_pairs
from ihcli.layouts.layout import Layout
from ihcli.layouts.tables import matrices
from ihcli.quality import ATTRIBUTIONS, INTERACTIONS, PREDICTION, ROW, TARGET
from ihcli.results.model_quality import ModelQuality, model_quality
from ihcli.results.records import Record, record_of, stored_interactions
from ihcli.runs.files import PART, require_types
from ihcli.runs.info import DONE, RunInfo
from ihcli.runs.run import Run, open_run
from ihcli.wording import listed

if TYPE_CHECKING:
    import pandas as pd

IDENTITY = (ROW, TARGET)
NAMED_ROWS = 5  # in a message


@dataclass(frozen=True)
class Result:
    """A run to look at; everything is read when it is asked for, and nothing but what is asked for.

    run  the files
    """

    run: Run

    def __repr__(self) -> str:
        return f"Result({str(self.path)!r})"

    @property
    def path(self) -> Location:
        """The directory."""
        return self.run.path

    @property
    def info(self) -> dict[str, Any]:
        """The content of run.json, as it stands there."""
        return self.run.info.content()

    @property
    def told(self) -> RunInfo:
        """What run.json tells, by name; asking for what it does not tell raises RunError."""
        return self.run.info

    @property
    def method(self) -> str:
        """Name of the method: ig, eg, ih or eh."""
        return self.told.method.name

    @property
    def layout(self) -> Layout[Any]:
        """How its entries are laid out."""
        return self.run.layout

    @property
    def is_text(self) -> bool:
        """Whether texts were explained: every row has units of its own instead of the run's features."""
        return not self.layout.is_aligned

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The G features or groups; empty for texts."""
        return self.told.feature_names

    @property
    def keys(self) -> tuple[str, ...]:
        """The key columns."""
        return self.told.keys

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """The explained outputs of which there are values, in the order in which they appear."""
        if self.run.status == DONE:
            return self.run.targets()
        entries = self.run.attributions([TARGET, PREDICTION])
        return tuple(entries.filter(entries[PREDICTION].is_valid())[TARGET].unique().to_pylist())

    @cached_property
    def n_rows(self) -> int:
        """How many rows of the data are explained; of a run that did not finish, those of its finished parts."""
        info = self.run.info
        return info.totals.rows if info.tells("totals") else self.run.attribution_parts.n_rows

    @property
    def stores_matrices(self) -> bool:
        """Whether the interactions of single rows are there, whole."""
        parts = self.run.interaction_parts
        return bool(parts.files) and not holds_top_pairs(parts.schema.field(INTERACTIONS).type)

    def entries(self, columns: Sequence[str] | None = None, rows: Sequence[int] | None = None) -> Iterator[pa.Table]:
        """Give the attributions parts in their order, or some columns and rows of them, a row group at a time."""
        return self.run.attribution_parts.stream(columns, rows)

    def interaction_entries(
        self, columns: Sequence[str] | None = None, rows: Sequence[int] | None = None
    ) -> Iterator[pa.Table]:
        """Give the interactions parts so; nothing where none are stored."""
        return self.run.interaction_parts.stream(columns, rows) if self.run.has_interactions else iter(())

    def summary_attributions(self) -> pa.Table:
        """Return the ranked features of every target; raises RunError where the run did not finish."""
        return self.run.summary_attributions()

    def summary_interactions(self) -> pa.Table:
        """Return the ranked pairs of every target; raises RunError where the run has none or did not finish."""
        return self.run.summary_interactions()

    @property
    def attributions(self) -> "pd.DataFrame":
        """All entries: identity, quality and one column per feature; of texts the lists `units` and `attributions`.

        Read anew at every access. Memory: all of it.
        """
        table = self.run.attributions()
        frame = table.to_pandas()
        for name in self.layout.columns:
            if pa.types.is_list(table[name].type):
                frame[name] = table[name].to_pylist()
        return frame

    @property
    def attribution_summary(self) -> "pd.DataFrame":
        """Ranked features of every target; raises RunError where the run did not finish."""
        return self.summary_attributions().to_pandas()

    @property
    def interaction_summary(self) -> "pd.DataFrame":
        """Ranked pairs of every target, of wide tables the largest; see `ihcli.summaries.rest`.

        Raises RunError where the run has none or did not finish.
        """
        return self.summary_interactions().to_pandas()

    @property
    def model_quality(self) -> ModelQuality:
        """What rows show of the model, and how the explanation is spread; raises RunError as a summary does."""
        return model_quality(self.run)

    def record(
        self, row: int | None = None, *, key: Mapping[str, Any] | None = None, target: str | int | None = None
    ) -> Record:
        """Return one entry, by the index of its row or by its keys; reads the row groups that hold it.

        Parameters:
            key: value of each key column that tells the row.
            target: may be left out where the row has one.

        Raises OptionError where no entry, or more than one, is meant.
        """
        found = self.records(row, key=key, target=target)
        if len(found) > 1:
            names = [record.target for record in found]
            raise OptionError(
                f"`target`: row {found[0].row} has {len(found)} targets. Expected one of {listed(names)}. "
                f"Try `target={names[0]}`."
            )
        return found[0]

    def records(
        self, row: int | None = None, *, key: Mapping[str, Any] | None = None, target: str | int | None = None
    ) -> tuple[Record, ...]:
        """Return the entries of one row, one for every target, or only that of `target`; see `record`."""
        row, target = self.row_of(row, key), self.target_named(target)
        found = self.records_of([row]).get(row, ())
        if not found:
            raise OptionError(f"`row={row}`: there is no such row. Expected 0 to {self.n_rows - 1}.")
        chosen = tuple(record for record in found if target in (None, record.target))
        if not chosen:
            names = ", ".join(str(record.target) for record in found)
            raise OptionError(f"`target`: row {row} has no target {target!r}. Expected {names}.")
        return chosen

    def records_of(self, rows: Sequence[int]) -> dict[int, tuple[Record, ...]]:
        """Return the entries of some rows, by row, one for every target; rows that are not there have none."""
        table, found = self.run.attributions(rows=rows), dict[int, tuple[Record, ...]]()
        require_types(self.path / ATTRIBUTIONS, table, PART, [*self.keys, *self.layout.columns])
        stored = {}
        if self.run.has_interactions:
            stored = stored_interactions(self.run.interactions(rows=rows), self.layout)
        for entry in table.to_pylist():
            values = stored.get((entry[ROW], entry[TARGET]), {})
            record = record_of(entry, keys=self.keys, layout=self.layout, **values)
            found[entry[ROW]] = (*found.get(entry[ROW], ()), record)
        return found

    def interactions(self, row: int, target: str | int | None = None) -> np.ndarray:
        """Return the (G, G) interactions of one row; raises RunError where the run stores no matrices."""
        return self.matrix_of(self.record(row, target=target))

    def interaction_array(self, rows: Sequence[int] | None = None, target: str | int | None = None) -> np.ndarray:
        """Return (N, G, G) interactions of a table in the dtype of the run, NaN for rows without values.

        Memory: N G^2 numbers, and one row group. Raises RunError for texts, whose rows differ in size, and where the
        run stores no matrices; OptionError for rows that are not there, and for several targets of a row.

        Parameters:
            rows: which rows of the data, in this order and each once; None: all that have the target, in file order.
            target: may be left out where every row has one.
        """
        self._require_matrices()
        n_features = len(self.layout.require_features(self.path, "which differ in size. Try interactions(row)."))
        target = self.target_named(target)
        position, array = self.positions(rows, target), None
        for table in self.run.interaction_parts.stream([*IDENTITY, INTERACTIONS], rows):
            places = np.array([position.get(row, -1) for row in table[ROW].to_pylist()])
            mask = (places >= 0) & has_target(table, target)
            values = matrices(table[INTERACTIONS], n_features)
            if array is None:
                array = np.full((len(position), n_features, n_features), np.nan, values.dtype)
            array[places[mask]] = values[mask]
        return np.empty((0, n_features, n_features)) if array is None else array

    def row_of(self, row: int | None = None, key: Mapping[str, Any] | None = None) -> int:
        """Return the index of the row that an index or a key means; raises OptionError where it is not one."""
        key = key or {}
        if (row is None) == (not key):
            raise OptionError("`row`, `key`: exactly one of both selects the row. Try `row=0`.")
        if row is not None:
            return int(row)
        for name in key:
            if name not in self.keys:
                known = ", ".join(self.keys) or "none: the run was made without `key`"
                raise OptionError(f"`key={name}`: {self.path} has no such key column. Expected one of {known}.")
        rows = self.run.attribution_parts.rows_where(key)
        if len(rows) == 1:
            return rows[0]
        shown = ", ".join(f"{name}={value}" for name, value in key.items())
        if not rows:
            raise OptionError(f"`key={shown}`: no row of {self.path} has it.")
        places = ", ".join(map(str, rows[:NAMED_ROWS])) + (", ..." if len(rows) > NAMED_ROWS else "")
        raise OptionError(
            f"`key={shown}`: {len(rows)} rows of {self.path} have it: {places}. Expected one. Try `row={rows[0]}`."
        )

    def matrix_of(self, record: Record) -> np.ndarray:
        """Return the (G, G) interactions of a record; raises RunError where there are none."""
        self._require_matrices()
        if record.interactions is None:
            raise RunError(f"{self.path}: row {record.row} has no values, its status is {record.quality['status']}.")
        return record.interactions

    def _require_matrices(self) -> None:
        self.run.require_pairs(of_rows=True)
        field = self.run.interaction_parts.schema.field(INTERACTIONS)
        if holds_top_pairs(field.type):
            raise RunError(
                f"{self.path}: stores the largest pairs of every row only. Expected whole matrices. "
                "Try ihcli explain with `interactions=full`."
            )

    def target_named(self, target: str | int | None) -> str | None:
        """Return the name of a target that may be told by its index among the outputs, as `ihcli.explain` takes it."""
        if target is None or isinstance(target, str):
            return target
        outputs = self.run.info.model.outputs
        is_one = isinstance(target, int | np.integer) and not isinstance(target, bool) and 0 <= target < len(outputs)
        return outputs[int(target)] if is_one else str(target)

    def positions(self, rows: Sequence[int] | None, target: str | None) -> dict[int, int]:
        """Return where each row goes; raises OptionError for rows not there or with several targets."""
        if target is not None and target not in self.targets:
            raise OptionError(
                f"`target`: {self.path} has no target {target!r}. Expected one of {listed(self.targets)}."
            )
        entries = self.run.attributions(list(IDENTITY), rows)
        found = entries.filter(pa.array(has_target(entries, target)))[ROW].to_pylist()
        if len(set(found)) < len(found):
            raise OptionError(
                f"`target`: rows have several targets. Expected one of {listed(self.targets)}. "
                f"Try `target={self.targets[0]}`."
            )
        if missing := set(rows or ()) - set(found):
            raise OptionError(f"rows: {self.path} has no row {min(missing)}. Expected 0 to {self.n_rows - 1}.")
        return {int(row): place for place, row in enumerate(found if rows is None else dict.fromkeys(rows))}


def read(path: str | Location, *, all_rows: bool = False) -> Result:
    """Open a run directory to look at its results; raises RunError where the path is not one.

    Parameters:
        all_rows: whether rankings shall be over all rows; else those whose errors are beyond ten tolerances do not
            rank, and the column `left_out` of a summary says how many these are.
    """
    return Result(open_run(path, all_rows=all_rows))


def has_target(table: pa.Table, target: str | None) -> np.ndarray:
    """Return which entries are of a target, (n,) bool; None: all."""
    if target is None:
        return np.ones(table.num_rows, dtype=bool)
    return pc.fill_null(pc.equal(table[TARGET], target), False).to_numpy()
