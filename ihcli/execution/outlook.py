"""A run that will take minutes: how long, and what would make it shorter here, from a trial of next to no time."""

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch

from ihcli.data.sampling import AUTO
from ihcli.derivatives.autograd import AutogradEngine
from ihcli.derivatives.calling import begin_taking_directions
from ihcli.errors import IhcliError
from ihcli.execution.forecasting import rows_to_try
from ihcli.execution.preparation import PreparedRun
from ihcli.explainers.explainer import Explainer
from ihcli.explainers.sampling import foreseen_rows
from ihcli.integration.compared.asking import captum
from ihcli.integration.effort import NODES, STEPS
from ihcli.methods import CAPTUM, partner
from ihcli.runs.totals import Outlook, Remedy

LONG_S = 60.0
TRIED_S, COLD_S, COLD_SHARE = 0.1, 1.0, 0.1
"""A trial is grown to so many seconds; a first one of less than COLD_S, or of few rows of less than COLD_SHARE of what
it foresees, is made again, as it pays for starting up."""
GROWN_S = 2.0
"""More rows at once are tried where they take no longer, were none of their work shared, or no more than
MOST_SHARE: one row takes alone the rounds of refinement that many share."""
MOST_SHARE = 0.01  # of the run that trials may take
FEW_ROWS = 100  # of fewer, a whole one would be more than that
LEAST_ROWS = 10
KEEP_S, RANK_S = 3e-8, 1e-6
"""Of one thread: for a value of a matrix that is summed up and written, and for a pair that is ranked in the end."""
WORTHWHILE = 1.3
LARGE_TOLERANCE = 0.1
GROWTH = 8


def look_ahead(prepared: PreparedRun, rows: int, workers: int) -> Outlook | None:
    """Return what to expect of explaining so many rows where it takes more than LONG_S, else None.

    Costs one row where that is enough to see that the run is short, and about MOST_SHARE of it where it is long.
    Whatever the model does to rows is left to the run, which can say to which.
    """
    if rows < LEAST_ROWS:
        return None
    try:
        return _look_ahead(prepared, rows, workers)
    except (IhcliError, RuntimeError, MemoryError):
        return None


def _look_ahead(prepared: PreparedRun, rows: int, workers: int) -> Outlook | None:
    explainer, scale = prepared.explainer, 1.0
    if explainer.method.derivatives == 2 and isinstance(explainer.engine, AutogradEngine):
        begin_taking_directions()
    if explainer.method.extra == CAPTUM:
        captum()  # whose import would count for each row
    if rows < FEW_ROWS and explainer.method.is_integral:
        explainer, scale = _hurried(explainer)
    inputs, labels, _ = rows_to_try(prepared, FEW_ROWS)
    spent, n, others_s = 0.0, 1, _others_s(prepared, rows)
    times, tried = rows * scale / _at_once(explainer, workers), None
    while True:
        took = seconds_of(explainer, inputs[:n], None if labels is None else labels[:n])
        if spent == 0.0 and took < (COLD_S if scale == 1.0 else COLD_SHARE * times * took):
            spent, took = took, seconds_of(explainer, inputs[:n], None if labels is None else labels[:n])
        spent += took
        wall_s = times * took / n + others_s
        if wall_s <= LONG_S:
            return None
        if tried is None and took >= TRIED_S:
            tried = n, took, spent
        if n == len(inputs) or (tried is not None and GROWTH * took > max(GROWN_S, MOST_SHARE * wall_s)):
            break
        n = min(len(inputs), GROWTH * n)
    n, took, spent = tried or (n, took, spent)
    trial = _Trial(explainer, inputs[:n], None if labels is None else labels[:n], took, MOST_SHARE * wall_s - spent)
    share = (wall_s - others_s) / wall_s
    remedies = [*_remedies(prepared.explainer, trial, share, workers), _limit(rows, wall_s)]
    return Outlook(rows, wall_s, tuple(remedies), is_least=rows < FEW_ROWS)


def seconds_of(explainer: Explainer, inputs: np.ndarray, labels: np.ndarray | None) -> float:
    """Return how long explaining these rows takes."""
    started = time.perf_counter()
    explainer.explain(inputs, labels)
    return time.perf_counter() - started


