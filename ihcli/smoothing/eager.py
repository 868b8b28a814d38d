"""SoftPlus in eager modules: calls are intercepted while the module runs, the module itself is never touched."""

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction
from torch.overrides import TorchFunctionMode

from ihcli.models.model import Model
from ihcli.smoothing.forms import FORMS, Hinges
from ihcli.smoothing.vocabulary import RESHAPES, Tally, is_guard, is_in_place, is_squashing, plain_name

ScriptRewrite = Callable[[torch.jit.ScriptModule], nn.Module]
"""Gives the smoothed copy of a scripted submodule, whose calls cannot be intercepted."""


class SoftPlusModule(nn.Module):
    """A module whose calls of the operations in FORMS are computed with SoftPlus_beta while it runs.

    module  as it was given, shared and not copied
    beta    sharpness of SoftPlus
    """

    def __init__(self, module: nn.Module, beta: float) -> None:
        super().__init__()
        self.module = module
        self.beta = beta
        self.training = module.training

    def forward(self, *inputs: Any, **named: Any) -> Tensor:
        """Run the wrapped module, however it is called; only this thread sees SoftPlus."""
        with _SoftPlusMode(self.beta):
            outputs: Tensor = self.module(*inputs, **named)
        return outputs


def smooth_eager(module: nn.Module, beta: float, rewrite: ScriptRewrite) -> SoftPlusModule:
    """Return a module that computes `module` with SoftPlus_beta; parameters are shared, nothing is changed."""
    return SoftPlusModule(_with_scripts_rewritten(module, rewrite), beta)


def tally_calls(model: Model, probe: Tensor, tally: Tally, rewrite: ScriptRewrite) -> None:
    """Count the operations that inputs (P, D) pass through, scripted submodules apart. Cost: one model call.

    The probe runs smoothed, so whatever bend is still in the autograd graph is one that SoftPlus would not reach.
    """
    with _parameters_frozen(model.module), torch.enable_grad():
        # A clone, because a leaf must not be changed by a model that begins with an in-place operation.
        inputs = probe.detach().requires_grad_().clone()
        rewritten = replace(model, module=_with_scripts_rewritten(model.module, rewrite))
        with _SoftPlusMode(10.0, tally):
            outputs = rewritten.outputs(inputs)
    _tally_unreached(outputs, tally)


def scripts_within(module: nn.Module) -> Iterator[torch.jit.ScriptModule]:
    """Yield the outermost scripted modules: the module itself, or submodules of an eager one."""
    if isinstance(module, torch.jit.ScriptModule):
        yield module
    else:
        for child in module.children():
            yield from scripts_within(child)


def tally_modules(module: nn.Module, tally: Tally) -> None:
    """Count the operations that the classes of submodules tell of; functional calls stay unseen."""
    for part in module.modules():
        if isinstance(part, nn.Threshold):
            tally.add("threshold", replaceable=part.threshold == part.value)
        elif isinstance(part, nn.RNNBase) and part.mode == "RNN_RELU":
            tally.add("rnn_relu")
        elif type(part).__module__.startswith("torch.nn.modules"):
            name = _snake_case(type(part).__name__)
            tally.add(name, getattr(part, "alpha", None), replaceable=name in FORMS)


@dataclass(frozen=True)
class _Call:
    """A call of one of FORMS on floating-point inputs; hinges None where it cannot be replaced."""

    inputs: Tensor
    hinges: Hinges | None
    in_place: bool


def _read_call(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: "_Squashed") -> _Call | None:
    form = FORMS.get(plain_name(name))
    if form is None or kwargs.get("out") is not None:
        return None
    settings = dict(zip(("input", *form.settings, "inplace"), args, strict=False)) | dict(kwargs)
    inputs = settings.pop("input", None)
    inputs = settings.pop("self", inputs)
    # Clamped indices are no activation, and a clamped weight is constant along every path.
    if not isinstance(inputs, Tensor) or isinstance(inputs, nn.Parameter) or not inputs.is_floating_point():
        return None
    in_place = bool(settings.pop("inplace", False)) or is_in_place(name)
    settings.pop("generator", None)
    if is_guard(plain_name(name), settings, made.by(inputs)):
        return _Call(inputs, None, in_place)
    if isinstance(weight := settings.get("weight"), Tensor) and weight.numel() > 1:
        settings["weight"] = weight.reshape(-1, *[1] * (inputs.dim() - 2))
    return _Call(inputs, form.hinges(**settings), in_place)


