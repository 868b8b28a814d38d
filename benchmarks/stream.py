"""ig through the command line: a million rows, with peak memory that does not grow with them; and wide tables."""

import subprocess
import sys
import tempfile
import time
from functools import cache
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
WIDE_ROWS = 300
WIDTHS = (1_000, 10_000, 40_000)
COLUMNS = ("rows", "features", "wall s", "rows/s", "peak MiB", "peak over imports MiB")
_IMPORTS = "import ihcli.execution.pipeline, ihcli.cli"


def measure(setup: Setup) -> list[Result]:
    """Explain tables of growing length and of growing width, each in a process of its own."""
    long = [measure_run(setup.rows(n_rows), FEATURES) for n_rows in ROW_COUNTS]
    wide = [measure_run(WIDE_ROWS, setup.rows(width)) for width in WIDTHS]
    title = "ig of a 64x64 SoftPlus net over a Parquet file of float32 columns, whole command"
    return [Result("stream", title, COLUMNS, [*long, *wide])]


@cache
def _imports_mib() -> float:
    return peak_mib_and_seconds([sys.executable, "-c", _IMPORTS])[0]


def measure_run(n_rows: int, width: int, device: str = "cpu") -> tuple[float, ...]:
    """Return the columns of a run over so many rows and features on a device."""
    with tempfile.TemporaryDirectory() as folder:
        model, data = Path(folder, "model.pt"), Path(folder, "data.parquet")
        _write_model(model, width)
        _write_table(data, n_rows, width)
        command = [sys.executable, "-m", "ihcli", "explain", str(model), str(data), "-o", f"{folder}/run", "-m", "ig"]
        peak_mib, wall_s = peak_mib_and_seconds([*command, "--quiet", "--device", device])
    return n_rows, width, wall_s, n_rows / wall_s, peak_mib, peak_mib - _imports_mib()


def _write_model(path: Path, width: int) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(width, 64), nn.Softplus(), nn.Linear(64, 64), nn.Softplus(), nn.Linear(64, 1))
    torch.save(net, path)


def _write_table(path: Path, n_rows: int, width: int, block: int = 50_000) -> None:
    rng, block = np.random.default_rng(0), min(block, n_rows)
    schema = pa.schema([(f"f{i}", pa.float32()) for i in range(width)])
    with pq.ParquetWriter(path, schema) as writer:
        for _ in range(n_rows // block):
            values = rng.standard_normal((width, block), dtype=np.float32)
            writer.write_table(pa.table(list(values), schema=schema))


def peak_mib_and_seconds(command: list[str]) -> tuple[float, float]:
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
