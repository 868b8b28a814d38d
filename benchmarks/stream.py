"""ig over a million rows through the command line: rows per second, and peak memory that does not grow with rows."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import nn

from benchmarks.setup import Setup
from benchmarks.tables import Result

FEATURES = 30
ROW_COUNTS = (100_000, 300_000, 1_000_000)
_IMPORTS = "import ihcli.pipeline, ihcli.cli"


def measure(setup: Setup) -> list[Result]:
    """Explain tables of growing length, each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        _write_model(Path(folder))
        imports_mib, _ = _peak_mib_and_seconds([sys.executable, "-c", _IMPORTS])
        rows = []
        for n_rows in (setup.rows(full) for full in ROW_COUNTS):
            data = Path(folder, f"{n_rows}.parquet")
            _write_table(data, n_rows)
            command = [sys.executable, "-m", "ihcli", "explain", str(Path(folder, "model.pt")), str(data)]
            peak_mib, wall_s = _peak_mib_and_seconds(
                [*command, "-o", f"{folder}/run-{n_rows}", "-m", "ig", "--quiet", "--device", "cpu"]
            )
            rows.append((n_rows, wall_s, n_rows / wall_s, peak_mib, peak_mib - imports_mib))
    columns = ("rows", "wall s", "rows/s", "peak MiB", "peak over imports MiB")
    title = f"ig of a 64x64 SoftPlus net over a Parquet file of {FEATURES} float32 columns, whole command"
    return [Result("stream", title, columns, rows)]


def _write_model(folder: Path) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(FEATURES, 64), nn.Softplus(), nn.Linear(64, 64), nn.Softplus(), nn.Linear(64, 1))
    torch.save(net, folder / "model.pt")


def _write_table(path: Path, n_rows: int, block: int = 50_000) -> None:
    rng, block = np.random.default_rng(0), min(block, n_rows)
    schema = pa.schema([(f"f{i}", pa.float32()) for i in range(FEATURES)])
    with pq.ParquetWriter(path, schema) as writer:
        for _ in range(n_rows // block):
            values = rng.standard_normal((FEATURES, block), dtype=np.float32)
            writer.write_table(pa.table(list(values), schema=schema))


def _peak_mib_and_seconds(command: list[str]) -> tuple[float, float]:
    """Run a command in a process of its own and return its peak resident size and wall time.

    A small process stands between, because the peak of children is the largest of all so far.
    """
    watch = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=sys.stderr); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", watch, *command], check=True, stdout=subprocess.PIPE, text=True)
    unit = 1 if sys.platform == "darwin" else 1024
    return int(done.stdout) * unit / 2**20, time.monotonic() - started
