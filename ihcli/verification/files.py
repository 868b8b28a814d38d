"""The files of a run: which parts there must be, which can be read, and whether model and data are still those."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ihcli.data.formats.opening import open_table
from ihcli.errors import IhcliError, OptionError, PackageError, RunError
from ihcli.files.durable import is_temporary
from ihcli.files.fingerprints import files_fingerprint, path_fingerprint
from ihcli.files.locations import Location, is_reachable, locate
from ihcli.files.stores import StoreError
from ihcli.layouts.layout import Types
from ihcli.runs.names import ATTRIBUTIONS, INTERACTIONS, part_name
from ihcli.runs.origins import places_of, there
from ihcli.verification.columns import attribution_columns, faults_of, interaction_columns
from ihcli.verification.described import Described
from ihcli.verification.findings import FAILED, PASSED, Faults, Finding, not_checked
from ihcli.verification.seals import Seals
from ihcli.verification.stored import PartFile

PART = re.compile(r"part-(\d{6,})\.parquet")


@dataclass
class Parts:
    """The part files of a run: what is wrong with them, and which are fit to be read."""

    path: Location
    run: Described
    seals: Seals
    whole: Faults = field(default_factory=lambda: Faults("parts", "every part is there and can be read"))
    columns: Faults = field(
        default_factory=lambda: Faults("columns", "names, order, types and metadata are as run.json says")
    )
    is_whole: bool = True

    def readable(self) -> Iterator[tuple[int, PartFile, PartFile | None]]:
        """Give number, attributions and, where stored, interactions of the parts that can be read."""
        stores = self.run.stores_matrices or self.run.stores_pairs
        there = self._there(ATTRIBUTIONS, self.run.n_parts)
        beside = set(self._there(INTERACTIONS, self.run.n_parts if stores else 0))
        for part in there:
            name = part_name(part)
            attributions = self._fit(self.path / ATTRIBUTIONS / name, attribution_columns(self.run))
            interactions = None
            if part in beside:
                interactions = self._fit(self.path / INTERACTIONS / name, interaction_columns(self.run))
            if attributions is None or (stores and interactions is None):
                self.is_whole = False
            if attributions is not None:
                yield part, attributions, self._paired(name, attributions, interactions)

    def torn(self, error: RunError) -> None:
        """Note a part that turned out to be torn while it was read."""
        self.is_whole = False
        self.whole.add("parts that cannot be read", 1, str(error))

    def _fit(self, file: Location, expected: Types) -> PartFile | None:
        """Return a file of a part, or None where it is not as it must be."""
        name = f"{file.parent.name}/{file.name}"
        self.whole.checked += 1
        self.columns.checked += 1
        try:
            found = PartFile.of(file)
        except RunError as error:
            self.whole.add("parts that cannot be read", 1, str(error))
            return None
        self.seals.see(name, found.schema.metadata or {})
        faults = list(faults_of(found.schema, expected, self.run))
        for fault in faults:
            self.columns.add(fault, 1, name)
        return None if faults else found

    def _paired(self, name: str, attributions: PartFile, interactions: PartFile | None) -> PartFile | None:
        if interactions is None:
            return None
        ours, theirs = attributions.footer.num_rows, interactions.footer.num_rows
        if ours != theirs:
            self.is_whole = False
            self.whole.add(f"parts with {ours} entries of attributions and {theirs} of interactions", 1, name)
            return None
        return interactions

    def _there(self, kind: str, n_parts: int) -> list[int]:
        """Return the numbers of the parts that are there, in order; note what is missing and what is too much."""
        directory = self.path / kind
        files = [file.name for file in directory.iterdir() if not is_temporary(file)] if directory.is_dir() else []
        numbers = {int(found[1]): found[0] for name in files if (found := PART.fullmatch(name))}
        there = sorted(number for number, name in numbers.items() if number < n_parts and name == part_name(number))
        strangers = sorted(set(files) - {part_name(number) for number in there})
        self.whole.add("files that are not part of the run", len(strangers), f"{kind}/{''.join(strangers[:1])}")
        first = next((place for place, number in enumerate(there) if place != number), len(there))
        self.whole.add("parts missing", n_parts - len(there), f"{kind}/{part_name(first)}")
        self.is_whole &= n_parts == len(there)
        return there


def origins(run: Described, path: Location) -> Iterator[Finding]:
    """Compare the files that the run was made from with what they were, where they still are."""
    info = run.info
    if info.members:
        yield not_checked("model file", f"the run is a mean of {len(info.members)} runs, each with its own")
    elif not info.model.tells("sha256"):
        yield not_checked("model file", "the model was in memory. Try MODEL and DATA, with a file of it")
    else:
        yield _unchanged("model file", places_of(info, "model", path), info.model.sha256, path, _file_sha256)
    if not info.data.tells("sha256"):
        yield not_checked("data files", "the data were in memory")
    else:
        yield _unchanged("data files", places_of(info, "data", path), info.data.sha256, path, _data_sha256)
    if info.arguments.groups is not None:
        yield _unchanged("groups file", places_of(info, "groups", path), info.groups_sha256, path, _file_sha256)


def _unchanged(
    check: str, places: list[str], sha256: str | None, run: Location, sha256_of: Callable[[str], str | None]
) -> Finding:
    """Compare what is at the first of the places that holds what was read then, or else anything."""
    if not any(is_reachable(place, run) for place in places):
        return not_checked(check, f"{places[0]} is on another store than the run. Try MODEL and DATA")
    told = not_checked(check, f"{places[0]} is no longer there, seen from here")
    for place in there(places, run):
        try:
            found = sha256_of(place)
        except (StoreError, OptionError, PackageError) as error:
            told = not_checked(check, f"{place} cannot be read: {error}")
            continue
        except OSError as error:
            told = not_checked(check, f"{place} cannot be read: {error.strerror}")
            continue
        except IhcliError as error:
            told = Finding(check, FAILED, f"changed since the run: {error}", 1)
            continue
        if found is not None:
            told = _compared(check, place, found, sha256)
        if told.outcome == PASSED:
            break
    return told


def _file_sha256(place: str) -> str | None:
    """Return what a model or a file of groups is now; None for what run.json, which may be anybody's, cannot mean."""
    file = locate(place)
    return path_fingerprint(file) if file.is_file() or (file / "config.json").is_file() else None


def _data_sha256(place: str) -> str | None:
    found = locate(place)
    if isinstance(found, Path) and found.exists() and not (found.is_file() or found.is_dir()):
        return None
    return files_fingerprint(open_table(place).files)


def _compared(check: str, path: str, found: str, sha256: str | None) -> Finding:
    if found == sha256:
        return Finding(check, PASSED, f"{path} is unchanged", 1)
    return Finding(check, FAILED, f"{path} changed since the run: SHA-256 {found:.12} instead of {sha256:.12}", 1)
