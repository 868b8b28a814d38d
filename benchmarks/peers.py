"""The reference implementation, package path-explain with TensorFlow, in an environment of its own, against ours.

`make bench-peers` makes the environment; where it could not, the table says so.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from torch import nn

from benchmarks.setup import THREADS, Setup, alone, relative_errors, softplus_net
from benchmarks.tables import Cell, Result
from benchmarks.workload import (
    COLUMNS,
    FEATURES,
    NOTES,
    OURS,
    Case,
    Outcome,
    find_truth,
    inputs_of,
    line_of,
    run_case,
    truth_rows,
)

PYTHON = Path(os.environ.get("PEERS", ".venv-peers"), "bin", "python")
SCRIPT = Path(__file__).with_name("path_explain_rows.py")
PEER = "path-explain"
SAMPLES = 200
ROWS = {("ih", 5): 40, ("ih", 50): 40, ("ih", 500): 15, ("eh", 5): 40, ("eh", 50): 40, ("eh", 500): 15}
OUR_ROWS = {"ih": 1000, "eh": 20}
LIMIT_S = 600
PEER_NOTES = (
    f"path-explain: PathExplainerTF.interactions with {SAMPLES} samples a row in batches of 50, its default, after a "
    "row to warm up; use_expectation for eh. Its process holds TensorFlow; peak memory is beyond that.",
)


def measure(setup: Setup) -> list[Result]:
    """Measure ours and theirs at every D, one after the other."""
    rows: list[list[Cell]] = []
    with tempfile.TemporaryDirectory() as folder:
        for method in ("ih", "eh"):
            for features in FEATURES:
                rows += _lines(setup, method, features, Path(folder))
    title = "The reference implementation on the same workload"
    return [Result("peers", title, COLUMNS, rows, (*NOTES[:2], *PEER_NOTES, *NOTES[3:]))]


def _lines(setup: Setup, method: str, features: int, folder: Path) -> list[list[Cell]]:
    truth = folder / f"{method}-{features}.npy"
    np.save(truth, alone(find_truth, method, features, setup.rows(truth_rows(method, features), 2)))
    case = Case(method, features, setup.rows(OUR_ROWS[method] if features < 500 else OUR_ROWS[method] // 2), OURS)
    ours = alone(run_case, case, truth)
    lines = [line_of(case, ours, 1.0)]
    case = Case(method, features, setup.rows(ROWS[method, features], 2), PEER)
    theirs = _theirs(case, truth, folder)
    if isinstance(theirs, str):
        unknown = [""] * (len(COLUMNS) - 4)
        return [*lines, [method, f"{PEER}: {theirs}", "cpu", features, *unknown]]
    ratio = (theirs.wall_s / case.rows) / (ours.wall_s / float(lines[0][4]))
    return [*lines, line_of(case, theirs, ratio)]


def _theirs(case: Case, truth: Path, folder: Path) -> Outcome | str:
    """Return what the reference implementation gave, or why there is nothing."""
    if not PYTHON.exists():
        return "not installed"
    rows, baselines = inputs_of(case.method, case.features, case.rows)
    layers = [layer for layer in softplus_net(case.features) if isinstance(layer, nn.Linear)]
    weights = {f"weight{i}": layer.weight.detach().numpy().T for i, layer in enumerate(layers)}
    biases = {f"bias{i}": layer.bias.detach().numpy() for i, layer in enumerate(layers)}
    np.savez(folder / "work.npz", rows=rows, baselines=baselines, **weights, **biases)
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": str(THREADS)}
    command = [PYTHON, SCRIPT, folder / "work.npz", folder / "gamma.npy", case.method, str(SAMPLES), str(THREADS)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=LIMIT_S, env={**os.environ, **quiet}, check=False
        )
    except subprocess.TimeoutExpired:
        return f"not done after {LIMIT_S} s"
    if done.returncode != 0:
        return (done.stderr.strip().splitlines() or ["failed"])[-1]
    told = json.loads(done.stdout.splitlines()[-1])
    gamma = np.load(folder / "gamma.npy")
    return Outcome(
        wall_s=told["wall_s"],
        evaluations=float(SAMPLES),
        errors=relative_errors(gamma, np.load(truth, mmap_mode="r")),
        peak_mib=max(0.0, told["peak_mib"] - gamma.nbytes / 2**20),
    )
