"""What a function is like along paths: piecewise linear, with kinks that no refinement certifies, or with steps."""

from collections.abc import Callable

import numpy as np

from ihcli.derivatives import Along
from ihcli.integration.effort import NODES
from ihcli.integration.ledger import MAX_LEVEL
from ihcli.integration.measuring import NOISE, Measure
from ihcli.integration.panels import Panels, whole_paths
from ihcli.integration.quadrature import panel_rule

Exact = Callable[[], Along | None]
PROBES_PER_PATH = 16
FEW_PATHS = 4
STILL_SHARE = 0.5
STILL_NOISE = 4.0
"""Rounding of F between two points of one piece, in units of eps times its size: the same products in other batches."""
TELLING = 1e-3
"""Least change of F, relative to its largest on the path, that tells anything: on a plateau F is mostly rounding."""
UNSEEN, UNSEEN_SHARE = 4.0, 0.25
"""f rises unseen where it changes this many times faster than the slopes at both ends of a step say, which few sums of
kinks do; and this share of all that it does is enough to tell that it is smooth."""
SUSPECT_LEVELS = 16
"""Bisections while `find_kinks` zooms in: what still jumps across 2^-16 of a path may be a kink, and is looked at
again. What still jumps across 2^-MAX_LEVEL, the narrowest panel, is one, for all that refinement can do."""
QUIET, QUIET_LEVELS = 1e-5, 3
"""A path is zoomed into no further where so many panels, one within the other, left no more than this of ||phi||_1: a
kink leaves as much at every width, but of one panel may leave nothing by chance, for where it lies in it."""
KINK_SIZE = 1e-4
"""Smallest jump that counts, relative to ||phi||_1: a bend that sharp is a kink to any tolerance a user would ask."""
REACHES = np.array([0.6, 1.0, 2.0, 4.0])
STEP_SIZE = 1e-2
"""Least error of whole paths, relative to ||phi||_1, for which steps are looked for: a step is missed by all of it."""
STAYS = 0.5
"""A jump stays where both ends of its panel are moved outwards by these multiples of its width, up to this share of it.
What rounding made of F at two points is something else at the next two. The panel's own ends may be on the kink."""