class _Squashed:
    """What squashing functions gave while a module runs, and views of it."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._kept: list[Any] = []

    def see(self, name: str, args: tuple[Any, ...], result: Any) -> None:
        """Note the result of a call."""
        squash = name if is_squashing(name) else self.by(args[0]) if name in RESHAPES and args else None
        if squash is not None:
            self._names[id(result)] = squash
            self._kept.append(result)

    def by(self, tensor: Any) -> str | None:
        """Return the function that gave a tensor, None where none did."""
        return self._names.get(id(tensor))


class _SoftPlusMode(TorchFunctionMode):
    """Computes every call of FORMS with SoftPlus_beta, and counts the calls that depend on the inputs if asked."""

    def __init__(self, beta: float, tally: Tally | None = None) -> None:
        super().__init__()
        self._beta = beta
        self._tally = tally
        self._squashed = _Squashed()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        call = _read_call(name, args, kwargs, self._squashed)
        if self._tally is not None and _depends_on_inputs((*args, *kwargs.values())):
            replaceable = call is not None and call.hinges is not None
            self._tally.add(plain_name(name), _setting(args, kwargs), replaceable=replaceable)
        if call is None or call.hinges is None:
            result = func(*args, **kwargs)
            self._squashed.see(plain_name(name), args, result)
            return result
        if call.in_place:
            # From a clone: autograd keeps the argument of SoftPlus, which the copy is about to overwrite.
            return call.inputs.copy_(call.hinges.smoothed(call.inputs.clone(), self._beta))
        return call.hinges.smoothed(call.inputs, self._beta)


def _setting(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> object:
    named = [kwargs[name] for name in ("alpha", "p", "ord") if name in kwargs]
    return next(iter([*named, *args[1:2]]), None)


def _depends_on_inputs(arguments: tuple[Any, ...]) -> bool:
    return any(isinstance(argument, Tensor) and argument.requires_grad for argument in arguments)


def _with_scripts_rewritten(module: nn.Module, rewrite: ScriptRewrite) -> nn.Module:
    """Return the module with its scripted submodules rewritten: shallow copies above them, itself if there are none."""
    if isinstance(module, torch.jit.ScriptModule):
        return rewrite(module)
    children = {name: child and _with_scripts_rewritten(child, rewrite) for name, child in module._modules.items()}
    if all(children[name] is child for name, child in module._modules.items()):
        return module
    above = copy.copy(module)
    above._modules = children
    return above


@contextmanager
def _parameters_frozen(module: nn.Module) -> Iterator[None]:
    """Let only the inputs require gradients, so that what requires them depends on the inputs."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


def _tally_unreached(outputs: Tensor, tally: Tally) -> None:
    for node in _autograd_nodes(outputs):
        label = type(node).__name__
        if isinstance(node, BackwardCFunction):
            tally.add_kink(f"autograd.Function {label.removesuffix('Backward')}")
        elif (name := _snake_case(re.sub(r"Backward\d*$", "", label))) in FORMS and not tally.has_kink(name):
            tally.add_kink(f"{name} inside another function")


def _autograd_nodes(outputs: Tensor) -> Iterator[Any]:
    pending, seen = [outputs.grad_fn], set()
    while pending:
        node = pending.pop()
        if node is not None and node not in seen:
            seen.add(node)
            pending += [parent for parent, _ in node.next_functions]
            yield node


def _snake_case(name: str) -> str:
    """Return torch's class name as its operation is called: MaxPool2d as max_pool2d, LeakyReLU as leaky_relu."""
    spelled = name.replace("ReLU", "Relu").replace("PRelu", "Prelu").replace("RRelu", "Rrelu").replace("SiLU", "Silu")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", spelled).lower()
