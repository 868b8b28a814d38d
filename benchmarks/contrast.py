"""Groups of rows compared, and columns ranked: peak memory that does not grow with the rows of a run."""

import sys
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.setup import Setup
from benchmarks.stream import peak_mib_and_seconds
from benchmarks.tables import Result
from ihcli.explanation import Explanation
from ihcli.files.fingerprints import files_fingerprint
from ihcli.quality import Status
from ihcli.runs.info import RunInfo
from ihcli.runs.request import RunRequest
from ihcli.runs.writer import create_run
from ihcli.summaries.ranked import RankedSummary
from ihcli.summaries.tables import Summary

FEATURES = 10
ROW_COUNTS = (100_000, 300_000, 1_000_000)
PART_ROWS = 20_000
ASKED = {
    "contrast, Welch": ("contrast", "--by", "sex"),
    "contrast, bins": ("contrast", "--by", "age:4"),
    "contrast, ranks": ("contrast", "--by", "sex", "--pair", "f0,f1", "--test", "mann-whitney"),
    "drivers": ("drivers", "--pair", "f0,f1", "--where", "sex=F"),
}
COLUMNS = ("command", "rows", "wall s", "rows/s", "peak MiB", "peak over imports MiB")
_IMPORTS = "import ihcli.results.contrasting.contrast, ihcli.results.contrasting.drivers, ihcli.cli, ihcli.data.coded"


def measure(setup: Setup) -> list[Result]:
    """Ask runs of growing length, each in a process of its own."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for n_rows in map(setup.rows, ROW_COUNTS):
            run = write_run(Path(folder), n_rows)
            found += [_measured(name, n_rows, run) for name in ASKED]
    title = f"groups and drivers of a stored run, {FEATURES} features, {FEATURES * (FEATURES + 3) // 2} values a row"
    return [Result("contrast", title, COLUMNS, sorted(found, key=lambda row: list(ASKED).index(str(row[0]))))]


def _measured(name: str, n_rows: int, run: Path) -> tuple[str | float, ...]:
    command, *options = ASKED[name]
    peak_mib, wall_s = peak_mib_and_seconds(
        [sys.executable, "-m", "ihcli", command, str(run), *options, "-o", "/dev/null"]
    )
    return name, n_rows, wall_s, n_rows / wall_s, peak_mib, peak_mib - _imports_mib()


@cache
def _imports_mib() -> float:
    return peak_mib_and_seconds([sys.executable, "-c", _IMPORTS])[0]


def write_run(folder: Path, n_rows: int, seed: int = 0) -> Path:
    """Write a run of made-up effects in parts, and the data that it is of, with columns that are no features."""
    rng, drawn = np.random.default_rng(0), np.random.default_rng(seed)
    names = tuple(f"f{i}" for i in range(FEATURES))
    run, data = folder / f"run-{n_rows}", folder / f"data-{n_rows}.parquet"
    schema = pa.schema([("sex", pa.string()), ("age", pa.float64()), *((f"x{i}", pa.float64()) for i in range(20))])
    writer, summary = create_run(run), RankedSummary(Summary)
    with pq.ParquetWriter(data, schema) as table:
        for part, start in enumerate(range(0, n_rows, PART_ROWS)):
            n = min(PART_ROWS, n_rows - start)
            found = _made_up(drawn, names, start, n)
            summary.update(found)
            writer.write_part(part, found, pa.table({}))
            columns = {"sex": rng.choice(["F", "M"], n), "age": rng.normal(50, 10, n)}
            columns |= {f"x{i}": rng.normal(size=n) for i in range(20)}
            table.write_table(pa.table(columns, schema=schema))
    writer.write_summary(summary.attributions(), summary.interactions())
    told = {
        **{"status": "done", "features": list(names), "keys": [], "method": {"name": "ih"}, "totals": {"rows": n_rows}},
        "data": {"path": str(data), "rows": n_rows, "sha256": files_fingerprint([data])},
        "arguments": RunRequest("m.pt", str(data), tolerance=0.01).content(),
    }
    writer.write_info(RunInfo.of(told))
    return run


def _made_up(rng: np.random.Generator, names: tuple[str, ...], start: int, n: int) -> Explanation:
    half = rng.standard_normal((n, len(names), len(names)), dtype=np.float32)
    gamma = half + half.transpose(0, 2, 1)
    return Explanation(
        feature_names=names,
        attributions=gamma.sum(axis=2),
        interactions=gamma,
        row=np.arange(start, start + n),
        target=np.full(n, "risk", object),
        prediction=np.zeros(n),
        baseline_prediction=np.zeros(n),
        completeness_gap=np.zeros(n),
        relative_error=np.full(n, 1e-3),
        interaction_error=np.full(n, 1e-3),
        sampling_error=None,
        interaction_sampling_error=None,
        drift=None,
        evaluations=np.full(n, 8, np.int32),
        status=np.full(n, Status.OK, object),
    )
