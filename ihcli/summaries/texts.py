"""Ranked units and pairs of units of a corpus, by their text, accumulated while texts stream by; no text is held."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pyarrow as pa

from ihcli.explanation import TextExplanation
from ihcli.summaries.tables import ATTRIBUTION_COLUMNS, INTERACTION_COLUMNS, MAIN_COLUMNS, statistics_table

UNIT_KEYS, PAIR_KEYS = ("target", "feature"), ("target", "feature_i", "feature_j")
MOST_KEPT = 2_000_000
"""Distinct pairs kept, about 300 MB, and four times that while parts are merged; beyond, those seen least are dropped
(Manku and Motwani 2002, lossy counting)."""
KINDS = ("units", "mains", "pairs")
LEAST_PENDING = 1 << 16
"""Lines that may wait to be merged, however few are merged."""
BLOCK_PAIRS = 1 << 20
"""Pairs spelled out at once, about 100 MB: eight texts of 512 words have as many."""
FIGURES = ("count", "mean", "mean_abs", "squares", "smallest", "largest")


@dataclass(frozen=True)
class Occurrences:
    """Moments of a value over the occurrences of each key: one line a key, in order of first appearance.

    frame    the keys, and count, mean, mean_abs, squares (summed squared deviations), smallest, largest
    dropped  keys seen at most so often may be missing, and counts too low by as much
    pending  frames that are not merged in yet, so that merging costs little for each
    """

    keys: tuple[str, ...]
    frame: pd.DataFrame
    dropped: int = 0
    pending: tuple[pd.DataFrame, ...] = field(default=(), repr=False)

    @classmethod
    def none(cls, keys: tuple[str, ...]) -> "Occurrences":
        """Return those of nothing."""
        return cls(keys, pd.DataFrame({name: np.zeros(0, object) for name in keys} | _no_figures()))

    def add(self, keys: Mapping[str, np.ndarray], values: np.ndarray) -> "Occurrences":
        """Add occurrences: one key, spread over the key columns, for each value (n,)."""
        values = np.asarray(values, np.float64)
        figures = {
            "count": np.ones(len(values), np.int64),
            "mean": values,
            "mean_abs": np.abs(values),
            "squares": np.zeros(len(values)),
            "smallest": values,
            "largest": values,
        }
        seen = pd.DataFrame({name: np.asarray(keys[name], object) for name in self.keys} | figures)
        return self._with(_merged(seen, self.keys), self.dropped)

    def merge(self, other: "Occurrences") -> "Occurrences":
        """Return the moments of both."""
        whole = other.settled()
        return self._with(whole.frame, self.dropped + whole.dropped)

    def settled(self) -> "Occurrences":
        """Return the same with nothing pending."""
        if not self.pending:
            return self
        parts = [part for part in (self.frame, *self.pending) if len(part)]
        frame = _merged(pd.concat(parts, ignore_index=True), self.keys) if parts else self.frame
        dropped = self.dropped
        if len(frame) > MOST_KEPT:
            counts = frame["count"].to_numpy()
            rare = int(np.partition(counts, len(counts) - MOST_KEPT // 2)[len(counts) - MOST_KEPT // 2])
            frame, dropped = frame[counts > rare].reset_index(drop=True), dropped + rare
        return Occurrences(self.keys, frame, dropped)

    def state(self) -> dict[str, np.ndarray]:
        """Return all of it as arrays by name: keys as places in lists of names, of `frame`, then of `pending`."""
        parts = (self.frame, *self.pending)
        whole = pd.concat(parts, ignore_index=True)
        arrays = {"dropped": np.array(self.dropped), "sizes": np.array([len(part) for part in parts])}
        for name in self.keys:
            places, names = pd.factorize(whole[name])
            arrays[name] = places.astype(np.int32)
            arrays[f"{name}.names"] = np.frombuffer(json.dumps(list(names), ensure_ascii=False).encode(), np.uint8)
        return arrays | {name: whole[name].to_numpy() for name in FIGURES}

    @classmethod
    def of_state(cls, keys: tuple[str, ...], arrays: Mapping[str, np.ndarray]) -> "Occurrences":
        """Return the occurrences of which these arrays are the state."""
        names = {name: np.array(json.loads(arrays[f"{name}.names"].tobytes()), object) for name in keys}
        columns = {name: names[name][arrays[name]] for name in keys} | {name: arrays[name] for name in FIGURES}
        whole, ends = pd.DataFrame(columns), np.cumsum(arrays["sizes"]).tolist()
        frame, *pending = (whole[start:end] for start, end in zip([0, *ends], ends, strict=False))
        return cls(keys, frame, int(arrays["dropped"]), tuple(pending))

    def _with(self, part: pd.DataFrame, dropped: int) -> "Occurrences":
        more = replace(self, dropped=dropped, pending=(*self.pending, part))
        return more.settled() if sum(map(len, more.pending)) > max(len(self.frame), LEAST_PENDING) else more


class TextSummary:
    """Statistics per target over all occurrences of every unit, and of every pair of units in one text.

    Memory: about 150 bytes for each distinct unit and pair, MOST_KEPT of them at most, however many texts there are.
    """

    def __init__(self) -> None:
        self._units = Occurrences.none(UNIT_KEYS)
        self._mains = Occurrences.none(UNIT_KEYS)
        self._pairs = Occurrences.none(PAIR_KEYS)
        self._has_interactions = False

    def update(self, explanation: TextExplanation) -> None:
        """Add the texts of an explanation; those without figures are left out."""
        known = np.flatnonzero(explanation.has_values)
        self._has_interactions |= explanation.interactions is not None
        pairs = np.cumsum([len(explanation.units[i]) ** 2 // 2 for i in known], dtype=np.int64)
        for block in np.split(known, np.searchsorted(pairs, np.arange(BLOCK_PAIRS, pairs[-1:].sum(), BLOCK_PAIRS))):
            if len(block):
                self._add(explanation, block)

    def _add(self, explanation: TextExplanation, known: np.ndarray) -> None:
        """Add these entries, all of which have figures."""
        targets = [str(explanation.target[i]) for i in known]
        units = [explanation.units[i] for i in known]
        keys = {
            "target": np.repeat(np.array(targets, object), [len(names) for names in units]),
            "feature": np.array([name for names in units for name in names], object),
        }
        self._units = self._units.add(keys, np.concatenate([explanation.attributions[i] for i in known]))
        if explanation.interactions is not None:
            matrices = [explanation.interactions[i] for i in known]
            self._mains = self._mains.add(keys, np.concatenate([np.diagonal(gamma) for gamma in matrices]))
            self._pairs = self._pairs.add(*_pairs(targets, units, matrices))

    def merge(self, other: "TextSummary") -> None:
        """Add what another summary has seen; halves merged equal the whole up to rounding."""
        self._units = self._units.merge(other._units)
        self._mains = self._mains.merge(other._mains)
        self._pairs = self._pairs.merge(other._pairs)
        self._has_interactions |= other._has_interactions

    @property
    def lines(self) -> tuple[int, int]:
        """Return how many lines the tables of units and of pairs have, over all targets."""
        return len(self._units.settled().frame), len(self._pairs.settled().frame)

    @property
    def note(self) -> str | None:
        """A sentence on what was dropped, None where nothing was."""
        dropped = max(found.settled().dropped for found in (self._units, self._pairs))
        if not dropped:
            return None
        return (
            f"there were more than {MOST_KEPT} different pairs of words: those seen {dropped} times or less may be "
            "missing from the summary, and other counts too low by as much. The parts hold them all."
        )

    def attributions(self) -> pa.Table:
        """Return the units of every target, ranked by mean |phi|; main effects too where there are interactions."""
        columns = _columns(self._units.settled().frame)
        if self._has_interactions:  # the same units in the same order: they were added, merged and dropped alike
            mains = _columns(self._mains.settled().frame)
            columns |= {name: mains[name.removeprefix("main_")] for name in MAIN_COLUMNS}
        return _ranked(columns, ATTRIBUTION_COLUMNS + (MAIN_COLUMNS if self._has_interactions else ()))

    def interactions(self) -> pa.Table | None:
        """Return the pairs of every target, names in alphabetical order, ranked by mean |pair effect|; None for ig."""
        return _ranked(_columns(self._pairs.settled().frame), INTERACTION_COLUMNS) if self._has_interactions else None

    def state(self) -> dict[str, np.ndarray]:
        """Return all that was seen as arrays by name, from which `of_state` makes an equal summary.

        What is pending stays so: merged in another order, figures would have another rounding.
        """
        arrays = {"has_interactions": np.array(self._has_interactions)}
        for kind in KINDS:
            found: Occurrences = getattr(self, f"_{kind}")
            arrays |= {f"{kind}.{name}": values for name, values in found.state().items()}
        return arrays

    @classmethod
    def of_state(cls, arrays: Mapping[str, np.ndarray]) -> "TextSummary":
        """Return the summary of which these arrays are the state; other names among them are passed over."""
        summary = cls()
        summary._has_interactions = bool(arrays["has_interactions"])
        for kind in KINDS:
            mine = {name.partition(".")[2]: arrays[name] for name in arrays if name.startswith(f"{kind}.")}
            setattr(summary, f"_{kind}", Occurrences.of_state(getattr(summary, f"_{kind}").keys, mine))
        return summary


def _no_figures() -> dict[str, np.ndarray]:
    return {name: np.zeros(0, np.int64 if name == "count" else np.float64) for name in FIGURES}


def _merged(frame: pd.DataFrame, keys: tuple[str, ...]) -> pd.DataFrame:
    """Merge the lines of equal keys (Chan, Golub, LeVeque 1983, for any number of parts)."""
    key = frame.groupby(list(keys), sort=False).ngroup().to_numpy()
    _, first = np.unique(key, return_index=True)
    counts = frame["count"].to_numpy()
    n = np.bincount(key, counts)

    def averaged(values: np.ndarray) -> np.ndarray:
        return np.bincount(key, counts * values) / n

    mean = averaged(frame["mean"].to_numpy())
    deviations = counts * (frame["mean"].to_numpy() - mean[key]) ** 2
    smallest, largest = np.full(len(n), np.inf), np.full(len(n), -np.inf)
    np.minimum.at(smallest, key, frame["smallest"].to_numpy())
    np.maximum.at(largest, key, frame["largest"].to_numpy())
    figures = {
        "count": n.astype(np.int64),
        "mean": mean,
        "mean_abs": averaged(frame["mean_abs"].to_numpy()),
        "squares": np.bincount(key, frame["squares"].to_numpy() + deviations),
        "smallest": smallest,
        "largest": largest,
    }
    return pd.DataFrame({name: frame[name].to_numpy()[first] for name in keys} | figures)


def _pairs(
    targets: Sequence[str], units: Sequence[tuple[str, ...]], matrices: Sequence[np.ndarray]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return keys and effects, Gamma_gh + Gamma_hg, of all pairs of units in each text."""
    columns: dict[str, list[np.ndarray]] = {"target": [], "feature_i": [], "feature_j": []}
    effects = []
    for target, names, gamma in zip(targets, units, matrices, strict=True):
        first, second = np.triu_indices(len(names), 1)
        spelled = np.array(names, object)
        one, other = spelled[first], spelled[second]
        is_ordered = (one <= other).astype(bool)
        columns["target"].append(np.full(len(first), target, object))
        columns["feature_i"].append(np.where(is_ordered, one, other))
        columns["feature_j"].append(np.where(is_ordered, other, one))
        effects.append(gamma[first, second].astype(np.float64) + gamma[second, first])
    return {name: np.concatenate(parts) for name, parts in columns.items()}, np.concatenate(effects)


def _columns(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    count, mean_abs = np.asarray(frame["count"]), np.asarray(frame["mean_abs"])
    totals = np.asarray((frame["count"] * frame["mean_abs"]).groupby(frame["target"]).transform("sum"))
    return {str(name): np.asarray(frame[name]) for name in frame if name not in FIGURES} | {
        "mean_abs": mean_abs,
        "mean": np.asarray(frame["mean"]),
        "std": np.sqrt(np.asarray(frame["squares"]) / count),
        "min": np.asarray(frame["smallest"]),
        "max": np.asarray(frame["largest"]),
        "share": np.divide(count * mean_abs, totals, out=np.zeros(len(count)), where=totals > 0),
        "rows": count,
    }


def _ranked(columns: dict[str, np.ndarray], names: tuple[str, ...]) -> pa.Table:
    """Put the lines of each target together, targets in order of appearance, the largest mean_abs first."""
    target = pd.factorize(columns["target"])[0]
    order = np.lexsort((-columns["rows"], -columns["mean_abs"], target))
    ranked = {name: values[order] for name, values in columns.items()}
    start = np.searchsorted(target[order], target[order])
    ranked["rank"] = np.arange(len(order)) - start + 1
    return statistics_table(names, [ranked])
