"""Figures of the model in the summary: those that follow of others, or of the rankings, once more."""

from collections import defaultdict

from ihcli.errors import RunError
from ihcli.runs.run import Run
from ihcli.runs.told import if_told
from ihcli.summaries.concentration import concentration
from ihcli.summaries.figures import Line, lines_of
from ihcli.verification.findings import FAILED, Faults, Finding, not_checked

CHECK = "figures of the model"
AGREEMENT = 1e-9
SHARES = (
    "accuracy",
    "largest_class",
    "true_positive_rate",
    "true_negative_rate",
    "auroc",
    "calibration_error",
    "recall",
)


def figures_of_model(run: Run) -> Finding:
    """Check what a summary tells of its model, as far as other files tell it too.

    Labels and outputs are in the data and the model, which only the SHA-256 of the file stands for.
    """
    faults = Faults(CHECK, "those that follow of the rankings are theirs, and classes add up to all rows")
    try:
        stored = run.summary_model()
        if stored is None:
            members = if_told(lambda: run.info.members)
            if members:
                return not_checked(CHECK, "the run is a mean of runs, which judges no model")
            return not_checked(CHECK, "the run was written by an ihcli that told none")
        pairs = run.summary_interactions() if run.has_summary_of_pairs else None
        spread = concentration(run.summary_attributions(), pairs, counts=run.layout.counts_occurrences)
    except RunError as error:
        return Finding(CHECK, FAILED, str(error))
    lines = lines_of(stored)
    faults.checked = len(lines)
    _compare_spread(faults, [line for line in lines if line.of == "target"], list(spread))
    _compare_classes(faults, lines)
    for line in lines:
        wrong = line.figure in SHARES and line.value is not None and not 0 <= line.value <= 1
        faults.add("shares that none can be", int(wrong), _name(line))
    return faults.finding()


def _compare_spread(faults: Faults, theirs: list[Line], ours: list[Line]) -> None:
    told, found = ({(line.output, line.figure): line.value for line in lines} for lines in (theirs, ours))
    if told.keys() != found.keys():
        faults.add("figures of targets that are not those of the rankings", len(told.keys() ^ found.keys()))
    for (target, figure), value in found.items():
        is_off = not _agree(told.get((target, figure)), value)
        faults.add(f"values of {figure} that are not those of the rankings", int(is_off), f"target {target}")


def _compare_classes(faults: Faults, lines: list[Line]) -> None:
    """Compare counts of classes, and of right predictions among them, with those of the model."""
    of_model = {line.figure: line.value for line in lines if line.of == "model"}
    of_classes = defaultdict[str, list[float]](list)
    for line in lines:
        if line.of == "class":
            of_classes[line.figure].append(line.value or 0.0)
    sums = {"rows": sum(of_classes["chosen"]), "labels": sum(of_classes["true"])}
    right = sum(recall * true for recall, true in zip(of_classes["recall"], of_classes["true"], strict=False))
    sums["accuracy"] = right / max(1.0, sums["labels"])
    for figure, needed in (("rows", "chosen"), ("labels", "true"), ("accuracy", "recall")):
        is_off = of_classes[needed] and not _agree(of_model.get(figure, 0.0), sums[figure])
        faults.add(f"{figure} that are not those of the classes", int(bool(is_off)))


def _agree(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= AGREEMENT * max(1.0, abs(other))


def _name(line: Line) -> str:
    return f"{line.figure} of {line.output}" if line.output else line.figure
