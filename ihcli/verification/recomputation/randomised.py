"""A run's rows explained once more by its model with weights drawn anew: the sanity check of Adebayo et al. (2018)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ihcli.errors import RunError
from ihcli.execution.pipeline import carry_out
from ihcli.files.locations import Location
from ihcli.models.targets import PREDICTED
from ihcli.quality import ROW, TARGET
from ihcli.runs.members import require_no_mean
from ihcli.runs.request import Workforce
from ihcli.runs.run import Run, open_run
from ihcli.runs.shards import Place
from ihcli.runs.told import if_told
from ihcli.runs.totals import Observer
from ihcli.verification.described import Described
from ihcli.verification.findings import FAILED
from ihcli.verification.recomputation.drawing import Question, asked_again
from ihcli.verification.recomputation.origins import origins


def explain_randomised(
    path: str | Location,
    question: Question,
    draws: int,
    folder: Path,
    limit: int | None = None,
    begins: Callable[[int], Observer] = lambda draw: Observer(),
) -> Iterator[Path]:
    """Explain the rows of a run with random weights, once for each draw, and give the directories of these runs.

    All settings are those of the run, the beta of the smoothing and the number of baselines too, and of each row the
    same output is explained, be it predicted by the random weights or not. Cost: about that of the run for each draw.

    Parameters:
        question: model and data of the run, and the seed of the first draw; others have those after it.
        folder: where the runs are written.
        limit: only so many rows, the first ones.
        begins: gives who hears how a draw goes.

    Raises RunError where model or data are not those of the run; ModelError where its weights cannot be drawn.
    """
    run = open_run(path)
    require_no_mean(path, if_told(lambda: run.info.members) or (), "one of them")
    question.require_files()
    question.require_code(run.info)
    described = Described.of(run.info)
    for finding in origins(described, question):
        if finding.outcome == FAILED:
            raise RunError(f"{finding.detail}. Expected that of {path}. Try the model and the data that it explains.")
    asked = replace(asked_again(described, question, run.path), chosen=_explained(run, described))
    if limit is not None:
        asked = replace(asked, text=replace(asked.text, limit=min(limit, asked.text.limit or limit)))
    for draw in range(draws):
        out = folder / f"random-{draw + 1}"
        random = replace(asked, random_weights=question.seed + draw)
        carry_out(random, Place(out), begins(draw), Workforce(workers=1))
        yield out


def _explained(run: Run, described: Described) -> np.ndarray | None:
    """Return the output that the run explains of each row of the data, (N,); None where its target says it."""
    if described.target != PREDICTED:
        return None
    found = np.zeros(described.rows, np.int64)
    for part in run.attribution_parts.stream([ROW, TARGET]):
        place = pc.index_in(part[TARGET], value_set=pa.array(described.outputs, pa.string()))
        found[part[ROW].to_numpy()] = pc.fill_null(place, 0).to_numpy()  # of rows without input there are no values
    return found
