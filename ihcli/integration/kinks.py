"""Paths on which F is piecewise constant: follow the kinks instead of covering them with nodes.

Where f is piecewise linear along a path, value and gradient at one point give a whole line of it. The lines of both
ends of a span [a, b] meet at

    t* = a + (f(b) - f(a) - (b - a) s_b) / (s_a - s_b)          s = sum_g F_g, the slope of f along the path

and if t* is the only kink between them, the integral is exact: (t* - a) F(a) + (b - t*) F(b). Probes, values of f on
both sides of t*, tell whether it is. One at t* would not do: of two opposite kinks both lie on the same side of the
point where the outer lines meet, so that f passes through it all the same; but close by, f is on the wrong line.

A span that is not confirmed so is split. Until then its kinks, J_k at t_k, are all taken to be at t*, which misses
sum_k (t* - t_k) J_k, about half the width times ||F(a) - F(b)||_1 = ||sum_k J_k||_1 unless jumps cancel. Those that do
move f off the lines, by r at a probe or at the other end. The error bound is SPREAD_SAFETY times the first and
PROBE_SAFETY times r, and no less than jumps as large as the path's others would make it; tests/test_piecewise.py holds
it to its promise.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from ihcli.advance import Tell, unheard
from ihcli.derivatives import Along
from ihcli.derivatives.paths import Paths
from ihcli.integration.certify import Certificate
from ihcli.integration.effort import NODES, Effort
from ihcli.integration.ledger import Ledger, settled_status, tolerances_of, worst_panels
from ihcli.integration.lines import MOST_SLACK, Lines, Nodes
from ihcli.integration.measuring import NOISE
from ihcli.integration.quadrature import panel_rule

SPREAD_SAFETY = 3.0
PROBE_SAFETY = 4.0
MARGIN = 0.1
"""Splits stay this share of a span away from its ends."""
NARROW = 64.0
"""Spans of this many eps, and those whose kink is known so well, are not split further."""


def certify_piecewise(along: Along, effort: Effort, tell: Tell = unheard) -> Certificate:
    """Follow the kinks of unconverged rows, all rows in the same batches, until each row is settled.

    For first order, on paths where f is piecewise linear: see `ihcli.integration.diagnoses`. Elsewhere it stays honest,
    but wastes evaluations. `effort.steps` does not apply. A row is settled as under `certify`.
    Cost in evaluations: two a path and one a split; about four values of f for each of them.
    """
    paths = along.paths
    n, b = paths.n_rows, paths.n_baselines
    follower = _Follower(along)
    path = np.arange(n * b)
    nodes = follower.nodes(np.tile(path, 2), np.repeat([0.0, 1.0], n * b))
    spans = follower.spans(nodes, path, path, path + n * b)
    baseline_prediction, ends = nodes.value.reshape(2, n, b)
    evaluations = np.full(n, 2 * b)
    while True:
        spans = spans.with_hidden_kinks(n * b)
        attributions = _attributions(paths, nodes, spans)
        ledger = _ledger(spans, attributions, effort)
        chosen, cost = worst_panels(spans, ledger, paths, effort, evaluations, 1)
        if not chosen.any():
            break
        evaluations = evaluations + cost
        tell(1 - np.count_nonzero(cost) / n)
        nodes, halves = follower.split(nodes, spans.take(chosen))
        spans = _Spans.join([spans.take(~chosen), halves])
    return Certificate(
        panels=spans,
        rule=panel_rule(NODES),
        attributions=attributions,
        relative_error=ledger.relative_error,
        evaluations=evaluations.astype(np.int32),
        status=settled_status([ledger]),
        prediction=ends[:, 0],
        baseline_prediction=baseline_prediction,
    )


@dataclass(frozen=True)
class _Spans:
    """M spans between neighbouring nodes, arrays of shape (M,).

    left, right   positions of the nodes at both ends, where t is a and b
    kink, jump    where F is taken to jump, and ||F(a) - F(b)||_1;  split is where to cut the span in two
    is_confirmed  f was seen to follow the lines of both ends
    uncertain     how much of t no line is known for: all of it, or what rounding leaves open about the kink
    error, noise  L1 error bound, and the part of it that splitting does not mend
    """

    path: np.ndarray
    left: np.ndarray
    right: np.ndarray
    a: np.ndarray
    b: np.ndarray
    kink: np.ndarray
    jump: np.ndarray
    split: np.ndarray
    is_confirmed: np.ndarray
    uncertain: np.ndarray
    error: np.ndarray
    noise: np.ndarray

    def __len__(self) -> int:
        return len(self.path)

    def take(self, where: np.ndarray) -> "_Spans":
        return _Spans(*(getattr(self, field.name)[where] for field in fields(self)))

    def with_hidden_kinks(self, n_paths: int) -> "_Spans":
        """Let uncertain parts of spans hide jumps as large as the path's mean where kinks are confirmed.

        A unit that turns on, bends and turns off again leaves F and f at both ends nearly on one line, whatever it does
        in between; what is known of its jumps is how large others are.
        """
        seen = np.bincount(self.path, self.is_confirmed & (self.jump > 0), n_paths)
        total = np.bincount(self.path, np.where(self.is_confirmed, self.jump, 0.0), n_paths)
        typical = np.divide(total, seen, out=np.zeros(n_paths), where=seen > 0)[self.path]
        error = np.maximum(self.error, SPREAD_SAFETY / 2 * self.uncertain * typical)
        return replace(self, error=error, noise=np.where(self.noise < self.error, self.noise, error))

    @staticmethod
    def join(parts: list["_Spans"]) -> "_Spans":
        return _Spans(*(np.concatenate([getattr(p, field.name) for p in parts]) for field in fields(_Spans)))


class _Follower:
    """Takes gradients at nodes, and measures the spans between them."""

    def __init__(self, along: Along) -> None:
        self._along = along
        paths = along.paths
        self._dtype = np.float64 if paths.inputs.dtype == torch.float64 else np.float32
        self._scale = np.zeros(paths.n_rows * paths.n_baselines)  # largest |f| + ||F||_1 that was seen on each path

    def nodes(self, path: np.ndarray, t: np.ndarray) -> Nodes:
        """Take value and gradient at points of paths."""
        nodes = Nodes(t, *self._along.all_gradients(path, t))
        with np.errstate(invalid="ignore"):
            value = self._along.value_rounding(nodes.value) / self._along.eps
            np.maximum.at(self._scale, path, value + np.abs(nodes.gradient).sum(1, dtype=np.float64))
        return nodes

    def split(self, nodes: Nodes, spans: _Spans) -> tuple[Nodes, _Spans]:
        """Take a gradient in every span; return all nodes, and both halves of every span."""
        middle = len(nodes.t) + np.arange(len(spans))
        nodes = nodes.joined(self.nodes(spans.path, spans.split))
        left, right = np.concatenate([spans.left, middle]), np.concatenate([middle, spans.right])
        return nodes, self.spans(nodes, np.tile(spans.path, 2), left, right)

    def spans(self, nodes: Nodes, path: np.ndarray, left: np.ndarray, right: np.ndarray) -> _Spans:
        """Measure the spans between these nodes."""
        with np.errstate(invalid="ignore", over="ignore"):  # where f is not finite, nor is the error
            lines = Lines.of(nodes, left, right, self._along.eps, self._scale[path])
            off, split = self._probed(path, lines)
            is_confirmed = (lines.is_one | (lines.slack < MOST_SLACK)) & (off <= lines.noise)
            spread = SPREAD_SAFETY * lines.width / 2 * lines.jump
            carried = self._along.carried(lines.value).max(1)
            rounding = NOISE * lines.width * (self._along.eps * lines.size + carried)
            error = np.where(is_confirmed, spread * lines.slack, spread + PROBE_SAFETY * off) + rounding
        uncertain = lines.width * np.where(is_confirmed, np.where(lines.is_one, 0, lines.slack), 1)
        is_final = uncertain <= NARROW * self._along.eps
        return _Spans(
            path=path,
            left=left,
            right=right,
            a=lines.a,
            b=nodes.t[right],
            kink=lines.kink,
            jump=np.where(lines.is_one, 0.0, lines.jump),
            split=self._rounded(lines.a + np.clip(split, MARGIN, 1 - MARGIN) * lines.width),
            is_confirmed=is_confirmed,
            uncertain=uncertain,
            error=error,
            noise=np.where(is_final, error, rounding),
        )

    def _probed(self, path: np.ndarray, lines: Lines) -> tuple[np.ndarray, np.ndarray]:
        """Return how far f was seen to be off the lines, and where to split: at t*, or far from it where f was off.

        A span is probed until it fails: the far probes come first, as they tell more about the size of the error.
        """
        off, split = lines.gap, lines.share
        plausible = lines.is_one | (lines.slack < MOST_SLACK)
        for probe in lines.probes():
            some = plausible & (off <= lines.noise)
            if not some.any():
                break
            t = self._rounded(lines.a + probe * lines.width)
            seen = np.zeros(len(path))
            seen[some] = np.abs(self._along.all_values(path[some], t[some]) - lines.at(t)[some])
            off = np.maximum(off, seen)
            is_far = np.abs(probe - lines.share) > MARGIN
            split = np.where(some & is_far & (seen > lines.noise), probe, split)
        return off, split

    def _rounded(self, t: np.ndarray) -> np.ndarray:
        """Round t to the model's dtype, in which an engine takes it."""
        return t.astype(self._dtype).astype(np.float64)


def _ledger(spans: _Spans, attributions: np.ndarray, effort: Effort) -> Ledger:
    n, b, _ = attributions.shape
    error, noise = (np.bincount(spans.path // b, figures, n) / b for figures in (spans.error, spans.noise))
    scale = np.maximum(np.abs(attributions.mean(1)).sum(1), noise)
    return Ledger.of(error, noise, scale, tolerances_of(attributions, effort))


def _attributions(paths: Paths, nodes: Nodes, spans: _Spans) -> np.ndarray:
    """Return phi of each path, (N, B, G): every node's F times the part of the path it stands for."""
    weight = np.bincount(spans.left, spans.kink - spans.a, len(nodes.t))
    weight += np.bincount(spans.right, spans.b - spans.kink, len(nodes.t))
    path = np.zeros(len(nodes.t), dtype=np.int64)
    path[spans.left], path[spans.right] = spans.path, spans.path
    phi = np.zeros((paths.n_rows * paths.n_baselines, paths.n_groups))
    np.add.at(phi, path, weight[:, None] * nodes.gradient)
    return phi.reshape(paths.n_rows, paths.n_baselines, -1)
