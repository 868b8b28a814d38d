"""What a model turns out to be like along the paths of a probe: what to warn of, and what effort is worth making."""

from dataclasses import dataclass, replace

from torch import Tensor

from ihcli.derivatives import Along
from ihcli.derivatives.autograd import AutogradEngine
from ihcli.errors import ModelCallError
from ihcli.integration.diagnoses import find_kinks, is_piecewise_linear
from ihcli.integration.effort import Effort
from ihcli.methods import Method, partner
from ihcli.models import Model
from ihcli.models.wrapping import in_float64
from ihcli.readers import Reader
from ihcli.smoothing import find_operations

KINKED_EVALUATIONS = 64
"""Evaluations per baseline where second derivatives cannot be certified: enough for the rows that meet no kink."""
CONFIRMED_PATHS = 4


@dataclass(frozen=True)
class Trial:
    """A model as it will be explained, and the paths to a few records.

    is_smoothed  whether something in it is smoothed
    probe        (P, D) some of the records
    """

    model: Model
    is_smoothed: bool
    reader: Reader
    probe: Tensor
    along: Along

    def exact(self) -> Along | None:
        """Return the same function along the same paths in float64, None where it cannot be had, or is it already."""
        wide, paths = in_float64(self.model), self.along.paths
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
    """Find out whether kinks are followed, or are in the way: these no refinement certifies, so that it ends early."""
    if not method.second_order:
        return Diagnosis(replace(effort, follows_kinks=is_piecewise_linear(trial.along, trial.exact)))
    if not trial.has_kinks():
        return Diagnosis(effort)
    return Diagnosis(_short(effort, trial.reader.n_baselines), (_kink_warning(trial, method),))


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
