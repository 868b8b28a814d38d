"""Panels measured: the integrals of F on an interval of a path, and how wrong they may be.

On every panel two identities hold, and neither needs a second derivative beyond one Hessian-vector product:

    scalar   int_a^b sum_g F_g dt              = f(z(b)) - f(z(a))
    vector   int_a^b [-t ln t F' - ln t F] dt  = [-t ln t F]_a^b + int_a^b F dt        (F' = H 1)

The vector identity follows by parts and states, panel by panel, that the rows of the interactions sum to the
attributions. Its residual is the error of those row sums: second order reports twice its L1 norm. First order has no
such identity and reports four times the L1 difference to the embedded rule that leaves out a node (or what the Legendre
coefficient before the last says, where F is symmetric about the panel's middle and the last one is 0), less where the
coefficients of F are seen to decay, an idea of Berntsen and Espelid (1991). The scalar residual adds signed
errors, so it only bounds the error from below; but four times it catches a kink between the outermost node and the
panel's end, where no node looks. tests/test_certify_honesty.py holds the factors to their promise.

Both identities are linear: of the mean over many baselines they say what the mean of the signed residuals is, which
`ihcli.integration.ledger` makes use of. What else is kept of a panel's last Legendre coefficients tells
`ihcli.integration.matrix` how far the error of a whole matrix may exceed that of its row sums.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ihcli.advance import Tell, unheard
from ihcli.derivatives import Along
from ihcli.derivatives.transfers import Coming, upload
from ihcli.integration.coefficients import decay, embedded_difference, last_coefficients
from ihcli.integration.matrix import no_better_than
from ihcli.integration.panels import Panels, of_ends, unmeasured
from ihcli.integration.quadrature import PanelNodes, PanelRule

FIRST_ORDER_SAFETY = 4.0
SECOND_ORDER_SAFETY = 2.0
NOISE = 16.0
"""Rounding of a derivative in units of eps times its size: an estimate below it cannot be improved by more nodes."""


@dataclass(frozen=True)
class _Seen:
    """F and F' at the n nodes of M panels, (M, n, G) float64, and H, (M, n, G G); the last two as far as asked for."""

    gradient: np.ndarray
    curvature: np.ndarray | None
    second: Tensor | None

    def take(self, where: np.ndarray | slice) -> "_Seen":
        """Return what is seen of some panels."""
        curvature, second = self.curvature, self.second
        if second is not None:
            second = second[where] if isinstance(where, slice) else second[upload(second.device, where)[0]]
        return _Seen(self.gradient[where], None if curvature is None else curvature[where], second)

    @staticmethod
    def join(parts: Sequence["_Seen"], axis: int) -> "_Seen":
        """Return what is seen of the panels of all parts, or at the nodes of all."""
        curvatures = [part.curvature for part in parts if part.curvature is not None]
        seconds = [part.second for part in parts if part.second is not None]
        return _Seen(
            np.concatenate([part.gradient for part in parts], axis),
            np.concatenate(curvatures, axis) if curvatures else None,
            torch.cat(seconds, axis) if seconds else None,
        )


Extends = Callable[[Panels], np.ndarray]
"""Tells of measured panels which are to be measured by the rule's next extension as well, (M,) bool."""


