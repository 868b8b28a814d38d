"""What certified rows cost, method by method, and against another commit: AGAINST=directory of its work tree.

    git worktree add ../before COMMIT
    AGAINST=../before python -m benchmarks.run certificates

Both are measured in turns, in fresh processes of one thread, so that what else the machine does falls on both.
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.certificates_rows import BASELINES, REPEATS, TOLERANCE
from benchmarks.setup import Setup
from benchmarks.tables import Cell, Result

SCRIPT = Path(__file__).with_name("certificates_rows.py")
HERE = Path(__file__).parents[1]
ROUNDS = 3
FEWER_WHEN_QUICK = 20
COLUMNS = ("what", "rows", "CPU s", "evaluations per row", "ok", "CPU s before", "evaluations before", "times before")
NOTES = (
    f"Nets of torch's default initialisation, float32, rows N(0, 1), tolerance {TOLERANCE:g}; eg and eh over "
    f"{BASELINES} baselines N(0, 1). CPU seconds of the whole call of ihcli.explain on one thread.",
    f"Medians of {ROUNDS} processes, of each the fastest of {REPEATS} runs. Before: another commit (AGAINST), in turns "
    "with this one; the ratio is the median of the rounds'. Empty where none was named.",
)


def measure(setup: Setup) -> list[Result]:
    """Measure here, and in turns the work tree that AGAINST names."""
    trees = [HERE, *([Path(os.environ["AGAINST"])] if "AGAINST" in os.environ else [])]
    divide = FEWER_WHEN_QUICK if setup.quick else 1
    rounds = [_round(trees, divide, turn) for turn in range(setup.rows(ROUNDS, 1))]
    rows = [_line([[of_tree[i] for of_tree in once] for once in rounds]) for i in range(len(rounds[0][0]))]
    return [Result("certificates", "What certified rows cost", COLUMNS, rows, NOTES)]


def _round(trees: list[Path], divide: int, turn: int) -> list[list[dict[str, Any]]]:
    """Measure each tree once, the other one first in every other turn."""
    order = range(len(trees)) if turn % 2 == 0 else reversed(range(len(trees)))
    found = {i: _measured(trees[i], divide) for i in order}
    return [found[i] for i in range(len(trees))]


def _measured(tree: Path, divide: int) -> list[dict[str, Any]]:
    quiet = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONPATH": str(tree.resolve())}
    command = [sys.executable, "-W", "ignore", str(SCRIPT), str(divide)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **quiet}, check=True)
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def _line(rounds: list[list[dict[str, Any]]]) -> list[Cell]:
    """Return the line of one kind of work, from what each round found: here, and before."""
    here = rounds[0][0]
    now = statistics.median(once[0]["cpu_s"] for once in rounds)
    line: list[Cell] = [here["name"], here["rows"], now, here["evaluations"], f"{here['ok']:.1%}"]
    if len(rounds[0]) == 1:
        return [*line, "", "", ""]
    before = statistics.median(once[1]["cpu_s"] for once in rounds)
    ratio = statistics.median(once[0]["cpu_s"] / once[1]["cpu_s"] for once in rounds)
    return [*line, before, rounds[0][1]["evaluations"], ratio]
