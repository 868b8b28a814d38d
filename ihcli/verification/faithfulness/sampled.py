"""What a run says of some of its rows, drawn from those of each target that have values."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from ihcli.data.survey import Sampler
from ihcli.errors import OptionError, RunError
from ihcli.quality import ROW, STATUS, TARGET, has_values
from ihcli.results.records import Record, pair_effects, record_of, stored_interactions
from ihcli.results.result import Result
from ihcli.verification.faithfulness.pairs import RowPairs
from ihcli.wording import did_you_mean, listed

Rows = dict[str, np.ndarray]
Entry = dict[str, Any]
NO_PAIRS = RowPairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


@dataclass(frozen=True)
class Entries:
    """Rows (N,) of one target, in ascending order: names and values of their units, and some of their pairs.

    pairs  None where the run stores none of single rows
    """

    target: str
    row: np.ndarray
    names: list[tuple[str, ...]]
    attributions: list[np.ndarray]
    pairs: list[RowPairs] | None


class Merging(Protocol):
    """What units of a row are merged into before anything is masked; see `evaluation.words.Merged`."""

    @property
    def tokens(self) -> tuple[str, ...]:
        """The units of the run."""

    @property
    def words(self) -> tuple[str, ...]:
        """What they are merged into."""

    def values(self, of_tokens: np.ndarray) -> np.ndarray:
        """Return the values of these."""

    def pairs(self, of_tokens: RowPairs) -> RowPairs:
        """Return their pairs, given all pairs of the units."""


Merge = Callable[[Sequence[int]], Mapping[int, Merging]]
"""Gives what units of rows, which are ascending, are merged into."""


def sampled(
    result: Result, target: str | None, size: int, seed: int, with_pairs: bool, merge: Merge | None = None
) -> list[Entries]:
    """Draw up to so many rows of each target, or of one, and read them.

    Memory: what is drawn, and a row group. Raises OptionError for a target that the run does not have, RunError where
    no row has values.
    """
    drawn = _drawn(result, target, size, seed)
    entries = {(entry[ROW], entry[TARGET]): entry for entry in _entries(result, drawn)}
    merged = None if merge is None else merge(_everywhere(drawn))
    pairs = dict(_pairs(result, drawn, entries, seed, merged)) if with_pairs and result.run.has_interactions else {}
    found = []
    for name, rows in drawn.items():
        of = [(int(row), name) for row in rows]
        units = [_merged(result, result.layout.record(entries[each]), each[0], merged) for each in of]
        names, phi = [names for names, _ in units], [phi for _, phi in units]
        found.append(Entries(name, rows, names, phi, [pairs[each] for each in of] if pairs else None))
    return found


def _merged(
    result: Result, record: tuple[tuple[str, ...], Sequence[float]], row: int, merged: Mapping[int, Merging] | None
) -> tuple[tuple[str, ...], np.ndarray]:
    """Return units and values of a row, as they are masked."""
    names, phi = record[0], np.array(record[1], np.float64)
    if merged is None:
        return names, phi
    if row not in merged or merged[row].tokens != names:
        raise RunError(f"{result.path}: row {row} has other units than the data. Try ihcli verify.")
    return merged[row].words, merged[row].values(phi)


def _drawn(result: Result, target: str | None, size: int, seed: int) -> Rows:
    """Return ascending rows of each target; the same ones where all rows have all targets."""
    samplers: dict[str, Sampler] = {}
    for table in result.entries([ROW, TARGET, STATUS]):
        known = has_values(table[STATUS].to_numpy())
        rows, names = table[ROW].to_numpy()[known], table[TARGET].to_numpy()[known]
        for name in dict.fromkeys(names.tolist()):
            samplers.setdefault(name, Sampler(size, seed)).add(rows[names == name][:, None])
    if not samplers:
        raise RunError(f"{result.path}: no row has values. Expected one explained row at least.")
    if target is not None and target not in samplers:
        names = list(samplers)
        raise OptionError(
            f"`target`: {result.path} has no rows of target {target!r}. Expected one of {listed(names)}."
            f"{did_you_mean(target, names)}"
        )
    return {name: drawn.sample().values[:, 0] for name, drawn in samplers.items() if target in (None, name)}


def _everywhere(drawn: Rows) -> list[int]:
    return np.unique(np.concatenate(list(drawn.values()))).tolist()


def _entries(result: Result, drawn: Rows) -> Iterator[Entry]:
    """Give what the attributions parts hold of rows that were drawn."""
    wanted = {name: set(rows.tolist()) for name, rows in drawn.items()}
    for table in result.entries(None, _everywhere(drawn)):
        for entry in table.to_pylist():
            if entry[ROW] in wanted.get(entry[TARGET], ()):
                yield entry


def _pairs(
    result: Result,
    drawn: Rows,
    entries: dict[tuple[int, str], Entry],
    seed: int,
    merged: Mapping[int, Merging] | None,
) -> Iterator[tuple[tuple[int, str], RowPairs]]:
    """Give some pairs of each of the entries, of one at a time."""
    for table in result.interaction_entries(None, _everywhere(drawn)):
        for of, stored in stored_interactions(_of_targets(table, drawn), result.layout).items():
            if of in entries:
                record = record_of(entries[of], keys=result.keys, layout=result.layout, **stored)
                pairs = _told_apart(record)
                if merged is not None:  # of which the largest alone say nothing
                    pairs = NO_PAIRS if record.interactions is None else merged[of[0]].pairs(pairs)
                yield of, pairs.some(np.random.default_rng([seed, of[0]]))


def _of_targets(table: pa.Table, drawn: Rows) -> pa.Table:
    wanted = np.array([name in drawn for name in table[TARGET].to_pylist()], bool)
    return table.filter(pa.array(wanted))


def _told_apart(record: Record) -> RowPairs:
    """Return the pairs of a record, the largest first; of words that a text repeats only where whole matrices say."""
    effects = pair_effects(record)
    if effects is None:
        return NO_PAIRS
    known = np.ones(len(effects.values), bool)
    if record.interactions is None:
        counts = Counter(record.names)
        once = np.array([counts[name] == 1 for name in record.names], bool)
        known = once[effects.first] & once[effects.second]
    return RowPairs(effects.first[known], effects.second[known], effects.values[known])
