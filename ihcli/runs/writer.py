"""The files of a run, written whole or not at all."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ihcli.explanation import AnyExplanation
from ihcli.files.durable import (
    disk_errors,
    make_directory,
    remove_temporaries,
    remove_tree,
    replacing,
    sync_directory,
)
from ihcli.files.fingerprints import path_fingerprint
from ihcli.files.locations import Location, locate
from ihcli.files.parquet import write_table
from ihcli.runs.directory import REFUSE, REPLACE, refuse_existing
from ihcli.runs.info import NEW, RunInfo
from ihcli.runs.names import (
    ATTRIBUTIONS,
    DIRECTORIES,
    INFO,
    INTERACTIONS,
    MODEL,
    SUMMARY,
    over_all_rows,
    part_files,
    part_name,
)
from ihcli.runs.parts import OF_OUTPUT, Units, attributions_table, interactions_table
from ihcli.runs.seals import Digests, sealed
from ihcli.runs.states import StateFiles
from ihcli.runs.storage import FULL, InteractionStorage
from ihcli.runs.told import if_told


@dataclass(frozen=True)
class RunWriter:
    """Writes the files of one run; every file appears under its final name only when it is whole and on disk.

    question    SHA-256 of what was asked, which every part keeps
    units       of what is stored
    most_error  with which entries rank, see `ihcli.summaries.ranked`; None: all do
    """

    path: Location
    storage: InteractionStorage = FULL
    question: str | None = None
    units: Units = OF_OUTPUT
    most_error: float | None = None

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
        interactions, written = interactions_table(explanation, keys, self.storage, self.question, self.units), []
        if interactions is not None:
            written = [write_table(self.path / INTERACTIONS / part_name(index), interactions)]
        attributions = attributions_table(explanation, keys, self.question, self.units)
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
        return self.states.newest(
            {int(path.stem.removeprefix("part-")) for path in part_files(self.path / ATTRIBUTIONS)}
        )

    def write_summary(
        self,
        attributions: pa.Table,
        interactions: pa.Table | None,
        all_rows: tuple[pa.Table, pa.Table | None] | None = None,
        model: pa.Table | None = None,
    ) -> dict[str, str]:
        """Write the tables of a summary, those over all entries where some do not rank; return the SHA-256 of each.

        Parameters:
            model: what rows show of the model, see `ihcli.summaries.model`.
        """
        tables = {INTERACTIONS: interactions, ATTRIBUTIONS: attributions}
        if all_rows is not None:
            tables |= {
                over_all_rows(kind): table for kind, table in zip((ATTRIBUTIONS, INTERACTIONS), all_rows, strict=True)
            }
        tables[MODEL] = model
        return {
            kind: write_table(self.path / SUMMARY / f"{kind}.parquet", table).hex()
            for kind, table in tables.items()
            if table is not None
        }

    def write_info(self, info: RunInfo) -> None:
        """Write run.json, replacing the one before; that of a finished run is sealed."""
        text = (sealed(info) if if_told(lambda: info.is_done) else info).text()
        with replacing(self.home / INFO) as stream:
            stream.write(text.encode())

    def remove_temporaries(self) -> None:
        """Remove what a killed process left half written; raises RunError."""
        with disk_errors(self.path):
            for directory in ("", *DIRECTORIES):
                remove_temporaries(self.path / directory)

    def abandon(self) -> None:
        """Remove the run again when it holds no finished part; for a failure before the first of them."""
        if not part_files(self.path / ATTRIBUTIONS):
            _remove_parts(self.path)
            (self.path / INFO).unlink(missing_ok=True)
            if not any(self.path.iterdir()):
                self.path.rmdir()


def create_run(path: str | Location, storage: InteractionStorage = FULL, *, overwrite: bool = False) -> RunWriter:
    """Create the directory of a run, recognisable as one from the start.

    Parameters:
        storage: what is stored of every row's interactions.
        overwrite: replace the run that is there; files that are not part of it stay.

    Raises:
        RunError: something is there that may not be replaced, or the disk refuses.
    """
    writer = RunWriter(locate(path), storage)
    refuse_existing(writer.path, REPLACE if overwrite else REFUSE)
    with disk_errors(writer.path):
        make_directory(writer.path)
        writer.write_info(NEW)  # before the parts go: what is torn from here on has no arguments
        _remove_parts(writer.path)
        make_directory(writer.path / ATTRIBUTIONS)
    return writer


def reopen_run(path: str | Location, storage: InteractionStorage = FULL) -> RunWriter:
    """Return the writer of a run that was begun, freed of what a killed process left half written.

    Raises RunError where the disk refuses.
    """
    writer = RunWriter(locate(path), storage)
    writer.remove_temporaries()
    return writer


def _remove_parts(path: Location) -> None:
    """Remove what a run consists of beside run.json, and nothing else."""
    for name in DIRECTORIES:
        if (path / name).is_dir():
            remove_tree(path / name)
    remove_temporaries(path)
    sync_directory(path)
