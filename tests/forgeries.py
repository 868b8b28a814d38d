"""Finished runs of every kind, made by the pipeline, and ways to damage copies of them."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import checkpoints
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from model_files import quietly
from torch import nn

from ihcli.execution.pipeline import run
from ihcli.runs.info import RunInfo
from ihcli.runs.kinds import kind_of
from ihcli.runs.request import RunRequest
from ihcli.runs.seals import sealed
from ihcli.runs.told import read_as
from ihcli.runs.totals import Observer

ROWS, CHUNK_ROWS, FEATURES = 14, 4, ("a", "b", "c", "d", "e")
WORDS, FILES = ["low", "middle", "high"], ("model", "data", "groups", "categories")
TABLES: dict[str, dict[str, Any]] = {
    "ig": {"method": "ig"},
    "eg": {"method": "eg", "baseline_rows": 6},
    "eg of enough baselines": {"method": "eg", "baseline_rows": "auto", "sampling_tolerance": 0.2},
    "ih": {},
    "eh": {"method": "eh", "baseline_rows": 4},
    "eh of all targets, grouped": {"method": "eh", "baseline_rows": 4, "target": "all", "groups": "groups.toml"},
    "ih of labels": {"target": "label"},
    "ih in float64": {"dtype": "float64"},
    "ih smoothed": {"model": "relu.pt"},
    "ih of kinks": {"model": "relu.pt", "smooth": "none"},
    "ig of kinks": {"model": "relu.pt", "method": "ig"},
    "ih with missing rows": {"data": "holes.parquet", "missing": "flag"},
    "eg with missing rows": {"data": "holes.parquet", "missing": "flag", "method": "eg", "baseline_rows": 5},
    "largest pairs": {"interactions": "top:3"},
    "largest pairs of many": {"method": "eh", "baseline_rows": 4, "interactions": "top:3"},
    "summaries only": {"interactions": "none"},
    "ih of words": {"data": "words.parquet", "categories": "words.toml", "output_names": ("no", "maybe", "yes")},
    "ih of 3 steps": {"model": "sharp.pt", "steps": 3},
    "ih cut short": {"model": "sharp.pt", "max_evaluations": 16, "tolerance": 1e-3},
    "largest pairs cut short": {"model": "sharp.pt", "max_evaluations": 16, "tolerance": 1e-3, "interactions": "top:3"},
}
TEXTS: dict[str, dict[str, Any]] = {
    "texts": {"tolerance": 0.05},
    "texts under ig": {"method": "ig", "units": "token"},
    "texts cut short": {"tolerance": 3e-4, "max_evaluations": 8},
    "largest pairs of texts": {"interactions": "top:4", "tolerance": 0.05},
}


class Folder:
    """Models and data of the runs, which are made when they are first asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        torch.manual_seed(0)
        self._save("net.pt", nn.Softplus, 3)
        self._save("relu.pt", nn.ReLU, 1)
        self._save("sharp.pt", lambda: nn.Softplus(20), 1)
        (path / "groups.toml").write_text('[groups]\n"a and d" = ["a", "d"]\n')
        rng = np.random.default_rng(0)
        table = pd.DataFrame(rng.standard_normal((ROWS, len(FEATURES))), columns=list(FEATURES))
        table.insert(0, "id", [f"P{i}" for i in range(ROWS)])
        table["label"] = rng.integers(0, 3, ROWS)
        table.to_parquet(path / "table.parquet")
        words = table.assign(e=[WORDS[row % 3] for row in range(ROWS)])
        words.to_parquet(path / "words.parquet")
        (path / "words.toml").write_text(f"[categories]\ne = {json.dumps(WORDS)}\n")
        table.loc[[2, 9, 10, 13], "b"] = np.nan
        table.to_parquet(path / "holes.parquet")
        pd.DataFrame({"id": range(5), "text": [*checkpoints.CORPUS[:4], None]}).to_parquet(path / "texts.parquet")

    def request(self, kind: str) -> RunRequest:
        """Return what a run of that kind is asked."""
        if kind in TEXTS:
            checkpoint = self.path / "bert"
            if not checkpoint.exists():
                checkpoints.save(checkpoint, "bert")
            asked = RunRequest(str(checkpoint), str(self.path / "texts.parquet"), key=("id",), text="text")
            return replace(asked, chunk_rows=2, **TEXTS[kind])
        files = {"model": "net.pt", "data": "table.parquet", **TABLES[kind]}
        places = {name: str(self.path / files[name]) for name in FILES if name in files}
        return RunRequest(**{"key": ("id",), "label": "label", "chunk_rows": CHUNK_ROWS, **files, **places})

    def run(self, kind: str) -> Path:
        """Return a run that nobody may change."""
        out = self.path / "runs" / kind
        if not out.exists():
            quietly(run, self.request(kind), out, Observer())
        return out

    def copy(self, kind: str, to: Path) -> Path:
        """Return a copy to damage."""
        return Path(shutil.copytree(self.run(kind), to))

    def _save(self, name: str, activation: Callable[[], nn.Module], n_outputs: int) -> None:
        layers = nn.Sequential(nn.Linear(5, 8), activation(), nn.Linear(8, 8), activation(), nn.Linear(8, n_outputs))
        for layer in (layers[0], layers[2]):
            layer.weight.data *= 2
        torch.save(layers.eval(), self.path / name)


def change(file: Path, alter: Callable[[pa.Table], pa.Table]) -> None:
    """Write a Parquet file again, altered."""
    pq.write_table(alter(pq.read_table(file)), file)


def value(column: str, place: int = 0, factor: float = 1.01) -> Callable[[pa.Table], pa.Table]:
    """Alter one number of a column, of lists and tensors the second of one entry."""

    def alter(table: pa.Table) -> pa.Table:
        position = table.schema.get_field_index(column)
        field = table.schema.field(position)
        is_tensor = isinstance(field.type, pa.FixedShapeTensorType)
        values = (table[column].combine_chunks().storage if is_tensor else table[column]).to_pylist()
        if isinstance(values[place], list):
            values[place][1] = values[place][1] * factor or 1.0
        else:
            values[place] = values[place] * factor or 1.0
        array = pa.array(values, field.type.storage_type if is_tensor else field.type)
        array = pa.ExtensionArray.from_storage(field.type, array) if is_tensor else array
        return table.set_column(position, field, array)

    return alter


def tell(path: Path, **changes: Any) -> None:
    """Change run.json, and seal it again as who forges it would."""
    info = json.loads((path / "run.json").read_text())
    forged = read_as(kind_of(RunInfo), {**info, **changes}, path / "run.json")  # whatever its types
    (path / "run.json").write_text(sealed(forged).text())


def edit(path: Path, *keys: str, new: Any) -> None:
    """Change one value of run.json as with an editor."""
    info = found = json.loads((path / "run.json").read_text())
    for key in keys[:-1]:
        found = found[key]
    assert found.get(keys[-1]) != new
    found[keys[-1]] = new
    (path / "run.json").write_text(json.dumps(info, indent=2, ensure_ascii=False))


def part(path: Path, kind: str = "attributions", number: int = 1) -> Path:
    return path / kind / f"part-{number:06d}.parquet"
