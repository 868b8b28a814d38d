"""Summaries against the parts: every statistic once more from the entries, ranks and shares from the statistics."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from ihcli.errors import RunError
from ihcli.layouts.layout import Layout, Sized
from ihcli.quality import COLUMNS
from ihcli.runs.run import Run
from ihcli.verification.described import Described
from ihcli.verification.findings import FAILED, Faults, Finding, not_checked
from ihcli.verification.stored import Block

AGREEMENT = 1e-9
"""Sums in another order, relative to the root mean square of what is summed."""
KEYS = {"attributions": ("target", "feature"), "interactions": ("target", "feature_i", "feature_j")}


class Summaries:
    """Both summary files of a run."""

    def __init__(self, described: Described) -> None:
        self._run = described
        self._summary = described.layout.summary()

    def see(self, block: Block) -> None:
        """Add a block."""
        for some in block.sizes:
            self._summary.update(self._run.layout.explanation(block.entries, some, _known(block, some)))

    def findings(self, run: Run, is_whole: bool) -> Iterator[Finding]:
        """Return what came of it.

        Parameters:
            is_whole: whether all parts were read; statistics of fewer are not those of the run.
        """
        found = self._summary
        for kind in ("attributions", *(["interactions"] if self._run.second_order else [])):
            try:
                stored = run.summary_attributions() if kind == "attributions" else run.summary_interactions()
            except RunError as error:
                yield Finding(f"summary of {kind}", FAILED, str(error))
                continue
            yield ranks_and_shares(stored, kind, self._run.layout)
            if reason := self._reason(kind, is_whole):
                yield not_checked(f"summary of {kind}", reason)
            else:
                table = found.attributions() if kind == "attributions" else found.interactions()
                yield same_statistics(stored, table, kind)
        if self._run.second_order and not self._run.stores_matrices:
            yield not_checked("summary of main effects", self._reason("interactions", is_whole) or "")

    def _reason(self, kind: str, is_whole: bool) -> str | None:
        """Return why a summary cannot be computed again."""
        if not is_whole:
            return "parts are missing or cannot be read"
        if kind == "interactions" and not self._run.stores_matrices:
            return f"the run stores no matrices (`interactions={self._run.info.arguments.interactions}`)"
        return self._summary.note


def same_statistics(stored: pa.Table, computed: pa.Table | None, kind: str) -> Finding:
    """Compare the statistics of both tables, line by line, whatever the order of ties."""
    faults = Faults(f"summary of {kind}", "every statistic is that of the parts")
    theirs, keys = stored.to_pandas(), list(KEYS[kind])
    if computed is None or not len(computed):
        faults.add("lines for rows that are not there", len(theirs))
        return faults.finding()
    ours = computed.to_pandas().set_index(keys)
    faults.checked = len(ours)
    if not set(keys) <= set(theirs.columns) or not set(ours.columns) <= set(theirs.columns):
        faults.add("columns missing", 1, ", ".join(sorted(set(ours.reset_index().columns) - set(theirs.columns))))
        return faults.finding()
    theirs = theirs.set_index(keys)
    if theirs.index.has_duplicates or set(theirs.index) != set(ours.index):
        faults.add(
            f"lines of other {' and '.join(keys)} than in the parts", len(set(theirs.index) ^ set(ours.index)) or 1
        )
        return faults.finding()
    theirs = theirs.reindex(ours.index)
    for name in (name for name in ours.columns if name not in ("rank", "share")):
        wrong = _off(theirs[name].to_numpy(float), ours, name)
        first = ours.index[np.flatnonzero(wrong)[0]] if wrong.any() else ()
        faults.add(f"values of {name} that are not those of the parts", int(wrong.sum()), ", ".join(map(str, first)))
    return faults.finding()


def ranks_and_shares(stored: pa.Table, kind: str, layout: Layout[Any]) -> Finding:
    """Check that ranks are 1, 2, ... by mean_abs within each target, and shares those of the total."""
    faults = Faults(f"ranks of {kind}", "ranks follow mean_abs within each target, shares are of its total")
    faults.checked = len(stored)
    needed = {*KEYS[kind], "rank", "mean_abs", "share", "rows"}
    if not needed <= set(stored.column_names):
        faults.add("columns missing", 1, ", ".join(sorted(needed - set(stored.column_names))))
        return faults.finding()
    for target, lines in stored.to_pandas().groupby("target", sort=False):
        mean_abs, ranks = lines["mean_abs"].to_numpy(float), lines["rank"].to_numpy()
        weight = layout.weights(mean_abs, lines["rows"].to_numpy())
        share = weight / weight.sum() if weight.sum() > 0 else 0 * weight
        faults.add("ranks out of order", int((ranks != np.arange(1, len(ranks) + 1)).sum()), f"target {target}")
        faults.add("lines with more than the one before", int((np.diff(mean_abs) > 0).sum()), f"target {target}")
        off = ~(np.abs(lines["share"].to_numpy(float) - share) <= AGREEMENT)
        faults.add("shares of something else", int(off.sum()), f"target {target}")
    return faults.finding()


def _off(theirs: np.ndarray, ours: pd.DataFrame, name: str) -> np.ndarray:
    """Return which values differ by more than sums in another order may, (n,) bool."""
    mine = ours[name].to_numpy(float)
    if name == "rows":
        return theirs != mine
    prefix = "main_" if name.startswith("main_") else ""
    mean, std = ours[f"{prefix}mean"].to_numpy(float), ours[f"{prefix}std"].to_numpy(float)
    square = mean**2 + std**2
    if name.endswith("std"):  # a root: its square is what sums give
        return ~(np.abs(theirs**2 - mine**2) <= AGREEMENT * square) | (theirs < 0)
    return ~(np.abs(theirs - mine) <= AGREEMENT * np.maximum(np.sqrt(square), np.abs(mine)))


def _known(block: Block, some: Sized) -> dict[str, Any]:
    """Return what stands beside the values of some entries; figures that a summary does not look at are zeros."""
    zeros = np.zeros(len(some.place))
    nothing = {column.attribute: None if column.present else zeros for column in COLUMNS}
    known = {"row": block.row[some.place], "target": block.target[some.place], "status": block.status[some.place]}
    return {**nothing, **known}
