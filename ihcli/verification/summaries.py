"""Summaries against the parts: every statistic once more from the entries, ranks and shares from the statistics."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from ihcli.errors import RunError
from ihcli.layouts.layout import Layout, Sized
from ihcli.quality import ATTRIBUTIONS, COLUMNS, INTERACTION_ERROR, INTERACTIONS, RELATIVE_ERROR
from ihcli.runs.names import SUMMARY, over_all_rows
from ihcli.runs.run import Run
from ihcli.summaries.ranked import RankedSummary
from ihcli.summaries.ranking import BARS, LEFT_OUT, OPPOSED, by_target
from ihcli.summaries.rest import Rest, rest_of
from ihcli.verification.described import Described
from ihcli.verification.findings import FAILED, Faults, Finding, not_checked
from ihcli.verification.model import figures_of_model
from ihcli.verification.stored import Block

AGREEMENT = 1e-9
"""Sums in another order, relative to the root mean square of what is summed."""
BARS_AGREEMENT = 1e-5
"""The same of error bars, which are summed in the precision of the matrices."""
KEYS = {ATTRIBUTIONS: ("target", "feature"), INTERACTIONS: ("target", "feature_i", "feature_j")}
COUNTS = ("rows", "main_rows", LEFT_OUT)


class Summaries:
    """The summary files of a run: over the rows that rank, and over all of them where some do not."""

    def __init__(self, described: Described) -> None:
        self._run = described
        self._summary = RankedSummary(described.layout.summary)

    def see(self, block: Block) -> None:
        """Add a block."""
        for some in block.sizes:
            explanation = self._run.layout.explanation(block.entries, some, _known(block, some))
            self._summary.update(explanation, self._run.most_error)

    def findings(self, run: Run, is_whole: bool) -> Iterator[Finding]:
        """Return what came of it.

        Parameters:
            is_whole: whether all parts were read; statistics of fewer are not those of the run.
        """
        found = self._summary
        yield from self._compared(run, (found.attributions(), found.interactions()), is_whole)
        whole = found.all_rows()
        if is_whole:
            yield self._are_there(run, whole is not None)
        if whole is not None:
            yield from self._compared(replace(run, all_rows=True), whole, is_whole)
        yield figures_of_model(run)
        if self._run.second_order and not self._run.stores_matrices:
            yield not_checked("summary of main effects", self._reason("interactions", is_whole) or "")

    def _compared(self, run: Run, found: Sequence[pa.Table | None], is_whole: bool) -> Iterator[Finding]:
        """Compare both tables with what the parts say."""
        kinds = KEYS if self._run.second_order else [ATTRIBUTIONS]
        for kind, computed in zip(kinds, found, strict=False):
            name = f"all {kind}" if run.all_rows else kind
            try:
                stored = run.summary_attributions() if kind == ATTRIBUTIONS else run.summary_interactions()
            except RunError as error:
                yield Finding(f"summary of {name}", FAILED, str(error))
                continue
            yield ranks_and_shares(stored, name, (*KEYS[kind], *self._bars(kind)), self._run.layout)
            if kind == INTERACTIONS and self._run.layout.is_aligned:
                yield every_pair(stored, name, len(self._run.layout.features))
            if reason := self._reason(kind, is_whole):
                yield not_checked(f"summary of {name}", reason)
            else:
                table = self._as_of_then(computed, stored)
                yield same_statistics(stored, table, name, KEYS[kind])

    def _bars(self, kind: str) -> list[str]:
        """Return the columns of errors that a summary must have."""
        known = [name for name in self._run.beside_pairs if name in BARS and self._run.has_error]
        return known if kind == INTERACTIONS else [f"main_{name}" for name in known]

    def _are_there(self, run: Run, expected: bool) -> Finding:
        """Return whether there are summaries over all rows where some do not rank, and only there."""
        words = "there where some rows do not rank, and only there" if expected else "none, as all rows rank"
        faults = Faults("summaries of all rows", words)
        kinds = KEYS if self._run.second_order else [ATTRIBUTIONS]
        for file in (run.path / SUMMARY / f"{over_all_rows(kind)}.parquet" for kind in kinds):
            faults.checked += 1
            is_there = file.is_file()
            faults.add("that are missing" if expected else "where all rows rank", int(is_there != expected), file.name)
        return faults.finding()

    def _as_of_then(self, table: pa.Table | None, stored: pa.Table) -> pa.Table | None:
        """Return a table as the run has it: without the columns that older versions did not write."""
        later = [*([LEFT_OUT, "main_rows"] if self._run.is_of_first_version else []), OPPOSED]
        if table is None:
            return None
        if OPPOSED in stored.column_names:
            later.remove(OPPOSED)
        return table.drop_columns([name for name in later if name in table.column_names])

    def _reason(self, kind: str, is_whole: bool) -> str | None:
        """Return why a summary cannot be computed again."""
        if not is_whole:
            return "parts are missing or cannot be read"
        if kind == INTERACTIONS and not self._run.stores_matrices:
            return f"the run stores no matrices (`interactions={self._run.info.arguments.interactions}`)"
        return self._summary.note


def same_statistics(stored: pa.Table, computed: pa.Table | None, name: str, keys: Sequence[str]) -> Finding:
    """Compare the statistics of both tables, line by line, whatever the order of ties."""
    faults = Faults(f"summary of {name}", "every statistic is that of the parts")
    theirs, keys = stored.to_pandas(), list(keys)
    if computed is None or not len(computed):
        faults.add("lines for rows that are not there", len(theirs))
        return faults.finding()
    ours = computed.to_pandas().set_index(keys)
    faults.checked = len(ours)
    if not set(keys) <= set(theirs.columns) or not set(ours.columns) <= set(theirs.columns):
        faults.add("columns missing", 1, ", ".join(sorted(set(ours.reset_index().columns) - set(theirs.columns))))
        return faults.finding()
    theirs = theirs.set_index(keys)
    others = [lines.loc[lines.index.difference(more.index)] for lines, more in ((ours, theirs), (theirs, ours))]
    apart = sum(int((~_could_be_listed(lines, rest_of(computed))).sum()) for lines in others)
    if theirs.index.has_duplicates or apart:
        faults.add(f"lines of other {' and '.join(keys)} than in the parts", apart or 1)
        return faults.finding()
    _compare_rest(faults, rest_of(stored), rest_of(computed))
    ours = ours.drop(others[0].index)
    theirs = theirs.reindex(ours.index)
    for name in (name for name in ours.columns if name not in ("rank", "share")):
        wrong = _off(theirs[name].to_numpy(float), ours, name)
        first = ours.index[np.flatnonzero(wrong)[0]] if wrong.any() else ()
        faults.add(f"values of {name} that are not those of the parts", int(wrong.sum()), ", ".join(map(str, first)))
    return faults.finding()


def _could_be_listed(lines: pd.DataFrame, rest: Mapping[str, Rest]) -> np.ndarray:
    """Return which lines are as large as the largest that is not listed, so that rounding says which are, (n,) bool."""
    least = np.array([rest[target].largest if target in rest else np.nan for target, *_ in lines.index], float)
    mean_abs = lines["mean_abs"].to_numpy(float)
    size = np.hypot(lines["mean"].to_numpy(float), lines["std"].to_numpy(float))
    return np.asarray(np.abs(mean_abs - least) <= AGREEMENT * np.maximum(size, mean_abs))


def _compare_rest(faults: Faults, theirs: Mapping[str, Rest], ours: Mapping[str, Rest]) -> None:
    """Compare what is told of pairs that are not listed; bars are summed in the precision of the matrices."""
    if theirs.keys() != ours.keys():
        faults.add("targets whose pairs are not all listed, or are", len(theirs.keys() ^ ours.keys()))
        return
    for target, mine in ours.items():
        told = asdict(theirs[target])
        for name, value in asdict(mine).items():
            agreement = BARS_AGREEMENT if name == "most" else AGREEMENT
            is_off = not abs(told[name] - value) <= agreement * max(value, mine.largest)
            faults.add(f"values of {name} of the rest that are not those of the parts", int(is_off), f"target {target}")


def ranks_and_shares(stored: pa.Table, name: str, columns: Sequence[str], layout: Layout[Any]) -> Finding:
    """Check that ranks are 1, 2, ... by mean_abs within each target, shares those of the total, and bars possible.

    Parameters:
        columns: that it must have, where it has lines.
    """
    faults = Faults(f"ranks of {name}", "ranks follow mean_abs within each target, shares are of its total")
    faults.checked = len(stored)
    needed = {*columns, "rank", "mean_abs", "share", "rows"} if len(stored) else set()
    if not needed <= set(stored.column_names):
        faults.add("columns missing", 1, ", ".join(sorted(needed - set(stored.column_names))))
        return faults.finding()
    for column in (each for each in stored.column_names if each.removeprefix("main_") in BARS):
        figures = stored[column].to_numpy()
        faults.add(f"figures in {column} that none can be", int((figures < 0).sum()))
    rest = rest_of(stored)
    for target, lines in stored.to_pandas().groupby("target", sort=False):
        mean_abs, ranks = lines["mean_abs"].to_numpy(float), lines["rank"].to_numpy()
        weight = layout.weights(mean_abs, lines["rows"].to_numpy())
        total = weight.sum() + (rest[target].mean_abs if target in rest else 0.0)
        share = weight / total if total > 0 else 0 * weight
        faults.add("ranks out of order", int((ranks != np.arange(1, len(ranks) + 1)).sum()), f"target {target}")
        faults.add("lines with more than the one before", int((np.diff(mean_abs) > 0).sum()), f"target {target}")
        off = ~(np.abs(lines["share"].to_numpy(float) - share) <= AGREEMENT)
        faults.add("shares of something else", int(off.sum()), f"target {target}")
    return faults.finding()


def every_pair(stored: pa.Table, name: str, n_features: int) -> Finding:
    """Check that every pair is listed or counted among the rest of its target, which is not larger than what is listed.

    Runs of before list all pairs, whatever their number.
    """
    faults = Faults(f"pairs of {name}", "every pair is listed, or smaller than those that are and summed up")
    rest = rest_of(stored)
    for target, lines in by_target(stored).items():
        others = rest.get(target, Rest(len(lines), 0, 0.0, 0.0, 0.0))
        faults.checked += len(lines)
        faults.add("lines that are not as many as told", int(others.listed != len(lines)), f"target {target}")
        missing = n_features * (n_features - 1) // 2 - len(lines) - others.pairs
        faults.add("pairs that are neither listed nor counted", abs(missing), f"target {target}")
        least = lines["mean_abs"][-1].as_py()
        is_wrong = not (0 <= others.largest <= least and others.largest <= others.mean_abs + AGREEMENT * least)
        faults.add("sums of the rest that none can be", int(is_wrong), f"target {target}")
    return faults.finding()


def _off(theirs: np.ndarray, ours: pd.DataFrame, name: str) -> np.ndarray:
    """Return which values differ by more than sums in another order may, (n,) bool."""
    mine = ours[name].to_numpy(float)
    both_unknown = np.isnan(theirs) & np.isnan(mine)
    if name in COUNTS:
        return theirs != mine
    if name.endswith("error_bar"):
        return ~both_unknown & ~(np.abs(theirs - mine) <= BARS_AGREEMENT * mine)
    prefix = "main_" if name.startswith("main_") else ""
    mean, std = ours[f"{prefix}mean"].to_numpy(float), ours[f"{prefix}std"].to_numpy(float)
    square = mean**2 + std**2
    if name.endswith("std"):  # a root: its square is what sums give
        return ~both_unknown & ~(np.abs(theirs**2 - mine**2) <= AGREEMENT * square) | (theirs < 0)
    return ~both_unknown & ~(np.abs(theirs - mine) <= AGREEMENT * np.maximum(np.sqrt(square), np.abs(mine)))


def _known(block: Block, some: Sized) -> dict[str, Any]:
    """Return what stands beside the values of some entries; figures that a summary does not look at are zeros."""
    zeros = np.zeros(len(some.place))
    nothing = {column.attribute: None if column.present else zeros for column in COLUMNS}
    known = {"row": block.row[some.place], "target": block.target[some.place], "status": block.status[some.place]}
    errors = [column for column in COLUMNS if column.name in (RELATIVE_ERROR, INTERACTION_ERROR)]
    there = (column for column in errors if column.name in block.entries.column_names)
    return {**nothing, **known, **{column.attribute: block.numbers(column.name)[some.place] for column in there}}
