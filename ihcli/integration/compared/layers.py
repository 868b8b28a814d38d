"""What the layers of a network do when it runs, and what is done outside of them: rules of layers see no more.

A rule that stands in for the derivative of a layer is put there by a hook on the nn.Module. What forward() calls as a
function, what TorchScript runs and what a layer without a rule bends keeps its derivative, and the values are those of
neither method. So each is told by its name, before anything is computed.
"""

import copy
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ihcli.derivatives import Network
from ihcli.derivatives.front import is_linear, used_steps
from ihcli.derivatives.recording import Recorder, Ref, Step
from ihcli.wording import printable

SQUASHING = ("sigmoid", "softmax", "log_softmax", "log_sigmoid_forward")
"""Torch's names of functions that networks end with, and that a scale of logits undoes."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_AFFINE = _words(
    """addmm mm mv bmm baddbmm matmul linear convolution _convolution avg_pool1d avg_pool2d avg_pool3d
    _adaptive_avg_pool2d _adaptive_avg_pool3d upsample_nearest1d upsample_nearest2d upsample_bilinear2d
    cudnn_batch_norm mkldnn_convolution flatten"""
)
_RESHAPING = _words(
    """view _unsafe_view reshape squeeze unsqueeze transpose permute t expand clone alias detach _to_copy flatten
    slice select"""
)


@dataclass(frozen=True)
class Done:
    """An operation on what comes from the inputs.

    layer  the innermost module that did it, None: the network's own wrapping
    """

    step: Step
    layer: nn.Module | None

    @property
    def name(self) -> str:
        """Torch's name of it, as users call it."""
        return self.step.name.strip("_")

    @property
    def is_affine(self) -> bool:
        """Whether derivatives of it are the same everywhere."""
        if self.step.name.rstrip("_") in _AFFINE:
            return sum(isinstance(argument, Ref) for argument in self.step.arguments) == 1
        return is_linear(self.step)

    @property
    def is_reshaping(self) -> bool:
        """Whether it changes where numbers stand, and nothing else."""
        return self.step.name.rstrip("_") in _RESHAPING

    @property
    def kind(self) -> str:
        """Return what the class of the layer is called."""
        kind = type(self.layer)
        return printable(f"nn.{kind.__name__}" if kind.__module__.startswith("torch.nn.") else kind.__name__)

    @property
    def is_ours(self) -> bool:
        """Whether it puts the network's outputs on a scale, and is none of the network."""
        return self.layer is None or type(self.layer).__module__.startswith("ihcli.heads.")

    @property
    def place(self) -> str:
        """Say where it is called."""
        return "to put outputs on their scale" if self.is_ours else f"in {self.kind}"


@dataclass(frozen=True)
class Seen:
    """What was seen of a network at a few rows.

    layers  modules without others inside, by the names of the network
    done    operations that the outputs are made of
    calls   how often each of the layers was called
    """

    layers: dict[str, nn.Module]
    done: tuple[Done, ...]
    calls: Counter[nn.Module]

    def idle(self) -> set[nn.Module]:
        """Return layers that did nothing to what came: left out of the scale, or not called at all."""
        return set(self.layers.values()) - {done.layer for done in self.done}

    def outside(self, rules: tuple[type[nn.Module], ...]) -> Iterator[Done]:
        """Yield what was not done by layers of exactly these classes."""
        return (done for done in self.done if type(done.layer) not in rules)

    def called_again(self, rules: tuple[type[nn.Module], ...]) -> str | None:
        """Return the name of a layer of these classes that is called more than once, None where there is none."""
        return next((n for n, m in self.layers.items() if type(m) in rules and self.calls[m] > 1), None)


def script_in(module: nn.Module) -> bool:
    """Return whether anything in it is TorchScript, whose layers run without their hooks."""
    return any(isinstance(each, torch.jit.ScriptModule) for each in module.modules())


def copied(network: Network) -> Network:
    """Return a network with layers of its own, which share the weights: hooks on them are seen by nobody else."""
    tensors = (*network.module.parameters(), *network.module.buffers())
    return network.around(copy.deepcopy(network.module, {id(tensor): tensor for tensor in tensors}))


def watched(network: Network, rows: Tensor) -> Seen:
    """Run a network at rows (P, D), which its layers let pass as they came, and note what each of them does."""
    with torch.no_grad():
        network.outputs(rows)  # in float64 the first call is made twice, to see whether anything is less inside
    recorder = Recorder(rows)
    calls: Counter[nn.Module] = Counter()
    owners: list[nn.Module | None] = []
    with torch.no_grad(), _noting(network.module, recorder, owners, calls), recorder:
        outputs = network.outputs(rows)
    owners += [None] * (len(recorder.steps) - len(owners))
    result = recorder.ref(outputs)
    used = sorted(used_steps(recorder.steps, result)) if result is not None else []
    layers = {name: each for name, each in network.module.named_modules() if not list(each.children())}
    return Seen(layers, tuple(Done(recorder.steps[i], owners[i]) for i in used), calls)


@contextmanager
def _noting(
    module: nn.Module, recorder: Recorder, owners: list[nn.Module | None], calls: Counter[nn.Module]
) -> Iterator[None]:
    """Note for each step the module that is running, the innermost."""
    running: list[nn.Module | None] = [None]

    def note() -> None:
        owners.extend([running[-1]] * (len(recorder.steps) - len(owners)))

    def enter(entered: nn.Module, inputs: object) -> None:
        note()
        calls[entered] += 1
        running.append(entered)

    def leave(left: nn.Module, inputs: object, outputs: object) -> None:
        note()
        running.pop()

    handles = [
        handle
        for each in module.modules()
        for handle in (each.register_forward_pre_hook(enter), each.register_forward_hook(leave))
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
