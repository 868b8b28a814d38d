"""A small network and a table to explain with it: requests for runs of them, and runs compared byte by byte."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import torch
from torch import nn

from ihcli.runs.progress import Progress
from ihcli.runs.request import RunRequest
from ihcli.runs.totals import Observer

FEATURES = ["a", "b", "c", "d"]
N_ROWS = 41
MEMORY_BYTES = 1 << 26


def write_inputs(
    folder: Path,
    n_rows: int = N_ROWS,
    activation: Callable[[], nn.Module] = nn.ReLU,
    width: int = 12,
    labelled: bool = True,
) -> Path:
    """Write a network of four inputs and two outputs, and a table with a key, and a label where it is wanted."""
    torch.manual_seed(0)
    torch.save(nn.Sequential(nn.Linear(4, width), activation(), nn.Linear(width, 2)).eval(), folder / "net.pt")
    table = pd.DataFrame(np.random.default_rng(0).standard_normal((n_rows, 4)), columns=FEATURES)
    table.insert(0, "id", [f"{i:03d}" for i in range(n_rows)])
    if labelled:
        table.insert(1, "label", np.arange(n_rows) % 2)
    table.to_parquet(folder / "table.parquet")
    return folder


def request_of(folder: Path, workers: int = 1, **options: object) -> RunRequest:
    """Ask for so much memory that each of the workers has what one would have alone."""
    base = RunRequest(str(folder / "net.pt"), str(folder / "table.parquet"), key=("id",), label="label", chunk_rows=2)
    return replace(base, **{"memory_bytes": workers * MEMORY_BYTES, "max_evaluations": 64, "device": "cpu", **options})


def content(out: Path) -> dict[str, bytes]:
    """Return every file of a run but its run.json, which tells of time."""
    files = (file for file in out.rglob("*") if file.is_file() and file.name != "run.json")
    return {str(file.relative_to(out)): file.read_bytes() for file in files}


def assert_same_run(out: Path, expected: Path) -> None:
    """Compare files byte by byte, names in the run, and totals but for time."""
    assert content(out) == content(expected)
    assert {file.name for file in out.iterdir()} == {file.name for file in expected.iterdir()}
    totals = [json.loads((path / "run.json").read_text())["totals"] for path in (out, expected)]
    for each in totals:
        del each["wall_s"]
    assert totals[0] == totals[1]
    assert pq.read_table(out / "attributions")["_row"].to_pylist() == list(range(totals[0]["rows"]))


class Hearing(Observer):
    """Remembers how many rows were there before, and how many came with every part."""

    def __init__(self) -> None:
        self.before = 0
        self.rows: list[int] = []

    def resumed(self, rows: int) -> None:
        self.before = rows

    def chunk_done(self, done: Progress) -> None:
        self.rows.append(done.rows)


class Stopping(Observer):
    """Interrupts a run after so many parts."""

    def __init__(self, after: int) -> None:
        self.left = after

    def chunk_done(self, done: Progress) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt
