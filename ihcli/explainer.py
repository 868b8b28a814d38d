"""A model made ready to explain rows: checked, smoothed where asked, with its baselines, groups and target."""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from ihcli.baselines import Baselines
from ihcli.certify import NODES, STEPS, Effort, find_kinks
from ihcli.derivatives import Engine
from ihcli.derivatives.choosing import choose_engine
from ihcli.errors import OptionError
from ihcli.explanation import Explanation, join_explanations, scatter
from ihcli.gates import Groups, Paths
from ihcli.memory import default_memory_bytes
from ihcli.methods import ExplainedRows, Method, explain_rows, method_named, sampling_error
from ihcli.models import Model
from ihcli.models.preflight import preflight
from ihcli.models.targets import PREDICTED, Target, resolve_target
from ihcli.piecewise import is_piecewise_linear
from ihcli.smoothing import Operations, Smoothing, find_operations, resolve_smoothing

SAMPLE_ROWS = 256
MEMORY_RAN_OUT = "memory ran out, so batches were made smaller and done again; nothing is lost. Try a smaller --memory."
CPU_BATCH_BYTES = 64 << 20
"""Larger batches on a CPU are slower (0.54 s against 0.91 at 256 MiB for 32,768 rows of ig) and scatter its memory."""
PROBE_ROWS = 8
PROBE_BASELINES = 4
KINKS = 32
"""Kinks of a path that are followed: gradients are kept at each until its row is done."""
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

    method: str = "ih"
    target: str | int | None = None
    effort: Effort = field(default_factory=Effort)
    smooth: str | float = "auto"
    smooth_tolerance: float = 0.01
    memory_bytes: int | None = None
    engine: str = "auto"