def is_piecewise_linear(along: Along, exact: Exact = lambda: None) -> bool:
    """Tell whether F stays put along most short steps of these paths, but varies over long ones, or f is one line.

    At PROBES_PER_PATH points of each path F is compared with itself 2 sqrt(eps) further on. Only steps over which a
    smooth F, changing as it does up to the next point, would be seen to move are counted: without them float32 could
    not tell a bend from a line. Nor is a step counted where F hardly changes beside its size elsewhere, and none where
    much of what f does is between points where no slope says so: a saturated output is flat but for its rounding, and
    its rise may be anywhere. A few paths are enough.

    Parameters:
        exact: see `find_kinks`; some of the paths must be piecewise linear in float64 too, as rounding to float32 is

    Cost in evaluations a path: 2 PROBES_PER_PATH.
    """
    every = np.arange(along.paths.n_rows * along.paths.n_baselines)
    if not _stays_put(along, every):
        return False
    precise = exact()
    return precise is None or _stays_put(precise, every[:: max(1, len(every) // FEW_PATHS)])


def _stays_put(along: Along, paths: np.ndarray) -> bool:
    eps, m, q = along.eps, len(paths), PROBES_PER_PATH
    step = 2 * eps**0.5
    t = (np.arange(q) + np.random.default_rng(0).uniform(0, 0.9, (m, q))) / q
    value, gradient = along.all_gradients(np.repeat(paths, 2 * q), np.stack([t, t + step], axis=2).ravel())
    value, gradient = value.reshape(m, q, 2)[:, :, 0], gradient.reshape(m, q, 2, -1).astype(np.float64)
    apart = np.diff(t, axis=1)
    with np.errstate(invalid="ignore"):
        size = np.abs(gradient).sum(3).max(2)
        noise = STILL_NOISE * eps * size[:, :-1]
        moved = np.abs(gradient[:, :-1, 1] - gradient[:, :-1, 0]).sum(2)
        drift = np.abs(np.diff(gradient[:, :, 0], axis=1)).sum(2)
        if _rises_unseen(value, np.abs(gradient[:, :, 0].sum(2)), apart, NOISE * eps):
            return False
        telling = (drift * step / apart > noise) & (drift > TELLING * size.max(1, keepdims=True))
        if telling.any():
            return bool(np.mean(moved[telling] <= noise[telling]) >= STILL_SHARE)
        return bool(np.all(drift <= noise))


def _rises_unseen(value: np.ndarray, slope: np.ndarray, apart: np.ndarray, rounding: float) -> bool:
    """Return whether much of what f does, (M, Q), is between points whose slopes say nothing of it."""
    change = np.abs(np.diff(value, axis=1)) - rounding * np.abs(value).max(1, keepdims=True)
    told = UNSEEN * apart * np.maximum(slope[:, 1:], slope[:, :-1])
    return bool(change[change > told].sum() > UNSEEN_SHARE * np.clip(change, 0, None).sum())


def find_kinks(along: Along, exact: Exact = lambda: None, most: int | None = None) -> np.ndarray:
    """Return which paths cross a kink: a jump of F that F' does not account for, or one of f, (N, B) bool.

    Zooms into the half with the larger residual. A bend loses its residual once the panel is narrower than the bend; a
    kink keeps it at every width, so no refinement will ever certify second derivatives there. What is rounded to
    float32 bends and jumps as well: whatever looks like a kink is looked at again in float64 where that can be had, and
    must be there still when the ends of its panel are moved.

    Parameters:
        exact: gives the same function along the same paths in float64, None where there is none; called if need be
        most: kinks are confirmed on so many paths only, those with the largest jumps; None: on all

    Cost in evaluations: SUSPECT_LEVELS bisections a path at most, some six of a smooth one, and MAX_LEVEL of those that
    are confirmed.
    """
    every = np.arange(along.paths.n_rows * along.paths.n_baselines)
    return _with_jumps(along, exact, every, most, second_order=True)


def find_steps(along: Along, exact: Exact = lambda: None, most: int = FEW_PATHS) -> np.ndarray:
    """Return which paths cross a step of f itself, which no gradient accounts for, (N, B) bool; see `find_kinks`.

    Of the paths only so many are looked at, those that a panel leaves most of, and none of which it leaves little.
    Cost in evaluations a path: NODES; then as `find_kinks`.
    """
    whole, size = _measured(along, second_order=False)
    left_over = np.divide(whole.error, size, out=np.zeros_like(size), where=size > 0)
    left_over[(size == 0) & (whole.error > 0)] = np.inf
    worst = np.argsort(-left_over, kind="stable")[: np.count_nonzero(left_over > STEP_SIZE)]
    return _with_jumps(along, exact, np.sort(worst[:most]), most, second_order=False)


def _with_jumps(along: Along, exact: Exact, path: np.ndarray, most: int | None, second_order: bool) -> np.ndarray:
    """Return which of these paths cross what neither narrower panels nor float64 mend, among all, (N, B) bool."""
    paths = along.paths
    found = np.zeros(paths.n_rows * paths.n_baselines, dtype=bool)
    if len(path):
        panels, jump = _zoomed(along, path, SUSPECT_LEVELS, second_order)
        suspects = np.argsort(-jump, kind="stable")[: np.count_nonzero(jump > KINK_SIZE)][:most]
        if len(suspects):
            suspects.sort()
            found[path[suspects]] = _last(exact() or along, panels.take(suspects), second_order)
    return found.reshape(paths.n_rows, paths.n_baselines)


def _last(along: Along, panels: Panels, second_order: bool) -> np.ndarray:
    """Return which of these panels, one of a path, hold a jump, (M,) bool; in float64 each path is zoomed into anew."""
    jumps = np.ones(len(panels), dtype=bool)
    if along.eps == np.finfo(np.float64).eps:
        panels, jump = _zoomed(along, panels.path, MAX_LEVEL, second_order)
        jumps = jump > KINK_SIZE
    return jumps & _stay(along, panels)


def _measured(along: Along, second_order: bool) -> tuple[Panels, np.ndarray]:
    """Return a panel for each path, and ||phi||_1 of it."""
    measure, (prediction, baseline) = Measure(along, panel_rule(NODES), second_order), along.ends()
    whole = measure(whole_paths(along.paths, prediction, baseline, second_order))
    return whole, np.abs(whole.integral).sum(1)


def _zoomed(along: Along, path: np.ndarray, levels: int, second_order: bool) -> tuple[Panels, np.ndarray]:
    """Return the panel of 2^-levels that the largest residual of each path leads to, or a wider one of a quiet path.

    Also that residual relative to ||phi||_1, 0 where it may be rounding.
    """
    whole, size = _measured(along, second_order)
    measure, worst, size = Measure(along, panel_rule(NODES), second_order), whole.take(path), size[path]
    jump, quiet = _jump(worst, size), np.zeros(len(worst), dtype=np.int64)
    for _ in range(levels):
        going = np.flatnonzero(quiet < QUIET_LEVELS)
        if not len(going):
            break
        halves = measure(measure.bisect(worst.take(going)))
        left = np.arange(len(going))
        right = left + len(going)
        narrower = halves.take(np.where(halves.error[left] >= halves.error[right], left, right))
        jump[going] = _jump(narrower, size[going])
        quiet[going] = np.where(jump[going] > QUIET, 0, quiet[going] + 1)
        worst = worst.put(going, narrower)
    return worst, jump


def _jump(panels: Panels, size: np.ndarray) -> np.ndarray:
    """Return the residuals of panels relative to sizes (M,), 0 where they may be rounding."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(panels.error > 4 * panels.noise, panels.error / size, 0.0)


def _stay(along: Along, panels: Panels) -> np.ndarray:
    """Return which jumps of F, or of f where that is more, are there still when the ends of their panels move."""
    width = (panels.b - panels.a)[:, None] * REACHES
    ends = np.stack([panels.a[:, None] - width, panels.b[:, None] + width]).clip(0, 1)  # 2, M, K
    path = np.broadcast_to(panels.path[:, None], ends.shape)
    value, gradient = along.all_gradients(path.ravel(), ends.ravel())
    value, gradient = value.reshape(ends.shape), gradient.reshape(*ends.shape, -1).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        kink = gradient[1] - gradient[0]
        step = value[1] - value[0] - (ends[1] - ends[0]) * gradient.sum(3).mean(0)
        middle = (panels.a + panels.b) / 2
        is_step = np.abs(step[:, 0]) > -middle * np.log(middle) * np.abs(kink[:, 0]).sum(1)
        kink_stays = _is_still(np.abs(kink[:, 0]).sum(1), np.abs(kink - kink[:, :1]).sum(2).max(1))
        step_stays = _is_still(np.abs(step[:, 0]), np.abs(step - step[:, :1]).max(1))
    return np.where(is_step, step_stays, kink_stays)


def _is_still(size: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Return which jumps (M,) keep their size; one of no size, as where a path leads from a row to itself, is none."""
    return (size != 0) & ~(change > STAYS * size)