class Measure:
    """Evaluates panels: integrals, estimates and, for bisection, what their midpoint knows."""

    def __init__(self, along: Along, rule: PanelRule, second_order: bool, whole: bool = False) -> None:
        """Take the function and the rule; `whole` asks for matrices of panels as well, under second order."""
        self._along = along
        self._rule = rule
        self._second_order = second_order
        self._whole = whole and second_order
        self.cost_of_bisection = 2 * len(rule.nodes) + int(second_order)

    def __call__(self, panels: Panels, tell: Tell = unheard, extends: Extends | None = None) -> Panels:
        """Fill in integrals and estimates; `tell` hears after each batch, and `extends` says of it what to extend."""
        measured, where, seen = self._by(self._rule, panels, None, extends, tell)
        for rule in self._rule.extensions if self._second_order else self._rule.extensions[-1:]:
            if seen is None:
                break
            shorter = measured.take(where) if rule is not self._rule.extensions[-1] else None
            again, more, seen = self._by(rule, unmeasured(panels, where), seen, extends, shorter=shorter)
            measured = measured.put(where, again)
            where = where[more]
        return measured

    def _by(
        self,
        rule: PanelRule,
        panels: Panels,
        before: _Seen | None,
        extends: Extends | None,
        tell: Tell = unheard,
        shorter: Panels | None = None,
    ) -> tuple[Panels, np.ndarray, _Seen | None]:
        """Return panels measured by a rule, the positions of those to extend, and what is seen of these, if any."""
        found, longer, held, done = [], [np.zeros(0, np.int64)], [], 0
        for some, seen in self._in_batches(panels, rule, before):
            if shorter is not None:
                some = no_better_than(some, shorter.take(slice(done, done + len(some))), self._rule)
            which = np.zeros(0, np.int64) if extends is None else np.flatnonzero(extends(some))
            if len(which):
                longer.append(done + which)
                held.append(seen.take(which))
            found.append(some)
            done += len(some)
            tell(done / len(panels))
        return Panels.join(found), np.concatenate(longer), _Seen.join(held, 0) if held else None

    def _in_batches(
        self, panels: Panels, rule: PanelRule, before: _Seen | None = None
    ) -> Iterator[tuple[Panels, _Seen]]:
        """Yield measured panels and what was seen of them; what was `before` is seen at the first nodes of the rule."""
        directions = self._along.paths.n_groups if self._whole else int(self._second_order)
        n = len(rule.nodes) - (0 if before is None else before.gradient.shape[1])

        def begun(some: slice) -> Callable[[], tuple[Panels, _Seen]]:
            return self._begun(unmeasured(panels, some), rule, None if before is None else before.take(some))

        for measured in self._along.in_batches(len(panels), n, directions, begun):
            yield measured()

    def bisect(self, panels: Panels) -> Panels:
        """Return both halves of every panel, unmeasured; the end they share is evaluated once."""
        middle = (panels.a + panels.b) / 2
        value, edge = self._at(panels.path, middle)
        return of_ends(
            path=np.tile(panels.path, 2),
            a=np.concatenate([panels.a, middle]),
            b=np.concatenate([middle, panels.b]),
            value=np.concatenate([np.stack([panels.value[:, 0], value], 1), np.stack([value, panels.value[:, 1]], 1)]),
            edge=np.concatenate([np.stack([panels.edge[:, 0], edge], 1), np.stack([edge, panels.edge[:, 1]], 1)]),
        )

    def _at(self, path: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return f and -t ln t F at single points of paths; under first order only f."""
        if not self._second_order:
            return self._along.all_values(path, t), np.zeros((len(path), 0))
        value, gradient = self._along.all_gradients(path, t)
        return value, gradient * (-t * np.log(t))[:, None]

    def _begun(self, panels: Panels, rule: PanelRule, before: _Seen | None) -> Callable[[], tuple[Panels, _Seen]]:
        """Have derivatives taken at the nodes; what is returned waits for them and makes figures of them."""
        nodes = rule.on(panels.a, panels.b)
        t = nodes.t if before is None else nodes.t[:, before.gradient.shape[1] :]
        at, second = (np.repeat(panels.path, t.shape[1]), t.ravel()), None
        if not self._second_order:
            coming = Coming(self._along.gradients(*at)[1])
        elif not self._whole:
            coming = Coming(*self._along.curvatures(*at)[1:])
        else:
            _, gradient, here = self._along.hessians(*at)
            second = here.reshape(*t.shape, -1)
            if before is not None and before.second is not None:
                second = torch.cat([before.second, second], 1)
            coming = Coming(gradient, here.sum(2), *self._summed(rule, nodes, second))
        return lambda: self._measured(panels, rule, nodes, coming, second, before)

    @np.errstate(over="ignore", invalid="ignore")  # where f is not finite, nor is the row
    def _measured(
        self,
        panels: Panels,
        rule: PanelRule,
        nodes: PanelNodes,
        coming: Coming,
        second: Tensor | None,
        before: _Seen | None,
    ) -> tuple[Panels, _Seen]:
        gradient, *more = coming.arrays()
        m = len(panels)
        seen = _Seen(_float64(gradient, m), _float64(more[0], m) if more else None, second)
        if before is not None:
            joined = _Seen.join([replace(before, second=None), replace(seen, second=None)], 1)
            seen = replace(joined, second=second)
        if seen.curvature is None:
            return self._first_order_results(panels, rule, nodes, seen.gradient), seen
        found = self._second_order_results(panels, rule, nodes, seen.gradient, seen.curvature)
        if second is None:
            return found, seen
        _, matrix, norms = more
        return replace(found, matrix=matrix, norms=norms.astype(np.float64)), seen

    def _summed(self, rule: PanelRule, nodes: PanelNodes, second: Tensor) -> tuple[Tensor, Tensor]:
        """Return the matrices of panels, and norms, that second derivatives (M, n, G G) at their nodes come to."""
        g = self._along.paths.n_groups
        weights = np.stack([nodes.log_weights * nodes.t / 2, *(rule.last_pairs[:, None] * nodes.t)], axis=1)
        (there,) = self._along.placed(weights)
        sums = torch.bmm(there, second)
        half = sums[:, 0].unflatten(1, (g, g))
        return half + half.transpose(1, 2), sums[:, 1:].abs().sum(2)  # rounding leaves matrices symmetric

    def _first_order_results(self, panels: Panels, rule: PanelRule, nodes: PanelNodes, gradient: np.ndarray) -> Panels:
        integral = _weigh(nodes.weights, gradient)
        resolved = decay(last_coefficients(rule, gradient))
        difference = embedded_difference(rule, gradient, resolved, panels.b - panels.a)
        gap = self._gap(panels, integral)
        estimate = np.maximum(np.abs(difference).max(1).sum(1), np.abs(gap))
        noise, none = self._noise(panels, _weigh(nodes.weights, np.abs(gradient))), np.zeros(len(panels))
        return replace(
            panels,
            integral=integral,
            log_integral=np.zeros((len(panels), 0)),
            error=FIRST_ORDER_SAFETY * estimate + noise,
            noise=noise,
            signed=self._signed(difference),
            gap=gap,
            residual=none,
            last_rows=none,
            last_diagonal=none,
            decay=np.sqrt(resolved),
            **_others(len(panels), rule),
        )

    def _second_order_results(
        self, panels: Panels, rule: PanelRule, nodes: PanelNodes, gradient: np.ndarray, curvature: np.ndarray
    ) -> Panels:
        integral = _weigh(nodes.weights, gradient)
        log_integral = _weigh(nodes.log_weights, gradient)
        row_sums = _weigh(nodes.log_weights * nodes.t, curvature) + log_integral
        residual, gap = row_sums - (panels.edge[:, 1] - panels.edge[:, 0]) - integral, self._gap(panels, integral)
        estimate = np.maximum(np.abs(residual).sum(1), np.abs(gap))
        size = _weigh(nodes.weights, np.abs(gradient)) + _weigh(nodes.log_weights * nodes.t, np.abs(curvature))
        noise = self._noise(panels, size)
        coefficients = last_coefficients(rule, nodes.t[:, :, None] * curvature + gradient)
        return replace(
            panels,
            integral=integral,
            log_integral=log_integral,
            error=SECOND_ORDER_SAFETY * estimate + noise,
            noise=noise,
            signed=self._signed(residual[:, None]),
            gap=gap,
            residual=estimate,
            last_rows=np.abs(coefficients[:, -2:].sum(1)).sum(1),
            last_diagonal=np.abs(rule.last_pairs[0] @ gradient).sum(1),
            decay=np.sqrt(decay(coefficients)),
            **_others(len(panels), rule),
        )

    def _signed(self, estimates: np.ndarray) -> np.ndarray:
        """Return estimates (M, R, G) where there are baselines to average over, (M, 0, G) where there is one."""
        return estimates if self._along.paths.n_baselines > 1 else estimates[:, :0]

    def _gap(self, panels: Panels, integral: np.ndarray) -> np.ndarray:
        """Return the scalar residual beyond what rounding of f at both ends, which no bisection mends, may cause."""
        residual = integral.sum(1) - (panels.value[:, 1] - panels.value[:, 0])
        rounding = NOISE * self._along.value_rounding(panels.value).max(1)
        return np.sign(residual) * np.maximum(np.abs(residual) - rounding, 0)

    def _noise(self, panels: Panels, size: np.ndarray) -> np.ndarray:
        """Return the rounding of the derivatives, of their own size and of what they carry of that of f."""
        width, total = panels.b - panels.a, size.sum(1)
        own = self._along.engine.carried.magnified(total / width) * total
        return NOISE * (self._along.eps * own + self._along.carried(panels.value).max(1) * width)


def _others(m: int, rule: PanelRule) -> dict[str, np.ndarray]:
    """Return what m panels have besides, without matrices, by the rule that measured them."""
    none = {"matrix": np.zeros((m, 0, 0)), "norms": np.full((m, 2), np.nan), "least": np.zeros(m)}
    return {**none, "n_nodes": np.full(m, len(rule.nodes))}


def _float64(values: np.ndarray, m: int) -> np.ndarray:
    """Return values at the nodes of m panels, (m, n, G): float64 is left to the CPU, which is better at it."""
    return values.astype(np.float64).reshape(m, -1, values.shape[1])


def _weigh(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    weighed: np.ndarray = (weights[:, None] @ values)[:, 0]
    return weighed
