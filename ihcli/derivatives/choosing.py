"""Which engine serves a model: the closed form where the model is a chain and it agrees with autograd."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ihcli.derivatives import Engine
from ihcli.derivatives.autograd import AutogradEngine
from ihcli.derivatives.chain import NotAChainError, find_chain
from ihcli.derivatives.mlp import MlpEngine
from ihcli.derivatives.paths import Paths
from ihcli.errors import OptionError

AGREEMENT = {torch.float32: 1e-4, torch.float64: 1e-8}
"""Largest difference between the engines on the probe, relative to the largest entry: rounding, not a formula."""
WANTED = ("auto", "autograd", "mlp")
PROBE_NODES = (0.03, 0.4, 0.9)
FEW_GROUPS = 128
"""Groups up to which the probe takes their directions one by one. What torch imports to take them at once costs more,
once in a process: 0.03 s against 0.46 of a 128-wide network at 30 groups, 0.18 against 0.76 at 128."""


@dataclass(frozen=True)
class Choice:
    """An engine, and why it was taken, in words."""

    engine: Engine
    reason: str


def choose_engine(
    function: Callable[[Tensor], Tensor],
    probe: Paths,
    memory_bytes: int,
    wanted: str = "auto",
    unlike_chain: str = "",
    second_order: bool = True,
) -> Choice:
    """Return the engine for a function from (P, D) to (P, K).

    probe         paths of a few real rows to a few baselines, on which the engines are compared
    memory_bytes  of the engine; the matrices that are compared keep to it too, but for those of one row
    wanted        "auto", or "autograd" or "mlp"
    unlike_chain  why no chain is looked for, which keeps every array of a forward; empty: it is looked for
    second_order  whether matrices will be asked for, and so are compared

    Raises OptionError where "mlp" is wanted and cannot serve.
    """
    if wanted not in WANTED:
        raise OptionError(f"`engine`: {wanted!r} is not an engine. Expected one of {', '.join(WANTED)}.")
    general = AutogradEngine(function, memory_bytes)
    if wanted == "autograd":
        return Choice(general, "asked for")
    try:
        if unlike_chain:
            raise NotAChainError(unlike_chain)
        closed = MlpEngine(find_chain(function, probe.inputs), memory_bytes)
        plain = AutogradEngine(function, memory_bytes, batched=probe.n_groups > FEW_GROUPS)
        _compare(plain, closed, probe, _compared_rows(probe, memory_bytes) if second_order else 0)
    except NotAChainError as reason:
        if wanted == "mlp":
            raise OptionError(
                f"`engine=mlp`: cannot serve this model: {reason}. Expected a chain of affine layers and "
                "element-wise activations. Try auto."
            ) from None
        return Choice(general, f"not in closed form: {reason}")
    return Choice(closed, "a chain of affine layers and element-wise activations")


def _compared_rows(probe: Paths, memory_bytes: int) -> int:
    matrices = 4 * probe.n_groups**2 * probe.inputs.element_size()  # of both engines, and what comparing them takes
    return max(1, min(probe.n_rows, memory_bytes // matrices))


def _compare(general: Engine, closed: Engine, probe: Paths, n_matrices: int) -> None:
    """Raise NotAChainError where the engines differ by more than rounding: gradients, and the first rows' matrices."""
    n_paths = probe.n_rows * probe.n_baselines
    path = np.arange(n_paths).repeat(len(PROBE_NODES))
    t = torch.tensor(PROBE_NODES, dtype=probe.inputs.dtype, device=probe.inputs.device).repeat(n_paths)
    derivatives = [_derivatives(engine, probe, path, t, n_matrices) for engine in (closed, general)]
    for ours, theirs in zip(*derivatives, strict=True):
        difference, size = (ours - theirs).abs().max(), theirs.abs().max()
        if not difference <= AGREEMENT[t.dtype] * size:
            raise NotAChainError(f"the closed form differs from autograd by {float(difference / size):.1e} on a probe")


def _derivatives(engine: Engine, probe: Paths, path: np.ndarray, t: Tensor, n_matrices: int) -> Iterator[Tensor]:
    yield from engine.curvatures(probe, path, t)
    if n_matrices:
        first = np.count_nonzero(probe.rows(path) < n_matrices)
        _, matrices = engine.assemble(probe, path[:first], t[:first], t[:first])
        yield matrices
