"""Axioms on the user's own model: rows mixed with baselines, and functions made of the model, explained by the method.

Completeness and both sensitivities are looked at on rows of which only some groups differ from a baseline. Few models
have groups that do nothing, or two that they do not tell apart, so two functions are made of the model f that have: f
with one group held at its baseline, and (f + f with two groups swapped) / 2.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ihcli.derivatives import Along, Engine
from ihcli.derivatives.autograd import AutogradEngine
from ihcli.derivatives.paths import Paths
from ihcli.explainers.explainer import Explainer
from ihcli.explanation.factors import whole
from ihcli.integration.computing import computation_of, needs_layers
from ihcli.integration.effort import Effort
from ihcli.methods import COMPLETENESS, DUMMY, METHODS, PAIR_SENSITIVITY, PROPERTIES, SENSITIVITY, SYMMETRY, promised
from ihcli.quality import has_values
from ihcli.verification.described import Described
from ihcli.verification.figures import UNDERSTATED_SHARE
from ihcli.verification.findings import NO_PROMISE, Bounded, Finding, not_checked
from ihcli.verification.recomputation.drawing import Drawn

AXIOMS = (COMPLETENESS, SENSITIVITY, PAIR_SENSITIVITY, DUMMY, SYMMETRY)
MIXED = 3
"""Groups, and pairs of them, to which each row is cut down."""
HELD = 1e-3
"""Relative to the values: how near a method that knows no error must come to an axiom, to be told that it held."""
ROUNDING = 64.0
Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Values:
    """What a method gives for M rows.

    phi, gamma  (M, G), and (M, G, G) under second order, else None;  change  (M,) f(x) - f(x')
    phi_off, gamma_off  (M,) how far sums of these may be off: rounding and the reported error
    rounding    (M,) of f;  known  (M,) which rows have values
    """

    phi: np.ndarray
    gamma: np.ndarray | None
    change: np.ndarray
    phi_off: np.ndarray
    gamma_off: np.ndarray
    rounding: np.ndarray
    known: np.ndarray


class Axioms:
    """Holds a run's method to the axioms on some rows, each from one of the baselines, drawn at random."""

    def __init__(self, run: Described, explainer: Explainer, rng: np.random.Generator) -> None:
        self._method = METHODS[run.method]
        self._explainer = explainer
        self._effort = Effort(run.tolerance, follows_kinks=explainer.effort.follows_kinks)
        self._rng = rng
        drawn = ", from one of the baselines" if run.n_baselines > 1 else ""
        self._checks = {name: Bounded(name, f"{PROPERTIES[name]}{drawn}", UNDERSTATED_SHARE) for name in AXIOMS}

    def findings(self, drawn: Sequence[Drawn]) -> Iterator[Finding]:
        """Explain mixed rows and made functions, and return what came of each axiom."""
        for each in drawn:
            if each.paths is not None and has_values(np.array([each.record.quality["status"]])).all():
                self._see_mixed(each.paths, each.name)
                if not needs_layers(self._method):
                    self._see_made(each.paths, each.name)
        for name in AXIOMS if self._method.second_order else [name for name in AXIOMS if name != PAIR_SENSITIVITY]:
            yield self._promised(name)

    def _promised(self, name: str) -> Finding:
        """Return what came of an axiom; of a method that does not promise it, whether it held."""
        check = self._checks[name]
        if name in (DUMMY, SYMMETRY) and needs_layers(self._method):
            reason = f"{self._method.name} looks at layers, of which functions made of the model have none"
            return not_checked(name, reason)
        finding = check.finding()
        if name in promised(self._method) or not check.checked:
            return finding
        held = f"{self._method.name} does not promise it; it held in {check.within} of {check.checked} cases"
        return replace(finding, outcome=NO_PROMISE, detail=f"{held}: {PROPERTIES[name]}")

    def _see_mixed(self, paths: Paths, name: str) -> None:
        g, start = paths.n_groups, self._start(paths)
        alone = [self._rng.permutation(g)[:1] for _ in range(min(MIXED, g))]
        pairs = [self._rng.permutation(g)[:2] for _ in range(MIXED if g > 1 and self._method.second_order else 0)]
        opened = [np.arange(g), *alone, *pairs]
        found = self._values(self._explainer.engine, mixed(paths, start, opened))
        for place in np.flatnonzero(found.known).tolist():
            if place == 0:
                self._see_whole(found, name)
            else:
                self._see_some(found, place, opened[place], f"{name}, {len(opened[place])} of its groups")

    def _see_whole(self, found: Values, name: str) -> None:
        self._see(COMPLETENESS, found.phi[0].sum() - found.change[0], found.phi_off[0], name)
        if found.gamma is not None:
            self._see(COMPLETENESS, found.gamma[0].sum() - found.change[0], found.gamma_off[0], name)

    def _see_some(self, found: Values, place: int, groups: np.ndarray, name: str) -> None:
        """Look at a row of which one group, or two, differ from the baseline."""
        change, rounding = found.change[place], found.rounding[place]
        axiom = SENSITIVITY if len(groups) == 1 else PAIR_SENSITIVITY
        others = np.delete(found.phi[place], groups)
        self._see(axiom, np.abs(others).sum(), rounding, name)
        if axiom == SENSITIVITY:
            self._see(axiom, found.phi[place, groups[0]] - change, found.phi_off[place], name)
        if found.gamma is not None:
            block = found.gamma[place][np.ix_(groups, groups)]
            outside = np.abs(found.gamma[place]).sum() - np.abs(block).sum()
            self._see(axiom, outside, rounding, name)
            self._see(axiom, block.sum() - change, found.gamma_off[place], name)

    def _see_made(self, paths: Paths, name: str) -> None:
        """Look at functions made of the model, one with a group that does nothing, and one with two that are alike."""
        made = Made(self._explainer.model.outputs, mixed(paths, self._start(paths), [np.arange(paths.n_groups)]))
        group = int(self._rng.integers(paths.n_groups))
        found = self._values(self._engine(made.without(group)), made.paths)
        if found.known.all():
            of_pairs = 0.0 if found.gamma is None else np.abs(found.gamma[0, group]).sum()
            self._see(DUMMY, abs(found.phi[0, group]) + of_pairs, found.rounding[0], name)
        if (two := made.of_one_size(self._rng)) is None:
            return
        function, there = made.symmetric(*two)
        found = self._values(self._engine(function), there)
        if found.known.all():
            self._see(SYMMETRY, found.phi[0, two[0]] - found.phi[0, two[1]], found.phi_off[0], name)
            if found.gamma is not None:
                order = np.arange(paths.n_groups)
                order[list(two)] = order[list(two[::-1])]
                swapped = found.gamma[0][np.ix_(order, order)]
                self._see(SYMMETRY, np.abs(found.gamma[0] - swapped).max(), found.gamma_off[0], name)

    def _see(self, axiom: str, off: float, bound: float, name: str) -> None:
        self._checks[axiom].see(np.abs([off]), np.array([bound]), [name])

    def _start(self, paths: Paths) -> Tensor:
        """Return one of the baselines of a row, (1, D)."""
        number = int(self._rng.integers(paths.n_baselines))
        return paths.ends(torch.tensor([number], device=paths.inputs.device))[0]

    def _engine(self, function: Function) -> Engine:
        engine = AutogradEngine(function, self._explainer.engine.memory_bytes)
        engine.rounding, engine.carried = self._explainer.engine.rounding, self._explainer.engine.carried
        return engine

    def _values(self, engine: Engine, paths: Paths) -> Values:
        """Explain rows by the run's method."""
        along = Along(engine, paths)
        found = computation_of(self._method)(along, self._method, self._effort)
        gamma = None if found.interactions is None else whole(found.interactions).astype(np.float64)
        f, start = found.certificate.prediction, found.certificate.baseline_prediction[:, 0]
        rounding = ROUNDING * (along.value_rounding(f) + along.value_rounding(start))
        sizes = np.abs(found.attributions).sum(axis=1)
        error = self._error(found.certificate.relative_error)
        of_pairs = np.zeros(len(f)) if gamma is None else np.abs(gamma).sum(axis=(1, 2))
        pair_error = error if found.interaction_error is None else self._error(found.interaction_error)
        return Values(
            phi=found.attributions,
            gamma=gamma,
            change=f - start,
            phi_off=rounding + error * sizes,
            gamma_off=rounding + pair_error * of_pairs,
            rounding=rounding,
            known=has_values(found.certificate.status),
        )

    def _error(self, relative: np.ndarray) -> np.ndarray:
        """Return a relative error, of methods that know none what is asked of them to be told that an axiom held."""
        return np.where(np.isnan(relative), HELD, relative)


def mixed(paths: Paths, start: Tensor, opened: Sequence[np.ndarray]) -> Paths:
    """Return paths to what a row becomes where only some groups are its own, from a start (1, D), one for each list."""
    is_open = np.zeros((len(opened), paths.n_groups), bool)
    for place, groups in enumerate(opened):
        is_open[place, groups] = True
    first = torch.zeros(len(opened), dtype=torch.int64, device=paths.inputs.device)
    gates = paths.to_inputs(paths.placed(is_open)[0], first)
    owners = paths.group_of
    return Paths(
        inputs=torch.where(gates, paths.inputs, start),
        baselines=start.expand(len(opened), -1)[:, None],
        outputs=paths.outputs.expand(len(opened)),
        n_groups=paths.n_groups,
        group_of=owners if owners is None or owners.dim() == 1 else owners.expand(len(opened), -1),
    )


@dataclass(frozen=True)
class Made:
    """Functions made of f, from points (P, D) to outputs (P, K), and the path of one row from one baseline."""

    function: Function
    paths: Paths

    def without(self, group: int) -> Function:
        """Return f with a group held at its baseline, which it does not depend on."""
        is_held, start = self._owner == group, self.paths.baselines[0]
        return lambda points: self.function(torch.where(is_held, start, points))

    def of_one_size(self, rng: np.random.Generator) -> tuple[int, int] | None:
        """Return two groups of as many inputs, drawn at random; None where there are none."""
        sizes = torch.bincount(self._owner, minlength=self.paths.n_groups).cpu().numpy()
        shuffled = rng.permutation(np.flatnonzero(sizes))
        for place, one in enumerate(shuffled):
            alike = shuffled[place + 1 :][sizes[shuffled[place + 1 :]] == sizes[one]]
            if len(alike):
                return int(one), int(alike[0])
        return None

    def symmetric(self, one: int, other: int) -> tuple[Function, Paths]:
        """Return (f + f with two groups swapped) / 2, and paths along which both are the same."""
        first, second = ((self._owner == group).nonzero()[:, 0] for group in (one, other))
        order = torch.arange(len(self._owner), device=self._owner.device)
        order[first], order[second] = second, first
        inputs, baselines = self.paths.inputs.clone(), self.paths.baselines.clone()
        inputs[:, second], baselines[..., second] = inputs[:, first], baselines[..., first]

        def function(points: Tensor) -> Tensor:
            return (self.function(points) + self.function(points[:, order])) / 2

        return function, replace(self.paths, inputs=inputs, baselines=baselines)

    @property
    def _owner(self) -> Tensor:
        """The group of every input, (D,)."""
        owners = self.paths.group_of
        if owners is None:
            return torch.arange(self.paths.n_groups, device=self.paths.inputs.device)
        return owners if owners.dim() == 1 else owners[0]
