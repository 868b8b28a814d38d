"""Ranked features and pairs of every target, accumulated while rows stream by; no row is held."""

import json
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import pyarrow as pa

from ihcli.bars import DEVIATIONS
from ihcli.explanation import Explanation
from ihcli.explanation.factors import members
from ihcli.files.arrays import numbers, strings
from ihcli.summaries.effects import MAINS_OPPOSED, Effects
from ihcli.summaries.moments import Moments
from ihcli.summaries.ranking import (
    ATTRIBUTION_COLUMNS,
    BARS,
    INTERACTION_COLUMNS,
    MAIN_COLUMNS,
    OPPOSED,
    Ranking,
    ranked,
    statistics_table,
)
from ihcli.summaries.rest import MOST_PAIRS, Rest, with_rest
from ihcli.summaries.targets import TargetSummary


class Summary:
    """Statistics per target of all explanations added to it; targets keep the order in which they appeared.

    Memory: up to six float64 values per pair and target, whatever the number of rows.
    """

    counts_occurrences: ClassVar[bool] = False

    def __init__(self) -> None:
        self._names: tuple[str, ...] = ()
        self._has_interactions = False
        self._bars: tuple[str, ...] = ()  # of BARS, those known of all effects
        self._targets: dict[str, TargetSummary] = {}

    def update(self, explanation: Explanation) -> None:
        """Add the rows of an explanation; rows that have no values (missing or non-finite inputs) are left out."""
        added = Summary()
        added._names = explanation.feature_names
        added._has_interactions = explanation.interactions is not None
        known = (explanation.interaction_error, explanation.interaction_spread)
        added._bars = tuple(name for name, figures in zip(BARS, known, strict=True) if figures is not None)
        added._targets = _summarise(explanation)
        self.merge(added)

    def merge(self, other: "Summary") -> None:
        """Add what another summary of the same features has seen; halves merged equal the whole up to rounding."""
        if self._names and other._names and self._names != other._names:
            raise ValueError("summaries of different features cannot be merged")
        self._names = self._names or other._names
        if not self._has_interactions:
            self._bars = other._bars
        elif other._has_interactions:
            self._bars = tuple(name for name in self._bars if name in other._bars)
        self._has_interactions |= other._has_interactions
        for target, summary in other._targets.items():
            mine = self._targets.get(target)
            self._targets[target] = summary if mine is None else mine.merge(summary)

    def without_interactions(self) -> "Summary":
        """Return what was seen of the attributions alone."""
        found = Summary()
        found._names = self._names
        found._targets = {target: summary.without_effects() for target, summary in self._targets.items()}
        return found

    @property
    def note(self) -> str | None:
        """A sentence on what is missing: nothing ever is."""
        return None

    @property
    def lines(self) -> tuple[int, int]:
        """Return how many lines the tables of features and of pairs have, over all targets."""
        n, targets = len(self._names), len(self._targets)
        return n * targets, min(n * (n - 1) // 2, MOST_PAIRS) * targets if self._has_interactions else 0

    @property
    def held(self) -> int:
        """Return how many features and pairs there are figures of, over all targets."""
        n, targets = len(self._names), len(self._targets)
        return targets * (n * (n + 1) // 2 if self._has_interactions else n)

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
        narrow._names, narrow._has_interactions, narrow._bars = self._names[:n], self._has_interactions, self._bars
        narrow._targets = {target: found.narrowed(n, times) for target, found in self._targets.items()}
        return narrow

    def state(self) -> dict[str, np.ndarray]:
        """Return all that was seen as arrays by name, from which `of_state` makes an equal summary."""
        names = {"names": self._names, "targets": list(self._targets), "has_interactions": self._has_interactions}
        names["bars"] = self._bars
        arrays = {"summary": np.frombuffer(json.dumps(names).encode(), np.uint8)}
        for i, found in enumerate(self._targets.values()):
            arrays |= {f"{i}.{name}": values for name, values in found.state().items()}
        return arrays

    @classmethod
    def of_state(cls, arrays: Mapping[str, np.ndarray]) -> "Summary":
        """Return the summary of which these arrays are the state; other names among them are passed over."""
        summary, names = cls(), json.loads(arrays["summary"].tobytes())
        summary._names, summary._has_interactions = tuple(names["names"]), names["has_interactions"]
        summary._bars = tuple(names.get("bars", ()))
        for i, target in enumerate(names["targets"]):
            mine = {name.partition(".")[2]: arrays[name] for name in arrays if name.startswith(f"{i}.")}
            summary._targets[target] = TargetSummary.of_state(mine)
        return summary

    def attributions(self) -> pa.Table:
        """Return the features of every target, ranked by mean |phi|; main effects too where there are interactions."""
        told = (*MAIN_COLUMNS, *self._opposed, *(f"main_{name}" for name in self._bars))
        mains = told if self._has_interactions else ()
        rankings = [self._ranked_features(target, mains) for target in self._targets]
        return statistics_table((*ATTRIBUTION_COLUMNS, *mains), rankings)

    def interactions(self) -> pa.Table | None:
        """Return the pairs g < h of every target, ranked by mean |Gamma_gh + Gamma_hg|; None under ig and eg.

        Of a target that has more than MOST_PAIRS of them so many are listed, the largest; see `ihcli.summaries.rest`.
        """
        if not self._has_interactions:
            return None
        rankings, rest = [], {}
        for target, found in self._targets.items():
            if found.pairs is None:
                continue
            order, ranking = self._ranked_pairs(target, found, found.pairs)
            rankings.append(ranking)
            if len(order) < len(found.pairs.mean):
                rest[target] = self._rest(found, found.pairs, order)
        return with_rest(statistics_table((*INTERACTION_COLUMNS, *self._bars), rankings), rest)

    @property
    def _opposed(self) -> tuple[str, ...]:
        """The column of opposite signs, where these were counted in all rows: not in those of an older ihcli."""
        effects = [found.bars for found in self._targets.values() if found.mains is not None]
        return (OPPOSED,) if all(MAINS_OPPOSED in bars for bars in effects) else ()

    def _ranked_features(self, target: str, mains: Sequence[str]) -> Ranking:
        found = self._targets[target]
        order, columns = ranked(target, found.attributions)
        columns |= {
            "feature": self._names_at(order),
            "min": found.smallest[order],
            "max": found.largest[order],
        }
        if found.mains is None:
            unknown = np.full(len(order), np.nan)
            return columns | dict.fromkeys(mains, unknown) | {"main_rows": np.zeros(len(order), np.int64)}
        columns |= {
            "main_mean_abs": found.mains.mean_abs[order],
            "main_mean": found.mains.mean[order],
            "main_std": found.mains.std[order],
            "main_rows": np.full(len(order), found.mains.count, np.int64),
        }
        bars = {f"main_{name.removeprefix('mains.')}": means.mean for name, means in found.bars.items()}
        return columns | {name: mean[order] for name, mean in bars.items() if name in mains}

    def _ranked_pairs(self, target: str, found: TargetSummary, pairs: Moments) -> tuple[np.ndarray, Ranking]:
        order, columns = ranked(target, pairs, MOST_PAIRS)
        first, second = members(order, len(self._names))
        columns |= {"feature_i": self._names_at(first), "feature_j": self._names_at(second)}
        return order, columns | {name: found.bars[f"pairs.{name}"].mean[order] for name in self._bars}

    def _rest(self, found: TargetSummary, pairs: Moments, listed: np.ndarray) -> Rest:
        others = pairs.mean_abs.copy()
        others[listed] = 0.0
        total, largest = float(others.sum()), float(others.max())
        for name, times in zip(BARS, (1.0, DEVIATIONS), strict=True):
            if name in self._bars:
                others += times * found.bars[f"pairs.{name}"].mean
        others[listed] = 0.0
        return Rest(len(listed), len(others) - len(listed), total, largest, float(others.max()))

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
    of_features = Moments.of(values), values.min(axis=0), values.max(axis=0)
    if explanation.interactions is None:
        return TargetSummary(*of_features, None, None, {})
    effects = Effects.of(explanation, chosen)
    (mains, off_mains), (pairs, off_pairs) = effects.mains(), effects.pairs()
    opposed = {MAINS_OPPOSED: effects.opposed(values, explanation.relative_error[chosen])}
    return TargetSummary(*of_features, mains, pairs, {**off_pairs, **off_mains, **opposed})
