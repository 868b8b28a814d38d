"""Seals of a run against its files: what was asked, the content of every file, and run.json itself."""

from collections.abc import Iterator, Mapping

from ihcli.errors import RunError
from ihcli.files.fingerprints import path_fingerprint
from ihcli.files.locations import Location
from ihcli.runs.files import require_own
from ihcli.runs.names import MODEL, SUMMARY, over_all_rows, part_name
from ihcli.runs.seals import PARTS, QUESTION, is_sealed, question_sha256
from ihcli.runs.told import if_told
from ihcli.verification.described import Described
from ihcli.verification.findings import Faults, Finding, not_checked

UNSEALED = "the run was written by an ihcli that kept no SHA-256 of its files"


class Seals:
    """Whether run.json, the arguments in it, parts and summaries are what they were when they were written.

    They tell accidents and edits. Who forges a run can write new seals, which only model and data refute.
    """

    def __init__(self, run: Described, path: Location) -> None:
        self._path = path
        self._info = run.info
        self._seals = run.info.seals
        self._question = if_told(lambda: self._seals.question)
        self._asked = Faults("question", "every part was written for what run.json says was asked")
        self._files = Faults("SHA-256", "every part and summary is, to the byte, what was written")
        self._kept: set[str | None] = set()

    def see(self, name: str, metadata: Mapping[bytes, bytes]) -> None:
        """Add a part that can be read, by its name and the metadata of its table."""
        kept = metadata.get(QUESTION.encode())
        asked = None if kept is None else kept.decode(errors="replace")
        self._kept.add(asked)
        self._asked.checked += 1
        self._asked.add("parts of another question", int(asked != self._question), name)

    def findings(self) -> Iterator[Finding]:
        """Read every file once, and return what came of it."""
        if not self._seals.content() and self._kept <= {None}:
            for check in ("seal", "question", "SHA-256"):
                yield not_checked(check, UNSEALED)
            return
        seal = Faults("seal", "run.json is as it was written")
        seal.checked = 1
        seal.add("line or more that was edited", int(not is_sealed(self._info)), "run.json")
        yield seal.finding()
        changed = question_sha256(self._info) != self._question
        self._asked.add("argument or more of run.json that was edited", int(changed))
        yield self._asked.finding()
        for kind in PARTS:
            self._compare_parts(kind)
        self._compare_summaries()
        yield self._files.finding()

    def _compare_parts(self, kind: str) -> None:
        directory, told = self._path / kind, self._seals.parts(kind)
        there = sum(1 for _ in directory.glob("part-*.parquet")) if directory.is_dir() else 0
        self._files.add("parts without a SHA-256", max(0, there - len(told)), kind)
        for number, sha256 in enumerate(told):
            self._compare(directory / part_name(number), sha256)

    def _compare_summaries(self) -> None:
        told = self._seals.of_summary()
        for kind in (*PARTS, *map(over_all_rows, PARTS), MODEL):
            file = self._path / SUMMARY / f"{kind}.parquet"
            if kind in told or file.exists():
                self._compare(file, told.get(kind))

    def _compare(self, file: Location, sha256: str | None) -> None:
        self._files.checked += 1
        try:
            require_own(file)
            found = path_fingerprint(file)
        except (RunError, OSError):
            self._files.add("files that cannot be read", 1, f"{file.parent.name}/{file.name}")
            return
        self._files.add("files that changed", int(found != sha256), f"{file.parent.name}/{file.name}")
