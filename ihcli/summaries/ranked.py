"""Summaries of the entries that rank, and of those whose errors are too large: what did not converge decides nothing.

An entry ranks where it is `ok`, or its error is within ten tolerances: `_relative_error` for its attributions, and for
its interactions that and `_interaction_error`. Entries without an error rank, as those of methods that know none; and
all do where a fixed number of steps was asked for, and so no error in particular.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ihcli.explanation import AnyExplanation, selected
from ihcli.files.arrays import numbers, strings
from ihcli.quality import Entries, Status
from ihcli.summaries.ranking import LEFT_OUT, field_of
from ihcli.summaries.summary import AnySummary

MOST_TOLERANCES = 10.0
PARTS = ("ranked", "attributions_only", "unfinished")
"""Of entries whose attributions and interactions rank, whose attributions alone do, and of which nothing does."""


def most_error(tolerance: float, steps: int | None) -> float | None:
    """Return the largest error with which entries rank; None where all do."""
    return None if steps is not None else MOST_TOLERANCES * tolerance


def that_rank(entries: Entries, most: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Return of which entries the attributions rank, and of which the interactions do, (N,) bool each."""
    if most is None:
        return np.ones(len(entries), bool), np.ones(len(entries), bool)
    error, of_pairs = entries.relative_error, entries.interaction_error
    both = error if of_pairs is None else np.fmax(error, of_pairs)
    is_ok = entries.status == Status.OK
    return is_ok | ~(error > most), is_ok | ~(both > most)


class RankedSummary:
    """Statistics per target of the entries that rank, and of all of them; gathered while they stream by.

    Memory: that of a summary, and that of another where entries are left out of it.
    """

    def __init__(self, empty: Callable[[], AnySummary[Any]]) -> None:
        self._empty = empty
        self._parts = {"ranked": empty()}
        self._counts = {part: Counter[str]() for part in PARTS}

    def update(self, explanation: AnyExplanation, most: float | None = None) -> None:
        """Add an explanation; entries that have no values are left out.

        Parameters:
            most: error with which entries rank, see `most_error`.
        """
        attributions, interactions = that_rank(explanation, most)
        chosen = {
            "ranked": interactions,
            "attributions_only": attributions & ~interactions,
            "unfinished": ~attributions,
        }
        for part, mask in chosen.items():
            if part == "ranked" or mask.any():  # of nothing that ranks, columns are told all the same
                self._parts.setdefault(part, self._empty()).update(selected(explanation, mask))
                self._counts[part].update(map(str, explanation.target[mask & explanation.has_values]))

    def merge(self, other: "RankedSummary") -> None:
        """Add what another summary has seen; halves merged equal the whole up to rounding."""
        for part, summary in other._parts.items():
            if part in self._parts:
                self._parts[part].merge(summary)
            else:
                self._parts[part] = summary
            self._counts[part].update(other._counts[part])

    @property
    def counts_occurrences(self) -> bool:
        """Whether statistics are over occurrences, see `AnySummary`."""
        return self._parts["ranked"].counts_occurrences

    @property
    def lines(self) -> tuple[int, int]:
        """How many lines both tables have, over all targets."""
        return self._parts["ranked"].lines

    @property
    def held(self) -> int:
        """How many features and pairs there are figures of, those of entries that do not rank apart."""
        return sum(summary.held for summary in self._parts.values())

    @property
    def most_lines(self) -> int | None:
        """How many lines a table can grow to, see `AnySummary`."""
        return self._parts["ranked"].most_lines

    def narrowed(self, lines: int, times: float = 1.0) -> AnySummary[Any]:
        """Return that of the entries that rank, of about that many lines at most, see `AnySummary`."""
        return self._parts["ranked"].narrowed(lines, times)

    @property
    def note(self) -> str | None:
        """A sentence on what is missing, None where nothing is."""
        return next((summary.note for summary in self._parts.values() if summary.note), None)

    def attributions(self) -> pa.Table:
        """Return what attributions are of, ranked for every target over the entries that rank, and how many do not."""
        found = [self._parts["ranked"]]
        if (more := self._parts.get("attributions_only")) is not None:
            found.append(more.without_interactions())
        return _with_left_out(self._joined(found).attributions(), self._counts["unfinished"])

    def interactions(self) -> pa.Table | None:
        """Return the pairs ranked so; None without interactions."""
        table = self._parts["ranked"].interactions()
        left_out = self._counts["attributions_only"] + self._counts["unfinished"]
        return None if table is None else _with_left_out(table, left_out)

    def all_rows(self) -> tuple[pa.Table, pa.Table | None] | None:
        """Return both tables over all entries; None where all of them rank, so that they are the same."""
        if len(self._parts) == 1:
            return None
        whole = self._joined([self._parts[part] for part in PARTS if part in self._parts])
        pairs = whole.interactions()
        return _with_left_out(whole.attributions(), {}), None if pairs is None else _with_left_out(pairs, {})

    def state(self) -> dict[str, np.ndarray]:
        """Return all that was seen as arrays by name, from which `of_state` makes an equal summary."""
        arrays = self._parts["ranked"].state()
        for part in PARTS[1:]:
            if part in self._parts:
                arrays |= {f"{part}.{name}": values for name, values in self._parts[part].state().items()}
        counts = json.dumps({part: dict(counts) for part, counts in self._counts.items()})
        return arrays | {"entries": np.frombuffer(counts.encode(), np.uint8)}

    @classmethod
    def of_state(
        cls, arrays: Mapping[str, np.ndarray], read: Callable[[Mapping[str, np.ndarray]], AnySummary[Any]]
    ) -> "RankedSummary":
        """Return the summary of which these arrays are the state; all entries rank in one that ihcli 0.1.0 wrote.

        Parameters:
            read: makes a summary of its state.
        """
        ranked = read(arrays)
        summary = cls(type(ranked))
        summary._parts = {"ranked": ranked}
        for part in PARTS[1:]:
            mine = {name.removeprefix(f"{part}."): arrays[name] for name in arrays if name.startswith(f"{part}.")}
            if mine:
                summary._parts[part] = read(mine)
        if "entries" in arrays:
            for part, counts in json.loads(arrays["entries"].tobytes()).items():
                summary._counts[part].update(counts)
        return summary

    def _joined(self, summaries: list[AnySummary[Any]]) -> AnySummary[Any]:
        whole = self._empty()
        for summary in summaries:
            whole.merge(summary)
        return whole


def _with_left_out(table: pa.Table, counts: Mapping[str, int]) -> pa.Table:
    """Append a column that says of every line how many entries of its target were left out."""
    targets = list(_targets(table))
    left_out = numbers(np.array([counts.get(target, 0) for target in targets], np.int64))
    places = pc.index_in(table["target"], value_set=strings(targets))
    return table.append_column(field_of(LEFT_OUT), left_out.take(places) if targets else pa.chunked_array([left_out]))


def _targets(table: pa.Table) -> Iterator[str]:
    yield from table["target"].unique().to_pylist()
