"""A process that explains rows as often as it is asked: a line of JSON for each request, and one for what it took.

It asks for no more than numpy, so that peers can answer from environments of their own.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

Asked = dict[str, Any]
Sums = Callable[["Points", np.ndarray], np.ndarray]
"""Gamma (R, D, D), or Phi (R, D) where second derivatives have no weights, of points on the paths to rows (R, D)."""


@dataclass(frozen=True)
class Points:
    """Q points of every row's paths: start (Q, D), t (Q,), weights of first and of second derivatives (Q,), or none."""

    start: np.ndarray
    t: np.ndarray
    first: np.ndarray
    second: np.ndarray | None

    @classmethod
    def read(cls, path: str) -> "Points":
        """Read what `save` wrote."""
        saved = np.load(path)
        return cls(saved["start"], saved["t"], saved["first"], saved["second"] if "second" in saved.files else None)

    def save(self, path: str) -> None:
        """Write them in single precision."""
        second = {} if self.second is None else {"second": self.second}
        single = {"start": self.start, "t": self.t, "first": self.first, **second}
        np.savez(path, **{name: value.astype(np.float32) for name, value in single.items()})

    def __len__(self) -> int:
        return len(self.t)

    def split(self, size: int) -> Iterator["Points"]:
        """Yield so many at a time, the last ones filled up with points of no weight."""
        filled = -len(self) % size
        arrays = (self.start, self.t, self.first, *(() if self.second is None else (self.second,)))
        start, t, first, *second = (np.pad(a, [(0, filled)] + [(0, 0)] * (a.ndim - 1)) for a in arrays)
        for i in range(0, len(t), size):
            some = slice(i, i + size)
            yield Points(start[some], t[some], first[some], second[0][some] if second else None)


def summed(sums: Sums, rows: np.ndarray, points: Points, points_a_call: int) -> np.ndarray:
    """Return the sums of all rows by calls of one shape: rows with all of their points, or of one row some of them."""
    rows_a_call = max(1, points_a_call // len(points))
    some_points = [points] if rows_a_call > 1 else list(points.split(min(points_a_call, len(points))))
    found = []
    for i in range(0, len(rows), rows_a_call):
        some = rows[i : i + rows_a_call]
        filled = np.pad(some, [(0, rows_a_call - len(some)), (0, 0)])
        found.append(np.sum([sums(few, filled) for few in some_points], axis=0)[: len(some)])
    return np.concatenate(found)


def answer(explain: Callable[[np.ndarray, Asked], tuple[np.ndarray, float]]) -> None:
    """Answer requests until there are no more: WORK.npz of `rows` is the first argument.

    explain  rows and the request to attributions or interactions, and evaluations a row

    A request names how many `rows`, from the first, and a file `out` for what was found; the rest is for `explain`.
    """
    rows = np.load(sys.argv[1])["rows"]
    for line in sys.stdin:
        asked = json.loads(line)
        cpu, wall = time.process_time(), time.perf_counter()
        found, evaluations = explain(rows[: asked["rows"]], asked)
        took = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
        if asked.get("out"):
            np.save(asked["out"], found)
        print(json.dumps({**took, "evaluations": evaluations}), flush=True)
