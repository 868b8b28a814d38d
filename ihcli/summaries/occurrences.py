"""Moments of values over the occurrences of keys, such as words or pairs of them, while they stream by."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pyarrow as pa

from ihcli.summaries.ranking import statistics_table

MOST_KEPT = 2_000_000
"""Distinct pairs kept, about 300 MB, and four times that while parts are merged; beyond, those seen least are dropped
(Manku and Motwani 2002, lossy counting)."""
LEAST_PENDING = 1 << 16
"""Lines that may wait to be merged, however few are merged."""
FIGURES = ("count", "mean", "mean_abs", "squares", "smallest", "largest", "error_bar")


@dataclass(frozen=True)
class Occurrences:
    """Moments of a value over the occurrences of each key: one line a key, in order of first appearance.

    frame    the keys, and count, mean, mean_abs, squares (summed squared deviations), smallest, largest, and the mean
             of error_bar, NaN where one is not known
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

    def add(
        self, keys: Mapping[str, np.ndarray], values: np.ndarray, error_bars: np.ndarray | None = None
    ) -> "Occurrences":
        """Add occurrences: one key, spread over the key columns, for each value (n,), and how far it may be off."""
        values = np.asarray(values, np.float64)
        figures = {
            "count": np.ones(len(values), np.int64),
            "mean": values,
            "mean_abs": np.abs(values),
            "squares": np.zeros(len(values)),
            "smallest": values,
            "largest": values,
            "error_bar": np.full(len(values), np.nan) if error_bars is None else error_bars,
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
        """Return the occurrences of which these arrays are the state; one of ihcli 0.1.0 has no error bars."""
        arrays = {"error_bar": np.full(len(arrays["count"]), np.nan), **arrays}
        names = {name: np.array(json.loads(arrays[f"{name}.names"].tobytes()), object) for name in keys}
        columns = {name: names[name][arrays[name]] for name in keys} | {name: arrays[name] for name in FIGURES}
        whole, ends = pd.DataFrame(columns), np.cumsum(arrays["sizes"]).tolist()
        frame, *pending = (whole[start:end] for start, end in zip([0, *ends], ends, strict=False))
        return cls(keys, frame, int(arrays["dropped"]), tuple(pending))

    def _with(self, part: pd.DataFrame, dropped: int) -> "Occurrences":
        more = replace(self, dropped=dropped, pending=(*self.pending, part))
        return more.settled() if sum(map(len, more.pending)) > max(len(self.frame), LEAST_PENDING) else more

    def statistics_of(self, other: "Occurrences") -> dict[str, np.ndarray]:
        """Return the statistics of the keys of another, in its order; NaN of those that are not here, and 0 rows."""
        statistics, keys = pd.DataFrame(self.statistics()), list(self.keys)
        wanted = other.settled().frame[keys]
        if len(wanted) != len(statistics) or not wanted.equals(statistics[keys]):
            statistics = wanted.merge(statistics, on=keys, how="left").fillna({"rows": 0})
        return {str(name): np.asarray(statistics[name]) for name in statistics}

    def ranked(self, names: tuple[str, ...], more: Mapping[str, np.ndarray] | None = None) -> pa.Table:
        """Return these columns of statistics, and more of them, with the lines of each target together.

        Targets come in order of appearance, the largest mean_abs first.
        """
        columns = {**self.statistics(), **(more or {})}
        target = pd.factorize(columns["target"])[0]
        order = np.lexsort((-columns["rows"], -columns["mean_abs"], target))
        ranked = {name: values[order] for name, values in columns.items()}
        start = np.searchsorted(target[order], target[order])
        ranked["rank"] = np.arange(len(order)) - start + 1
        return statistics_table(names, [ranked])

    def statistics(self) -> dict[str, np.ndarray]:
        """Return keys and statistics by the names of the summary's columns, one line a key, in order."""
        frame = self.settled().frame
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
            "error_bar": np.asarray(frame["error_bar"]),
        }


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
        "error_bar": averaged(frame["error_bar"].to_numpy()),
    }
    return pd.DataFrame({name: frame[name].to_numpy()[first] for name in keys} | figures)
