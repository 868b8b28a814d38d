"""What the derivatives of last operations that nobody knows carry of the rounding of f, measured on a few paths."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ihcli.derivatives import Carried
from ihcli.derivatives.autograd import AutogradEngine
from ihcli.derivatives.paths import Paths
from ihcli.errors import ModelCallError
from ihcli.heads import Stable
from ihcli.integration.measuring import NOISE
from ihcli.models.model import Model
from ihcli.models.wrapping import in_float64

UNMEASURED = 4.0
"""Share where no copy of the model computes in float64, or none of its gradients is known well enough."""
_NODES = (0.0, 0.15, 0.4, 0.65, 0.9, 1.0)
_LEAST = 1.0
_SAFETY = 4.0
_KNOWN = 1e4 * float(torch.finfo(torch.float64).eps)
"""Gradients that are smaller, beside f, may be no more than rounding in float64 either."""
_MEMORY_BYTES = 1 << 26


def carried(stable: Stable, paths: Paths) -> Carried:
    """Return what is rounded beyond its own size; measured where there are operations that nobody knows."""
    found = _measured(stable.model, paths) if stable.unknown else Carried(value=stable.value)
    return replace(found, argument=stable.argument, largest=max(1.0, stable.size))


def _measured(model: Model, paths: Paths) -> Carried:
    """Return what gradients carry, from those of a copy in float64 at points of a few paths.

    Where a gradient is wrong by more than rounding of its own size, as much as is seen, and no less than the rounding
    of f. Where none is, as little as the smallest of them beside f leaves room for: an offset is seen to do no harm.
    """
    value, gradient = _gradients(model, paths)
    size = max(float(value.abs().max()), float(torch.finfo(model.dtype).tiny))
    exact = _in_float64(model, paths)
    if exact is None:
        return Carried(UNMEASURED, size)
    wrong, own = (gradient - exact).abs().sum(1), exact.abs().sum(1)
    eps, is_known = float(torch.finfo(model.dtype).eps), own > _KNOWN * size
    is_wrong = is_known & (wrong > NOISE * eps * own)
    if is_wrong.any():
        return Carried(max(_LEAST, _SAFETY * float(wrong[is_wrong].max()) / (eps * size)), size)
    if not is_known.all():
        return Carried(UNMEASURED, size)
    return Carried(min(UNMEASURED, _SAFETY * NOISE * float(own.min()) / size), size)


def _in_float64(model: Model, paths: Paths) -> Tensor | None:
    """Return the gradients of a copy in float64, None where there is no such copy, or it computes something else."""
    twin = in_float64(model)
    if twin is None:
        return None
    exact = replace(paths, inputs=paths.inputs.double(), baselines=paths.baselines.double())
    try:
        return _gradients(twin, exact)[1]
    except ModelCallError:  # it holds its dtype as a constant
        return None


def _gradients(model: Model, paths: Paths) -> tuple[Tensor, Tensor]:
    """Return f (P,) and F (P, G) at _NODES of every path, in float64."""
    engine = AutogradEngine(model.outputs, _MEMORY_BYTES)
    path = np.arange(paths.n_rows * paths.n_baselines).repeat(len(_NODES))
    t = torch.tensor(_NODES, dtype=model.dtype, device=model.device).repeat(paths.n_rows * paths.n_baselines)
    some = [slice(first, first + 8) for first in range(0, len(path), 8)]
    parts = [engine.gradients(paths, path[part], t[part]) for part in some]
    value, gradient = (torch.cat(part).double() for part in zip(*parts, strict=True))
    return value, gradient
