"""An explanation in memory as a run directory, which all commands take: with the data that it explained beside it.

A run that is written so has what `ihcli explain` writes, summary and seals included. Beside its parts lies what it was
made from, as far as nobody has it in files: data.parquet, and baselines, groups and names of layers that were given as
Python's values. Of a model that was in memory no file is told: `ihcli verify` says so, and takes one that it is given.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from ihcli.data.baselines import is_file
from ihcli.data.formats.opening import open_table
from ihcli.data.rows import no_keys
from ihcli.errors import RunError
from ihcli.explanation import AnyExplanation, selected
from ihcli.files.durable import remove_tree, replacing
from ihcli.files.fingerprints import files_fingerprint, path_fingerprint
from ihcli.files.locations import Location, locate
from ihcli.files.lock import locked
from ihcli.files.parquet import write_table
from ihcli.library.provenance import Provenance
from ihcli.quality import ATTRIBUTIONS
from ihcli.runs.directory import REFUSE, REPLACE, refuse_existing
from ihcli.runs.info import DataInfo, RunInfo
from ihcli.runs.origins import origins_of
from ihcli.runs.totals import RunTotals
from ihcli.runs.whole import WholePart, write_whole
from ihcli.runs.writer import create_run

DATA, BASELINE, GROUPS, LAYER_NAMES = BROUGHT = "data.parquet", "baseline.parquet", "groups.toml", "layer_names.txt"


def save(
    found: AnyExplanation,
    provenance: Provenance,
    out: str | Location,
    warned: Callable[[str], None],
    *,
    overwrite: bool = False,
) -> RunTotals:
    """Write an explanation as a run.

    Entries of some rows only are written as a run over these rows, which are numbered anew.

    Raises RunError where something is there that may not be replaced, rows of the explanation are not whole, or the
    disk refuses.
    """
    path, began = locate(out), time.monotonic() - provenance.wall_s
    rows, numbers = np.unique(found.row, return_inverse=True)
    _require_whole(numbers, path)
    if len(rows) < provenance.info.data.rows:
        found, provenance = replace(found, row=numbers, seen=None), provenance.of_rows(rows)
    refuse_existing(path, REPLACE if overwrite else REFUSE)
    with locked(path, warned):
        writer = create_run(path, overwrite=overwrite)
        try:
            info = _placed(provenance, path, len(rows))
            return write_whole(writer, info, _parts(found, info.chunk_rows), began)
        except BaseException:
            remove_tree(path / ATTRIBUTIONS)
            for name in BROUGHT:
                (path / name).unlink(missing_ok=True)
            writer.abandon()
            raise


def _require_whole(numbers: np.ndarray, path: Location) -> None:
    """Raise RunError where there are none, have entries for different targets, or stand in another order."""
    if len(numbers) == 0:
        raise RunError(f"{path}: the explanation has no rows. Expected one at least.")
    counts = np.bincount(numbers)
    if counts.min() != counts.max() or (np.diff(numbers) < 0).any():
        raise RunError(
            f"{path}: the explanation does not hold every target of each of its rows, in their order. Expected whole "
            "rows. Try the explanation as it was made, or explanation[sorted(places)]."
        )


def _parts(found: AnyExplanation, chunk_rows: int) -> Iterator[WholePart]:
    n_rows = int(found.row[-1]) + 1
    for first in range(0, n_rows, chunk_rows):
        stop = min(n_rows, first + chunk_rows)
        start, end = np.searchsorted(found.row, (first, stop))
        mask = np.zeros(len(found), bool)
        mask[start:end] = True
        yield WholePart(stop - first, selected(found, mask), no_keys(stop - first))


def _placed(provenance: Provenance, path: Location, n_rows: int) -> RunInfo:
    """Write what nobody has in files, and return run.json with where all of it is."""
    info = provenance.told_of_model()
    named: dict[str, str | None] = {"model": None if provenance.model is None else str(provenance.model)}
    asked: dict[str, Any] = {}
    data = info.data.but(rows=n_rows)
    if (table := provenance.table()) is not None:
        place = named["data"] = asked["data"] = _written(path / DATA, table)
        written = open_table(place)
        data = DataInfo(
            path=place,
            sha256=files_fingerprint(written.files),
            format=written.format,
            files=tuple(map(str, written.files)),
            rows=n_rows,
        )
    if (baselines := provenance.baseline_table()) is not None:
        named["baseline"] = asked["baseline"] = _written(path / BASELINE, baselines)
    elif is_file(info.arguments.baseline):
        named["baseline"] = info.arguments.baseline
    groups_sha256 = info.groups_sha256
    if provenance.groups is not None:
        named["groups"] = asked["groups"] = _stated(path / GROUPS, _toml_of(provenance.groups))
        groups_sha256 = path_fingerprint(path / GROUPS)
    if provenance.layer_names is not None:
        asked["layer_names"] = _stated(path / LAYER_NAMES, "\n".join(provenance.layer_names) + "\n")
    return info.but(
        arguments=info.arguments.but(**asked),
        data=data,
        groups_sha256=groups_sha256,
        origins=origins_of(named, path),
    )


def _written(file: Location, table: pa.Table) -> str:
    write_table(file, table)
    return str(file.absolute())


def _stated(file: Location, text: str) -> str:
    with replacing(file) as stream:
        stream.write(text.encode())
    return str(file.absolute())


def _toml_of(groups: Mapping[str, tuple[str, ...]]) -> str:
    """Return a file of groups; strings of JSON are strings of TOML."""
    lines = [f"{json.dumps(name)} = {json.dumps(list(features))}" for name, features in groups.items()]
    return "\n".join(["[groups]", *lines]) + "\n"
