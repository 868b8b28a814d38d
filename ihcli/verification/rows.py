"""Who the entries are: every row once for each target, the same in both parts, and as many as run.json says."""

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa

from ihcli.data.sampling import tolerance_in_words
from ihcli.integration.effort import tolerances
from ihcli.quality import (
    EVALUATIONS,
    INTERACTION_ERROR,
    INTERACTION_SAMPLING_ERROR,
    INTERACTIONS,
    RELATIVE_ERROR,
    ROW,
    SAMPLING_ERROR,
    STATUSES,
    TARGET,
    TRUNCATED,
    Status,
)
from ihcli.runs.info import TotalsInfo
from ihcli.verification.described import Described
from ihcli.verification.findings import FAILED, PASSED, Bounded, Faults, Finding, not_checked
from ihcli.verification.stored import Block

SAMPLED_ERRORS = {RELATIVE_ERROR: SAMPLING_ERROR, INTERACTION_ERROR: INTERACTION_SAMPLING_ERROR}
"""Errors of integrals, and the errors of drawing baselines that they are held to."""
COUNTED = ("rows", "entries", "evaluations", "truncated")


class Rows:
    """Rows 0 to N - 1, each once for every target, in order, and in the part that their chunk has."""

    def __init__(self, run: Described) -> None:
        self._run = run
        self._faults = Faults("rows", "every row of the data once for each target, in order")
        self._targets = Faults("targets", "every target is the one asked for, an output of the model")
        self._seen: list[tuple[np.ndarray, np.ndarray]] = []
        self._found = 0

    def see(self, block: Block) -> None:
        """Add the entries of a block; parts come one after the other."""
        if self._seen and self._seen[-1][0][-1] != block.part[0]:
            self._close()
        index = self._target_index(block)
        entries = np.where(index >= 0, block.row * self._run.targets_per_row + np.maximum(index, 0), -1)
        self._seen.append((block.part, entries))

    def findings(self) -> Iterator[Finding]:
        """Return what came of it."""
        self._close()
        wanted = self._run.rows * self._run.targets_per_row
        self._faults.add(f"of {wanted} entries missing", wanted - self._found)
        yield self._faults.finding()
        yield self._targets.finding()

    def _target_index(self, block: Block) -> np.ndarray:
        """Return 0, or which of all targets an entry has, -1 where it is none of them."""
        known = {name: place for place, name in enumerate(self._run.outputs)}
        index = np.array([known.get(name, -1) for name in block.target], np.int64)
        wrong = index < 0
        if self._run.target == "predicted":
            wrong &= block.has_values  # nothing is predicted for a row without inputs
        elif self._run.target in known:
            wrong |= index != known[self._run.target]
        self._targets.checked += len(block)
        self._targets.add("entries of another target", int(wrong.sum()), block.name(wrong))
        return index if self._run.target == "all" else np.zeros(len(block), np.int64)

    def _close(self) -> None:
        """Compare what parts held with what they must hold; no two of them must hold the same."""
        if not self._seen:
            return
        part, entries = (np.concatenate(arrays) for arrays in zip(*self._seen, strict=True))
        self._seen = []
        per_row = self._run.targets_per_row
        first = part * self._run.chunk_rows
        end = np.minimum(first + self._run.chunk_rows, self._run.rows)
        inside = (entries >= first * per_row) & (entries < end * per_row)
        there, its_part = entries[inside], part[inside]
        repeats = _repeats(there)
        self._found += len(there) - int(repeats.sum())
        self._faults.checked += len(entries)
        if len(wrong := part[~inside]):
            self._faults.add("entries in a part that is not theirs", len(wrong), f"in part {wrong[0]}")
        if len(again := np.flatnonzero(repeats)):
            name = f"row {there[again[0]] // per_row} in part {its_part[again[0]]}"
            self._faults.add("entries there twice", len(again), name)
        falls = (np.diff(entries) <= 0) & (np.diff(part) == 0)
        if len(mixed := np.setdiff1d(part[1:][falls], [*wrong, *its_part[repeats]])):
            self._faults.add("parts out of order", len(mixed), f"in part {mixed[0]}")


