"""All checks of a run that need no model, in one pass over its parts."""

from collections.abc import Iterator

from ihcli.errors import RunError
from ihcli.files.foreign import one_message
from ihcli.files.locations import Location
from ihcli.runs.run import open_run
from ihcli.verification.described import Described
from ihcli.verification.figures import Gaps, Matrices, Pairs
from ihcli.verification.files import Parts, origins
from ihcli.verification.findings import FAILED, PASSED, Finding
from ihcli.verification.rows import Counts, Pairing, Rows, Statuses
from ihcli.verification.seals import Seals
from ihcli.verification.stored import blocks
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
    seals = Seals(described, run.path)
    parts = Parts(run.path, described, seals)
    rows, pairing, counts, statuses = Rows(described), Pairing(described), Counts(), Statuses(described)
    gaps, gammas, pairs, summaries = Gaps(described), Matrices(described), Pairs(described), Summaries(described)
    for part, attributions, interactions in parts.readable():
        try:
            with one_message(attributions, RunError, "read together with its interactions"):
                for block in blocks(described, part, attributions, interactions):
                    for check in (rows, pairing, counts, statuses, gaps, gammas, pairs, summaries):
                        check.see(block)
        except RunError as error:
            parts.torn(error)
    yield parts.whole.finding()
    yield parts.columns.finding()
    yield from rows.findings()
    yield from pairing.findings(described)
    yield from counts.findings(described.info.totals, described.info.data.rows)
    yield from statuses.findings()
    yield from gaps.findings()
    yield from gammas.findings(described)
    yield from pairs.findings()
    yield from summaries.findings(run, parts.is_whole)
    yield from seals.findings()
    yield from origins(described, run.path)
