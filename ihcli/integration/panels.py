"""Panels: intervals of paths, and what is found on them."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from ihcli.derivatives.paths import Paths
from ihcli.integration.quadrature import PanelRule


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
    least         (M,) what the error of the matrix is taken for at least
    n_nodes       (M,) of the rule that measured them, which may be an extension of that of the others
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
    least: np.ndarray
    n_nodes: np.ndarray

    def __len__(self) -> int:
        return len(self.path)

    def take(self, where: np.ndarray | slice) -> "Panels":
        """Return the panels at these positions or under this mask."""
        return Panels(*(getattr(self, field.name)[where] for field in fields(self)))

    def by_rule(self, rule: PanelRule) -> Iterator[tuple[PanelRule, np.ndarray]]:
        """Yield this rule and its extensions, with the positions of the panels that each of them measured, if any."""
        for by in (rule, *rule.extensions):
            which = np.flatnonzero(self.n_nodes == len(by.nodes))
            if len(which):
                yield by, which

    def put(self, where: np.ndarray, others: "Panels") -> "Panels":
        """Return the same with others at these positions."""
        place = np.arange(len(self))
        place[where] = len(self) + np.arange(len(where))
        return Panels.join([self, others]).take(place)

    @staticmethod
    def join(parts: list["Panels"]) -> "Panels":
        """Return all panels of the parts, in order."""
        return Panels(*(np.concatenate([getattr(p, field.name) for p in parts]) for field in fields(Panels)))


def whole_paths(paths: Paths, prediction: np.ndarray, baseline: np.ndarray, second_order: bool) -> Panels:
    """Return one unmeasured panel [0, 1] for every path."""
    m = paths.n_rows * paths.n_baselines
    width = paths.n_groups if second_order else 0
    return of_ends(
        path=np.arange(m),
        a=np.zeros(m),
        b=np.ones(m),
        value=np.stack([baseline.ravel(), np.repeat(prediction, paths.n_baselines)], axis=1),
        edge=np.zeros((m, 2, width)),  # -t ln t vanishes at 0 and at 1
    )


def of_ends(path: np.ndarray, a: np.ndarray, b: np.ndarray, value: np.ndarray, edge: np.ndarray) -> Panels:
    """Return panels of which no more is known than f, and under second order -t ln t F, at their ends."""
    found = dict.fromkeys(
        [field.name for field in fields(Panels)][len(("path", "a", "b", "value", "edge")) :], np.zeros(0)
    )
    return Panels(path, a, b, value, edge, **found)


def unmeasured(panels: Panels, batch: slice | np.ndarray) -> Panels:
    """Return some panels as they were before they were measured."""
    return of_ends(panels.path[batch], panels.a[batch], panels.b[batch], panels.value[batch], panels.edge[batch])
