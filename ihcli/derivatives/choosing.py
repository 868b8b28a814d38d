"""Which engine serves a model: the fastest that can and that agrees with automatic differentiation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ihcli.derivatives import Engine
from ihcli.derivatives.autograd import AutogradEngine
from ihcli.derivatives.calling import guarded
from ihcli.derivatives.chain import NotAChainError, find_chain
from ihcli.derivatives.mlp import MlpEngine
from ihcli.derivatives.operations import OperationsEngine
from ihcli.derivatives.paths import Paths
from ihcli.derivatives.program import UnknownOperationError
from ihcli.errors import ModelCallError, OptionError

Derivatives = Callable[[Paths, np.ndarray, Tensor], tuple[Tensor, ...]]
"""Of an engine at points of paths."""
AGREEMENT = {torch.float32: 1e-4, torch.float64: 1e-8}
"""Largest difference between the engines on the probe, relative to the largest entry: rounding, not a formula."""
WANTED = ("auto", "autograd", "mlp", "operations")
PROBE_NODES = (0.03, 0.4, 0.9)
FEW_GROUPS = 128
"""Groups up to which the probe takes their directions one by one. What torch imports to take them at once costs more,
once in a process: 0.03 s against 0.46 of a 128-wide network at 30 groups, 0.18 against 0.76 at 128."""
MOST_GATES = 16
"""Gates of the probe of which matrices of a chain are compared: where there are more they open together in turns. One
by one 50 of them took 30 ms, of 900 for 500 rows, and 4,000 half of a run of four rows."""
LEAST_GROUPS = 3
"""Groups from which on operations are faster than a product of backwards for each."""
COMPARED_PRODUCTS = 96
"""Hessian-vector products of automatic differentiation, and more only for a single point, that matrices by operation
are compared with: half a second of a transformer."""


@dataclass(frozen=True)
class Choice:
    """An engine, and why it was taken, in words.

    is_confirmed  whether second derivatives in closed form were the same as those of automatic differentiation, so that
                  neither needs another witness
    """

    engine: Engine
    reason: str
    is_confirmed: bool = False


class _DiffersError(Exception):
    """An engine differs from automatic differentiation; `str` says by how much."""


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
    wanted        "auto", or one of the engines: "mlp", "operations" or "autograd"
    unlike_chain  why no chain is looked for, which keeps every array of a forward; empty: it is looked for
    second_order  whether matrices will be asked for, and so are compared

    Raises OptionError where an engine is wanted and cannot serve.
    """
    if wanted not in WANTED:
        raise OptionError(f"`engine`: {wanted!r} is not an engine. Expected one of {', '.join(WANTED)}.")
    if wanted == "autograd":
        return Choice(AutogradEngine(function, memory_bytes), "asked for")
    reason = "asked for"
    if wanted != "operations":
        try:
            return _as_chain(function, probe, memory_bytes, unlike_chain, second_order)
        except (NotAChainError, _DiffersError) as obstacle:
            reason = f"not in closed form: {obstacle}"
            if wanted == "mlp":
                raise OptionError(
                    f"`engine=mlp`: cannot serve this model: {obstacle}. Expected a chain of affine layers and "
                    "element-wise activations. Try auto."
                ) from None
    if wanted == "auto" and (not second_order or probe.n_groups < LEAST_GROUPS):
        return Choice(AutogradEngine(function, memory_bytes), reason)
    try:
        return Choice(_by_operation(function, probe, memory_bytes, second_order), reason)
    except (UnknownOperationError, _DiffersError) as obstacle:
        if wanted == "operations":
            raise OptionError(
                f"`engine=operations`: cannot serve this model: {obstacle}. Expected operations whose second "
                "derivatives are known. Try auto."
            ) from None
        return Choice(AutogradEngine(function, memory_bytes), f"{reason}; not by operation: {obstacle}")


