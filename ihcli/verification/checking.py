"""All checks of a run that need no model, in one pass over its parts."""

from collections.abc import Iterator
from contextlib import AbstractContextManager

from ihcli.errors import RunError
from ihcli.files.foreign import one_message
from ihcli.files.locations import Location
from ihcli.runs.names import ATTRIBUTIONS, part_name
from ihcli.runs.run import open_run
from ihcli.verification.described import Described
from ihcli.verification.figures import Gaps, Matrices, Pairs
from ihcli.verification.files import Parts, origins
from ihcli.verification.findings import FAILED, PASSED, Finding
from ihcli.verification.rows import Counts, Pairing, Rows, Statuses
from ihcli.verification.seals import Seals
from ihcli.verification.stored import Block, blocks, together
from ihcli.verification.summaries import Summaries


def verify_run(path: str | Location) -> Iterator[Finding]:
    """Check a run against itself and against the files that it was made from, where they still are.

    What it cannot see: figures that are wrong in a consistent way, which only the model can tell, and a run that was
    forged with its seals. Memory: a block of entries and a summary, however large the run. Cost: every part is read
    twice, once for its SHA-256.

    Raises RunError where the path is not a run.
    """
    run = open_run(path)
    try:
        described = Described.of(run.info)
    except RunError as error:
        yield Finding("run.json", FAILED, f"{error}; nothing else can be checked", 1)
        return
    yield Finding("run.json", PASSED, f"a finished run of {described.method}, {described.rows} rows", 1)
    try:
        checks = _checked(described, run.path, joining=True)
    except _JoinedError:  # a message names one part
        checks = _checked(described, run.path, joining=False)
    yield checks.parts.whole.finding()
    yield checks.parts.columns.finding()
    yield from checks.rows.findings()
    yield from checks.pairing.findings(described)
    yield from checks.counts.findings(described.info.totals, described.info.data.rows)
    yield from checks.statuses.findings()
    yield from checks.gaps.findings()
    yield from checks.gammas.findings(described)
    yield from checks.pairs.findings()
    yield from checks.summaries.findings(run, checks.parts.is_whole)
    yield from checks.seals.findings()
    yield from origins(described, run.path)


class _JoinedError(Exception):
    """Blocks of several parts together cannot be looked at."""


class _Checks:
    """What is looked for in parts, and what came of it so far."""

    def __init__(self, run: Described, path: Location) -> None:
        self.seals = Seals(run, path)
        self.parts = Parts(path, run, self.seals)
        self.rows, self.pairing, self.counts, self.statuses = Rows(run), Pairing(run), Counts(), Statuses(run)
        self.gaps, self.gammas, self.pairs, self.summaries = Gaps(run), Matrices(run), Pairs(run), Summaries(run)

    def see(self, block: Block) -> None:
        """Add a block."""
        for check in (self.rows, self.pairing, self.counts, self.statuses):
            check.see(block)
        for figures in (self.gaps, self.gammas, self.pairs, self.summaries):
            figures.see(block)


def _checked(run: Described, path: Location, joining: bool) -> _Checks:
    """Return the checks of all parts, small ones joined or each by itself."""
    checks = _Checks(run, path)
    found = _blocks(run, checks.parts)
    for block in together(found) if joining else found:
        try:
            with _readable(path / ATTRIBUTIONS / part_name(int(block.part[0]))):
                checks.see(block)
        except RunError as error:
            if len(block.pieces) > 1:
                raise _JoinedError from error
            checks.parts.torn(error)
    return checks


def _blocks(run: Described, parts: Parts) -> Iterator[Block]:
    """Give the blocks of all parts; one that is torn is noted, and ends there."""
    for part, attributions, interactions in parts.readable():
        try:
            with _readable(attributions.path):
                yield from blocks(run, part, attributions, interactions)
        except RunError as error:
            parts.torn(error)


def _readable(attributions: Location) -> AbstractContextManager[None]:
    return one_message(attributions, RunError, "read together with its interactions")
