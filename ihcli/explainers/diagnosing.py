"""What a model turns out to be like along the paths of a probe: what to warn of, and what effort is worth making."""

from dataclasses import dataclass, replace

from torch import Tensor

from ihcli.derivatives import Along
from ihcli.derivatives.autograd import AutogradEngine
from ihcli.errors import ModelCallError, ModelError
from ihcli.integration.diagnoses import find_kinks, is_piecewise_linear
from ihcli.integration.effort import Effort
from ihcli.methods import Method, partner
from ihcli.models import Model
from ihcli.models.checking.blind import find_blind
from ihcli.models.wrapping import in_float64
from ihcli.readers import Reader
from ihcli.smoothing import find_operations
from ihcli.wording import listed

PROBE_ROWS = 8
KINKED_EVALUATIONS = 64
"""Evaluations per baseline where kinks or steps cannot be certified: enough for the rows that meet none."""
CONFIRMED_PATHS = 4
_WHY = "a cast to whole numbers, a lookup, rounding or a comparison inside of the model is in the way"
_REMEDY = (
    "Try one-hot columns in place of codes, explained as one with `groups`, and a model that takes them (one_hot @ "
    "embedding.weight for a lookup, without training it again), or taking casts and rounding out of the model"
)


@dataclass(frozen=True)
class Trial:
    """A model as it will be explained, and the paths to a few records.

    stable       the same in the form that is differentiated
    is_smoothed  whether something in it is smoothed
    rows         (n, D) more of the records, and those
    along        the paths to the few
    """

    model: Model
    stable: Model
    is_smoothed: bool
    reader: Reader
    rows: Tensor
    along: Along

    @property
    def probe(self) -> Tensor:
        """The first rows."""
        return self.rows[:PROBE_ROWS]

    def exact(self) -> Along | None:
        """Return the same function along the same paths in float64, None where it cannot be had, or is it already."""
        wide, paths = in_float64(self.stable), self.along.paths
        if wide is None:
            return None
        wider = replace(paths, inputs=paths.inputs.double(), baselines=paths.baselines.double())
        along = AutogradEngine(wide.outputs, self.along.engine.memory_bytes).along(wider)
        try:
            along.ends()
        except ModelCallError:
            return None
        along.engine.rounding = wide.rounding
        return along

    def has_kinks(self) -> bool:
        """Return whether the paths cross kinks, where second derivatives cannot be certified."""
        if not self.reader.looks_for_kinks:
            operations = find_operations(self.model, self.probe)
            if not (operations.replaceable or operations.kinks):
                return False
        return bool(find_kinks(self.along, self.exact, CONFIRMED_PATHS).any())


@dataclass(frozen=True)
class Diagnosis:
    """The effort that is worth making, and sentences about what none will mend."""

    effort: Effort
    warnings: tuple[str, ...] = ()


def diagnose(trial: Trial, method: Method, effort: Effort) -> Diagnosis:
    """Find out whether kinks are followed, or what is in the way: that no refinement certifies, so that it ends early.

    Raises ModelError where the output moves with columns that no gradient reaches, and with no others.
    """
    blind, is_kinked = _blind_columns(trial), method.second_order and trial.has_kinks()
    warnings = [_blind_warning(blind)] if blind else []
    if is_kinked and not blind:
        warnings.append(_kink_warning(trial, method))
    if not method.second_order:
        effort = replace(effort, follows_kinks=is_piecewise_linear(trial.along, trial.exact))
    if warnings:
        effort = _short(effort, trial.reader.n_baselines)
    return Diagnosis(effort, tuple(warnings))


def _blind_columns(trial: Trial) -> list[str]:
    """Return the names of columns that the output moves with and no gradient reaches."""
    names = trial.reader.columns
    if names is None:
        return []
    found = find_blind(trial.model, trial.rows, trial.along.paths.baselines.flatten(0, -2))
    blind = [names[i] for i in found.columns]
    if found.is_total:
        raise ModelError(
            f"{trial.model.subject}: no gradient reaches what its output moves with, {_columns(blind)}: {_WHY}. "
            f"Expected a differentiable model, as attributions by gradients would all be 0. {_REMEDY}."
        )
    return blind


def _blind_warning(blind: list[str]) -> str:
    it, its = ("it", "Its") if len(blind) == 1 else ("them", "Their")
    return (
        f"the output moves with {_columns(blind)}, but no gradient reaches {it}: {_WHY}. {its} attributions are 0 and "
        "lack what the output does there, and rows in which that matters are flagged not_converged, however many "
        f"evaluations they get. {_REMEDY}."
    )


def _columns(names: list[str]) -> str:
    return f"{'column' if len(names) == 1 else 'columns'} {listed(names)}"


def _short(effort: Effort, n_baselines: int) -> Effort:
    """Return an effort that ends early, unless somebody asked for more."""
    if effort.max_evaluations is not None:
        return effort
    return replace(effort, max_evaluations=KINKED_EVALUATIONS * n_baselines)


def _kink_warning(trial: Trial, method: Method) -> str:
    operations = find_operations(trial.model, trial.probe)
    names = ", ".join((*operations.replaceable, *operations.kinks)) or "an operation of its own"
    remedy = (
        "Try `smooth=auto`, which replaces them with SoftPlus"
        if operations.replaceable and not trial.is_smoothed
        else f"Try `method={partner(method, order=1).name}`, which needs no second derivatives"
    )
    return (
        f"the model's gradient jumps along the paths ({names}), so the interactions of {method.name} miss what happens "
        f"there and cannot be certified: rows that cross a jump are flagged not_converged. {remedy}."
    )
