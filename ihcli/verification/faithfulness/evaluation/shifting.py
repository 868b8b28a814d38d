"""Sensitivity: how far values of a row move when its inputs move a little, relative to their size.

    max over shifts e of |phi(x + e) - phi(x)| / |phi(x)|,     e uniform within RADIUS deviations of each input

Max-sensitivity of Yeh et al. (2019), of values by the run's own method and settings, and of gradients.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ihcli.advance import Tell, unheard
from ihcli.derivatives.paths import Paths
from ihcli.integration.computing import computation_of
from ihcli.methods import METHODS, Method
from ihcli.verification.faithfulness.evaluation.joining import TargetBlock
from ihcli.verification.faithfulness.figures import RUN

RADIUS = 0.02
SHIFTS = 10
"""Of each row, so that a row costs one explanation more."""
Values = dict[str, np.ndarray]


def sensitivity(block: TargetBlock, seed: int, tell: Tell = unheard) -> Values:
    """Return the largest relative change of each row's values, (n,), by what gives them."""
    rng = np.random.default_rng(seed)
    is_open = 1.0 if block.units.is_open is None else block.units.is_open
    before, most = _values(block, block.paths.inputs), dict[str, np.ndarray]()
    for shift in range(SHIFTS):
        moved = rng.uniform(-RADIUS, RADIUS, block.units.inputs.shape) * block.deviations * is_open
        there = block.paths.inputs + torch.as_tensor(moved).to(block.paths.inputs)
        for by, values in _values(block, there).items():
            far = np.linalg.norm(values - before[by], axis=1)
            most[by] = np.fmax(most.get(by, 0.0), far)
        tell((shift + 1) / SHIFTS)
    sizes = {by: np.linalg.norm(values, axis=1) for by, values in before.items()}
    return {
        by: np.divide(far, sizes[by], out=np.full_like(far, np.nan), where=sizes[by] > 0) for by, far in most.items()
    }


def explanations(n_rows: int) -> int:
    """Return how many rows are explained by `sensitivity`."""
    return n_rows * (SHIFTS + 1)


def explaining(method: Method) -> Method:
    """Return what gives the values alone where a method gives pairs as well, of the same function; else itself."""
    same = ("computed_by", "many_baselines", "is_slope", "adds_up")
    alike = (
        other
        for other in METHODS.values()
        if not other.second_order and all(getattr(other, name) == getattr(method, name) for name in same)
    )
    return next(alike, method) if method.second_order else method


def _values(block: TargetBlock, inputs: Tensor) -> Values:
    slopes = {by: np.nan_to_num(values) for by, values in block.slopes(inputs).items()}
    return {RUN: _explained(block, replace(block.paths, inputs=inputs)), **slopes}


def _explained(block: TargetBlock, paths: Paths) -> np.ndarray:
    """Return the values of rows, as many at once as the memory budget holds."""
    explainer = block.joined.explainer
    method, size = explaining(explainer.method), explainer.block_size(block.shape)
    compute, parts = computation_of(method), []
    for first in range(0, paths.n_rows, size):
        some = paths.of_rows(np.arange(first, min(first + size, paths.n_rows)))
        parts.append(compute(explainer.engine.along(some), method, explainer.effort).attributions)
    return np.concatenate(parts).astype(np.float64)
