"""A run that was opened: its tables, read when asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pyarrow as pa

from ihcli.errors import RunError
from ihcli.files.foreign import one_message
from ihcli.files.locations import Location, absence, locate
from ihcli.files.lock import is_locked
from ihcli.layouts.layout import Layout
from ihcli.methods import names_of
from ihcli.quality import remedies_in_words
from ihcli.runs.files import FIGURES, WRONG, opened_part, require_own, require_types
from ihcli.runs.files import SUMMARY as SUMMARY_COLUMNS
from ihcli.runs.info import RunInfo, read_info
from ihcli.runs.names import ATTRIBUTIONS, INFO, INTERACTIONS, MODEL, SHARDS, SUMMARY, over_all_rows
from ihcli.runs.rowgroups import PartFiles
from ihcli.runs.told import if_told
from ihcli.summaries.rest import rest_of
from ihcli.wording import either, printable

UNMERGED = "contains shards that are not merged yet. Try ihcli merge when all are done"
RANKED = {ATTRIBUTIONS: ("feature",), INTERACTIONS: ("feature_i", "feature_j")}
STATISTICS = ("mean_abs", "mean", "std", "share", "rows")


@dataclass(frozen=True)
class Run:
    """A run that was opened; tables are read when asked for.

    all_rows  whether its summaries shall be over all rows, also those whose errors are too large to rank
    """

    path: Location
    info: RunInfo
    all_rows: bool = False

    @cached_property
    def attribution_parts(self) -> PartFiles:
        """The attributions parts that were finished when this was first asked."""
        return PartFiles(self.path / ATTRIBUTIONS)

    @cached_property
    def interaction_parts(self) -> PartFiles:
        """The interactions parts that were finished when this was first asked."""
        return PartFiles(self.path / INTERACTIONS)

    @cached_property
    def layout(self) -> Layout[Any]:
        """How its entries are laid out."""
        return self.info.layout

    @property
    def status(self) -> str:
        """One of running, interrupted, failed and done; a killed run stays running."""
        return if_told(lambda: self.info.status) or "unknown"

    @property
    def has_interactions(self) -> bool:
        """Whether interactions of every row were stored."""
        return bool(self.interaction_parts.files)

    def attributions(self, columns: Sequence[str] | None = None, rows: Sequence[int] | None = None) -> pa.Table:
        """Return the attributions parts as one table, or only some columns and rows of the data; raises RunError."""
        return self.attribution_parts.read(columns, rows)

    def interactions(self, rows: Sequence[int] | None = None) -> pa.Table:
        """Return the interactions parts as one table; raises RunError where none were stored."""
        return self.interaction_parts.read(None, rows)

    def summary_attributions(self) -> pa.Table:
        """Return the ranked features of every target; raises RunError where the run did not finish."""
        return self._summary_table(ATTRIBUTIONS)

    def targets(self) -> tuple[str, ...]:
        """Return the targets of which there are values, be it in rows that do not rank; raises RunError as that."""
        table = replace(self, all_rows=True).summary_attributions()
        return tuple(table["target"].unique().to_pylist())

    def nothing_ranks(self, target: str | None = None) -> RunError:
        """Return the error that no row ranks, or none of a target."""
        whose = "no row" if target is None else f"no row of target {printable(target)}"
        remedies = if_told(lambda: remedies_in_words(self.info.totals.statuses, self.info.circumstances))
        again = f", or ihcli explain again with {remedies}" if remedies else ""
        return RunError(
            f"{self.path}: {whose} has an error within 10 times the tolerance, so none ranks. Try `all_rows`{again}."
        )

    @property
    def has_summary_of_pairs(self) -> bool:
        """Whether pairs were summed up, whatever is stored of single rows."""
        return (self.path / SUMMARY / f"{INTERACTIONS}.parquet").exists()

    def summary_interactions(self) -> pa.Table:
        """Return the ranked pairs of every target; raises RunError where the run has none or did not finish."""
        self._summary_file(ATTRIBUTIONS)
        self.require_pairs()
        return self._summary_table(INTERACTIONS)

    def require_pairs(self, of_rows: bool = False) -> None:
        """Raise RunError where the run knows nothing of pairs, or, if these are asked for, of those of single rows."""
        if of_rows and self.has_interactions:
            return
        if not self.has_summary_of_pairs:
            if if_told(lambda: self.info.second_order):
                self._summary_file(ATTRIBUTIONS)  # which says so where the run did not finish
            raise RunError(
                f"{self.path}: has no interactions, only attributions. Expected a run of {either(names_of(order=2))}. "
                f"Try ihcli explain with `method={names_of(order=2)[0]}`."
            )
        if of_rows:
            raise RunError(
                f"{self.path}: stores no interactions of single rows. Try ihcli explain with `interactions=full`."
            )

    def summary_model(self) -> pa.Table | None:
        """Return what rows show of the model, see `ihcli.summaries.figures`; None in a run of an older ihcli."""
        file = self.path / SUMMARY / f"{MODEL}.parquet"
        if not file.exists():
            return None
        with opened_part(file) as opened:
            table = opened.read()
        require_types(file, table, FIGURES, list(FIGURES))
        return table

    def _summary_file(self, kind: str) -> Location:
        file = self.path / SUMMARY / f"{kind}.parquet"
        if not file.exists():
            if is_locked(self.path):
                raise RunError(f"{self.path}: the run is still running, so it has no summary yet. Try again later.")
            raise RunError(
                f"{self.path}: the run did not finish (status {self.status}), so it has no summary. "
                "Try the same ihcli explain with `resume`, which keeps the finished parts."
            )
        return file

    def _summary_table(self, kind: str) -> pa.Table:
        file = self._summary_file(kind)
        if self.all_rows and (whole := file.with_name(f"{over_all_rows(kind)}.parquet")).exists():
            file = whole
        with opened_part(file) as opened:
            table = opened.read()
        require_types(file, table, SUMMARY_COLUMNS, ["target", "rank", *STATISTICS, *RANKED[kind]])
        _require_rest(file, table)
        return table


def _require_rest(file: Location, table: pa.Table) -> None:
    """Raise RunError where a summary does not tell of the pairs of each target that it does not list, as it should."""
    with one_message(str(file), RunError, "read", WRONG):
        rest = rest_of(table)
        if rest and set(table["target"].unique().to_pylist()) != rest.keys():
            raise ValueError("what is not listed is told of other targets than those that are")


def open_run(path: str | Location, *, all_rows: bool = False) -> Run:
    """Open a run directory; raises RunError where the path is not one.

    Parameters:
        all_rows: whether its summaries shall be over all rows, see `Run`.
    """
    path = locate(path)
    if not path.exists():
        raise RunError(absence(path, "run", "the directory that ihcli explain wrote with `out`"))
    if not (path / INFO).is_file():
        if (path / SHARDS).is_dir():
            raise RunError(f"{path}: {UNMERGED}.")
        raise RunError(
            f"{path}: is not a run. Expected a directory with {INFO}, as ihcli explain writes it with `out`."
        )
    require_own(path / INFO)
    return Run(path, read_info(path / INFO), all_rows)
