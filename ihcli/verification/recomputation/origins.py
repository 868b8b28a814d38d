"""Whether model, data and code are those that a run was made from, and give it the same features and outputs."""

from collections.abc import Iterator

from ihcli.data.formats.opening import open_table
from ihcli.execution.preparation import PreparedRun
from ihcli.files.code import Code, changed_code
from ihcli.files.fingerprints import files_fingerprint, path_fingerprint
from ihcli.files.locations import locate
from ihcli.runs.code import CodeInfo
from ihcli.runs.openings import openings_told
from ihcli.runs.told import if_told, plain
from ihcli.verification.described import Described
from ihcli.verification.findings import FAILED, PASSED, Faults, Finding, not_checked
from ihcli.verification.recomputation.drawing import Question
from ihcli.wording import listed


def origins(run: Described, question: Question) -> Iterator[Finding]:
    """Compare model, data and code with what the run was made from, by content."""
    for check, path, found, told in (
        ("MODEL", question.model, path_fingerprint(locate(question.model)), run.info.model),
        ("DATA", question.data, files_fingerprint(open_table(question.data).files), run.info.data),
    ):
        if not told.tells("sha256"):
            yield not_checked(check, f"the run was made in memory: whether it was of {path} is seen by its rows")
        elif found == told.sha256:
            yield Finding(check, PASSED, f"{path} is what the run was made from", 1)
        else:
            detail = f"{path} is not what the run was made from ({told.path}): SHA-256 {found:.12} instead of "
            yield Finding(check, FAILED, f"{detail}{told.sha256:.12}", 1)
    code = if_told(lambda: run.info.model.code)
    if code is not None and question.code is not None:
        yield _origin_of_code(code, question.code)


def _origin_of_code(told: CodeInfo, named: str) -> Finding:
    """Compare code by content, before it is run."""
    changed = changed_code(told.files, Code.of(named))
    if changed:
        detail = f"{named} is not what the run was made with ({told.name}): other content in {listed(changed, 3)}"
        return Finding("CODE", FAILED, detail, len(told.files))
    return Finding("CODE", PASSED, f"{named} is what the run was made with", len(told.files))


def setting(run: Described, prepared: PreparedRun) -> Finding:
    """Compare what the rows are explained with: features, baselines and outputs."""
    told, now = run.info, prepared.explainer.description()
    faults = Faults("setting", "features, openings, categories, baselines and outputs are those of the run")
    faults.checked = 5
    faults.add("other features", int(now["features"] != plain(told.features)))
    faults.add("other openings", int(plain(openings_told(now.get("openings", ()))) != plain(told.openings)))
    known = prepared.dataset.vocabulary
    faults.add("other categories", int((known and known.sha256) != (told.categories and told.categories.sha256)))
    faults.add("other baselines", int(now["baseline"].get("sha256") != if_told(lambda: told.baseline.sha256)))
    faults.add("other outputs", int(prepared.explainer.target.names != run.outputs))
    return faults.finding()
