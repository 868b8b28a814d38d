"""Results as a Markdown table and JSON under benchmarks/results/."""

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Result:
    """A named table: columns, rows of texts and numbers, and a sentence on what was measured."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[str | float]]

    def markdown(self) -> str:
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        table = "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)
        return f"## {self.title}\n\n{table}\n"


def write(results: Sequence[Result]) -> None:
    """Write one Markdown file with all tables, and one JSON file for each."""
    RESULTS.mkdir(exist_ok=True)
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, {_gpu()}"
    text = "\n".join(["# Benchmarks", "", f"Machine: {machine}. Written by `make bench`.", ""])
    (RESULTS / "benchmarks.md").write_text(text + "\n".join(["", *(result.markdown() for result in results)]))
    for result in results:
        rows = [dict(zip(result.columns, row, strict=True)) for row in result.rows]
        document = {"title": result.title, "machine": machine, "rows": rows}
        (RESULTS / f"{result.name}.json").write_text(json.dumps(document, indent=2) + "\n")


def _gpu() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"


def _cell(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"
