"""ih of wide tables whose largest pairs are kept, and what writing whole matrices costs beside computing them."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from benchmarks.lines import chosen_engine, paths_from_zero
from benchmarks.setup import Setup, alone, normal_rows, softplus_net, watch
from benchmarks.tables import Cell, Result
from ihcli.execution.pipeline import run
from ihcli.integration.assembly import explain_rows
from ihcli.integration.effort import Effort
from ihcli.methods import METHODS
from ihcli.runs.request import RunRequest
from ihcli.runs.totals import Observer

WIDTHS = (1_000, 2_000, 4_000)
FEW_ROWS, TOP = 4, "top:20"
ROWS, FEATURES = 1_000, 500
BETA = 1.0
WIDE_COLUMNS = ("features", "CPU s", "peak over imports MiB", "run directory MiB", "exponent of CPU s")
WRITTEN_COLUMNS = ("what", "CPU s", "times assembly", "run directory MiB")
ONE_THREAD = "CPU seconds of all threads of a process of its own, imports apart; one thread computes."


@dataclass(frozen=True)
class Cost:
    """What something took: CPU seconds, memory and disk."""

    cpu_s: float
    peak_mib: float
    disk_mib: float = 0.0


def measure(setup: Setup) -> list[Result]:
    """Explain a few rows of tables of growing width, and many rows of 500 features in memory and into files."""
    wide: list[list[Cell]] = []
    for width in WIDTHS[: 2 if setup.quick else None]:
        cost = alone(_command, FEW_ROWS, width, TOP)
        grown = np.log(cost.cpu_s / float(wide[-1][1])) / np.log(width / int(wide[-1][0])) if wide else ""
        wide.append([width, cost.cpu_s, cost.peak_mib, cost.disk_mib, grown if grown == "" else float(grown)])
    rows = setup.rows(ROWS)
    assembled, written = alone(_in_memory, rows, FEATURES), alone(_command, rows, FEATURES, "full")
    both = [("in memory", assembled), ("whole run, full", written)]
    title = f"ih of a 5x128 SoftPlus net, {FEW_ROWS} rows, {TOP}, whole command"
    return [
        Result("wide", title, WIDE_COLUMNS, wide, (ONE_THREAD,)),
        Result(
            "written",
            f"ih of a 5x128 SoftPlus net, {rows:,} rows of {FEATURES} features: certified and assembled, and written",
            WRITTEN_COLUMNS,
            [[what, cost.cpu_s, cost.cpu_s / assembled.cpu_s, cost.disk_mib] for what, cost in both],
            (ONE_THREAD,),
        ),
    ]


def _command(n_rows: int, width: int, storage: str) -> Cost:
    with tempfile.TemporaryDirectory() as folder:
        model, data, out = Path(folder, "model.pt"), Path(folder, "data.parquet"), Path(folder, "run")
        torch.save(softplus_net(width, beta=BETA), model)
        rows = normal_rows(n_rows, width)
        pq.write_table(pa.table({f"f{i}": rows[:, i] for i in range(width)}), data)
        request = RunRequest(str(model), str(data), interactions=storage, device="cpu")
        cost = _cost(lambda: run(request, out, Observer()))
        size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
        return Cost(cost.cpu_s, cost.peak_mib, size / 2**20)


def _in_memory(n_rows: int, width: int) -> Cost:
    net = softplus_net(width, beta=BETA).requires_grad_(False)
    paths = paths_from_zero(normal_rows(n_rows, width), "cpu")
    engine = chosen_engine(net, paths)
    blocks = [paths_from_zero(normal_rows(n_rows, width)[some], "cpu") for some in _blocks(n_rows)]
    return _cost(lambda: [explain_rows(engine.along(some), METHODS["ih"], Effort()) for some in blocks])


def _blocks(n_rows: int, size: int = 64) -> list[slice]:
    return [slice(start, start + size) for start in range(0, n_rows, size)]


def _cost(work: Callable[[], Any]) -> Cost:
    torch.set_num_threads(1)
    started = time.process_time()
    seen = watch(work, repeats=1)
    return Cost(time.process_time() - started, seen.peak_mib)
