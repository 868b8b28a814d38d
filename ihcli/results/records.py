"""One explained row: what part files hold of it, as numbers and names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ihcli.layouts.columns import holds_top_pairs
from ihcli.layouts.layout import Layout
from ihcli.quality import INTERACTIONS, ROW, STATUS, TARGET


@dataclass(frozen=True)
class Record:
    """One explained row for one target.

    row           index of the row in the data
    keys          its key columns
    target        name of the explained output
    names         G features or groups; of a text its units, in reading order
    attributions  (G,): phi; NaN where the row has no values
    interactions  (G, G): Gamma; None where the run stores no matrices
    top_pairs     of a run with `interactions=top:K`: feature, feature and signed pair effect, largest first; else None
    quality       prediction, baseline_prediction, completeness_gap, relative_error, evaluations and status, and drift
                  and sampling_error where the run has them; None where the row has no value
    """

    row: int
    keys: dict[str, Any]
    target: str
    names: tuple[str, ...]
    attributions: np.ndarray
    interactions: np.ndarray | None
    top_pairs: tuple[tuple[str, str, float], ...] | None
    quality: dict[str, Any]

    @property
    def has_values(self) -> bool:
        """Whether the row was explained; rows with missing or non-finite inputs were not."""
        return bool(self.quality["prediction"] is not None)


@dataclass(frozen=True)
class Effects:
    """Signed effects of a record, the largest size first.

    first, second  (n,) positions among the record's names; equal for main effects
    values         (n,): Gamma_gh + Gamma_hg, or Gamma_gg, in units of the explained output
    """

    first: np.ndarray
    second: np.ndarray
    values: np.ndarray

    @property
    def shares(self) -> np.ndarray:
        """Size of each over the size of all."""
        sizes = np.abs(self.values)
        return sizes / max(float(sizes.sum()), np.finfo(np.float64).tiny)


def pair_effects(record: Record, main_effects: bool = False) -> Effects | None:
    """Return the effects of all pairs, also of a feature with itself if asked; None where the run stores none.

    Of a run that stores the largest pairs of every row, those; it has no main effects, and None is returned.
    """
    if record.interactions is not None:
        first, second = np.triu_indices(len(record.names), 0 if main_effects else 1)
        gamma = record.interactions.astype(np.float64)
        values = np.where(first == second, gamma[first, second], gamma[first, second] + gamma[second, first])
        return _largest_first(first, second, values)
    if record.top_pairs is None or main_effects:
        return None
    place = {name: position for position, name in enumerate(record.names)}
    first = np.array([place[name] for name, _, _ in record.top_pairs], dtype=np.int64)
    second = np.array([place[name] for _, name, _ in record.top_pairs], dtype=np.int64)
    return _largest_first(first, second, np.array([value for _, _, value in record.top_pairs], dtype=np.float64))


def attribution_effects(record: Record) -> Effects:
    """Return the attributions as effects of a feature with itself."""
    position = np.arange(len(record.names))
    return _largest_first(position, position, record.attributions)


def record_of(
    entry: Mapping[str, Any],
    *,
    keys: Sequence[str],
    layout: Layout[Any],
    interactions: np.ndarray | None = None,
    top_pairs: Sequence[Mapping[str, Any]] | None = None,
) -> Record:
    """Put a record together from an entry of an attributions part and what is stored of its interactions.

    Parameters:
        layout: of the run.
        interactions: G^2 numbers, row by row.
    """
    names, phi = layout.record(entry)
    fields = list(entry)
    quality = fields[fields.index(TARGET) + 1 : fields.index(STATUS) + 1]
    return Record(
        row=entry[ROW],
        keys={name: entry[name] for name in keys},
        target=entry[TARGET],
        names=names,
        attributions=np.array(phi, dtype=np.float64),
        interactions=None if interactions is None else interactions.reshape(len(names), len(names)),
        top_pairs=None if top_pairs is None else tuple((pair["i"], pair["j"], pair["value"]) for pair in top_pairs),
        quality={name.removeprefix("_"): entry[name] for name in quality},
    )


def stored_interactions(table: pa.Table, layout: Layout[Any]) -> dict[tuple[int, str], dict[str, Any]]:
    """Return what entries of an interactions part hold, by row and target: the argument of `record_of` that it is."""
    column = table[INTERACTIONS]
    if holds_top_pairs(column.type):
        name, found = "top_pairs", column.to_pylist()
    else:
        name, found = "interactions", layout.matrices(column)
    entries = zip(table[ROW].to_pylist(), table[TARGET].to_pylist(), strict=True)
    return {entry: {name: values} for entry, values in zip(entries, found, strict=True)}


def _largest_first(first: np.ndarray, second: np.ndarray, values: np.ndarray) -> Effects:
    order = np.argsort(-np.abs(values), kind="stable")
    return Effects(first[order], second[order], values[order])
