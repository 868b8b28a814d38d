"""A run on disk: part files, summaries and run.json, written whole or not at all, and read back."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ihcli.errors import RunError
from ihcli.explanation import AnyExplanation
from ihcli.files.durable import (
    disk_errors,
    is_temporary,
    make_directory,
    remove_temporaries,
    remove_tree,
    replacing,
    sync_directory,
)
from ihcli.files.fingerprints import path_fingerprint
from ihcli.files.leases import LOCK, refusal
from ihcli.files.locations import Location, absence, locate
from ihcli.files.lock import is_locked
from ihcli.files.parquet import write_table
from ihcli.files.stores import StorePath
from ihcli.runs.files import SUMMARY as SUMMARY_COLUMNS
from ihcli.runs.files import opened_part, require_own, require_types
from ihcli.runs.info import read_info
from ihcli.runs.parts import InteractionStorage, attributions_table, interactions_table
from ihcli.runs.rowgroups import PartFiles
from ihcli.runs.seals import Digests, sealed
from ihcli.runs.states import STATES, StateFiles

INFO = "run.json"
DONE = "done"
NEW = {"status": "running"}  # run.json of a run that is just being made
ATTRIBUTIONS, INTERACTIONS, SUMMARY = "attributions", "interactions", "summary"
RANKED = {ATTRIBUTIONS: ("feature",), INTERACTIONS: ("feature_i", "feature_j")}
STATISTICS = ("mean_abs", "mean", "std", "share", "rows")
SHARDS = "shards"
DIRECTORIES = (ATTRIBUTIONS, INTERACTIONS, SUMMARY, STATES)
UNMERGED = "holds shards of a run, not yet a whole one. Try ihcli merge when all of them are done"


@dataclass(frozen=True)
class RunWriter:
    """Writes the files of one run; every file appears under its final name only when it is whole and on disk.

    question  SHA-256 of what was asked, which every part keeps
    """

    path: Location
    storage: InteractionStorage = field(default_factory=InteractionStorage)
    question: str | None = None

    @property
    def home(self) -> Location:
        """Where run.json and the states are."""
        return self.path

    @property
    def states(self) -> StateFiles:
        """What resuming needs; for a run under way."""
        return StateFiles(self.home)

    def write_part(self, index: int, explanation: AnyExplanation, keys: pa.Table) -> Digests:
        """Write the explanation of one chunk, and return the SHA-256 of its files.

        The attributions part is written last: where it exists, that of interactions does.

        Parameters:
            index: position of the chunk in the run, from 0.
            keys: the chunk's keys, one row for every data row (several targets of a row share it).

        Raises:
            RunError: the disk is full or refuses.
        """
        interactions, written = interactions_table(explanation, keys, self.storage, self.question), []
        if interactions is not None:
            written = [write_table(self.path / INTERACTIONS / part_name(index), interactions)]
        attributions = attributions_table(explanation, keys, self.question)
        return (write_table(self.path / ATTRIBUTIONS / part_name(index), attributions), *written)

    def digests_of(self, index: int) -> Digests:
        """Return the SHA-256 of the files of a part that was written before, by reading them."""
        files = [self.path / kind / part_name(index) for kind in (ATTRIBUTIONS, INTERACTIONS)]
        return tuple(bytes.fromhex(path_fingerprint(file)) for file in files if file.is_file())

    def write_state(self, index: int, state: Mapping[str, np.ndarray]) -> None:
        """Write the state of parts that are all on disk, the last of them `index`: what resuming starts from.

        It takes the place of the one before, which stays until then: whatever happens, one fits the parts on disk.
        """
        self.states.write(index, state)
        self.states.keep_only(index)

    def read_state(self) -> dict[str, np.ndarray] | None:
        """Return the state of the most parts that are all on disk; None where there is none."""
        return self.states.newest({int(path.stem.removeprefix("part-")) for path in _parts(self.path / ATTRIBUTIONS)})

    def write_summary(self, attributions: pa.Table, interactions: pa.Table | None) -> dict[str, str]:
        """Write the tables of a Summary, and return the SHA-256 of each."""
        tables = {INTERACTIONS: interactions, ATTRIBUTIONS: attributions}
        return {
            kind: write_table(self.path / SUMMARY / f"{kind}.parquet", table).hex()
            for kind, table in tables.items()
            if table is not None
        }

    def write_info(self, info: Mapping[str, Any]) -> None:
        """Write run.json, replacing the one before; keys keep their order, and NaN and infinity become null.

        That of a finished run is sealed.
        """
        told = plain(info)
        told = sealed(told) if told.get("status") == DONE else told
        text = json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        with replacing(self.home / INFO) as stream:
            stream.write(text.encode())

    def remove_temporaries(self) -> None:
        """Remove what a killed process left half written; raises RunError."""
        with disk_errors(self.path):
            for directory in ("", *DIRECTORIES):
                remove_temporaries(self.path / directory)

    def abandon(self) -> None:
        """Remove the run again when it holds no finished part; for a failure before the first of them."""
        if not _parts(self.path / ATTRIBUTIONS):
            _remove_parts(self.path)
            (self.path / INFO).unlink(missing_ok=True)
            if not any(self.path.iterdir()):
                self.path.rmdir()


@dataclass(frozen=True)
class Run:
    """A run that was opened; tables are read when asked for.

    info  the content of run.json
    """

    path: Location
    info: dict[str, Any]

    @cached_property
    def attribution_parts(self) -> PartFiles:
        """The attributions parts that were finished when this was first asked."""
        return PartFiles(self.path / ATTRIBUTIONS)

    @cached_property
    def interaction_parts(self) -> PartFiles:
        """The interactions parts that were finished when this was first asked."""
        return PartFiles(self.path / INTERACTIONS)

    @property
    def status(self) -> str:
        """One of running, interrupted, failed and done; a killed run stays running."""
        return str(self.info.get("status", "unknown"))

    @property
    def has_interactions(self) -> bool:
        """Whether interactions of every row were stored."""
        return bool(self.interaction_parts.files)

    def attributions(self, columns: Sequence[str] | None = None, rows: Sequence[int] | None = None) -> pa.Table:
        """Return the attributions parts as one table, or only some columns and rows of the data; raises RunError."""
        return self.attribution_parts.read(columns, rows)

    def interactions(self, rows: Sequence[int] | None = None) -> pa.Table:
        """Return the interactions parts as one table; raises RunError where none were stored."""
        return self.interaction_parts.read(None, rows)

    def summary_attributions(self) -> pa.Table:
        """Return the ranked features of every target; raises RunError where the run did not finish."""
        return self._summary_table(ATTRIBUTIONS)

    def summary_interactions(self) -> pa.Table:
        """Return the ranked pairs of every target; raises RunError where the run has none or did not finish."""
        self._summary_file(ATTRIBUTIONS)
        if not (self.path / SUMMARY / f"{INTERACTIONS}.parquet").exists():
            raise RunError(
                f"{self.path}: has no interactions, only attributions. Expected a run of ih or eh. "
                "Try ihcli explain with --method ih."
            )
        return self._summary_table(INTERACTIONS)

    def _summary_file(self, kind: str) -> Location:
        file = self.path / SUMMARY / f"{kind}.parquet"
        if not file.exists():
            if is_locked(self.path):
                raise RunError(f"{self.path}: the run is still going on, so it has no summary yet. Try again later.")
            raise RunError(
                f"{self.path}: the run did not finish (status {self.status}), so it has no summary. "
                "Try the same ihcli explain with --resume, which keeps the finished parts."
            )
        return file

    def _summary_table(self, kind: str) -> pa.Table:
        file = self._summary_file(kind)
        with opened_part(file) as opened:
            table = opened.read()
        require_types(file, table, SUMMARY_COLUMNS, ["target", "rank", *STATISTICS, *RANKED[kind]])
        return table


def refuse_existing(path: str | Location, replaces: bool) -> None:
    """Raise RunError where something is at the path that a run may not replace (or go on with)."""
    path = locate(path)
    if not path.exists():
        return
    if not path.is_dir():
        raise RunError(f"{path}: is a file. Expected a new directory for the run. Try another -o.")
    if not (path / INFO).is_file():
        if (path / SHARDS).is_dir():
            raise RunError(f"{path}: {UNMERGED}, or another -o.")
        if all(entry.name == LOCK or is_temporary(entry) for entry in path.iterdir()):
            return
        raise RunError(f"{path}: holds files that are not a run, so it is left alone. Try a new directory with -o.")
    if not replaces:
        raise _existing(path)


def create_run(path: str | Location, *, interactions: str = "full", overwrite: bool = False) -> RunWriter:
    """Create the directory of a run, recognisable as one from the start.

    Parameters:
        interactions: "full", "top:K" or "none", what is stored of every row's interactions.
        overwrite: replace the run that is there; files that are not part of it stay.

    Raises:
        RunError: something is there that may not be replaced, or the disk refuses.
        OptionError: `interactions` is not understood.
    """
    writer = RunWriter(locate(path), InteractionStorage.parse(interactions))
    refuse_existing(writer.path, overwrite)
    with disk_errors(writer.path):
        make_directory(writer.path)
        writer.write_info(NEW)  # before the parts go: what is torn from here on has no arguments
        _remove_parts(writer.path)
        make_directory(writer.path / ATTRIBUTIONS)
    return writer


def reopen_run(path: str | Location, *, interactions: str = "full") -> RunWriter:
    """Return the writer of a run that was begun, freed of what a killed process left half written.

    Raises RunError where the disk refuses.
    """
    writer = RunWriter(locate(path), InteractionStorage.parse(interactions))
    writer.remove_temporaries()
    return writer


def open_run(path: str | Location) -> Run:
    """Open a run directory; raises RunError where the path is not one."""
    path = locate(path)
    if not path.exists():
        raise RunError(absence(path, "run", "the directory that ihcli explain wrote with -o"))
    if not (path / INFO).is_file():
        if (path / SHARDS).is_dir():
            raise RunError(f"{path}: {UNMERGED}.")
        raise RunError(f"{path}: is not a run. Expected a directory with {INFO}, as ihcli explain writes it with -o.")
    require_own(path / INFO)
    return Run(path, read_info(path / INFO))


def _existing(path: Location) -> RunError:
    if is_locked(path):
        return refusal(path)
    status = open_run(path).status
    if status == DONE:
        return RunError(f"{path}: holds a run already. Try --overwrite to replace it, or another -o.")
    return RunError(
        f"{path}: holds a run that did not finish (status {status}). Try --resume to go on with it, --overwrite to "
        "begin anew, or another -o."
    )


def _remove_parts(path: Location) -> None:
    """Remove what a run consists of beside run.json, and nothing else."""
    for name in DIRECTORIES:
        if (path / name).is_dir():
            remove_tree(path / name)
    remove_temporaries(path)
    sync_directory(path)


def part_name(index: int) -> str:
    """Return the file name of a part."""
    return f"part-{index:06d}.parquet"


def _parts(directory: Location) -> list[Location]:
    return sorted(directory.glob("part-*.parquet"))


def plain(value: Any) -> Any:
    """Return what JSON can hold: numpy values and tuples as Python's, paths as text, NaN and infinity as None."""
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str | Path | StorePath):  # names of files need not be UTF-8, and then hold what JSON cannot
        return str(value).encode("utf-8", "backslashreplace").decode("utf-8")
    return value
