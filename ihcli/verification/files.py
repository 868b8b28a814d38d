"""The files of a run: which parts there must be, which can be read, and whether model and data are still those."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ihcli.durable import is_temporary
from ihcli.errors import IhcliError, OptionError, PackageError, RunError
from ihcli.fingerprints import files_fingerprint, path_fingerprint
from ihcli.locations import Location, is_reachable, locate
from ihcli.output import ATTRIBUTIONS, INTERACTIONS, part_name
from ihcli.stores import StoreError
from ihcli.tables import open_table
from ihcli.verification.columns import Types, attribution_columns, faults_of, interaction_columns
from ihcli.verification.described import Described
from ihcli.verification.findings import FAILED, PASSED, Faults, Finding, not_checked
from ihcli.verification.seals import Seals
from ihcli.verification.stored import footer

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

    def readable(self) -> Iterator[tuple[int, Location, Location | None]]:
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
                yield part, self.path / ATTRIBUTIONS / name, self._paired(name, attributions, interactions)

    def torn(self, error: RunError) -> None:
        """Note a part that turned out to be torn while it was read."""
        self.is_whole = False
        self.whole.add("parts that cannot be read", 1, str(error))

    def _fit(self, file: Location, expected: Types) -> int | None:
        """Return how many entries a part has, or None where it is not as it must be."""
        name = f"{file.parent.name}/{file.name}"
        self.whole.checked += 1
        self.columns.checked += 1
        try:
            schema, entries = footer(file)
        except RunError as error:
            self.whole.add("parts that cannot be read", 1, str(error))
            return None
        self.seals.see(name, schema.metadata or {})
        faults = list(faults_of(schema, expected, self.run))
        for fault in faults:
            self.columns.add(fault, 1, name)
        return None if faults else entries

    def _paired(self, name: str, attributions: int, interactions: int | None) -> Location | None:
        if interactions is None:
            return None
        if attributions != interactions:
            self.is_whole = False
            self.whole.add(
                f"parts with {attributions} entries of attributions and {interactions} of interactions", 1, name
            )
            return None
        return self.path / INTERACTIONS / name

    def _there(self, kind: str, n_parts: int) -> list[int]:
        """Return the numbers of the parts that are there, in order; note what is missing and what is too much."""
        directory = self.path / kind
        files = [file.name for file in directory.iterdir() if not is_temporary(file)] if directory.is_dir() else []
        numbers = {int(found[1]): found[0] for name in files if (found := PART.fullmatch(name))}
        there = sorted(number for number, name in numbers.items() if number < n_parts and name == part_name(number))
        strangers = sorted(set(files) - {part_name(number) for number in there})
        self.whole.add("files that are no part of the run", len(strangers), f"{kind}/{''.join(strangers[:1])}")
        first = next((place for place, number in enumerate(there) if place != number), len(there))
        self.whole.add("parts missing", n_parts - len(there), f"{kind}/{part_name(first)}")
        self.is_whole &= n_parts == len(there)
        return there


def origins(run: Described, path: Location) -> Iterator[Finding]:
    """Compare the files that the run was made from with what they were, where they still are."""
    model, data, groups = run.info["model"], run.info["data"], run.info["arguments"].get("groups")
    yield _unchanged("model file", model["path"], model["sha256"], path)
    if all(is_reachable(place, path) for place in (data["path"], *data["files"])):
        yield _data_unchanged(data["path"], data["files"], data["sha256"])
    else:
        yield not_checked("data files", f"{data['path']} is on another store than the run. Try MODEL and DATA")
    if groups is not None:
        yield _unchanged("groups file", groups, run.info["groups_sha256"], path)


def _unchanged(check: str, place: str, sha256: str, run_path: Location) -> Finding:
    if not is_reachable(place, run_path):
        return not_checked(check, f"{place} is on another store than the run")
    try:
        file = locate(place)
        # run.json may be anybody's: a device or a whole disk is not read to its end
        if not (file.is_file() or (file / "config.json").is_file()):
            return not_checked(check, f"{place} is no longer there, seen from here")
        found = path_fingerprint(file)
    except (StoreError, OptionError, PackageError) as error:
        return not_checked(check, f"{place} cannot be read: {error}")
    except OSError as error:
        return not_checked(check, f"{place} cannot be read: {error.strerror}")
    return _compared(check, place, found, sha256)


def _data_unchanged(path: str, files: list[str], sha256: str) -> Finding:
    try:
        if not any(locate(file).is_file() for file in files):
            return not_checked("data files", f"{path} is no longer there, seen from here")
        found = files_fingerprint(open_table(path).files)
    except (StoreError, OptionError, PackageError) as error:
        return not_checked("data files", f"{path} cannot be read: {error}")
    except (IhcliError, OSError) as error:
        return Finding("data files", FAILED, f"changed since the run: {error}", 1)
    return _compared("data files", path, found, sha256)


def _compared(check: str, path: str, found: str, sha256: str) -> Finding:
    if found == sha256:
        return Finding(check, PASSED, f"{path} is unchanged", 1)
    return Finding(check, FAILED, f"{path} changed since the run: SHA-256 {found:.12} instead of {sha256:.12}", 1)
