"""How good the model is, judged once more from model and data, beside what the run tells of it."""

import numpy as np

from ihcli.execution.preparation import PreparedRun
from ihcli.runs.run import Run
from ihcli.summaries.figures import Line, lines_of
from ihcli.summaries.judging import Judging
from ihcli.verification.findings import Bounded, Finding, not_checked

CHECK = "accuracy and other figures of the model"
SHARES = ("accuracy", "true_positive_rate", "true_negative_rate", "auroc", "calibration_error")
FIGURES = (*SHARES, "log_loss", "r2", "rmse")
MOST_ROWS = 100_000
"""Each costs a forward."""
AGREEMENT = {"float32": 1e-3, "float64": 1e-9}
"""Of figures of outputs in the run's precision, with those in float64."""
ROUNDED_ROWS = 2
"""Rows that rounding may put on the other side of a threshold."""


def judged_again(run: Run, prepared: PreparedRun, dtype: str) -> Finding | None:
    """Judge all rows once more and compare with what the summary tells; None where it tells nothing of labels.

    Cost: a forward for each row, up to MOST_ROWS of them. Raises what reading the data and the model raise.
    """
    stored = run.summary_model()
    told = {} if stored is None else _figures(lines_of(stored))
    if not told:
        return None
    rows = max(line.rows for line in told.values())
    if rows > MOST_ROWS:
        return not_checked(CHECK, f"the run has {rows:,} labels, of which {MOST_ROWS:,} at most are judged once more")
    again = _figures(list(_judged(prepared).lines()))
    check = Bounded(CHECK, "figures of outputs and labels, of all rows, computed once more from MODEL and DATA")
    for name, line in told.items():
        ours = np.nan if name not in again else again[name].value
        room = ROUNDED_ROWS / max(1, line.rows) if name in SHARES and dtype == "float32" else 0.0
        bound = AGREEMENT[dtype] * max(1.0, abs(line.value or 0.0)) + room
        check.see(np.array([abs((line.value or 0.0) - (ours or 0.0))]), np.array([bound]), [name])
    return check.finding()


def _judged(prepared: PreparedRun) -> Judging:
    found: Judging | None = None
    for chunk in prepared.chunks():
        seen = prepared.explainer.see(chunk.inputs, chunk.labels, chunk.first_row)
        judged = Judging.of(seen.meaning, seen.outputs, seen.truth)
        found = judged if found is None else found.merge(judged)
    if found is None:
        raise ValueError("a run without rows")
    return found


def _figures(lines: list[Line]) -> dict[str, Line]:
    of_model = (line for line in lines if line.of == "model" and line.figure in FIGURES)
    return {line.figure: line for line in of_model if line.value is not None}
