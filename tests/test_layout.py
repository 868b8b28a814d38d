"""Imports go down only: a room may use the rooms above it in this table, never those below."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ihcli"
ORDER = (
    "errors",
    "wording",
    "advance",
    "forking",
    "stores",
    "locations",
    "foreign",
    "durable",
    "fingerprints",
    "runinfo",
    "seals",
    "origins",
    "leases",
    "lock",
    "confinement",
    "explanation",
    "methods",
    "quadrature",
    "gates",
    "memory",
    "calling",
    "derivatives",
    "batching",
    "panels",
    "lines",
    "certify",
    "piecewise",
    "assembly",
    "models",
    "smoothing",
    "leaves",
    "separators",
    "conversions",
    "formats",
    "numerals",
    "table_files",
    "csv_files",
    "parquet_files",
    "tables",
    "columns",
    "groups",
    "scan",
    "sampling",
    "dataset",
    "text",
    "baselines",
    "explainer",
    "table_explainer",
    "text_explainer",
    "library",
    "parts",
    "states",
    "runfiles",
    "rowgroups",
    "encoding",
    "output",
    "records",
    "bridges",
    "reading",
    "rankings",
    "inputs",
    "report",
    "summary",
    "text_summary",
    "progress",
    "request",
    "sharding",
    "refusals",
    "resuming",
    "verification",
    "overlap",
    "keeping",
    "preparation",
    "recomputation",
    "executors",
    "forecasting",
    "outlook",
    "pipeline",
    "merging",
    "plots",
    "cli",
)
TORCH_FREE = (
    "errors",
    "wording",
    "advance",
    "forking",
    "stores",
    "locations",
    "foreign",
    "durable",
    "fingerprints",
    "runinfo",
    "seals",
    "origins",
    "leases",
    "lock",
    "confinement",
    "explanation",
    "methods",
    "quadrature",
    "leaves",
    "separators",
    "conversions",
    "formats",
    "numerals",
    "table_files",
    "csv_files",
    "parquet_files",
    "tables",
    "columns",
    "groups",
    "scan",
    "sampling",
    "dataset",
    "text",
    "baselines",
    "parts",
    "states",
    "runfiles",
    "rowgroups",
    "encoding",
    "output",
    "records",
    "bridges",
    "reading",
    "rankings",
    "inputs",
    "report",
    "summary",
    "text_summary",
    "progress",
    "request",
    "sharding",
    "refusals",
    "resuming",
    "verification",
    "overlap",
    "keeping",
    "merging",
    "plots",
    "cli",
)


def rooms() -> set[str]:
    found = {path.stem if path.is_file() else path.name for path in PACKAGE.iterdir() if not path.name.startswith("_")}
    return {name for name in found if (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()}


def files_of(room: str) -> list[Path]:
    directory = PACKAGE / room
    return sorted(directory.rglob("*.py")) if directory.is_dir() else [PACKAGE / f"{room}.py"]


def imported_rooms(file: Path) -> set[str]:
    """Return the rooms that a file imports at any depth, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names if node.module == "ihcli")
    return {name.split(".")[1] for name in names if name.startswith("ihcli.")}


def test_the_table_names_every_room() -> None:
    assert rooms() == set(ORDER)


@pytest.mark.parametrize("room", ORDER)
def test_imports_go_down_only(room: str) -> None:
    allowed = set(ORDER[: ORDER.index(room) + 1])
    for file in files_of(room):
        assert imported_rooms(file) <= allowed, f"{file.name} imports a room below its own"


@pytest.mark.parametrize("room", TORCH_FREE)
def test_rooms_without_derivatives_do_not_import_torch(room: str) -> None:
    code = f"import sys, ihcli.{room}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
