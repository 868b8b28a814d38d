"""Small finished runs with made-up figures, written without a model; commands run on a terminal, and stopped."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import explanations
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from prepared import python

from ihcli.explanation import Explanation
from ihcli.quality import Status
from ihcli.runs.info import RunInfo
from ihcli.runs.request import RunRequest
from ihcli.runs.writer import create_run
from ihcli.summaries.ranked import RankedSummary, most_error
from ihcli.summaries.tables import Summary

FEATURES = ("age", "[bmi]", "pressure")
SEED = 7
BEGINS_WITHIN_S = 120


def made_up_explanation(
    n_rows: int = 6, targets: tuple[str, ...] = ("risk",), second_order: bool = True, status: str = Status.OK
) -> Explanation:
    """Return consistent figures: symmetric interactions whose rows sum to the attributions."""
    n_entries, n_features = n_rows * len(targets), len(FEATURES)
    half = np.random.default_rng(SEED).normal(size=(n_entries, n_features, n_features))
    interactions = half + half.transpose(0, 2, 1)
    explanation = explanations.of_table(
        interactions,
        FEATURES,
        targets * n_rows,
        row=np.repeat(np.arange(n_rows), len(targets)),
        prediction=0.5 + interactions.sum(axis=(1, 2)),
        baseline_prediction=np.full(n_entries, 0.5),
        status=np.full(n_entries, status, dtype=object),
    )
    return explanation if second_order else replace(explanation, interactions=None)


def write_run(path: Path, targets: tuple[str, ...] = ("risk",), second_order: bool = True) -> Explanation:
    """Write a finished run and return what is in it."""
    explanation = made_up_explanation(targets=targets, second_order=second_order)
    summary = RankedSummary(Summary)
    summary.update(explanation)
    writer = create_run(path, overwrite=True)
    writer.write_part(0, explanation, pa.table({"patient": [f"P{row}" for row in range(6)]}))
    writer.write_summary(summary.attributions(), summary.interactions())
    info = {"status": "done", "features": list(FEATURES), "keys": ["patient"]}
    method = {"name": "ih" if second_order else "ig"}
    writer.write_info(RunInfo.of({**info, "method": method, "totals": {"rows": 6}}))
    return explanation


def write_cut_short(path: Path, targets: tuple[str, ...] = ("risk",), n_unfinished: int = 2) -> list[int]:
    """Write a run of which some rows, with huge figures, never converged; return the others."""
    explanation = made_up_explanation(targets=targets)
    error = np.where(explanation.row < n_unfinished, 5.0, 1e-3)
    status = np.where(explanation.row < n_unfinished, Status.NOT_CONVERGED, Status.OK).astype(object)
    huge = np.where(explanation.row < n_unfinished, 1e6, 1.0)[:, None, None]
    assert explanation.interactions is not None
    explanation = replace(
        explanation, interactions=explanation.interactions * huge, relative_error=error, status=status
    )
    summary, writer = RankedSummary(Summary), create_run(path)
    summary.update(explanation, most_error(0.01, None))
    writer.write_part(0, explanation, pa.table({}))
    writer.write_summary(summary.attributions(), summary.interactions(), summary.all_rows())
    totals = {"rows": 6, "statuses": {"ok": 4, "not_converged": 2}}
    arguments = RunRequest("m.pt", "d.csv").content()
    info = {"status": "done", "features": list(FEATURES), "keys": [], "method": {"name": "ih"}, "dtype": "float64"}
    writer.write_info(RunInfo.of({**info, "totals": totals, "arguments": arguments}))
    return list(range(n_unfinished, 6))


TEXTS = (("not", "good", "not", "bad"), ("fine",), None)


def write_text_run(path: Path, texts: tuple[tuple[str, ...] | None, ...] = TEXTS) -> list[np.ndarray]:
    """Write a finished run over texts, None for one without values; return the matrix of each, in order."""
    rng = np.random.default_rng(SEED)
    halves = [rng.normal(size=(len(units or ()),) * 2) for units in texts]
    gammas = [half + half.T for half in halves]
    n_rows = len(texts)
    identity = {"_row": list(range(n_rows)), "id": [f"T{i}" for i in range(n_rows)], "_target": ["positive"] * n_rows}
    units = {"units": pa.array([units and list(units) for units in texts], pa.list_(pa.string()))}
    quality = {
        "_prediction": [None if units is None else 1.0 for units in texts],
        "_baseline_prediction": [None if units is None else 0.5 for units in texts],
        "_completeness_gap": [None if units is None else 0.0 for units in texts],
        "_relative_error": [None if units is None else 1e-3 for units in texts],
        "_evaluations": pa.array([8] * n_rows, pa.int32()),
        "_status": ["missing_input" if units is None else Status.OK for units in texts],
    }
    lists = pa.list_(pa.float32())
    phi = pa.array([None if not len(gamma) else gamma.sum(axis=1).tolist() for gamma in gammas], lists)
    flat = pa.array([None if not len(gamma) else gamma.ravel().tolist() for gamma in gammas], lists)
    tables = {
        "attributions/part-000000": {**identity, **quality, **units, "attributions": phi},
        "interactions/part-000000": {**identity, **units, "interactions": flat},
        "summary/attributions": _summary_of_texts({"feature": ["not", "bad"]}, {"rows": [2, 1]}),
        "summary/interactions": _summary_of_texts({"feature_i": ["bad", "good"], "feature_j": ["not", "not"]}),
    }
    for name, columns in tables.items():
        file = path / f"{name}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), file)
    info = {"status": "done", "units": "word", "features": None, "keys": ["id"], "method": {"name": "ih"}}
    (path / "run.json").write_text(json.dumps({**info, "totals": {"rows": n_rows}}))
    return gammas


def _summary_of_texts(names: dict[str, list[str]], more: dict[str, list[int]] | None = None) -> dict[str, Any]:
    figures = {"mean_abs": [2.0, 1.0], "mean": [-2.0, 0.5], "std": [0.1, 0.2], "share": [0.6, 0.4], "rows": [1, 1]}
    mains = {"main_mean_abs": [3.0, 0.5], "main_mean": [3.0, 0.5], "main_std": [0.0, 0.1]}
    if "feature" in names:
        figures |= {"min": [-3.0, 0.0], "max": [0.0, 1.0], **mains}
    return {"target": ["positive"] * 2, **names, "rank": pa.array([1, 2], pa.int32()), **figures, **(more or {})}


def on_terminal(*arguments: str, columns: int = 120) -> str:
    """Return what `ihcli` shows on a terminal of that width, with its control sequences."""
    ours, theirs = pty.openpty()
    command = [python(), "-m", "ihcli", *arguments]
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment):
        os.close(theirs)
        shown = b"".join(_read_to_end(ours))
    os.close(ours)
    return shown.decode()


@contextmanager
def begun(*arguments: object, until: Callable[[], object]) -> Iterator[subprocess.Popen[str]]:
    """Start `ihcli` as the first of a group of processes, and give it when `until` holds; the end of this ends all."""
    command = [sys.executable, "-m", "ihcli", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True)
    try:
        latest = time.monotonic() + BEGINS_WITHIN_S
        while process.poll() is None and not until() and time.monotonic() < latest:
            time.sleep(0.02)
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _read_to_end(descriptor: int) -> Iterator[bytes]:
    while True:
        try:
            block = os.read(descriptor, 1 << 16)
        except OSError:  # Linux says so when the other side of a terminal is closed
            return
        if not block:
            return
        yield block
