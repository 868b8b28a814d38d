"""Finished runs of given values, written by the writer of runs: tables and texts, in parts, with keys in any order."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import explanations
import numpy as np
import pyarrow as pa

from ihcli.explanation import AnyExplanation, selected
from ihcli.quality import Status
from ihcli.runs.info import RunInfo
from ihcli.runs.progress import Progress
from ihcli.runs.request import RunRequest
from ihcli.runs.storage import InteractionStorage
from ihcli.runs.writer import create_run

FEATURES = ("age", "[bmi]", "pressure", "glucose")
DATA = {"path": "data.csv", "sha256": "a" * 64, "format": "csv", "files": ["data.csv"]}


def random_gammas(n_rows: int, n_features: int = len(FEATURES), seed: int = 0) -> np.ndarray:
    half = np.random.default_rng(seed).normal(size=(n_rows, n_features, n_features))
    return half + half.transpose(0, 2, 1)


def write_table_run(
    path: Path,
    gammas: np.ndarray,
    features: Sequence[str] = FEATURES,
    keys: Sequence[object] | None = None,
    targets: Sequence[str] | None = None,
    missing: Sequence[int] = (),
    storage: str = "full",
    part_rows: int = 3,
    **told: Any,
) -> Path:
    """Write a run of these interactions (N, G, G), its attributions their sums; `missing` rows have no values."""
    targets = ["risk"] * len(gammas) if targets is None else list(targets)
    status = np.full(len(gammas), Status.OK, object)
    status[list(missing)] = Status.MISSING_INPUT
    gammas = np.where(np.isin(np.arange(len(gammas)), missing)[:, None, None], np.nan, gammas)
    explanation = explanations.of_table(gammas, features, targets, status=status)
    return _write(path, explanation, keys, storage, part_rows, {"features": list(features), **told})


def write_texts(
    path: Path, texts: Sequence[tuple[str, ...]], gammas: Sequence[np.ndarray], keys: Sequence[object], **told: Any
) -> Path:
    """Write a run of these texts and their interactions."""
    units, matrices = np.empty(len(texts), object), np.empty(len(texts), object)
    units[:], matrices[:] = list(texts), list(gammas)
    explanation = explanations.of_texts(units, matrices, ["positive"] * len(texts))
    storage = told.pop("storage", "full")
    return _write(path, explanation, keys, storage, 3, {"features": None, "units": "word", **told})


def _write(
    path: Path,
    explanation: AnyExplanation,
    keys: Sequence[object] | None,
    storage: str,
    part_rows: int,
    told: dict[str, Any],
) -> Path:
    n_rows = len(explanation)
    writer, progress = create_run(path, InteractionStorage.parse(storage)), Progress()
    for part, start in enumerate(range(0, n_rows, part_rows)):
        some = selected(explanation, (explanation.row >= start) & (explanation.row < start + part_rows))
        columns = {} if keys is None else {"id": list(keys)[start : start + part_rows]}
        digests = writer.write_part(part, some, pa.table(columns))
        progress.merge(Progress.of_part(part, len(some), some, digests))
    summary = progress.summary
    writer.write_summary(summary.attributions(), summary.interactions())
    content = {
        **{"status": "done", "keys": [] if keys is None else ["id"], "method": {"name": "ih", "title": "ih"}},
        **{
            "target": "risk",
            "groups": None,
            "dtype": "float64",
            "smoothing": None,
            "chunk_rows": part_rows,
            "warnings": [],
            "origins": {},
        },
        "arguments": RunRequest("m.pt", "d.csv", interactions=storage).content(),
        "model": {"path": "m.pt", "sha256": "b" * 64, "format": "TorchScript", "outputs": ["risk"]},
        "data": {**DATA, "rows": n_rows},
        "baseline": {"source": "zeros", "rows": 1, "population": 1, "sha256": "c" * 64},
        "totals": {
            **{"rows": n_rows, "entries": n_rows, "statuses": progress.statuses},
            **{"evaluations": progress.evaluations, "wall_s": 1.0},
        },
    }
    writer.write_info(RunInfo.of({**content, **told}))
    return path
