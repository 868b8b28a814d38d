"""How an explanation in memory came about: what run.json would tell of it, and what it was made from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from ihcli.files.fingerprints import Snapshot, path_fingerprint
from ihcli.files.locations import Location
from ihcli.runs.info import RunInfo
from ihcli.runs.told import UNTOLD
from ihcli.vocabulary import Vocabulary

IN_MEMORY = "(in memory)"
"""In run.json, in the place of the path of what lay in no file."""


@dataclass(frozen=True, eq=False)
class Provenance:
    """What a run of the same would be made from.

    info        its run.json, but for what is only known of files
    rows        (N, D) numbers or texts that were explained, under their `names`; None: records of a kind of one's own
    vocabulary  what codes among the numbers stand for
    labels      (N,) of the rows, where there are any;  label is the name of their column
    baseline    (B, D) that was given as numbers;  starts are those that paths began at, where they are rows
    groups      features of each group, as they were given
    layer_names  of what the layers give, as they were given
    model_files  of a model that was read, as they were when it explained
    wall_s      seconds that explaining took
    """

    info: RunInfo
    rows: np.ndarray | None
    names: tuple[str, ...] = ()
    vocabulary: Vocabulary | None = None
    labels: np.ndarray | None = None
    label: str = "label"
    baseline: np.ndarray | None = None
    starts: np.ndarray | None = None
    groups: Mapping[str, tuple[str, ...]] | None = None
    layer_names: tuple[str, ...] | None = None
    model: Location | None = None
    model_files: Snapshot | None = None
    wall_s: float = 0.0

    def table(self) -> pa.Table | None:
        """Return the rows as a file holds them: categories as what they are, labels beside them; None without rows."""
        if self.rows is None:
            return None
        columns = self._columns(self.rows)
        if self.labels is not None:
            columns[self.label] = _column(self.labels)
        return pa.table(columns)

    def baseline_table(self) -> pa.Table | None:
        """Return the baselines that were given as numbers."""
        return None if self.baseline is None else pa.table(self._columns(self.baseline))

    def of_rows(self, rows: np.ndarray) -> "Provenance":
        """Return this of some of the rows; baselines that were of all of them are then given as numbers."""
        if self.rows is None:
            return self
        labels = None if self.labels is None else self.labels[rows]
        return replace(
            self, rows=self.rows[rows], labels=labels, baseline=self.baseline if self.starts is None else self.starts
        )

    def told_of_model(self) -> RunInfo:
        """Return run.json with the SHA-256 of the model's file, where it is what it was."""
        info = self.info
        if self.model is None or self.model_files is None or self.model_files.changed():
            return info.but(model=info.model.but(sha256=UNTOLD))
        return info.but(model=info.model.but(sha256=path_fingerprint(self.model)))

    def _columns(self, values: np.ndarray) -> dict[str, pa.Array]:
        known = {} if self.vocabulary is None else self.vocabulary.values
        found = {}
        for place, name in enumerate(self.names):
            column = values[:, place]
            if name in known:
                found[name] = _values(column, known[name])
            else:
                found[name] = pa.array(column if column.dtype == object else column.astype(np.float64))
        return found


def _values(codes: np.ndarray, values: tuple[Any, ...]) -> pa.Array:
    """Return what codes stand for; those beyond the values are of none that is known, and missing."""
    known = [values[int(code)] if np.isfinite(code) and code < len(values) else None for code in codes]
    return _column(np.array([*known, None], object)[:-1])


def _column(values: np.ndarray) -> pa.Array:
    """Return values of Python as a column, those of several types as text."""
    try:
        return pa.array(values.tolist())
    except (pa.ArrowException, TypeError, ValueError):
        return pa.array([None if value is None else str(value) for value in values])
