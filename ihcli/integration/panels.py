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

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from ihcli.advance import Tell, unheard
from ihcli.derivatives import Along
from ihcli.derivatives.paths import Paths
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

    def __init__(self, along: Along, rule: PanelRule, second_order: bool) -> None:
        self._along = along
        self._rule = rule
        self._second_order = second_order
        self.cost_of_bisection = 2 * len(rule.nodes) + int(second_order)

    def __call__(self, panels: Panels, tell: Tell = unheard) -> Panels:
        """Fill in integrals and estimates; `tell` hears after each batch."""
        directions = int(self._second_order)
        n = len(self._rule.nodes)
        measured = self._along.in_batches(len(panels), n, directions, lambda some: self._measured(_head(panels, some)))
        results, done = [], 0
        for some in measured:
            results.append(some)
            done += len(some)
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

    def _measured(self, panels: Panels) -> Panels:
        nodes = self._rule.on(panels.a, panels.b)
        m, n = nodes.t.shape
        path, t = np.repeat(panels.path, n), nodes.t.ravel()
        if not self._second_order:
            _, gradient = self._along.gradients(path, t)
            return self._first_order_results(panels, nodes, gradient.double().reshape(m, n, -1))
        _, gradient, curvature = self._along.curvatures(path, t)
        gradient, curvature = gradient.double().reshape(m, n, -1), curvature.double().reshape(m, n, -1)
        return self._second_order_results(panels, nodes, gradient, curvature)

    def _first_order_results(self, panels: Panels, nodes: PanelNodes, gradient: Tensor) -> Panels:
        integral = _weigh(nodes.weights, gradient)
        difference = self._embedded_difference(gradient, panels.b - panels.a)
        gap = self._gap(panels, integral)
        estimate = np.maximum(difference.abs().amax(1).sum(1).cpu().numpy(), np.abs(gap))
        noise, none = self._noise(panels, _weigh(nodes.weights, gradient.abs())), np.zeros(len(panels))
        return replace(
            panels,
            integral=integral.cpu().numpy(),
            log_integral=np.zeros((len(panels), 0)),
            error=FIRST_ORDER_SAFETY * estimate + noise,
            noise=noise,
            signed=self._signed(difference),
            gap=gap,
            residual=none,
            last_rows=none,
            last_diagonal=none,
            decay=none,
        )

    def _second_order_results(self, panels: Panels, nodes: PanelNodes, gradient: Tensor, curvature: Tensor) -> Panels:
        integral = _weigh(nodes.weights, gradient)
        log_integral = _weigh(nodes.log_weights, gradient)
        row_sums = _weigh(nodes.log_weights * nodes.t, curvature) + log_integral
        jump = torch.as_tensor(panels.edge[:, 1] - panels.edge[:, 0], device=gradient.device)
        residual, gap = row_sums - jump - integral, self._gap(panels, integral)
        estimate = np.maximum(residual.abs().sum(1).cpu().numpy(), np.abs(gap))
        size = _weigh(nodes.weights, gradient.abs()) + _weigh(nodes.log_weights * nodes.t, curvature.abs())
        noise = self._noise(panels, size)
        coefficients = self._last_coefficients(torch.as_tensor(nodes.t[:, :, None]) * curvature + gradient)
        return replace(
            panels,
            integral=integral.cpu().numpy(),
            log_integral=log_integral.cpu().numpy(),
            error=SECOND_ORDER_SAFETY * estimate + noise,
            noise=noise,
            signed=self._signed(residual[:, None]),
            gap=gap,
            residual=estimate,
            last_rows=coefficients[:, -2:].sum(1).abs().sum(1).cpu().numpy(),
            last_diagonal=_weigh(self._rule.last_pairs[:1], gradient).abs().sum(1).cpu().numpy(),
            decay=np.sqrt(_decay(coefficients)),
        )

    def _signed(self, estimates: Tensor) -> np.ndarray:
        """Return estimates (M, R, G) where there are baselines to average over, (M, 0, G) where there is one."""
        kept = estimates if self._along.paths.n_baselines > 1 else estimates[:, :0]
        return kept.cpu().numpy()

    def _gap(self, panels: Panels, integral: Tensor) -> np.ndarray:
        """Return the scalar residual beyond what rounding of f at both ends, which no bisection mends, may cause."""
        with np.errstate(invalid="ignore"):  # infinity less infinity where f is not finite, nor is the row then
            residual = integral.sum(1).cpu().numpy() - (panels.value[:, 1] - panels.value[:, 0])
            rounding = NOISE * self._along.value_rounding(panels.value).max(1)
            return np.sign(residual) * np.maximum(np.abs(residual) - rounding, 0)

    def _noise(self, panels: Panels, size: Tensor) -> np.ndarray:
        """Return the rounding of the derivatives, of their own size and of what they carry of that of f."""
        carried = self._along.carried(panels.value).max(1) * (panels.b - panels.a)
        return NOISE * (self._along.eps * size.sum(1).cpu().numpy() + carried)

    def _embedded_difference(self, gradient: Tensor, width: np.ndarray) -> Tensor:
        """Return the differences (M, 2, G) to the embedded rule and to its symmetric kin, times min(1, rho)^1.75.

        rho compares the last two Legendre coefficients with the smaller of the two pairs before them: near 1 at a kink,
        small where F is resolved and the rule itself is far better than its embedded one.
        """
        both = np.stack([self._rule.embedded_difference, self._rule.other_parity_difference])
        seen = torch.einsum("kn,mng->mkg", torch.as_tensor(both, device=gradient.device), gradient)
        factor = width / 2 * _decay(self._last_coefficients(gradient)) ** DECAY_POWER
        return seen * torch.as_tensor(factor, device=gradient.device)[:, None, None]

    def _last_coefficients(self, values: Tensor) -> Tensor:
        """Return the last Legendre coefficients of values (M, n, G), up to six of them, (M, 6, G)."""
        last = torch.as_tensor(self._rule.coefficients[-6:], device=values.device)
        return torch.einsum("jn,mng->mjg", last, values)


def _decay(coefficients: Tensor) -> np.ndarray:
    """Return how the last pair of six coefficients (M, 6, G) compares with the smaller before it, at most 1, (M,).

    Of rules with fewer nodes nothing is known: 1.
    """
    size = coefficients.abs().sum(2).cpu().numpy()
    if size.shape[1] < 6:
        return np.ones(len(size))
    pairs = np.hypot(size[:, 0::2], size[:, 1::2])
    before = pairs[:, :2].min(1)
    with np.errstate(invalid="ignore"):
        return np.minimum(1, np.divide(pairs[:, 2], before, out=np.ones_like(before), where=before > 0))


def _weigh(weights: np.ndarray, values: Tensor) -> Tensor:
    return torch.einsum("mn,mng->mg", torch.as_tensor(weights, device=values.device), values)


def _head(panels: Panels, batch: slice) -> Panels:
    return _unmeasured(panels.path[batch], panels.a[batch], panels.b[batch], panels.value[batch], panels.edge[batch])
