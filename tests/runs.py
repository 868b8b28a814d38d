"""Small finished runs with made-up figures, written without a model; and commands run on a terminal."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from ihcli.explanation import OK, Explanation
from ihcli.output import create_run
from ihcli.summary import Summary

FEATURES = ("age", "[bmi]", "pressure")
SEED = 7


def made_up_explanation(
    n_rows: int = 6, targets: tuple[str, ...] = ("risk",), second_order: bool = True, status: str = OK
) -> Explanation:
    """Return consistent figures: symmetric interactions whose rows sum to the attributions."""
    n_entries, n_features = n_rows * len(targets), len(FEATURES)
    half = np.random.default_rng(SEED).normal(size=(n_entries, n_features, n_features))
    interactions = half + half.transpose(0, 2, 1)
    attributions = interactions.sum(axis=2)
    baseline_prediction = np.full(n_entries, 0.5)
    return Explanation(
        row=np.repeat(np.arange(n_rows), len(targets)),
        target=np.array(targets * n_rows, dtype=object),
        feature_names=FEATURES,
        attributions=attributions,
        interactions=interactions if second_order else None,
        prediction=baseline_prediction + attributions.sum(axis=1),
        baseline_prediction=baseline_prediction,
        completeness_gap=np.zeros(n_entries),
        relative_error=np.full(n_entries, 1e-3),
        sampling_error=None,
        drift=None,
        evaluations=np.full(n_entries, 8, np.int32),
        status=np.full(n_entries, status, dtype=object),
    )


def write_run(path: Path, targets: tuple[str, ...] = ("risk",), second_order: bool = True) -> Explanation:
    """Write a finished run and return what is in it."""
    explanation = made_up_explanation(targets=targets, second_order=second_order)
    summary = Summary()
    summary.update(explanation)
    writer = create_run(path, overwrite=True)
    writer.write_part(0, explanation, pa.table({"patient": [f"P{row}" for row in range(6)]}))
    writer.write_summary(summary.attributions(), summary.interactions())
    info = {"status": "done", "features": list(FEATURES), "keys": ["patient"]}
    method = {"name": "ih" if second_order else "ig"}
    writer.write_info({**info, "method": method, "totals": {"rows": 6}})
    return explanation


def on_terminal(*arguments: str, columns: int = 120) -> str:
    """Return what `ihcli` shows on a terminal of that width, with its control sequences."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "ihcli", *arguments]
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment):
        os.close(theirs)
        shown = b"".join(_read_to_end(ours))
    os.close(ours)
    return shown.decode()


def _read_to_end(descriptor: int) -> Iterator[bytes]:
    while True:
        try:
            block = os.read(descriptor, 1 << 16)
        except OSError:  # Linux says so when the other side of a terminal is closed
            return
        if not block:
            return
        yield block
