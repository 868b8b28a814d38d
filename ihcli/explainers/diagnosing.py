"""What a model turns out to be like along the paths of a probe: what to warn of, and what effort is worth making."""

from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from ihcli.derivatives import Along
from ihcli.derivatives.autograd import AutogradEngine
from ihcli.derivatives.mlp import MlpEngine
from ihcli.derivatives.strips import analytic_within
from ihcli.errors import ModelCallError, ModelError
from ihcli.integration.diagnoses import SUSPECT_LEVELS, find_kinks, find_steps, is_piecewise_linear
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
SMOOTH_WIDTH = 4 * 2.0**-SUSPECT_LEVELS
"""A function that is analytic so far beside its paths is resolved by 8 nodes on the narrowest panel that is zoomed into
for kinks: what they leave shrinks by (8 + sqrt(65))^-16 of its size, or 1e-19."""
_WHY = "a cast to whole numbers, a lookup, rounding or a comparison inside of the model is in the way"
_STEP_WARNING = (
    "the output itself jumps along the paths, as after a cast to whole numbers, rounding or a comparison inside of the "
    "model: no attribution has what it does there, and rows that cross a jump are flagged not_converged, however many "
    "evaluations they get. Try taking these out of the model, or one-hot columns in place of codes."
)
_STEEP_REMEDY = "`dtype=float64`, as the model is steeper in places than its precision resolves"
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

    @property
    def is_chain(self) -> bool:
        """Return whether it is a chain of affine layers and activations, of which none steps."""
        return self.along.engine.name == MlpEngine.name

    def is_proven_smooth(self) -> bool:
        """Return whether its weights leave nothing that float32 and panels of SMOOTH_WIDTH do not resolve."""
        engine = self.along.engine
        return isinstance(engine, MlpEngine) and analytic_within(engine.chain, self.along.paths) >= SMOOTH_WIDTH

    def exact(self) -> Along | None:
        """Return the same function along the same paths in float64, None where it cannot be had, or is it already."""
        wide, paths = in_float64(self.stable), self.along.paths
        if wide is None:
            return None
        wider = replace(paths, inputs=paths.inputs.double(), baselines=paths.baselines.double())
        along = AutogradEngine(wide.outputs, self.along.engine.memory_bytes).along(wider)
        try:
            along.all_values(np.zeros(1, dtype=np.int64), np.zeros(1))
        except (ModelCallError, MemoryError):
            return None
        along.engine.rounding = wide.rounding
        return along

    def may_jump(self) -> bool:
        """Return whether kinks and steps are looked for."""
        if self.reader.looks_for_kinks:
            return True
        operations = find_operations(self.model, self.probe)
        return bool(operations.replaceable or operations.kinks)


@dataclass(frozen=True)
class Obstacle:
    """What no effort mends: a warning that ends in what does, and that in short, in words."""

    warning: str
    remedy: str


@dataclass(frozen=True)
class Diagnosis:
    """The effort that is worth making, and what is in its way.

    remedy  what helps rows that miss the tolerance whatever the effort, in words; empty: more effort
    """

    effort: Effort
    obstacle: Obstacle | None = None
    remedy: str = ""


def diagnose(trial: Trial, method: Method, effort: Effort) -> Diagnosis:
    """Find out whether kinks are followed, or what is in the way: that no refinement certifies, so that it ends early.

    Raises ModelError where the output moves with columns that no gradient reaches, and with no others.
    """
    if not method.is_integral:
        return Diagnosis(effort)
    if not method.second_order:
        effort = replace(effort, follows_kinks=is_piecewise_linear(trial.along, trial.exact))
    in_float64 = _InFloat64(trial)
    obstacle = _obstacle(trial, method, in_float64)
    if obstacle is None:
        return Diagnosis(effort, remedy=_STEEP_REMEDY if in_float64.was_asked else "")
    if effort.max_evaluations is None:
        effort = replace(effort, max_evaluations=KINKED_EVALUATIONS * trial.reader.n_baselines)
    return Diagnosis(effort, obstacle, obstacle.remedy)


class _InFloat64:
    """Gives the function in float64 where something in it looks like a kink, and remembers that it did.

    What looks so and is none there is steeper than the model's precision resolves: no panel of it certifies.
    """

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self.was_asked = False

    def __call__(self) -> Along | None:
        exact = self._trial.exact()
        self.was_asked = exact is not None
        return exact


def _obstacle(trial: Trial, method: Method, in_float64: _InFloat64) -> Obstacle | None:
    blind = _blind_columns(trial)
    if blind:
        return Obstacle(_blind_warning(blind), "one-hot columns in place of codes, as the warning says")
    if not trial.may_jump():
        return None
    if method.second_order and (
        trial.is_proven_smooth() or not find_kinks(trial.along, in_float64, CONFIRMED_PATHS).any()
    ):
        return None
    if not trial.is_chain and find_steps(trial.along, trial.exact).any():
        return Obstacle(_STEP_WARNING, "a model without such jumps, as the warning says")
    return _kinks(trial, method) if method.second_order else None


def _blind_columns(trial: Trial) -> list[str]:
    """Return the names of columns that the output moves with and no gradient reaches."""
    names = trial.reader.columns
    if names is None:
        return []
    starts = trial.along.paths.baselines.flatten(0, -2)
    found = find_blind(trial.model, trial.rows, starts, trial.reader.is_open)
    blind = list(dict.fromkeys(str(names[i]) for i in found.columns))
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


def _kinks(trial: Trial, method: Method) -> Obstacle:
    operations = find_operations(trial.model, trial.probe)
    names = ", ".join((*operations.replaceable, *operations.kinks)) or "an operation of its own"
    if operations.replaceable and not trial.is_smoothed:
        remedy, how = "`smooth=auto`", "which replaces them with SoftPlus"
    else:
        remedy, how = f"`method={partner(method, order=1).name}`", "which needs no second derivatives"
    return Obstacle(
        f"the model's gradient jumps along the paths ({names}), so the interactions of {method.name} miss what happens "
        f"there and cannot be certified: rows that cross a jump are flagged not_converged. Try {remedy}, {how}.",
        remedy,
    )
