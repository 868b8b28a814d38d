"""How far beside the real t of its paths a chain is analytic, known from its weights alone.

Where the first pre-activation moves by t slope, t + iy moves it by iy slope, and |Im a_l| grows no faster than

    v_1 = ||slope||,    v_{l+1} = s_l ||W_{l+1}|| v_l        |Im a_l| <= |y| v_l        (2-norms)

where phi_l is analytic for |Im a| <= w_l with |phi_l'| <= s_l there. So f is analytic for |y| <= min_l w_l / v_l, which
bounds how fast anything can happen along the path. tests/test_derivatives_strips.py holds w and s against dense grids.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ihcli.derivatives.chain import Chain, Elementwise
from ihcli.derivatives.jets import aten, with_in_place_forms
from ihcli.derivatives.paths import Paths

Strip = tuple[float, float]
"""w, and s."""
LEAST_THRESHOLD = 20.0
"""Of a SoftPlus, whose switch to the identity is then a jump of 2e-9, and no kink to any tolerance."""
POWERED, SQUARINGS = 512, 3
"""Up to so many units a norm is bounded by a power of W W', by at most 1.16 times too much at 128 of them."""


def _softplus(beta: float = 1.0, threshold: float = 20.0) -> Strip | None:
    return (math.pi / 2 / abs(beta), 1.0) if beta and threshold >= LEAST_THRESHOLD else None


def _gelu(approximate: str = "none") -> Strip | None:
    return (1.0, 1.6) if approximate == "none" else None


STRIPS: dict[Any, Callable[..., Strip | None]] = with_in_place_forms(
    {
        aten.softplus.default: _softplus,
        aten.tanh.default: lambda: (math.pi / 4, 2.0),
        aten.sigmoid.default: lambda: (math.pi / 2, 0.5),
        aten.silu.default: lambda: (math.pi / 2, 1.6),
        aten.gelu.default: _gelu,
    }
)


@torch.no_grad()
def analytic_within(chain: Chain, paths: Paths) -> float:
    """Return how far beside the real t of these paths f is analytic at least; 0 where that is not known.

    Cost: some products of the chain's weights.
    """
    strips = [_strip(activation) for activation in chain.activations]
    known = [strip for strip in strips if strip is not None]
    if chain.head.steps or len(known) < len(strips):
        return 0.0
    speed, within = _first_speed(chain, paths), math.inf
    for affine, (width, slope) in zip(chain.affines[1:], known, strict=True):
        within = min(within, width / speed if speed else math.inf)
        speed *= slope * norm_bound(affine.weight)
    return within if math.isfinite(speed) else 0.0


def _first_speed(chain: Chain, paths: Paths) -> float:
    """Return the largest norm of dA_1/dt over all paths."""
    (every,) = paths.placed(np.arange(paths.n_rows * paths.n_baselines))
    _, delta = paths.ends(every)
    return float((delta @ chain.affines[0].weight.T).norm(dim=1).max())


def norm_bound(weight: Tensor) -> float:
    """Return a bound of the largest singular value of W: ||(W W')^p||^(1 / 2p), or for large ones what sums give."""
    if min(weight.shape) > POWERED:
        sizes = weight.abs()
        return float((sizes.sum(0).max() * sizes.sum(1).max()).sqrt())
    power = weight @ weight.T if weight.shape[0] <= weight.shape[1] else weight.T @ weight
    size = float(power.norm())
    logarithm = math.log(size) if size else -math.inf
    for squaring in range(SQUARINGS if size else 0):
        power = (power / size) @ (power / size)
        size = float(power.norm())
        logarithm += math.log(size) / 2 ** (squaring + 1)
    return math.exp(logarithm / 2)


def _strip(activation: Elementwise) -> Strip | None:
    step = activation.one_function
    if step is None or step.operation not in STRIPS:
        return None
    return STRIPS[step.operation](*step.arguments[1:], **step.options)