class Pairing:
    """Both parts hold the same rows, keys, targets and units."""

    def __init__(self, run: Described) -> None:
        shared = [ROW, *run.keys, TARGET, *run.layout.shared]
        self._columns = shared
        self._faults = Faults("pairing", f"both kinds of parts have the same {', '.join(shared)}")
        self._lengths = Faults("lengths", "every text has one attribution a unit, and one interaction a pair of them")

    def see(self, block: Block) -> None:
        """Add a block."""
        self._lengths.checked += len(block)
        if len(wrong := block.misshapen):
            where = f"in part {block.part[wrong[0]]}"
            self._lengths.add("texts whose lists do not fit their units", len(wrong), where)
        if block.interactions is None:
            return
        self._faults.checked += len(block)
        for name in self._columns:
            theirs, ours = block.interactions[name], block.entries[name]
            if _equal(ours, theirs):
                continue
            for some in block.pieces:
                differ = not _equal(ours[some], theirs[some])
                where = f"from {block.names(np.array([some.start]))[0]}"
                self._faults.add(f"blocks of entries that differ in {name}", int(differ), where)

    def findings(self, run: Described) -> Iterator[Finding]:
        """Return what came of it."""
        if run.stores_matrices or run.stores_pairs:
            yield self._faults.finding()
        if not run.layout.is_aligned:
            yield self._lengths.finding()


class Counts:
    """Entries, statuses, evaluations and cut texts, against the totals of run.json."""

    def __init__(self) -> None:
        self._statuses: Counter[str] = Counter()
        self._rows = self._entries = self._evaluations = self._truncated = 0
        self._last_row: int | None = None

    def see(self, block: Block) -> None:
        """Add a block."""
        self._statuses.update(block.status.tolist())
        self._entries += len(block)
        rows = block.row
        self._rows += int((np.diff(rows) != 0).sum()) + int(self._last_row != rows[0])
        self._last_row = int(rows[-1])
        self._evaluations += int(block.numbers(EVALUATIONS).sum())
        if TRUNCATED in block.entries.column_names:
            self._truncated += int(block.numbers(TRUNCATED).sum())

    def findings(self, totals: TotalsInfo, data_rows: int) -> Iterator[Finding]:
        """Return what came of it."""
        found = {
            **{name: getattr(self, f"_{name}") for name in COUNTED},
            "statuses": dict(self._statuses),
        }
        told = {name: getattr(totals, name) for name in found}
        differing = [
            f"{name}: {told[name]} in run.json, {found[name]} in the parts"
            for name in found
            if told[name] != found[name]
        ]
        if data_rows != totals.rows:
            differing.append(f"rows: {data_rows} in the data, {totals.rows} explained")
        words = f"rows, entries, statuses and evaluations are the totals of run.json: {_listed(self._statuses)}"
        outcome = FAILED if differing else PASSED
        yield Finding("totals", outcome, "; ".join(differing) or words, self._entries)


