"""A model made ready to explain: checked, smoothed where asked, with its engine and target; rows or texts alike."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from ihcli.derivatives import Engine
from ihcli.derivatives.choosing import choose_engine
from ihcli.derivatives.paths import Paths
from ihcli.errors import ModelCallError, OptionError
from ihcli.integration.assembly import ExplainedRows
from ihcli.integration.certify import NODES, STEPS, Effort, find_kinks
from ihcli.integration.kinks import is_piecewise_linear
from ihcli.memory import default_memory_bytes
from ihcli.methods import DEFAULT, Method, method_named, partner
from ihcli.models import Model
from ihcli.models.checking.preflight import preflight
from ihcli.models.targets import Target, resolve_target
from ihcli.smoothing import Operations, Smoothing, find_operations, resolve_smoothing

T = TypeVar("T")

MEMORY_RAN_OUT = (
    "memory ran out, so batches were made smaller and done again; nothing is lost. Try a smaller `memory_bytes`."
)
PROBE_ROWS = 8
KINKED_EVALUATIONS = 64
"""Evaluations per baseline where second derivatives cannot be certified: enough for the rows that meet no kink."""


@dataclass(frozen=True)
class Settings:
    """What is asked of an explanation, beside model, rows, groups and baselines.

    smooth            "auto", "none" or beta
    smooth_tolerance  most drift and share of changed predictions that "auto" admits
    memory_bytes      bound on the working set; None: a share of what is free
    engine            "auto", "autograd" or "mlp": who takes derivatives
    """

    method: str = DEFAULT
    target: str | int | None = None
    effort: Effort = field(default_factory=Effort)
    smooth: str | float = "auto"
    smooth_tolerance: float = 0.01
    memory_bytes: int | None = None
    engine: str = "auto"


@dataclass(frozen=True)
class Sample:
    """Real rows that a model is tried on before it explains others.

    batches      inputs (n, D), each batch of one D, on the model's device and in its dtype
    paths        makes paths of a few of them for a model
    n_baselines  B
    batch_bytes  most that a batch may hold, whatever the memory
    is_text      whether they are texts: no closed form is looked for, and kinks only where an operation hints at one
    """

    batches: tuple[Tensor, ...]
    paths: Callable[[Model], Paths]
    n_baselines: int
    batch_bytes: int
    is_text: bool

    @property
    def probe(self) -> Tensor:
        """The few rows of one batch that preflight takes."""
        return self.batches[0][:PROBE_ROWS]


@dataclass(frozen=True, kw_only=True)
class Explainer:
    """What explaining takes that does not depend on the rows; `settle` makes one.

    model      as explained, smoothed where asked;  original is the model as it came
    smoothing  what replacing did, None when nothing was replaced
    engine_reason  why this engine was taken, in words;  engine_bytes is what it was given for a batch
    piecewise_linear  whether f is piecewise linear along the paths, so that first order follows its kinks
    warnings   sentences the user should read before trusting the result
    """

    model: Model
    original: Model
    smoothing: Smoothing | None
    method: Method
    target: Target
    engine: Engine
    engine_reason: str
    engine_bytes: int
    piecewise_linear: bool
    effort: Effort
    memory_bytes: int
    warnings: tuple[str, ...]

    @property
    def targets_per_row(self) -> int:
        """Return how many entries each row of the data gets."""
        return len(self.target.names) if self.target.spec == "all" else 1

    @property
    def memory_ran_out(self) -> bool:
        """Return whether a batch did not fit, so that batches were made smaller."""
        return self.engine.memory_bytes < self.engine_bytes

    def outputs(self, inputs: Tensor) -> np.ndarray:
        """Return the original model's outputs (n, K) as float64, in batches that fit."""
        size = max(1, self.memory_bytes // (64 * max(1, inputs.shape[1]) * inputs.element_size()))
        with torch.no_grad():
            parts = [self.original.outputs(some).double().cpu().numpy() for some in inputs.split(size)]
        return np.concatenate(parts)

    def telling_rows(self, work: Callable[[np.ndarray], T], entries: np.ndarray, rows: np.ndarray) -> T:
        """Return what `work` makes of entries (n,), indices into `rows`, which are numbers of rows of the data.

        Raises ModelCallError where the model fails on them, which names the first row that it fails on alone: found by
        halving, at the cost of doing them once more.
        """
        try:
            return work(entries)
        except ModelCallError as error:
            culprit = _first_failing(work, entries)
            if culprit is None:
                raise
            reason = f"fails on row {rows[culprit]} of the data: {error.reason}"
            raise ModelCallError(
                f"{self.original.subject}: {reason}. Expected outputs for every row, and for points on the way to it "
                "from baselines. Try looking at that row, or leaving it out.",
                reason,
            ) from error


def _first_failing(work: Callable[[np.ndarray], object], entries: np.ndarray) -> int | None:
    """Return the first entry that the model fails on, None where it fails on all together only."""
    while len(entries) > 1:
        half = entries[: len(entries) // 2]
        entries = half if _fails(work, half) else entries[len(half) :]
    return int(entries[0]) if _fails(work, entries) else None


def _fails(work: Callable[[np.ndarray], object], entries: np.ndarray) -> bool:
    try:
        work(entries)
    except ModelCallError:
        return True
    return False


@dataclass(frozen=True)
class Figures:
    """The figures that every entry has, whatever it explains, (n,) each; see `Entries`."""

    prediction: np.ndarray
    baseline_prediction: np.ndarray
    completeness_gap: np.ndarray
    relative_error: np.ndarray
    drift: np.ndarray | None
    evaluations: np.ndarray
    status: np.ndarray

    @classmethod
    def of(cls, found: ExplainedRows, method: Method, original: np.ndarray, is_smoothed: bool) -> "Figures":
        """Take them from rows explained by a method; `original` (n,) is what the model gives before smoothing."""
        certificate = found.certificate
        baseline_prediction = certificate.baseline_prediction.mean(axis=1)
        with np.errstate(invalid="ignore"):  # infinity less infinity where f is not finite, nor is the row then
            gap = found.attributions.sum(axis=1) - (certificate.prediction - baseline_prediction)
            drift = certificate.prediction - original if is_smoothed else None
        if not method.adds_up:
            gap = np.full_like(gap, np.nan)
        return cls(
            prediction=certificate.prediction,
            baseline_prediction=baseline_prediction,
            completeness_gap=gap,
            relative_error=certificate.relative_error,
            drift=drift,
            evaluations=certificate.evaluations,
            status=certificate.status,
        )

    @classmethod
    def of_nothing(cls, is_smoothed: bool) -> "Figures":
        """Return those of no entries."""
        nothing = np.zeros(0)
        drift = nothing if is_smoothed else None
        return cls(nothing, nothing, nothing, nothing, drift, np.zeros(0, np.int32), np.zeros(0, object))


def settle(model: Model, sample: Sample, settings: Settings) -> Explainer:
    """Check the model on a sample, smooth it, and settle target, engine and effort.

    Raises:
        OptionError: an unknown method or target, a beta that cannot be, or a budget below one panel for each baseline.
        ModelError: the preflight found something that makes explanations wrong.
    """
    method = method_named(settings.method)
    _check_effort(settings.effort, sample.n_baselines)
    checked = preflight(model, sample.probe, method.second_order)
    target = resolve_target(settings.target, checked.n_outputs, model.output_names)
    smooth, smoothing = resolve_smoothing(
        model, settings.smooth, sample.batches, method.second_order, settings.smooth_tolerance
    )
    warnings = [*checked.warnings]
    if smoothing is not None:
        warnings += preflight(smooth, sample.probe, method.second_order).warnings
        warnings += _smoothing_warnings(smoothing, settings)
    memory_bytes = settings.memory_bytes or default_memory_bytes(model.device)
    engine_bytes = _engine_bytes(memory_bytes, sample.batch_bytes, model.device)
    paths = sample.paths(smooth)
    choice = choose_engine(
        smooth.outputs,
        paths,
        engine_bytes,
        settings.engine,
        may_be_chain=not sample.is_text,
        second_order=method.second_order,
    )
    effort = settings.effort
    if method.second_order and _has_kinks(smooth, sample, choice.engine, paths):
        warnings.append(_kink_warning(find_operations(smooth, sample.probe), method, smoothing is not None))
        effort = replace(effort, max_evaluations=_kinked_budget(effort, sample.n_baselines))
    return Explainer(
        model=smooth,
        original=model,
        smoothing=smoothing,
        method=method,
        target=target,
        engine=choice.engine,
        engine_reason=choice.reason,
        engine_bytes=engine_bytes,
        piecewise_linear=not method.second_order and is_piecewise_linear(choice.engine, paths),
        effort=effort,
        memory_bytes=memory_bytes,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def numpy_dtype(model: Model) -> type[np.floating]:
    """Return the model's dtype as numpy's."""
    return np.float64 if model.dtype == torch.float64 else np.float32


def _has_kinks(smooth: Model, sample: Sample, engine: Engine, paths: Paths) -> bool:
    if sample.is_text:
        operations = find_operations(smooth, sample.probe)
        if not (operations.replaceable or operations.kinks):
            return False
    return bool(find_kinks(engine, paths).any())


def _kinked_budget(effort: Effort, n_baselines: int) -> int:
    return min(effort.budget(n_baselines), KINKED_EVALUATIONS * n_baselines)


def _kink_warning(operations: Operations, method: Method, is_smoothed: bool) -> str:
    names = ", ".join((*operations.replaceable, *operations.kinks)) or "an operation of its own"
    remedy = (
        "Try `smooth=auto`, which replaces them with SoftPlus"
        if operations.replaceable and not is_smoothed
        else f"Try `method={partner(method, order=1).name}`, which needs no second derivatives"
    )
    return (
        f"the model's gradient jumps along the paths ({names}), so the interactions of {method.name} miss what happens "
        f"there and cannot be certified: rows that cross a jump are flagged not_converged. {remedy}."
    )


def _smoothing_warnings(smoothing: Smoothing, settings: Settings) -> list[str]:
    if smoothing.within_tolerance:
        return []
    return [
        f"SoftPlus with beta {smoothing.beta:g} drifts by {smoothing.drift:.1%} of the output's standard deviation "
        f"and changes {smoothing.changed:.1%} of the predictions on a sample, more than the "
        f"{settings.smooth_tolerance:.1%} asked for. Expect _drift to matter. Try a larger `smooth`, or "
        "`smooth_tolerance`."
    ]


def _check_effort(effort: Effort, n_baselines: int) -> None:
    if effort.steps is not None and effort.steps not in STEPS:
        raise OptionError(f"`steps`: {effort.steps} cannot be. Expected {STEPS[0]} to {STEPS[-1]}.")
    least = NODES * n_baselines
    if effort.max_evaluations is not None and effort.max_evaluations < least and effort.steps is None:
        raise OptionError(
            f"`max_evaluations`: {effort.max_evaluations} is too few. Expected at least {least}, one panel of {NODES} "
            f"nodes for each of the {n_baselines} baselines."
        )


def _engine_bytes(memory_bytes: int, most_on_cpu: int, device: torch.device) -> int:
    """Return the engine's half of the budget, less on a CPU; the other half is for panels and matrices."""
    return min(memory_bytes // 2, most_on_cpu) if device.type == "cpu" else memory_bytes // 2