@dataclass(frozen=True)
class Explainer:
    """Explains rows with one model, method, target, set of groups and baselines; `prepare_explainer` makes one.

    model      as explained, smoothed where asked;  original is the model as it came
    smoothing  what replacing did, None when nothing was replaced
    engine_reason  why this engine was taken, in words
    piecewise_linear  whether f is piecewise linear along the paths, so that first order follows its kinks
    warnings   sentences the user should read before trusting the result
    """

    model: Model
    original: Model
    smoothing: Smoothing | None
    method: Method
    target: Target
    groups: Groups
    baselines: Baselines
    engine: Engine
    engine_reason: str
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
        return self.engine.memory_bytes < _engine_bytes(self.memory_bytes, self.model.device)

    @property
    def entry_bytes(self) -> int:
        """Return what the explanation of one entry holds in memory, in bytes."""
        g, width = len(self.groups.names), self.model.dtype.itemsize
        return width * (g * g if self.method.second_order else 0) + width * g + 200

    def explain(self, inputs: np.ndarray, labels: np.ndarray | None = None, first_row: int = 0) -> Explanation:
        """Explain rows (N, D); rows with a missing or infinite input are returned as such, without figures.

        Raises DataError when the target is each row's label and a label names no output.
        """
        complete = np.isfinite(inputs).all(axis=1)
        outputs = self._outputs(inputs, complete)
        row, output = self.target.select(outputs, labels, first_row)
        known = complete[row]
        parts = [
            self._explain_block(inputs[row[block]], output[block], outputs[row[block], output[block]])
            for block in self._blocks(np.flatnonzero(known))
        ]
        explanation = scatter(join_explanations(parts or [self._nothing()]), known)
        names = np.array(self.target.names, dtype=object)[output]
        if self.target.spec == PREDICTED:
            names[~known] = None
        return replace(explanation, row=first_row + row, target=names)

    def _outputs(self, inputs: np.ndarray, complete: np.ndarray) -> np.ndarray:
        """Return the original model's outputs (N, K), NaN for rows that are not complete."""
        outputs = np.full((len(inputs), len(self.target.names)), np.nan)
        wanted = np.flatnonzero(complete)
        size = max(1, self.memory_bytes // (64 * max(1, inputs.shape[1]) * inputs.itemsize))
        with torch.no_grad():
            for some in (wanted[i : i + size] for i in range(0, len(wanted), size)):
                outputs[some] = self.original.outputs(self._tensor(inputs[some])).double().cpu().numpy()
        return outputs

    def _blocks(self, wanted: np.ndarray) -> list[np.ndarray]:
        """Cut entries into blocks whose panels and matrices fit into half of the memory budget."""
        g, b = len(self.groups.names), len(self.baselines.values)
        kept = 8 * KINKS if self.piecewise_linear else 128 if self.method.second_order else 32
        panels = b * g * kept
        size = max(1, self.memory_bytes // 2 // (panels + self.entry_bytes))
        return [wanted[i : i + size] for i in range(0, len(wanted), size)]

    def _explain_block(self, inputs: np.ndarray, output: np.ndarray, original: np.ndarray) -> Explanation:
        paths = _paths(self.model, self._tensor(inputs), self._tensor(self.baselines.values), output, self.groups)
        found = explain_rows(self.engine, paths, self.method, self.effort, self.piecewise_linear)
        return self._as_explanation(found, original)

    def _as_explanation(self, found: ExplainedRows, original: np.ndarray) -> Explanation:
        certificate = found.certificate
        baseline_prediction = certificate.baseline_prediction.mean(axis=1)
        gap = found.attributions.sum(axis=1) - (certificate.prediction - baseline_prediction)
        subsampled = self.baselines.population > len(self.baselines.values)
        return Explanation(
            row=np.zeros(len(original), np.int64),
            target=np.zeros(len(original), object),
            feature_names=self.groups.names,
            attributions=found.attributions.astype(_numpy_dtype(self.model.dtype)),
            interactions=found.interactions,
            prediction=certificate.prediction,
            baseline_prediction=baseline_prediction,
            completeness_gap=gap,
            relative_error=certificate.relative_error,
            sampling_error=sampling_error(certificate.attributions, self.baselines.population) if subsampled else None,
            drift=None if self.smoothing is None else certificate.prediction - original,
            evaluations=certificate.evaluations,
            status=certificate.status,
        )

    def _nothing(self) -> Explanation:
        """Return an explanation of no rows, with the columns that one of rows would have."""
        g, dtype = len(self.groups.names), _numpy_dtype(self.model.dtype)
        nothing = np.zeros(0)
        return Explanation(
            row=np.zeros(0, np.int64),
            target=np.zeros(0, object),
            feature_names=self.groups.names,
            attributions=np.zeros((0, g), dtype),
            interactions=np.zeros((0, g, g), dtype) if self.method.second_order else None,
            prediction=nothing,
            baseline_prediction=nothing,
            completeness_gap=nothing,
            relative_error=nothing,
            sampling_error=nothing if self.baselines.population > len(self.baselines.values) else None,
            drift=None if self.smoothing is None else nothing,
            evaluations=np.zeros(0, np.int32),
            status=np.zeros(0, object),
        )

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.as_tensor(values, dtype=self.model.dtype, device=self.model.device)


def prepare_explainer(
    model: Model, groups: Groups, baselines: Baselines, sample: np.ndarray, settings: Settings
) -> Explainer:
    """Check the model on a sample of complete rows (at most SAMPLE_ROWS are used), smooth it, and settle the target.

    Raises:
        OptionError: an unknown method or target, a beta that cannot be, or a budget below one panel for each baseline.
        ModelError: the preflight found something that makes explanations wrong.
    """
    method = method_named(settings.method)
    _check_effort(settings.effort, len(baselines.values))
    rows = torch.as_tensor(sample[:SAMPLE_ROWS], dtype=model.dtype, device=model.device)
    checked = preflight(model, rows[:PROBE_ROWS], method.second_order)
    target = resolve_target(settings.target, checked.n_outputs, model.output_names)
    smooth, smoothing = resolve_smoothing(model, settings.smooth, rows, method.second_order, settings.smooth_tolerance)
    warnings = [*checked.warnings]
    if smoothing is not None:
        warnings += preflight(smooth, rows[:PROBE_ROWS], method.second_order).warnings
        warnings += _smoothing_warnings(smoothing, settings)
    memory_bytes = settings.memory_bytes or default_memory_bytes(model.device)
    probe = _probe_paths(smooth, groups, baselines, rows)
    choice = choose_engine(smooth.outputs, probe, _engine_bytes(memory_bytes, model.device), settings.engine)
    effort = settings.effort
    if method.second_order and find_kinks(choice.engine, probe).any():
        warnings.append(_kink_warning(find_operations(smooth, rows[:PROBE_ROWS]), method, smoothing is not None))
        effort = replace(effort, max_evaluations=_kinked_budget(effort, len(baselines.values)))
    return Explainer(
        model=smooth,
        original=model,
        smoothing=smoothing,
        method=method,
        target=target,
        groups=groups,
        baselines=baselines,
        engine=choice.engine,
        engine_reason=choice.reason,
        piecewise_linear=not method.second_order and is_piecewise_linear(choice.engine, probe),
        effort=effort,
        memory_bytes=memory_bytes,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _paths(model: Model, inputs: Tensor, baselines: Tensor, output: np.ndarray, groups: Groups) -> Paths:
    return Paths(
        inputs=inputs,
        baselines=baselines,
        outputs=torch.as_tensor(output, dtype=torch.int64, device=model.device),
        n_groups=len(groups.names),
        group_of=None if groups.index is None else torch.as_tensor(groups.index, device=model.device),
    )


def _probe_paths(model: Model, groups: Groups, baselines: Baselines, rows: Tensor) -> Paths:
    """Return paths of the first rows to their highest output from the first baselines."""
    few = torch.as_tensor(baselines.values[:PROBE_BASELINES], dtype=model.dtype, device=model.device)
    probe = rows[:PROBE_ROWS]
    with torch.no_grad():
        output = model.outputs(probe).argmax(dim=1).cpu().numpy()
    return _paths(model, probe, few, output, groups)


def _kinked_budget(effort: Effort, n_baselines: int) -> int:
    return min(effort.budget(n_baselines), KINKED_EVALUATIONS * n_baselines)


def _kink_warning(operations: Operations, method: Method, is_smoothed: bool) -> str:
    names = ", ".join((*operations.replaceable, *operations.kinks)) or "an operation of its own"
    remedy = (
        "Try --smooth auto, which replaces them with SoftPlus"
        if operations.replaceable and not is_smoothed
        else f"Try --method {'eg' if method.many_baselines else 'ig'}, which needs no second derivatives"
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
        f"{settings.smooth_tolerance:.1%} asked for. Expect _drift to matter. Try a larger --smooth, or "
        "--smooth-tolerance."
    ]


def _check_effort(effort: Effort, n_baselines: int) -> None:
    if effort.steps is not None and effort.steps not in STEPS:
        raise OptionError(f"--steps: {effort.steps} cannot be. Expected {STEPS[0]} to {STEPS[-1]}.")
    least = NODES * n_baselines
    if effort.max_evaluations is not None and effort.max_evaluations < least and effort.steps is None:
        raise OptionError(
            f"--max-evaluations: {effort.max_evaluations} is too few. Expected at least {least}, one panel of {NODES} "
            f"nodes for each of the {n_baselines} baselines."
        )


def _engine_bytes(memory_bytes: int, device: torch.device) -> int:
    """Return the engine's half of the budget, less on a CPU; the other half is for panels and matrices."""
    return min(memory_bytes // 2, CPU_BATCH_BYTES) if device.type == "cpu" else memory_bytes // 2


def _numpy_dtype(dtype: torch.dtype) -> type[np.floating]:
    return np.float64 if dtype == torch.float64 else np.float32
