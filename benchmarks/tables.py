"""Results as one JSON file each and a Markdown file of all of them, under benchmarks/results/."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.setup import THREADS

RESULTS = Path(__file__).parent / "results"
Cell = str | int | float


@dataclass(frozen=True)
class Result:
    """A named table: columns, rows of texts and numbers, and sentences on what was measured and how."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]
    notes: tuple[str, ...] = ()

    def markdown(self) -> str:
        """Return the table under its title, the notes below it."""
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        table = "\n".join("| " + " | ".join(cell_text(value) for value in line) + " |" for line in lines)
        notes = "".join(f"\n- {note}" for note in self.notes)
        return f"## {self.title}\n\n{table}\n{notes}\n" if notes else f"## {self.title}\n\n{table}\n"


def absent(columns: Sequence[str], device: str) -> list[Cell]:
    """Return the row that stands for a device which is not there."""
    return [f"no {device.upper()} device" if name == "device" else "" for name in columns]


def write(results: Sequence[Result], order: Sequence[str]) -> None:
    """Write a JSON file for each result, then the Markdown file of all there are, also from earlier runs.

    order  names of results, first to last; others follow
    """
    RESULTS.mkdir(exist_ok=True)
    for result in results:
        rows = [dict(zip(result.columns, row, strict=True)) for row in result.rows]
        document = {"title": result.title, "machine": machine(), "notes": result.notes, "rows": rows}
        (RESULTS / f"{result.name}.json").write_text(json.dumps(document, indent=2) + "\n")
    names = [path.stem for path in sorted(RESULTS.glob("*.json"))]
    names.sort(key=lambda name: order.index(name) if name in order else len(order))
    head = "# Benchmarks\n\nWritten by `make bench` and `make bench-peers`. Ratios compare within one run.\n"
    (RESULTS / "benchmarks.md").write_text("\n".join([head, *map(_stored, names)]))


def machine() -> str:
    """Return what was measured on, in words."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
    return f"{platform.machine()}, {THREADS} threads of {os.cpu_count()} cores, torch {torch.__version__}, {device}"


def _stored(name: str) -> str:
    document = json.loads((RESULTS / f"{name}.json").read_text())
    columns = tuple(document["rows"][0])
    rows = [list(row.values()) for row in document["rows"]]
    notes = (*document.get("notes", ()), f"Machine: {document['machine']}.")
    return Result(name, document["title"], columns, rows, notes).markdown()


def cell_text(value: Cell) -> str:
    """Return a cell of a table in Markdown."""
    return value if isinstance(value, str) else f"{value:,.3g}" if isinstance(value, float) else f"{value:,}"