class Statuses:
    """ok within the tolerance, other statuses beyond it; figures where there must be some, nulls elsewhere."""

    def __init__(self, run: Described) -> None:
        self._run = run
        self._shares = [column.name for column in run.columns if column.is_relative]
        within = (
            f"ok within the tolerance {tolerance_in_words(run.tolerance, run.sampling_share)}, the others beyond it"
        )
        self._statuses = Faults("statuses", within if run.has_error else f"uncertified, as {run.method} knows no error")
        self._nulls = Faults("nulls", "figures are finite, and null exactly where the status says that there are none")
        self._errors = [name for name in (RELATIVE_ERROR, INTERACTION_ERROR) if name in run.measures]
        self._tolerance = Bounded("tolerance", f"{' and '.join(self._errors)} of rows that are ok")

    def see(self, block: Block) -> None:
        """Add a block."""
        errors = {name: block.numbers(name) for name in self._errors}
        tolerance = {name: self._tolerances(block, name) for name in self._errors}
        is_ok = block.status == Status.OK
        within = np.all([errors[name] <= tolerance[name] for name in self._errors], axis=0)
        unknown = ~np.isin(block.status, STATUSES)
        foreign = block.has_values & ((block.status == Status.UNCERTIFIED) == self._run.has_error)
        self._statuses.checked += len(block)
        self._statuses.add("unknown statuses", int(unknown.sum()), block.name(unknown))
        self._statuses.add("statuses of another method", int((foreign & ~unknown).sum()), block.name(foreign))
        for words, wrong in (
            ("ok beyond the tolerance", is_ok & ~within),
            ("within the tolerance but not ok", ~is_ok & block.has_values & within),
            *((f"negative figures in {name}", block.numbers(name) < 0) for name in self._shares),
        ):
            self._statuses.add(words, int(wrong.sum()), block.name(wrong))
        ok = np.flatnonzero(is_ok)
        for name in self._errors:
            self._tolerance.see(errors[name][ok], tolerance[name][ok], block.names(ok))
        self._see_nulls(block)

    def findings(self) -> Iterator[Finding]:
        """Return what came of it."""
        yield self._statuses.finding()
        known = self._run.has_error
        yield self._tolerance.finding() if known else not_checked("tolerance", f"{self._run.method} knows no error")
        yield self._nulls.finding()

    def _tolerances(self, block: Block, error: str) -> np.ndarray:
        """Return at which relative error of that name rows were done, (n,)."""
        drawn = SAMPLED_ERRORS[error]
        sampling_error = block.numbers(drawn) if drawn in self._run.measures else np.full(len(block), np.nan)
        return tolerances(self._run.tolerance, self._run.sampling_share, sampling_error)

    def _see_nulls(self, block: Block) -> None:
        self._nulls.checked += len(block)
        for name in self._run.unknown:
            told = ~_is_null(block.entries[name])
            self._nulls.add(
                f"figures in {name}, which {self._run.method} does not know", int(told.sum()), block.name(told)
            )
        for name in (*self._run.measures, *self._run.layout.columns):
            if name in self._run.unknown:
                continue
            if name in (SAMPLING_ERROR, INTERACTION_SAMPLING_ERROR) and self._run.n_baselines == 1:
                continue  # one baseline says nothing about the spread of them
            column = block.entries[name]
            finite = None if pa.types.is_list(column.type) else np.isfinite(block.numbers(name))
            self._see_column(block, name, column, finite)
        if block.interactions is not None:
            self._see_column(block, INTERACTIONS, block.interactions[INTERACTIONS], None)
            for some in block.sizes:
                if some.gamma is not None:
                    wrong = some.place[~np.isfinite(some.gamma).all(axis=(1, 2))]
                    self._nulls.add("interactions that are not finite", len(wrong), "".join(block.names(wrong[:1])))

    def _see_column(self, block: Block, name: str, column: pa.ChunkedArray, finite: np.ndarray | None) -> None:
        is_null = _is_null(column)
        too_few, too_many = is_null & block.has_values, ~is_null & ~block.has_values
        self._nulls.add(f"nulls in {name} where there are figures", int(too_few.sum()), block.name(too_few))
        self._nulls.add(f"figures in {name} where there are none", int(too_many.sum()), block.name(too_many))
        if finite is not None:
            wild = ~is_null & ~finite
            self._nulls.add(f"figures in {name} that are not finite", int(wild.sum()), block.name(wild))


def _is_null(column: pa.ChunkedArray) -> np.ndarray:
    is_null = [chunk.is_null().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    return np.concatenate([*is_null, np.zeros(0, bool)])


def _equal(ours: pa.ChunkedArray, theirs: pa.ChunkedArray) -> bool:
    return bool(ours.type == theirs.type and ours.equals(theirs))


def _repeats(entries: np.ndarray) -> np.ndarray:
    """Return which entries were there before, (n,) bool."""
    _, first = np.unique(entries, return_index=True)
    repeats = np.ones(len(entries), bool)
    repeats[first] = False
    return repeats


def _listed(statuses: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()))
