"""A share of a run: every N-th chunk, written beside the others into one run directory that `ihcli merge` completes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ihcli.errors import OptionError, RunError
from ihcli.files.durable import disk_errors, make_directory, remove_temporaries, remove_tree, sync_directory
from ihcli.files.locations import Location
from ihcli.runs.directory import REFUSE, Existing, refuse_existing, require_existing
from ihcli.runs.info import NEW
from ihcli.runs.names import ATTRIBUTIONS, INFO, INTERACTIONS, SHARDS, part_count
from ihcli.runs.storage import FULL, InteractionStorage
from ihcli.runs.writer import RunWriter, create_run, reopen_run

SHARD = re.compile(r"([0-9]+)/([0-9]+)")
NAME = re.compile(r"([0-9]+)-of-([0-9]+)")
PART = re.compile(r"\.?part-([0-9]+)\.parquet(\.[0-9a-f]{32})?")


@dataclass(frozen=True)
class Shard:
    """One of `count` shares of a run, `index` from 1: the chunks whose number, modulo count, is index - 1."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Return the shard that "2/4" names; raises OptionError."""
        found = SHARD.fullmatch(text)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise OptionError(
                f"`shard`: {text!r} is not a share of a run. Expected I/N with I from 1 to N, such as 2/4. Where jobs "
                "count from 0, try `shard=$((INDEX + 1))/N`."
            )
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @property
    def name(self) -> str:
        """Name of its directory."""
        return f"{self.index}-of-{self.count}"

    def owns(self, part: int) -> bool:
        """Return whether the part is its own."""
        return part % self.count == self.index - 1

    def parts(self, n_parts: int) -> range:
        """Return its own among so many parts."""
        return range(self.index - 1, n_parts, self.count)

    def rows(self, n_rows: int, chunk_rows: int) -> int:
        """Return how many of so many rows are its own."""
        starts = (part * chunk_rows for part in self.parts(part_count(n_rows, chunk_rows)))
        return sum(min(chunk_rows, n_rows - start) for start in starts)


@dataclass(frozen=True)
class ShardWriter(RunWriter):
    """Writes parts among those of other shards; run.json and states go into a directory of its own."""

    shard: Shard = Shard(1, 1)

    @property
    def home(self) -> Location:
        """Where its run.json and states are."""
        return home_of(self.path, self.shard)

    def remove_temporaries(self) -> None:
        """Remove what a killed process left half written, of this shard alone; raises RunError."""
        with disk_errors(self.home):
            remove_temporaries(self.home)
            remove_temporaries(self.states.path)
            for file in _own_files(self.path, self.shard):
                if file.name.startswith("."):
                    file.unlink(missing_ok=True)

    def abandon(self) -> None:
        """Remove the shard again when it holds no finished part; what other shards wrote stays."""
        if not any(file.parent.name == ATTRIBUTIONS for file in _own_files(self.path, self.shard)):
            remove_tree(self.home)
            for directory in (self.path / ATTRIBUTIONS, self.path / SHARDS, self.path):
                if directory.is_dir() and not any(directory.iterdir()):
                    directory.rmdir()


@dataclass(frozen=True)
class Place:
    """Where a run is written: a directory, or a shard's share of one; and what becomes of a run that is there."""

    path: Location
    shard: Shard | None = None
    existing: Existing = REFUSE

    def __post_init__(self) -> None:
        require_existing(self.existing)

    @property
    def home(self) -> Location:
        """Where run.json, the lock and the states are."""
        return self.path if self.shard is None else home_of(self.path, self.shard)

    def refuse_existing(self) -> None:
        """Raise RunError where something is there that may not be replaced, or gone on with."""
        if self.shard is None:
            refuse_existing(self.path, self.existing)
            return
        if (self.path / INFO).is_file():
            raise RunError(f"{self.path}: holds a run already, not shards of one. Try another `out`.")
        if self.path.is_dir():
            self._refuse_other_shards()
        refuse_existing(self.home, self.existing)

    def create(self, storage: InteractionStorage) -> RunWriter:
        """Create the directory; see `ihcli.runs.writer.create_run`. Of other shards nothing is touched."""
        if self.shard is None:
            return create_run(self.path, storage, overwrite=self.existing != REFUSE)
        writer = ShardWriter(self.path, storage, shard=self.shard)
        self.refuse_existing()
        with disk_errors(self.home):
            make_directory(self.home)
            writer.write_info(NEW)
            writer.states.forget()
            for file in _own_files(self.path, self.shard):
                file.unlink(missing_ok=True)
            make_directory(self.path / ATTRIBUTIONS)
            sync_directory(self.path / ATTRIBUTIONS)
        return writer

    def reopen(self, storage: InteractionStorage = FULL) -> RunWriter:
        """Return the writer of a run that was begun, freed of what a killed process left half written."""
        if self.shard is None:
            return reopen_run(self.path, storage)
        writer = ShardWriter(self.path, storage, shard=self.shard)
        writer.remove_temporaries()
        return writer

    def _refuse_other_shards(self) -> None:
        if any(self.path.iterdir()) and not (self.path / SHARDS).is_dir():
            raise RunError(f"{self.path}: holds files that are not shards of a run. Try a new directory with `out`.")
        others = {shard.count for shard in shards_of(self.path)}
        if self.shard is not None and others - {self.shard.count}:
            raise RunError(
                f"{self.path}: holds shards of a run cut into {min(others)}. Expected `shard=I/{min(others)}`, got "
                f"`shard={self.shard}`. Try that, or another `out`."
            )


def home_of(path: Location, shard: Shard) -> Location:
    """Return where a shard keeps its run.json, lock and states."""
    return path / SHARDS / shard.name


def shards_of(path: Location) -> list[Shard]:
    """Return the shards that were begun in a run directory, in order."""
    found = [NAME.fullmatch(home.name) for home in (path / SHARDS).glob("*-of-*")]
    return sorted((Shard(int(m[1]), int(m[2])) for m in found if m), key=lambda shard: (shard.count, shard.index))


def _own_files(path: Location, shard: Shard) -> Iterator[Location]:
    """Yield the shard's part files, also those that a killed process left half written."""
    for directory in (path / ATTRIBUTIONS, path / INTERACTIONS):
        for file in directory.iterdir() if directory.is_dir() else ():
            match = PART.fullmatch(file.name)
            if match and shard.owns(int(match[1])):
                yield file
