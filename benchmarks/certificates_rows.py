"""Explain rows by each method on one thread: DIVIDE; prints CPU seconds and evaluations as JSON.

It asks no more of `ihcli` and `benchmarks.setup` than older commits have: PYTHONPATH says which are measured.
"""

import json
import sys
import time
from dataclasses import dataclass

import torch

import ihcli
from benchmarks.setup import normal_rows, relu_net, softplus_net

TOLERANCE = 0.01
REPEATS = 3
"""Of which the fastest counts: what else the machine does only adds."""
BASELINES = 200


@dataclass(frozen=True)
class Work:
    """Rows of so many inputs, explained by a method and an engine, of a net with that activation, layers x width."""

    method: str
    inputs: int
    rows: int
    engine: str = "auto"
    activation: str = "SoftPlus"
    hidden: int = 5
    width: int = 128

    @property
    def name(self) -> str:
        engine = ", autograd" if self.engine == "autograd" else ""
        return f"{self.method}, D = {self.inputs}, {self.hidden} x {self.width} {self.activation}{engine}"


WORKS = (
    Work("ih", 5, 1500),
    Work("ih", 50, 750),
    Work("ih", 500, 160),
    Work("ih", 5, 1500, "autograd"),
    Work("ih", 50, 200, "autograd"),
    Work("eh", 30, 8),
    Work("eg", 30, 20),
    Work("eg", 30, 20, activation="ReLU", hidden=3, width=32),
    Work("eg", 30, 2, activation="ReLU"),
    Work("ig", 50, 15_000),
)


def main() -> None:
    """Measure every work, over `DIVIDE` times fewer rows."""
    torch.set_num_threads(1)
    print(json.dumps([_measured(work, max(2, work.rows // int(sys.argv[1]))) for work in WORKS]))


def _measured(work: Work, rows: int) -> dict[str, object]:
    net = (softplus_net if work.activation == "SoftPlus" else relu_net)(work.inputs, work.width, work.hidden)
    many = work.method in ("eg", "eh")
    settings = {"method": work.method, "tolerance": TOLERANCE, "engine": work.engine}
    settings["baseline"] = normal_rows(BASELINES if many else 1, work.inputs, seed=2) if many else "zeros"
    x = normal_rows(rows, work.inputs)
    ihcli.explain(net, x[:2], **settings)
    cpu_s = float("inf")
    for _ in range(REPEATS):
        started = time.process_time()
        found = ihcli.explain(net, x, **settings)
        cpu_s = min(cpu_s, time.process_time() - started)
    evaluations, is_ok = float(found.evaluations.mean()), float((found.status == "ok").mean())
    return {"name": work.name, "rows": rows, "cpu_s": cpu_s, "evaluations": evaluations, "ok": is_ok}


if __name__ == "__main__":
    main()
