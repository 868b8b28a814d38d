"""Ranked features and pairs of every target, accumulated while rows stream by; no row is held."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ihcli.explanation import Explanation
from ihcli.files.arrays import numbers, strings
from ihcli.summaries.moments import Moments
from ihcli.summaries.ranking import (
    ATTRIBUTION_COLUMNS,
    INTERACTION_COLUMNS,
    MAIN_COLUMNS,
    Ranking,
    ranked,
    statistics_table,
)

BLOCK_VALUES = 1 << 16  # of the matrices summed at once: 512 KiB in float64, which stay in cache while passed over


@dataclass(frozen=True)
class TargetSummary:
    """What is known of one target: attributions, and main and pair effects where there are interactions."""

    attributions: Moments
    smallest: np.ndarray
    largest: np.ndarray
    mains: Moments | None
    pairs: Moments | None

    def state(self) -> dict[str, np.ndarray]:
        """Return all figures as arrays by name."""
        arrays = {"smallest": self.smallest, "largest": self.largest}
        for kind in ("attributions", "mains", "pairs"):
            moments: Moments | None = getattr(self, kind)
            if moments is not None:
                arrays |= {f"{kind}.{name}": np.asarray(figures) for name, figures in vars(moments).items()}
        return arrays

    @classmethod
    def of_state(cls, arrays: Mapping[str, np.ndarray]) -> "TargetSummary":
        """Return what `state` was taken of."""

        def moments(kind: str) -> Moments:
            mean, mean_abs, squares = (arrays[f"{kind}.{name}"] for name in ("mean", "mean_abs", "squares"))
            return Moments(int(arrays[f"{kind}.count"]), mean, mean_abs, squares)

        has_interactions = "mains.count" in arrays
        return cls(
            moments("attributions"),
            arrays["smallest"],
            arrays["largest"],
            moments("mains") if has_interactions else None,
            moments("pairs") if has_interactions else None,
        )

    def narrowed(self, n: int, times: float) -> "TargetSummary":
        """Return what is known of the first n features and of their pairs, see `Summary.narrowed`."""
        first, width = np.arange(n), len(self.smallest)
        starts = [g * (2 * width - 1 - g) // 2 for g in range(n)]
        among = np.concatenate([np.arange(starts[g], starts[g] + n - 1 - g) for g in range(n)])
        return TargetSummary(
            self.attributions.take(first, times),
            self.smallest[first],
            self.largest[first],
            None if self.mains is None else self.mains.take(first, times),
            None if self.pairs is None else self.pairs.take(among, times),
        )

    def merge(self, other: "TargetSummary") -> "TargetSummary":
        """Return the summary of both sets of rows."""
        return TargetSummary(
            self.attributions.merge(other.attributions),
            np.minimum(self.smallest, other.smallest),
            np.maximum(self.largest, other.largest),
            None if self.mains is None or other.mains is None else self.mains.merge(other.mains),
            None if self.pairs is None or other.pairs is None else self.pairs.merge(other.pairs),
        )


class Summary:
    """Statistics per target of all explanations added to it; targets keep the order in which they appeared.

    Memory: four float64 values per pair and target, whatever the number of rows.
    """

    def __init__(self) -> None:
        self._names: tuple[str, ...] = ()
        self._has_interactions = False
        self._targets: dict[str, TargetSummary] = {}

    def update(self, explanation: Explanation) -> None:
        """Add the rows of an explanation; rows that have no values (missing or non-finite inputs) are left out."""
        added = Summary()
        added._names = explanation.feature_names
        added._has_interactions = explanation.interactions is not None
        added._targets = _summarise(explanation)
        self.merge(added)

    def merge(self, other: "Summary") -> None:
        """Add what another summary of the same features has seen; halves merged equal the whole up to rounding."""
        if self._names and other._names and self._names != other._names:
            raise ValueError("summaries of different features cannot be merged")
        self._names = self._names or other._names
        self._has_interactions |= other._has_interactions
        for target, summary in other._targets.items():
            mine = self._targets.get(target)
            self._targets[target] = summary if mine is None else mine.merge(summary)

    @property
    def note(self) -> str | None:
        """A sentence on what is missing: nothing ever is."""
        return None

    @property
    def lines(self) -> tuple[int, int]:
        """Return how many lines the tables of features and of pairs have, over all targets."""
        n, targets = len(self._names), len(self._targets)
        return n * targets, n * (n - 1) // 2 * targets if self._has_interactions else 0

    @property
    def most_lines(self) -> None:
        """Return None: all rows have the same features."""

    def narrowed(self, lines: int, times: float = 1.0) -> "Summary":
        """Return that of the first features alone, of which both tables have about so many lines at most.

        Parameters:
            times: what all moments are multiplied with.
        """
        per_target = lines // max(1, len(self._targets))
        n = int(np.sqrt(2 * per_target)) if self._has_interactions else per_target
        n = min(len(self._names), max(2, n))
        narrow = Summary()
        narrow._names, narrow._has_interactions = self._names[:n], self._has_interactions
        narrow._targets = {target: found.narrowed(n, times) for target, found in self._targets.items()}
        return narrow

    def state(self) -> dict[str, np.ndarray]:
        """Return all that was seen as arrays by name, from which `of_state` makes an equal summary."""
        names = {"names": self._names, "targets": list(self._targets), "has_interactions": self._has_interactions}
        arrays = {"summary": np.frombuffer(json.dumps(names).encode(), np.uint8)}
        for i, found in enumerate(self._targets.values()):
            arrays |= {f"{i}.{name}": values for name, values in found.state().items()}
        return arrays

    @classmethod
    def of_state(cls, arrays: Mapping[str, np.ndarray]) -> "Summary":
        """Return the summary of which these arrays are the state; other names among them are passed over."""
        summary, names = cls(), json.loads(arrays["summary"].tobytes())
        summary._names, summary._has_interactions = tuple(names["names"]), names["has_interactions"]
        for i, target in enumerate(names["targets"]):
            mine = {name.partition(".")[2]: arrays[name] for name in arrays if name.startswith(f"{i}.")}
            summary._targets[target] = TargetSummary.of_state(mine)
        return summary

    def attributions(self) -> pa.Table:
        """Return the features of every target, ranked by mean |phi|; main effects too where there are interactions."""
        columns = ATTRIBUTION_COLUMNS + (MAIN_COLUMNS if self._has_interactions else ())
        return statistics_table(columns, [self._ranked_features(target) for target in self._targets])

    def interactions(self) -> pa.Table | None:
        """Return the pairs g < h of every target, ranked by mean |Gamma_gh + Gamma_hg|; None under ig and eg."""
        if not self._has_interactions:
            return None
        return statistics_table(INTERACTION_COLUMNS, [self._ranked_pairs(target) for target in self._targets])

    def _ranked_features(self, target: str) -> Ranking:
        found = self._targets[target]
        order, columns = ranked(target, found.attributions)
        columns |= {
            "feature": self._names_at(order),
            "min": found.smallest[order],
            "max": found.largest[order],
        }
        if found.mains is not None:
            columns |= {
                "main_mean_abs": found.mains.mean_abs[order],
                "main_mean": found.mains.mean[order],
                "main_std": found.mains.std[order],
            }
        return columns

    def _ranked_pairs(self, target: str) -> Ranking:
        pairs = self._targets[target].pairs
        if pairs is None:
            raise ValueError(f"target {target} was explained without interactions")
        order, columns = ranked(target, pairs)
        first, second = members(order, len(self._names))
        return columns | {"feature_i": self._names_at(first), "feature_j": self._names_at(second)}

    def _names_at(self, places: np.ndarray) -> pa.Array:
        """Return names as Arrow's strings: of millions of pairs no Python object is made."""
        return strings(self._names).take(numbers(places))