class _Trial:
    """Rows that took so many seconds, tried in other ways as long as the budget lasts."""

    def __init__(
        self,
        explainer: Explainer,
        inputs: np.ndarray,
        labels: np.ndarray | None,
        took_s: float,
        budget_s: float,
    ) -> None:
        self.explainer = explainer
        self._rows = inputs, labels
        self._took_s = took_s
        self._budget_s = budget_s

    def gain(self, other: Explainer) -> float | None:
        """Return how many times less the other takes; None where there is no time to try."""
        if self._took_s > self._budget_s:
            return None
        took_s = seconds_of(other, *self._rows)
        self._budget_s -= took_s
        return self._took_s / max(took_s, 1e-9)


def _remedies(explainer: Explainer, trial: _Trial, share: float, workers: int) -> Iterator[Remedy]:
    """Yield what helps, by how much; `share` of the time goes into explaining, the rest stays."""
    for option, how, gain in (*_of_method(explainer, trial), *_of_effort(trial), *_of_cores(trial, workers)):
        whole = 1 / (1 - share + share / (gain or 1.0))
        if whole >= WORTHWHILE:
            times = f"{whole:.0f}" if round(whole, 1) >= 10 else f"about {whole:.2g}"
            yield Remedy(option, f"{how}{times} times less")


def _of_method(explainer: Explainer, trial: _Trial) -> Iterator[tuple[str, str, float | None]]:
    method = explainer.method
    if method.many_baselines:
        b, sampling = explainer.reader.n_baselines, explainer.reader.sampling
        how = "one baseline: " if sampling is None else f"one baseline, and no `baseline_rows={AUTO}`: "
        yield f"method={partner(method, many_baselines=False).name}", how, b
        if sampling is not None:
            larger = 2 * sampling.tolerance
            yield f"sampling_tolerance={larger:g}", "", b / foreseen_rows(sampling, explainer.reader.population, larger)
        elif b >= 20:
            yield f"baseline_rows={b // 10}", "", b / (b // 10)
    if method.second_order:
        first = partner(method, order=1)
        yield f"method={first.name}", "no interactions: ", trial.gain(replace(trial.explainer, method=first))


def _of_effort(trial: _Trial) -> Iterator[tuple[str, str, float | None]]:
    effort = trial.explainer.effort
    if effort.steps is None and effort.tolerance < LARGE_TOLERANCE:
        larger = min(LARGE_TOLERANCE, 10 * effort.tolerance)
        other = replace(trial.explainer, effort=replace(effort, tolerance=larger, sampling_share=0.0))
        yield f"tolerance={larger:g}", "", trial.gain(other)


def _of_cores(trial: _Trial, workers: int) -> Iterator[tuple[str, str, float | None]]:
    """Yield what workers of one thread on each core gain over one process of all threads."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if trial.explainer.model.device.type != "cpu" or workers > 1 or cores == 1:
        return
    with _one_thread() as before:
        gain = 1.0 if before == 1 else trial.gain(trial.explainer)
    yield f"workers={cores}", "", None if gain is None else min(cores, cores * gain)


def _limit(rows: int, wall_s: float) -> Remedy:
    fit = max(1, int(rows * LONG_S / wall_s))
    digits = 10 ** max(0, int(math.log10(fit)) - 1)
    return Remedy(f"limit={fit // digits * digits}", "about a minute")


def _hurried(explainer: Explainer) -> tuple[Explainer, float]:
    """Return an explainer that takes the fewest nodes of one baseline, and how many times more the real one takes."""
    effort, reader = replace(explainer.effort, steps=STEPS[0]), explainer.reader
    hurried = replace(explainer, effort=effort, reader=reader.with_few_baselines(1))
    return hurried, NODES / STEPS[0] * reader.n_baselines


def _others_s(prepared: PreparedRun, rows: int) -> float:
    """Return the seconds of summing up and writing matrices of rows, beside explaining, and of ranking their pairs."""
    explainer = prepared.explainer
    if explainer.reader.units is None or not explainer.method.second_order:
        return 0.0
    values = explainer.targets_per_row * len(explainer.reader.units) ** 2
    return values * (KEEP_S * rows / torch.get_num_threads() + RANK_S / 2)


def _at_once(explainer: Explainer, workers: int) -> int:
    """Return how many times the pace of this process they have: on a CPU workers share its threads."""
    return 1 if explainer.model.device.type == "cpu" else workers


@contextmanager
def _one_thread() -> Iterator[int]:
    """Compute with one thread, and tell how many there were."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield before
    finally:
        torch.set_num_threads(before)
