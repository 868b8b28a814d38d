"""`make bench-gpu`: the paper's table, a stream of rows and, where one is given, a checkpoint, on a CUDA device.

Made to be over within eight minutes, as a borrowed device asks: what does not fit is left out, and said.

    make bench-gpu                                              the first two
    make bench-gpu CHECKPOINT=directory TEXTS=table COLUMN=name  the checkpoint as well
    python -m benchmarks.run gpu --quick --device cpu           to try it out where there is no device
"""

import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import torch

from benchmarks import stream, texts, workload
from benchmarks.lines import autograd_engine, chosen_engine, paths_from_zero
from benchmarks.setup import Setup, alone, normal_rows, softplus_net, watch
from benchmarks.tables import Cell, Result
from benchmarks.workload import GRID, HESSIAN, OUR_NODES, OURS, Case
from ihcli.derivatives import Engine
from ihcli.integration.assembly import explain_rows
from ihcli.integration.effort import Effort
from ihcli.methods import METHODS

TRIAL = "python -m benchmarks.run gpu --quick --device cpu"
LIMIT_S = 400.0
"""After so many seconds nothing more is begun; the slowest case takes about one minute."""
WORKLOADS = {
    ("ih", 5): (1000, 1000, 1000),
    ("ih", 50): (1000, 200, 1000),
    ("ih", 500): (1000, 5, 200),
    ("eh", 5): (200, 1000, 200),
    ("eh", 50): (50, 200, 20),
}
"""Rows of ihcli, of the published procedure and of vmap of hessian."""
ON_CPU = 10
"""Of ihcli's rows one in so many runs on the CPU too, to compare."""
TRUTH_ROWS = {"ih": 20, "eh": 5}
STREAM_ROWS = 1_000_000
WAITED_ROWS, WAITED_FEATURES = 500, (5, 50)
WAIT_COLUMNS = ("method", "engine", "device", "D", "rows", "s", "batches", "waits", "waits per batch")
TEXT_COLUMNS = ("device", *texts.COLUMNS)
WAIT_NOTES = (
    "Waits: calls that torch sees wait for the device, of its own accord (torch.cuda.set_sync_debug_mode), while rows "
    "are explained in memory; fetching what a batch gives is not among them, and comes once a batch. The same is "
    "counted on any machine by tests/test_waiting.py.",
)
Line = Callable[[], list[list[Cell]]]


def measure(setup: Setup) -> list[Result]:
    """Measure on the device, in turn, until the time is over; nothing where there is no device."""
    if setup.device == "cuda" and not torch.cuda.is_available():
        print(f"gpu: there is no CUDA device here, so nothing was measured. Try it out on the CPU: {TRIAL}.")
        return []
    begun = time.monotonic()
    tables: list[tuple[str, str, tuple[str, ...], tuple[str, ...], Iterator[Line]]] = [
        ("gpu", "The paper's table on a GPU", workload.COLUMNS, workload.NOTES, _workloads(setup)),
        ("gpu_stream", "ig of a stream of rows on a GPU", ("device", *stream.COLUMNS), (), _streams(setup)),
        ("gpu_texts", "Integrated Hessians of sentences on a GPU", TEXT_COLUMNS, texts.NOTES, _texts(setup)),
        ("gpu_waits", "Waiting for the GPU", WAIT_COLUMNS, WAIT_NOTES, _waits(setup)),
    ]
    found = []
    for name, title, columns, notes, lines in tables:
        rows: list[list[Cell]] = []
        for line in lines:
            if time.monotonic() - begun > LIMIT_S:
                rows.append(["time was over", *[""] * (len(columns) - 1)])
                break
            rows += line()
        if rows:
            found.append(Result(name, title, columns, rows, notes))
    return found


def _workloads(setup: Setup) -> Iterator[Line]:
    for (method, features), rows in WORKLOADS.items():
        counts = tuple(setup.rows(n, max(1, n // 100)) for n in rows)
        yield lambda workload=(method, features, *counts): alone(_workload, *workload, setup.device)


def _workload(method: str, features: int, ours: int, grid: int, hessian: int, device: str) -> list[list[Cell]]:
    """Return the lines of one workload: ihcli there and here, and the peers there, in one process to save time."""
    line = Case(method, features, ours, OURS, device)
    cases = [
        line,
        replace(line, rows=max(1, ours // ON_CPU), device="cpu"),
        replace(line, rows=grid, implementation=GRID),
        replace(line, rows=hessian, implementation=HESSIAN, nodes=OUR_NODES),
    ]
    with tempfile.TemporaryDirectory() as folder:
        truth = Path(folder, "truth.npy")
        np.save(truth, workload.find_truth(method, features, min(ours, TRUTH_ROWS[method])))
        outcomes = [workload.run_case(case, truth) for case in cases]
    each = [outcome.wall_s / case.rows for case, outcome in zip(cases, outcomes, strict=True)]
    return [workload.line_of(*part, s / each[0]) for *part, s in zip(cases, outcomes, each, strict=True)]


def _waits(setup: Setup) -> Iterator[Line]:
    yield lambda: alone(_waited_all, setup.rows(WAITED_ROWS, 20), setup.device)


def _waited_all(n: int, device: str) -> list[list[Cell]]:
    asked = product(WAITED_FEATURES, ("ig", "ih"), (True, False))
    return [_waited(method, features, n, chosen, device) for features, method, chosen in asked]


def _waited(method: str, features: int, n: int, chosen: bool, device: str) -> list[Cell]:
    """Return how often explaining rows waits for the device, beyond fetching each batch."""
    net = softplus_net(features).requires_grad_(False).to(device)
    paths = paths_from_zero(normal_rows(n, features), device)
    engine = chosen_engine(net, paths) if chosen else autograd_engine(net, 1 << 30)
    batches = _counting(engine)

    def explain() -> None:
        explain_rows(engine.along(paths), METHODS[method], Effort(workload.TOLERANCE))

    seen = watch(explain, device)
    batches.clear()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        _tell_of_waits(device, "warn")
        explain()
        _tell_of_waits(device, "default")
    waits = sum("synchronizing" in str(warning.message) for warning in told)
    return [method, engine.name, device, features, n, seen.wall_s, len(batches), waits, waits / len(batches)]


def _tell_of_waits(device: str, mode: str) -> None:
    if device == "cuda":
        torch.cuda.set_sync_debug_mode(mode)


def _counting(engine: Engine) -> list[str]:
    """Return a list that grows by one whenever the engine is asked."""
    asked: list[str] = []

    def counted(kind: str, ask: Callable[..., object]) -> Callable[..., object]:
        return lambda *arguments: (asked.append(kind), ask(*arguments))[1]

    for kind in ("values", "gradients", "curvatures", "hessians", "matrices"):
        setattr(engine, kind, counted(kind, getattr(engine, kind)))
    return asked


def _streams(setup: Setup) -> Iterator[Line]:
    rows = setup.rows(STREAM_ROWS, 5_000)
    for device, n in ((setup.device, rows), ("cpu", rows // ON_CPU)):
        yield lambda device=device, n=n: [[device, *stream.measure_run(n, stream.FEATURES, device)]]


def _texts(setup: Setup) -> Iterator[Line]:
    if all(os.environ.get(name) for name in texts.SOURCE):
        yield lambda: [[setup.device, *line] for line in texts.lines(setup, setup.device)[0]]
