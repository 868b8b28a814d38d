"""Processes that explain rows as often as they are asked (`answering.py`), each a peer of its own, on one thread."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parents[1]
Request = dict[str, Any]


@dataclass(frozen=True)
class Took:
    """What one answer took: seconds, and evaluations a row."""

    cpu_s: float
    wall_s: float
    evaluations: float


class Process:
    """A script that answers, in a process of one thread."""

    def __init__(self, python: Path, script: str, work: Path) -> None:
        one = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(HERE)}
        one["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        command = [str(python), "-W", "ignore", "-m", f"benchmarks.{script}_rows", str(work)]
        pipe = subprocess.PIPE
        self._begun = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env={**os.environ, **one}, cwd=HERE)
        self._out = work.with_name(f"{script}.npy")

    def ask(self, request: Request, rows: int) -> Took:
        """Ask for so many rows; raises RuntimeError where the process is at its end."""
        assert self._begun.stdin is not None
        assert self._begun.stdout is not None
        self._begun.stdin.write(json.dumps({**request, "rows": rows}) + "\n")
        self._begun.stdin.flush()
        told = self._begun.stdout.readline()
        if not told:
            raise RuntimeError("did not answer")
        return Took(**json.loads(told))

    def found(self, request: Request, rows: int) -> np.ndarray:
        """Return what it finds of so many rows."""
        self.ask({**request, "out": str(self._out)}, rows)
        return np.load(self._out)

    def end(self) -> None:
        """Let it end."""
        self._begun.communicate()
