"""Summaries against the parts: every statistic once more from the entries, ranks and shares from the statistics."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from ihcli.errors import RunError
from ihcli.explanation import Explanation, TextExplanation
from ihcli.quality import COLUMNS, UNITS
from ihcli.runs.run import Run
from ihcli.summaries.tables import Summary
from ihcli.summaries.texts import TextSummary
from ihcli.verification.described import Described
from ihcli.verification.findings import FAILED, Faults, Finding, not_checked
from ihcli.verification.stored import Block, Sized

AGREEMENT = 1e-9
"""Sums in another order, relative to the root mean square of what is summed."""
KEYS = {"attributions": ("target", "feature"), "interactions": ("target", "feature_i", "feature_j")}


class Summaries:
    """Both summary files of a run."""

    def __init__(self, described: Described) -> None:
        self._run = described
        self._of_tables, self._of_texts = Summary(), TextSummary()

    def see(self, block: Block) -> None:
        """Add a block."""
        for some in block.sizes:
            if self._run.features is None:
                self._of_texts.update(_texts(block, some))
            else:
                self._of_tables.update(_rows(block, some, self._run.features))

    def findings(self, run: Run, is_whole: bool) -> Iterator[Finding]:
        """Return what came of it.

        Parameters:
            is_whole: whether all parts were read; statistics of fewer are not those of the run.
        """
        found = self._of_texts if self._run.features is None else self._of_tables
        for kind in ("attributions", *(["interactions"] if self._run.second_order else [])):
            try:
                stored = run.summary_attributions() if kind == "attributions" else run.summary_interactions()
            except RunError as error:
                yield Finding(f"summary of {kind}", FAILED, str(error))
                continue
            yield ranks_and_shares(stored, kind, is_text=self._run.features is None)
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
        return self._of_texts.note or None


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


def ranks_and_shares(stored: pa.Table, kind: str, is_text: bool) -> Finding:
    """Check that ranks are 1, 2, ... by mean_abs within each target, and shares those of the total."""
    faults = Faults(f"ranks of {kind}", "ranks follow mean_abs within each target, shares are of its total")
    faults.checked = len(stored)
    needed = {*KEYS[kind], "rank", "mean_abs", "share", "rows"}
    if not needed <= set(stored.column_names):
        faults.add("columns missing", 1, ", ".join(sorted(needed - set(stored.column_names))))
        return faults.finding()
    for target, lines in stored.to_pandas().groupby("target", sort=False):
        mean_abs, ranks = lines["mean_abs"].to_numpy(float), lines["rank"].to_numpy()
        weight = mean_abs * (lines["rows"].to_numpy() if is_text else 1)
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


def _rows(block: Block, some: Sized, features: tuple[str, ...]) -> Explanation:
    """Return the entries as what a summary takes; figures that it does not look at are zeros."""
    return Explanation(feature_names=features, attributions=some.phi, interactions=some.gamma, **_shared(block, some))


def _texts(block: Block, some: Sized) -> TextExplanation:
    units = block.entries[UNITS].take(pa.array(some.place)).to_pylist()
    return TextExplanation(
        units=_objects([tuple(names) for names in units]),
        attributions=_objects(list(some.phi)),
        interactions=None if some.gamma is None else _objects(list(some.gamma)),
        **_shared(block, some),
    )


def _shared(block: Block, some: Sized) -> dict[str, Any]:
    nothing = {column.attribute: np.zeros(len(some.place)) for column in COLUMNS if column.present == "always"}
    known = {"row": block.row[some.place], "target": block.target[some.place], "status": block.status[some.place]}
    return {**nothing, **dict.fromkeys(("sampling_error", "drift")), **known}


def _objects(values: Sequence[object]) -> np.ndarray:
    array = np.empty(len(values), object)
    for place, value in enumerate(values):
        array[place] = value
    return array