def _summarise(explanation: Explanation) -> dict[str, TargetSummary]:
    has_values = explanation.has_values
    targets = np.array([str(target) for target in explanation.target], dtype=object)
    return {
        target: _summarise_rows(explanation, np.flatnonzero(has_values & (targets == target)))
        for target in dict.fromkeys(targets[has_values])
    }


def _summarise_rows(explanation: Explanation, chosen: np.ndarray) -> TargetSummary:
    values = explanation.attributions[chosen].astype(np.float64)
    gamma = explanation.interactions
    return TargetSummary(
        Moments.of(values),
        values.min(axis=0),
        values.max(axis=0),
        None if gamma is None else Moments.of(np.diagonal(gamma, axis1=1, axis2=2)[chosen]),
        None if gamma is None else _pair_moments(gamma, chosen),
    )


def _pair_moments(interactions: np.ndarray, chosen: np.ndarray) -> Moments:
    """Return the moments of the pair effects of the chosen rows: of 2 Gamma_gh, g < h, as Gamma is symmetric."""
    n_features = interactions.shape[1]
    rows = slice(None) if len(chosen) == len(interactions) else chosen  # a slice copies no row
    parts = [Moments.of(np.empty((len(chosen), 0)))]
    for some in _bands(n_features, BLOCK_VALUES // len(chosen)):
        parts.append(Moments.of(np.concatenate([interactions[rows, g, g + 1 :] for g in some], axis=1, dtype=float)))
    joined = Moments.side_by_side(parts)
    return Moments(joined.count, 2 * joined.mean, 2 * joined.mean_abs, 4 * joined.squares)


def _bands(n_features: int, pairs: int) -> Iterator[range]:
    """Cut the first features of all pairs into runs of about so many pairs, each of at least one feature."""
    start = 0
    while start < n_features - 1:
        stop = min(n_features - 1, start + max(1, pairs // (n_features - 1 - start)))
        yield range(start, stop)
        start = stop


def members(pairs: np.ndarray, n_features: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and second features of pairs, given by their places in the upper triangle, row after row."""
    features = np.arange(n_features, dtype=np.int32)
    first = np.repeat(features, n_features - 1 - features)[pairs]
    starts = features * (2 * n_features - 1 - features.astype(np.int64)) // 2  # of each first feature's pairs
    return first, (pairs - starts[first] + first + 1).astype(np.int32)
