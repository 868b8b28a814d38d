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

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from ihcli.advance import Tell, unheard
from ihcli.derivatives import Along
from ihcli.derivatives.paths import Paths
from ihcli.derivatives.transfers import Coming
from ihcli.integration.quadrature import PanelNodes, PanelRule

FIRST_ORDER_SAFETY = 4.0
SECOND_ORDER_SAFETY = 2.0
DECAY_POWER = 1.75
NOISE = 16.0
"""Rounding of a derivative in units of eps times its size: an estimate below it cannot be improved by more nodes."""


@dataclass(frozen=True)
class Panels:
    """M panels and what was found on them; arrays with M along the first axis, float64 on the CPU.

    integral      (M, G) int F dt
    log_integral  (M, G) int -ln t F dt; zero columns under first order, like edge
    edge          (M, 2, G) -t ln t F at both ends
    value         (M, 2) f at both ends
    error, noise  (M,) L1 error estimate, and its rounding part
    signed        (M, R, G) residuals, or differences to embedded rules, of which `error` is made, with signs; R = 0
                  where rows have one baseline, over which there is nothing to average
    gap           (M,) the scalar residual, with its sign
    residual      (M,) L1 norm of the vector residual, or the scalar one if that is larger; zeros under first order,
                  like those that follow
    last_rows, last_diagonal  (M,) L1 norms of the sum of the last two Legendre coefficients of t F' + F, of which those
                  of the matrix t H + diag F are the row sums, and of F
    decay         (M,) by what factor coefficients of t F' + F shrink from one to the next, at most 1
    matrix        (M, G, G) int -t ln t H dt in the model's dtype, where it is asked for; else (M, 0, 0)
    norms         (M, 2) L1 norms of the sums of the last two Legendre coefficients of t H, and of the two before; else
                  NaN
    """

    path: np.ndarray
    a: np.ndarray
    b: np.ndarray
    value: np.ndarray
    edge: np.ndarray
    integral: np.ndarray
    log_integral: np.ndarray
    error: np.ndarray
    noise: np.ndarray
    signed: np.ndarray
    gap: np.ndarray
    residual: np.ndarray
    last_rows: np.ndarray
    last_diagonal: np.ndarray
    decay: np.ndarray
    matrix: np.ndarray
    norms: np.ndarray

    def __len__(self) -> int:
        return len(self.path)

    def take(self, where: np.ndarray) -> "Panels":
        """Return the panels at these positions or under this mask."""
        return Panels(*(getattr(self, field.name)[where] for field in fields(self)))

    @staticmethod
    def join(parts: list["Panels"]) -> "Panels":
        """Return all panels of the parts, in order."""
        return Panels(*(np.concatenate([getattr(p, field.name) for p in parts]) for field in fields(Panels)))


def whole_paths(paths: Paths, prediction: np.ndarray, baseline: np.ndarray, second_order: bool) -> Panels:
    """Return one unmeasured panel [0, 1] for every path."""
    m = paths.n_rows * paths.n_baselines
    width = paths.n_groups if second_order else 0
    return _unmeasured(
        path=np.arange(m),
        a=np.zeros(m),
        b=np.ones(m),
        value=np.stack([baseline.ravel(), np.repeat(prediction, paths.n_baselines)], axis=1),
        edge=np.zeros((m, 2, width)),  # -t ln t vanishes at 0 and at 1
    )


def _unmeasured(path: np.ndarray, a: np.ndarray, b: np.ndarray, value: np.ndarray, edge: np.ndarray) -> Panels:
    found = dict.fromkeys(
        [field.name for field in fields(Panels)][len(("path", "a", "b", "value", "edge")) :], np.zeros(0)
    )
    return Panels(path, a, b, value, edge, **found)


