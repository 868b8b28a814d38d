"""Runs to draw pictures of, with made-up figures, and what is looked at in the figures."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from runs import FEATURES, made_up_explanation, write_run

from ihcli.explanation import Explanation
from ihcli.explanation.seen import Meaning, Seen, Truth
from ihcli.files.fingerprints import files_fingerprint
from ihcli.quality import Status
from ihcli.results.result import Result, read
from ihcli.runs.info import RunInfo
from ihcli.runs.storage import InteractionStorage
from ihcli.runs.writer import create_run
from ihcli.summaries.model import ModelSummary
from ihcli.summaries.tables import Summary


def made_up(n_rows: int, names: tuple[str, ...] = FEATURES, **changes: Any) -> Explanation:
    """Return figures of any size; attributions are the row sums of interactions."""
    rng = np.random.default_rng(1)
    half = rng.normal(size=(n_rows, len(names), len(names)))
    gamma = half + half.transpose(0, 2, 1)
    whole = replace(
        made_up_explanation(n_rows),
        feature_names=names,
        interactions=gamma,
        attributions=gamma.sum(axis=2),
        prediction=0.5 + gamma.sum(axis=(1, 2)),
    )
    return replace(whole, **changes)


def write(path: Path, explanation: Explanation, interactions: str = "full", method: str = "ih") -> Result:
    """Write a finished run of one part, and a table whose value of feature j in row i is 10 i + j."""
    path.mkdir()
    names, n_rows = explanation.feature_names, len(np.unique(explanation.row))
    values = 10.0 * np.arange(n_rows)[:, None] + np.arange(len(names))
    pq.write_table(pa.table(dict(zip(names, values.T, strict=True))), path / "data.parquet")
    summary = Summary()
    summary.update(explanation)
    writer = create_run(path / "run", InteractionStorage.parse(interactions))
    writer.write_part(0, explanation, pa.table({"patient": [f"P{row}" for row in range(n_rows)]}))
    writer.write_summary(summary.attributions(), summary.interactions())
    sha256 = files_fingerprint([path / "data.parquet"])
    info = {"status": "done", "features": list(names), "keys": ["patient"], "method": {"name": method}}
    info |= {"arguments": {"tolerance": 0.01}, "totals": {"rows": n_rows}}
    info |= {"data": {"path": str(path / "data.parquet"), "sha256": sha256, "rows": n_rows}}
    writer.write_info(RunInfo.of(info))
    return read(path / "run")


def shown(figure: Figure, part: str = "footnote") -> str:
    text = figure.get_supxlabel() if part == "footnote" else figure.get_suptitle()
    return text.replace("\n", " ")


def names_on(figure: Figure, axis: str = "y", place: int = 0) -> list[str]:
    return [label.get_text() for label in getattr(figure.axes[place], f"get_{axis}ticklabels")()]


def offsets(figure: Figure, place: int = 0) -> list[np.ndarray]:
    """Return the points of every collection of an axes."""
    return [np.asarray(collection.get_offsets()) for collection in figure.axes[place].collections]


def flagged() -> Explanation:
    explanation = made_up(6)
    status = np.array(
        [Status.OK, Status.MISSING_INPUT, Status.OK, Status.OK, Status.NOT_CONVERGED, Status.OK], dtype=object
    )
    empty = status == Status.MISSING_INPUT
    changes = {
        name: np.where(
            empty.reshape(-1, *(1,) * (getattr(explanation, name).ndim - 1)), np.nan, getattr(explanation, name)
        )
        for name in ("attributions", "interactions", "prediction", "relative_error", "completeness_gap")
    }
    return replace(explanation, status=status, **changes)


GROUPS = {"city": ["city=rome", "city=oslo", "city=bonn"], "capital": ["capital=gain", "capital=loss"]}
CITIES = (0, 1, 3, 1, None, 2)  # the place of the 1; 3: nowhere; None: in two columns


def with_groups(path: Path, cities: tuple[int | None, ...] = CITIES, names: list[str] | None = None) -> Result:
    """Write a run of a one-hot group, a group of numbers and a column, and the table with its columns."""
    members = names or GROUPS["city"]
    result = write(path, made_up(len(cities), ("city", "capital", "age")))
    active = [[float(place == city or city is None) for city in cities] for place in range(len(members))]
    columns = dict(zip(members, active, strict=True))
    columns |= {name: np.arange(len(cities)) / 2 for name in (*GROUPS["capital"], "age")}
    pq.write_table(pa.table(columns), path / "data.parquet")
    info = result.info | {"groups": GROUPS | {"city": members}}
    info["data"] = info["data"] | {"sha256": files_fingerprint([path / "data.parquet"])}
    (path / "run/run.json").write_text(json.dumps(info))
    return read(path / "run")


def legend_of(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def shades(figure: Figure, place: int, of: int = 0) -> list[str]:
    return [to_hex(colour) for colour in figure.axes[of].collections[place].get_facecolors()]


def judged(path: Path, outputs: np.ndarray, true: np.ndarray) -> Result:
    """Write a run whose summary tells of a model with these probabilities of the second of two classes."""
    write_run(path)
    meaning = Meaning(("no", "yes"), "probability", "probability", True, True, True, None)
    seen = Seen(meaning, np.stack([1 - outputs, outputs], axis=1), Truth(true.astype(float), 0, 0), None)
    summary = ModelSummary()
    summary.update(seen)
    run = read(path)
    table = summary.table(run.summary_attributions(), run.summary_interactions(), counts=False)
    pq.write_table(table, path / "summary" / "model.parquet")
    return read(path)
