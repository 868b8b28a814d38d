"""Rows that a picture draws: a seeded choice of the explained ones, and what part files hold of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ihcli.errors import RunError
from ihcli.layouts.tables import matrices
from ihcli.quality import BASELINE_PREDICTION, INTERACTIONS, PREDICTION, ROW, STATUS, TARGET, has_values
from ihcli.results.contrasting.blocks import Block
from ihcli.results.contrasting.effects import OF, PAIR, Effects
from ihcli.results.result import Result

MATRIX_BYTES = 512 << 20  # of all matrices read for one picture


@dataclass(frozen=True)
class DrawnRows:
    """Rows of one target.

    rows        (n,) indices in the data, ascending
    population  explained rows among which they were chosen
    left_out    rows without values
    seed        of the choice
    """

    rows: np.ndarray
    population: int
    left_out: int
    seed: int

    def footnotes(self) -> list[str]:
        """Return what the reader of a picture has to know of its rows."""
        notes = []
        if len(self.rows) < self.population:
            notes.append(f"{len(self.rows):,} of {self.population:,} rows are drawn, chosen with seed {self.seed}.")
        if self.left_out:
            notes.append(f"{self.left_out:,} rows without values are left out.")
        return notes


def sample_rows(result: Result, target: str, most: int, seed: int) -> DrawnRows:
    """Choose up to `most` explained rows of a target; reads three columns of the parts, a row group at a time."""
    found, left_out = [], 0
    for table in result.entries([ROW, TARGET, STATUS]):
        is_empty = ~has_values(table[STATUS].to_numpy(zero_copy_only=False))
        has_target = _of_target(table, target)
        found.append(table[ROW].to_numpy()[has_target & ~is_empty])
        left_out += len(np.unique(table[ROW].to_numpy()[is_empty]))
    rows = np.concatenate(found) if found else np.empty(0, np.int64)
    if not len(rows):
        raise RunError(f"{result.path}: no row of target {target} has values. Expected one explained row at least.")
    chosen = rows if len(rows) <= most else np.random.default_rng(seed).choice(rows, most, replace=False)
    return DrawnRows(np.sort(chosen), len(rows), left_out, seed)


def attributions(result: Result, sample: DrawnRows, target: str, features: Sequence[str]) -> np.ndarray:
    """Return (n, len(features)) attributions of the rows of a sample; reads these columns only."""
    values = np.full((len(sample.rows), len(features)), np.nan)
    columns = [ROW, TARGET, *features]
    for table in result.entries(columns, sample.rows.tolist()):
        wanted = table.filter(pa.array(_of_target(table, target)))
        places = np.searchsorted(sample.rows, wanted[ROW].to_numpy())
        for column, name in enumerate(features):
            values[places, column] = wanted[name].to_numpy()
    return values


def predictions(result: Result, sample: DrawnRows, target: str) -> np.ndarray:
    """Return (n, 2): what the model gives the rows of a sample, and their baselines."""
    return attributions(result, sample, target, [PREDICTION, BASELINE_PREDICTION])


def require_pairs(result: Result, kind: str) -> None:
    """Raise RunError where a run stores no interactions of single rows."""
    if not result.run.has_interactions:
        result.summary_interactions()  # says so itself of a run without any
        raise RunError(
            f"{result.path}: stores no interactions of single rows. Expected those of which {kind} is drawn. Try "
            "ihcli explain with `interactions=full`."
        )


def pair_rows(result: Result) -> int:
    """Return how many rows may be chosen so that reading their interactions takes no more than MATRIX_BYTES."""
    return matrix_rows(result) if result.stores_matrices else MATRIX_BYTES


def pair_effects(result: Result, sample: DrawnRows, target: str, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
    """Return (n, len(pairs)) effects Gamma_gh + Gamma_hg of the rows of a sample.

    NaN where a row lists its largest pairs alone, and not this one. A row group is in memory at a time.
    """
    names = result.feature_names
    place = {name: at for at, name in enumerate(names)}
    ends = np.sort([[place[one], place[other]] for one, other in pairs], axis=1)
    order = np.lexsort((ends[:, 1], ends[:, 0]))
    first, second = ends[order].T
    effects = Effects(names, np.full(len(pairs), OF.index(PAIR)), first, second, not result.stores_matrices)
    values = np.full((len(sample.rows), len(pairs)), np.nan)
    for table in result.interaction_entries([ROW, TARGET, INTERACTIONS], sample.rows.tolist()):
        wanted = table.filter(pa.array(_of_target(table, target)))
        if not wanted.num_rows:
            continue
        places = np.searchsorted(sample.rows, wanted[ROW].to_numpy())
        for some, found in effects.of_some(Block(wanted, wanted[INTERACTIONS], {}, None)):
            values[np.ix_(places[some], order)] = found
    return values


def matrix_rows(result: Result) -> int:
    """Return how many rows may be chosen so that reading their matrices takes no more than MATRIX_BYTES."""
    type_ = result.run.interaction_parts.schema.field(INTERACTIONS).type
    size = len(result.feature_names)
    return max(50, MATRIX_BYTES // (size * size * type_.value_type.bit_width // 8))


def gammas(result: Result, sample: DrawnRows, target: str, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    """Return (n, len(pairs)) cells Gamma_gh of the rows of a sample; a row group of matrices is in memory at a time."""
    values = np.full((len(sample.rows), len(pairs)), np.nan)
    size = len(result.feature_names)
    for table in result.interaction_entries([ROW, TARGET, INTERACTIONS], sample.rows.tolist()):
        wanted = table.filter(pa.array(_of_target(table, target)))
        if not wanted.num_rows:
            continue
        places = np.searchsorted(sample.rows, wanted[ROW].to_numpy())
        found = matrices(wanted[INTERACTIONS], size)
        for column, (first, second) in enumerate(pairs):
            values[places, column] = found[:, first, second]
    return values


def _of_target(table: pa.Table, target: str) -> np.ndarray:
    return np.asarray(pc.equal(table[TARGET], target).to_numpy(zero_copy_only=False), dtype=bool)