class Measure:
    """Evaluates panels: integrals, estimates and, for bisection, what their midpoint knows."""

    def __init__(self, along: Along, rule: PanelRule, second_order: bool, whole: bool = False) -> None:
        """Take the function and the rule; `whole` asks for matrices of panels as well, under second order."""
        self._along = along
        self._rule = rule
        self._second_order = second_order
        self._whole = whole and second_order
        self.cost_of_bisection = 2 * len(rule.nodes) + int(second_order)

    def __call__(self, panels: Panels, tell: Tell = unheard) -> Panels:
        """Fill in integrals and estimates; `tell` hears after each batch."""
        directions = self._along.paths.n_groups if self._whole else int(self._second_order)
        n = len(self._rule.nodes)
        begun = self._along.in_batches(len(panels), n, directions, lambda some: self._begun(_head(panels, some)))
        results, done = [], 0
        for measured in begun:
            results.append(measured())
            done += len(results[-1])
            tell(done / len(panels))
        return Panels.join(results)

    def bisect(self, panels: Panels) -> Panels:
        """Return both halves of every panel, unmeasured; the end they share is evaluated once."""
        middle = (panels.a + panels.b) / 2
        value, edge = self._at(panels.path, middle)
        return _unmeasured(
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

    def _begun(self, panels: Panels) -> Callable[[], Panels]:
        """Have derivatives taken at the nodes; what is returned waits for them and makes figures of them."""
        nodes = self._rule.on(panels.a, panels.b)
        path, t = np.repeat(panels.path, nodes.t.shape[1]), nodes.t.ravel()
        if not self._second_order:
            coming = Coming(self._along.gradients(path, t)[1])
        elif not self._whole:
            coming = Coming(*self._along.curvatures(path, t)[1:])
        else:
            _, gradient, second = self._along.hessians(path, t)
            coming = Coming(gradient, second.sum(2), *self._summed(nodes, second))
        return lambda: self._measured(panels, nodes, coming)

    @np.errstate(over="ignore", invalid="ignore")  # where f is not finite, nor is the row
    def _measured(self, panels: Panels, nodes: PanelNodes, coming: Coming) -> Panels:
        gradient, *more = coming.arrays()
        m = len(panels)
        if not self._second_order:
            return self._first_order_results(panels, nodes, _float64(gradient, m))
        curvature, *matrices = more
        found = self._second_order_results(panels, nodes, _float64(gradient, m), _float64(curvature, m))
        if not matrices:
            return found
        return replace(found, matrix=matrices[0], norms=matrices[1].astype(np.float64))

    def _summed(self, nodes: PanelNodes, second: Tensor) -> tuple[Tensor, Tensor]:
        """Return the matrices of panels, and norms, that second derivatives (P, G, G) at their nodes come to."""
        weights = np.stack([nodes.log_weights * nodes.t / 2, *(self._rule.last_pairs[:, None] * nodes.t)], axis=1)
        (there,) = self._along.placed(weights)
        sums = torch.bmm(there, second.reshape(*nodes.t.shape, -1))
        half = sums[:, 0].unflatten(1, second.shape[1:])
        return half + half.transpose(1, 2), sums[:, 1:].abs().sum(2)  # rounding leaves matrices symmetric

    def _first_order_results(self, panels: Panels, nodes: PanelNodes, gradient: np.ndarray) -> Panels:
        integral = _weigh(nodes.weights, gradient)
        difference = self._embedded_difference(gradient, panels.b - panels.a)
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
            decay=none,
            **_without_matrices(len(panels)),
        )

    def _second_order_results(
        self, panels: Panels, nodes: PanelNodes, gradient: np.ndarray, curvature: np.ndarray
    ) -> Panels:
        integral = _weigh(nodes.weights, gradient)
        log_integral = _weigh(nodes.log_weights, gradient)
        row_sums = _weigh(nodes.log_weights * nodes.t, curvature) + log_integral
        residual, gap = row_sums - (panels.edge[:, 1] - panels.edge[:, 0]) - integral, self._gap(panels, integral)
        estimate = np.maximum(np.abs(residual).sum(1), np.abs(gap))
        size = _weigh(nodes.weights, np.abs(gradient)) + _weigh(nodes.log_weights * nodes.t, np.abs(curvature))
        noise = self._noise(panels, size)
        coefficients = self._last_coefficients(nodes.t[:, :, None] * curvature + gradient)
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
            last_diagonal=np.abs(self._rule.last_pairs[0] @ gradient).sum(1),
            decay=np.sqrt(_decay(coefficients)),
            **_without_matrices(len(panels)),
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
        carried = self._along.carried(panels.value).max(1) * (panels.b - panels.a)
        return NOISE * (self._along.eps * size.sum(1) + carried)

    def _embedded_difference(self, gradient: np.ndarray, width: np.ndarray) -> np.ndarray:
        """Return the differences (M, 2, G) to the embedded rule and to its symmetric kin, times min(1, rho)^1.75.

        rho compares the last two Legendre coefficients with the smaller of the two pairs before them: near 1 at a kink,
        small where F is resolved and the rule itself is far better than its embedded one.
        """
        seen = np.stack([self._rule.embedded_difference, self._rule.other_parity_difference]) @ gradient
        factor = width / 2 * _decay(self._last_coefficients(gradient)) ** DECAY_POWER
        return seen * factor[:, None, None]

    def _last_coefficients(self, values: np.ndarray) -> np.ndarray:
        """Return the last Legendre coefficients of values (M, n, G), up to six of them, (M, 6, G)."""
        return self._rule.coefficients[-6:] @ values


def _without_matrices(m: int) -> dict[str, np.ndarray]:
    return {"matrix": np.zeros((m, 0, 0)), "norms": np.full((m, 2), np.nan)}


def _decay(coefficients: np.ndarray) -> np.ndarray:
    """Return how the last pair of six coefficients (M, 6, G) compares with the smaller before it, at most 1, (M,).

    Of rules with fewer nodes nothing is known: 1.
    """
    size = np.abs(coefficients).sum(2)
    if size.shape[1] < 6:
        return np.ones(len(size))
    pairs = np.hypot(size[:, 0::2], size[:, 1::2])
    before = pairs[:, :2].min(1)
    return np.minimum(1, np.divide(pairs[:, 2], before, out=np.ones_like(before), where=before > 0))


def _float64(values: np.ndarray, m: int) -> np.ndarray:
    """Return values at the nodes of m panels, (m, n, G): float64 is left to the CPU, which is better at it."""
    return values.astype(np.float64).reshape(m, -1, values.shape[1])


def _weigh(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    weighed: np.ndarray = (weights[:, None] @ values)[:, 0]
    return weighed


def _head(panels: Panels, batch: slice) -> Panels:
    return _unmeasured(panels.path[batch], panels.a[batch], panels.b[batch], panels.value[batch], panels.edge[batch])
