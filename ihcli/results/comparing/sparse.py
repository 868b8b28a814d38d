"""Pairs of runs that store the largest of every row: those that two runs store of a row are compared."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ihcli.files.arrays import strings
from ihcli.layouts.columns import holds_top_pairs
from ihcli.layouts.tables import matrices
from ihcli.quality import INTERACTIONS
from ihcli.results.comparing.agreement import Agreement
from ihcli.results.result import Result


@dataclass(frozen=True)
class StoredPairs:
    """Pairs of some entries, sorted by entry and pair.

    code   (m,) entry * G^2 + i * G + j, i < j among the first run's features
    value  (m,) Gamma_ij + Gamma_ji;  rank: (m,) among those that the entry stores, from 0
    """

    code: np.ndarray
    value: np.ndarray
    rank: np.ndarray

    @classmethod
    def of(cls, first: Result, other: Result, table: pa.Table, place: np.ndarray, most: int) -> "StoredPairs":
        """Return the pairs of these entries of a run's interactions, of whole matrices the `most` largest."""
        column = table[INTERACTIONS]
        n = len(first.feature_names)
        if not holds_top_pairs(column.type):
            order = np.array([other.feature_names.index(name) for name in first.feature_names])
            gamma = matrices(column, n)[place][:, order][:, :, order].astype(np.float64)
            return cls._of_matrices(gamma, min(most, n * (n - 1) // 2))
        stored = column.take(pa.array(place)).combine_chunks()
        entry = pc.list_parent_indices(stored).to_numpy()
        flat = pc.list_flatten(stored)
        names = strings(first.feature_names)
        ends = [pc.index_in(flat.field(end), value_set=names).to_numpy() for end in ("i", "j")]
        code = entry * n * n + np.minimum(*ends).astype(np.int64) * n + np.maximum(*ends)
        value = flat.field("value").cast(pa.float64()).to_numpy(zero_copy_only=False)
        return cls._sorted(code, value, _ranks(entry))

    @classmethod
    def _of_matrices(cls, gamma: np.ndarray, most: int) -> "StoredPairs":
        n = gamma.shape[1]
        first, second = np.triu_indices(n, 1)
        effects = 2 * gamma[:, first, second]
        largest = np.argsort(-np.abs(effects), axis=1, kind="stable")[:, :most]
        entry = np.repeat(np.arange(len(gamma)), most)
        code = entry * n * n + (first * n + second)[largest].ravel()
        return cls._sorted(code, np.take_along_axis(effects, largest, axis=1).ravel(), _ranks(entry))

    @classmethod
    def _sorted(cls, code: np.ndarray, value: np.ndarray, rank: np.ndarray) -> "StoredPairs":
        order = np.argsort(code, kind="stable")
        return cls(code[order], value[order], rank[order])

    def least_stored(self, n_entries: int, square: int) -> np.ndarray:
        """Return how many pairs each entry stores, (n,)."""
        return np.bincount(self.code // square, minlength=n_entries)


def agreement_of(one: StoredPairs, other: StoredPairs, n: int, square: int, k: int) -> tuple[Agreement, np.ndarray]:
    """Return how far two runs agree in n entries, and the code of the pair that changes most; ranks are not known.

    The overlap is of the k largest, or of as many as both runs store of the entry.
    """
    common, ours, theirs = np.intersect1d(one.code, other.code, assume_unique=True, return_indices=True)
    entry, values = common // square, np.stack([one.value[ours], other.value[theirs]])
    most = np.minimum(k, np.minimum(one.least_stored(n, square), other.least_stored(n, square)))
    in_top = (one.rank[ours] < most[entry]) & (other.rank[theirs] < most[entry])
    signed = (values != 0).all(axis=0)
    equal = signed & (np.sign(values[0]) == np.sign(values[1]))
    difference = np.abs(values[0] - values[1])
    change, code = np.full(n, np.nan), np.full(n, -1, np.int64)
    ascending = np.argsort(difference, kind="stable")
    change[entry[ascending]], code[entry[ascending]] = difference[ascending], common[ascending] % square
    unknown = np.full(n, np.nan)
    with np.errstate(invalid="ignore"):
        overlap = np.bincount(entry, in_top, minlength=n) / np.where(most > 0, most, np.nan)
        counts = np.bincount(entry, signed, minlength=n)
        sign = np.bincount(entry, equal, minlength=n) / np.where(counts > 0, counts, np.nan)
    return Agreement(unknown, unknown, overlap, sign, change, np.maximum(code, 0)), code


def common_to_all(stored: Sequence[StoredPairs]) -> tuple[np.ndarray, np.ndarray]:
    """Return the codes that all runs store (m,), and the values of each run (R, m)."""
    common = stored[0].code
    for some in stored[1:]:
        common = np.intersect1d(common, some.code, assume_unique=True)
    return common, np.stack([some.value[np.searchsorted(some.code, common)] for some in stored])


def _ranks(entry: np.ndarray) -> np.ndarray:
    """Return the place of each among those of its entry, which stand together."""
    return np.arange(len(entry)) - np.searchsorted(entry, entry)