def _as_chain(
    function: Callable[[Tensor], Tensor], probe: Paths, memory_bytes: int, unlike_chain: str, second_order: bool
) -> Choice:
    if unlike_chain:
        raise NotAChainError(unlike_chain)
    closed = MlpEngine(find_chain(function, probe.inputs), memory_bytes)
    plain = AutogradEngine(function, memory_bytes, batched=False)
    _compare(plain, closed, probe, _compared_points(probe, memory_bytes) if second_order else 0)
    is_confirmed = second_order and not probe.lead_nowhere().all()
    return Choice(closed, "a chain of affine layers and element-wise activations", is_confirmed)


def _by_operation(
    function: Callable[[Tensor], Tensor], probe: Paths, memory_bytes: int, second_order: bool
) -> OperationsEngine:
    """Return the engine where it agrees at a few points; raises UnknownOperationError where there is no rule."""
    engine = OperationsEngine(function, memory_bytes)
    engine.find_program(probe)
    if second_order:
        n = min(probe.n_rows * len(PROBE_NODES), max(1, COMPARED_PRODUCTS // probe.n_groups))
        row, nodes = np.divmod(np.arange(n), len(PROBE_NODES))
        path, t = row * probe.n_baselines, _nodes(probe, PROBE_NODES)[probe.placed(nodes)[0]]
        plain = AutogradEngine(function, memory_bytes, batched=probe.n_groups > FEW_GROUPS)
        _agree(engine.hessians, plain.hessians, (probe, path, t), "what comes by operation")
    return engine


def _nodes(probe: Paths, nodes: Sequence[float]) -> Tensor:
    return torch.tensor(nodes, dtype=probe.inputs.dtype, device=probe.inputs.device)


def _compared_points(probe: Paths, memory_bytes: int) -> int:
    g = min(probe.n_groups, MOST_GATES)
    matrices = 4 * g**2 * probe.inputs.element_size()  # of both engines, and what comparing them takes
    return max(1, memory_bytes // matrices)


def _compare(general: Engine, closed: Engine, probe: Paths, n_matrices: int) -> None:
    """Raise _DiffersError where the engines differ by more than rounding: gradients, and matrices at the first points.

    Without matrices first derivatives alone are taken: a model may have no others.
    """
    n_paths = probe.n_rows * probe.n_baselines
    path = np.arange(n_paths).repeat(len(PROBE_NODES))
    t, subject = _nodes(probe, PROBE_NODES).repeat(n_paths), "the closed form"
    if not n_matrices:
        _agree(closed.gradients, general.gradients, (probe, path, t), subject)
        return
    few = _with_fewer_gates(probe)
    if few is not probe or n_matrices < len(path):
        _agree(closed.curvatures, general.curvatures, (probe, path, t), subject)
    _agree(closed.hessians, general.hessians, (few, path[:n_matrices], t[:n_matrices]), subject)


def _agree(ours: Derivatives, theirs: Derivatives, at: tuple[Paths, np.ndarray, Tensor], subject: str) -> None:
    """Raise _DiffersError where derivatives at these points differ from those of autograd, or it fails."""
    try:
        with guarded("model"):
            expected = theirs(*at)
    except ModelCallError as error:
        raise _DiffersError(f"autograd fails ({error.reason})") from None
    for one, other in zip(ours(*at), expected, strict=True):
        difference, size = (one - other).abs().max(), other.abs().max()
        if not difference <= AGREEMENT[one.dtype] * size:
            raise _DiffersError(f"{subject} differs from autograd by {float(difference / size):.1e} on a probe")


def _with_fewer_gates(probe: Paths) -> Paths:
    """Return paths whose gates open together in turns, of more than MOST_GATES: each product serves all of a turn."""
    g, like = probe.n_groups, probe.inputs
    if g <= MOST_GATES:
        return probe
    group_of = torch.arange(like.shape[1], device=like.device) if probe.group_of is None else probe.group_of
    return replace(probe, n_groups=MOST_GATES, group_of=group_of % MOST_GATES)
