"""What experiments measured, kept as JSON under benchmarks/results/paper/, so that the page can be written again."""

import json
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.paper.experiment import Experiment

KEPT = Path(__file__).parents[1] / "results" / "paper"


@dataclass(frozen=True)
class Measured:
    """Figures, the seconds that they took, and how many processes wanted a core meanwhile, on how many cores."""

    figures: Any
    wall_s: float
    load: float
    cores: int
    torch: str
    machine: str = platform.machine()


def keep(name: str, measured: Measured, folder: Path = KEPT) -> None:
    """Write what an experiment measured."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(asdict(measured), indent=1) + "\n")


def kept(name: str, experiment: Experiment, folder: Path = KEPT) -> Measured | None:
    """Return what it measured last; None where it never did."""
    file = folder / f"{name}.json"
    if not file.exists():
        return None
    document = json.loads(file.read_text())
    return Measured(**{**document, "figures": experiment.figures(**document["figures"])})
