"""Runs that a page must stand: names that look like markup, several targets, and more rows than a page holds."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ihcli.explanation import Explanation
from ihcli.files.fingerprints import files_fingerprint
from ihcli.quality import Status
from ihcli.results.result import Result, read
from ihcli.runs.info import RunInfo
from ihcli.runs.storage import InteractionStorage
from ihcli.runs.writer import create_run
from ihcli.summaries.tables import Summary

IMAGE = "<img src=x onerror=alert(1)>"
ENDING = "</script><script>alert(1)</script>"
KEY = f"id {IMAGE}"
HOSTILE = (IMAGE, "<b>bold</b>", "a&lt;b %{x}", f"{ENDING}<!--", "{{script}}", "\u2028'\"\\", "x" * 200)
SEED = 3


def unpacked(found: dict[str, Any]) -> Any:
    """Return the numbers that a page holds packed as an array, and other objects as they are."""
    if set(found) != {"floats", "size"}:
        return found
    return np.frombuffer(base64.b64decode(found["floats"]), f"<f{found['size']}")


def write_table_run(
    path: Path,
    names: tuple[str, ...] = HOSTILE,
    targets: tuple[str, ...] = (f"good {IMAGE}", "bad"),
    n_rows: int = 30,
    interactions: str = "full",
) -> tuple[Result, Explanation, np.ndarray]:
    """Write a finished run and the data it explained; row 1 missed the tolerance, the last row has no values.

    Returns the run, what is in it, and the (n_rows, len(names)) values of the features.
    """
    explanation, values = _made_up(names, targets, n_rows)
    summary = Summary()
    summary.update(explanation)
    path.mkdir(parents=True)
    writer = create_run(path / "run", InteractionStorage.parse(interactions))
    key = pa.table({KEY: [f"{ENDING}{row}" for row in range(n_rows)]})
    writer.write_part(0, explanation, key)
    writer.write_summary(summary.attributions(), summary.interactions())
    data = path / "data.parquet"
    pq.write_table(pa.table(dict(zip(names, values.T, strict=True))), data)
    writer.write_info(
        RunInfo.of(
            {
                "status": "done",
                "arguments": {"tolerance": 0.01, "target": "all"},
                "model": {"path": f"models/{IMAGE}", "format": "TorchScript"},
                "data": {"path": str(data), "sha256": files_fingerprint([data]), "rows": n_rows},
                "features": list(names),
                "keys": [KEY],
                "method": {"name": "eh", "title": "Expected Hessians"},
                "smoothing": {
                    **{"beta": 5.0, "replaced": ["relu x2"], "kinks": [f"max_pool {IMAGE}"], "drift": 0.003},
                    **{"changed": 0.0, "within_tolerance": True},
                },
                "warnings": [f"beware of {ENDING}"],
                "totals": {"rows": n_rows, "wall_s": 1.5},
            }
        )
    )
    return read(path / "run"), explanation, values


def _made_up(names: tuple[str, ...], targets: tuple[str, ...], n_rows: int) -> tuple[Explanation, np.ndarray]:
    rng = np.random.default_rng(SEED)
    n_entries, n_features = n_rows * len(targets), len(names)
    half = rng.normal(size=(n_entries, n_features, n_features)) / np.arange(1, n_features + 1)
    interactions = half + half.transpose(0, 2, 1)
    status = np.full(n_entries, Status.OK, dtype=object)
    status[len(targets)] = Status.NOT_CONVERGED
    status[-len(targets) :] = Status.MISSING_INPUT
    relative_error = 10 ** rng.normal(-3, 0.3, n_entries)
    relative_error[len(targets)] = 0.5
    baseline_prediction = np.full(n_entries, 0.5)
    figures = {
        "attributions": interactions.sum(axis=2),
        "interactions": interactions,
        "prediction": baseline_prediction + interactions.sum(axis=(1, 2)),
        "baseline_prediction": baseline_prediction,
        "completeness_gap": rng.normal(size=n_entries) * 1e-7,
        "relative_error": relative_error,
        "interaction_error": 2 * relative_error,
        "interaction_sampling_error": rng.uniform(0.02, 0.2, n_entries),
        "sampling_error": rng.uniform(0.01, 0.1, n_entries),
        "drift": rng.normal(size=n_entries) * 1e-3,
    }
    for column in figures.values():
        column[-len(targets) :] = np.nan
    explanation = Explanation(
        row=np.repeat(np.arange(n_rows), len(targets)),
        target=np.array(targets * n_rows, dtype=object),
        feature_names=names,
        evaluations=np.full(n_entries, 8, np.int32),
        status=status,
        **figures,
    )
    return explanation, rng.normal(size=(n_rows, n_features))


def write_large_run(path: Path, n_rows: int = 10_000, n_features: int = 500) -> Result:
    """Write a run of many rows and long names that stores the largest pairs of every row: 20 of them."""
    rng = np.random.default_rng(SEED)
    names = [f"{place:04d} {'long' * 60}"[:200] for place in range(n_features)]
    identity = {"_row": np.arange(n_rows), "_target": ["risk"] * n_rows}
    quality: dict[str, Any] = {
        **{name: rng.normal(size=n_rows) for name in ("_prediction", "_baseline_prediction", "_completeness_gap")},
        "_relative_error": 10 ** rng.normal(-3, 0.3, n_rows),
        "_evaluations": np.full(n_rows, 8, np.int32),
        "_status": [Status.OK] * n_rows,
    }
    values = rng.normal(size=(n_rows, n_features)).astype(np.float32)
    columns = dict(zip(names, values.T, strict=True))
    first, second = np.triu_indices(n_features, 1)
    pairs = [{"i": names[i], "j": names[j], "value": 1.2345} for i, j in zip(first[:20], second[:20], strict=True)]
    stored = pa.repeat(pa.scalar(pairs), n_rows)
    one = np.full(len(first), 1.2345)
    ranks = {"target": ["risk"] * len(first), "rank": np.arange(1, len(first) + 1), "rows": np.full(len(first), n_rows)}
    statistics = dict.fromkeys(("mean_abs", "mean", "std", "share"), one)
    of_features = {name: values[:n_features] for name, values in {**ranks, **statistics}.items()}
    taken = [pa.array(names).take(pa.array(side)) for side in (first, second)]
    tables = {
        "data": columns,
        "run/attributions/part-000000": {**identity, **quality, **columns},
        "run/interactions/part-000000": {**identity, "interactions": stored},
        "run/summary/attributions": {"feature": names, **of_features},
        "run/summary/interactions": {"feature_i": taken[0], "feature_j": taken[1], **ranks, **statistics},
    }
    for name, table in tables.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(table), path / f"{name}.parquet")
    data = path / "data.parquet"
    recorded = {"path": str(data), "sha256": files_fingerprint([data]), "rows": n_rows}
    info = {"status": "done", "features": names, "keys": [], "method": {"name": "ih"}, "data": recorded}
    (path / "run/run.json").write_text(json.dumps({**info, "totals": {"rows": n_rows}}))
    return read(path / "run")
