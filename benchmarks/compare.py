"""Runs compared row by row: peak memory that does not grow with the rows."""

import sys
import tempfile
from functools import cache
from pathlib import Path

from benchmarks.contrast import FEATURES, write_run
from benchmarks.setup import Setup
from benchmarks.stream import peak_mib_and_seconds
from benchmarks.tables import Result

ROW_COUNTS = (100_000, 300_000, 1_000_000)
ASKED = {
    "compare": ("--of", "runs", "--of", "feature", "--of", "pair"),
    "compare, a line for every row": ("--format", "parquet"),
}
COLUMNS = ("command", "rows", "wall s", "rows/s", "peak MiB", "peak over imports MiB")
_IMPORTS = "import ihcli.results.comparing.outcome, ihcli.results.result, ihcli.cli"


def measure(setup: Setup) -> list[Result]:
    """Compare two runs of growing length, each time in a process of its own."""
    found = []
    for n_rows in map(setup.rows, ROW_COUNTS):
        with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as other:
            runs = [str(write_run(Path(folder), n_rows, seed)) for seed, folder in enumerate((first, other))]
            found += [_measured(name, n_rows, runs) for name in ASKED]
    title = f"two stored runs compared, {FEATURES} features, {FEATURES * (FEATURES + 1) // 2} values a row in each"
    return [Result("compare", title, COLUMNS, sorted(found, key=lambda row: list(ASKED).index(str(row[0]))))]


def _measured(name: str, n_rows: int, runs: list[str]) -> tuple[str | float, ...]:
    peak_mib, wall_s = peak_mib_and_seconds(
        [sys.executable, "-m", "ihcli", "compare", *runs, *ASKED[name], "-o", "/dev/null"]
    )
    return name, n_rows, wall_s, n_rows / wall_s, peak_mib, peak_mib - _imports_mib()


@cache
def _imports_mib() -> float:
    return peak_mib_and_seconds([sys.executable, "-c", _IMPORTS])[0]
