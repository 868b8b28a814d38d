"""How far other runs over the same rows agree with the run of a page: tables of runs, features and pairs."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ihcli.report.numbers import rounded
from ihcli.results.comparing.comparison import Comparison
from ihcli.results.comparing.outcome import lines_of_features, lines_of_pairs, lines_of_runs
from ihcli.results.result import Result
from ihcli.wording import printable

MOST_LINES = 30
AGREEMENT = ("spearman", "least_spearman", "spearman_abs", "overlap", "same_sign", "largest_change")
OVER_RUNS = ("spearman", "same_sign", "largest_change", "mean_abs", "mean_abs_std", "worst_rank", "in_top")
COLUMNS = {
    "Runs": ("target", "values", "run", "other", *AGREEMENT, "ranking_spearman"),
    "Features": ("target", "feature", *OVER_RUNS),
    "Pairs": ("target", "feature_i", "feature_j", *OVER_RUNS),
}


@dataclass(frozen=True)
class ComparedTable:
    """A table of the page: its title, the columns by name, and how many lines there are, also those not shown."""

    title: str
    columns: dict[str, list[Any]]
    all_lines: int


def compared_with(result: Result, others: Sequence[Result]) -> tuple[list[ComparedTable], list[str]]:
    """Return tables of how far runs agree, and in what they differ; raises RunError where they cannot be compared.

    Cost: every run is read once. Memory: a block of rows.
    """
    results = [result, *others]
    comparison = Comparison(results, [str(each.path) for each in results])
    deque(comparison.see(with_rows=False), maxlen=0)
    found = {"Runs": lines_of_runs, "Features": lines_of_features, "Pairs": lines_of_pairs}
    tables = [_table(title, make(comparison)) for title, make in found.items()]
    return [table for table in tables if table.all_lines], list(comparison.settings)


def _table(title: str, lines: pa.Table) -> ComparedTable:
    shown = lines.slice(0, MOST_LINES)
    known = [name for name in COLUMNS[title] if shown[name].null_count < len(shown)]
    return ComparedTable(title, {name: _values(shown[name]) for name in known}, len(lines))


def _values(column: pa.ChunkedArray) -> list[Any]:
    if pa.types.is_floating(column.type):
        return rounded(column.to_numpy())
    return [printable(value) if isinstance(value, str) else value for value in column.to_pylist()]
