"""SoftPlus in exported programs: the graph of a copy is rewritten node by node, at the level of aten operations.

The program is not decomposed first: that would tear operations such as hardswish apart before they are recognised.
"""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ihcli.models.formats.exported import ExportedModule
from ihcli.smoothing.forms import FORMS, Form, Hinges
from ihcli.smoothing.vocabulary import RESHAPES, Tally, is_guard, is_in_place, is_squashing, plain_name


def smooth_exported(module: ExportedModule, beta: float) -> ExportedModule:
    """Return a module that computes the program with SoftPlus_beta; parameters are shared, nothing is changed."""
    program = torch.fx.GraphModule(module.graph, copy.deepcopy(module.graph.graph))
    for index, node in enumerate(list(program.graph.nodes)):
        call = _read_node(node)
        if call is not None and call.hinges is not None:
            _replace(program, node, call, f"softplus_{index}", beta)
    program.graph.lint()
    program.recompile()
    smooth = ExportedModule(program, module.batch, module.argument_names)
    smooth.train(module.training)
    return smooth


def tally_exported(module: ExportedModule, tally: Tally) -> None:
    """Count the operations of a program that depend on its inputs."""
    depending: set[torch.fx.Node] = set()
    for node in module.graph.graph.nodes:
        if node.op == "placeholder" or not depending.isdisjoint(node.all_input_nodes):
            depending.add(node)
            _tally_node(node, tally)


def _tally_node(node: torch.fx.Node, tally: Tally) -> None:
    if isinstance(node.target, torch._ops.HigherOrderOperator):
        tally.add_kink("a call that cannot be inlined")
    elif _operation(node):
        call = _read_node(node)
        setting = node.args[1] if len(node.args) > 1 else None
        tally.add(plain_name(_operation(node)), setting, replaceable=call is not None and call.hinges is not None)


@dataclass(frozen=True)
class _Call:
    """A node of one of FORMS: its settings as numbers, or as nodes where they are tensors."""

    form: Form
    inputs: torch.fx.Node
    settings: dict[str, Any]
    hinges: Hinges | None
    in_place: bool


class _SoftPlus(nn.Module):
    """One call of a form computed with SoftPlus_beta."""

    def __init__(self, call: _Call, beta: float) -> None:
        super().__init__()
        self._form = call.form
        self._settings = {name: value for name, value in call.settings.items() if not _is_node(value)}
        self._beta = beta
        self._in_place = call.in_place

    def forward(self, inputs: Tensor, **tensors: Tensor) -> Tensor:
        """Return the smoothed call; settings that are tensors come along."""
        hinges = self._form.hinges(**self._settings, **_broadcast(tensors, inputs))
        if hinges is None:
            raise ValueError("a call without hinges was replaced")
        if self._in_place:
            # From a clone: autograd keeps the argument of SoftPlus, which the copy is about to overwrite.
            return inputs.copy_(hinges.smoothed(inputs.clone(), self._beta))
        return hinges.smoothed(inputs, self._beta)


def _broadcast(tensors: dict[str, Tensor], inputs: Tensor) -> dict[str, Tensor]:
    """Return the tensors with a weight for every channel shaped to stand in axis 1 of the inputs."""
    weight = tensors.get("weight")
    if weight is None or weight.numel() == 1:
        return tensors
    return tensors | {"weight": weight.reshape(-1, *[1] * (inputs.dim() - 2))}


def _read_node(node: torch.fx.Node) -> _Call | None:
    name = _operation(node)
    form = FORMS.get(plain_name(name))
    inputs = node.args[0] if node.args else None
    # A clamped weight is constant along every path, and clamped indices are no activation.
    if form is None or not isinstance(inputs, torch.fx.Node) or inputs.op == "get_attr" or not _is_floating(inputs):
        return None
    settings = dict(zip(form.settings, node.args[1:], strict=False))
    settings |= {key: value for key, value in node.kwargs.items() if key in form.settings}
    readable = not any(key == "out" for key in node.kwargs)
    if is_guard(plain_name(name), settings, _squash(inputs)):
        return _Call(form, inputs, settings, None, is_in_place(name))
    return _Call(form, inputs, settings, _hinges(form, settings) if readable else None, is_in_place(name))


def _squash(node: torch.fx.Node) -> str | None:
    """Return the squashing function that a node gives the result of, None where it is something else."""
    while plain_name(_operation(node)) in RESHAPES and isinstance(node.args[0], torch.fx.Node):
        node = node.args[0]
    name = plain_name(_operation(node))
    return name if is_squashing(name) else None


def _hinges(form: Form, settings: dict[str, Any]) -> Hinges | None:
    """Return the hinges with a name in the place of every tensor, as far as it is known before the program runs."""
    return form.hinges(**{name: f"{name}_" if _is_node(value) else value for name, value in settings.items()})


def _replace(program: torch.fx.GraphModule, node: torch.fx.Node, call: _Call, name: str, beta: float) -> None:
    program.add_submodule(name, _SoftPlus(call, beta))
    tensors = {name: value for name, value in call.settings.items() if _is_node(value)}
    with program.graph.inserting_before(node):
        smoothed = program.graph.call_module(name, (call.inputs,), tensors)
    smoothed.meta = dict(node.meta)
    node.replace_all_uses_with(smoothed)
    program.graph.erase_node(node)


def _operation(node: torch.fx.Node) -> str:
    """Return torch's name of an aten operation, with the mark of its in-place variant; "" for anything else."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return ""
    namespace, _, name = node.target._schema.name.partition("::")
    return name if namespace == "aten" else ""


def _is_node(value: Any) -> bool:
    return isinstance(value, torch.fx.Node)


def _is_floating(node: torch.fx.Node) -> bool:
    value = node.meta.get("val")
    return not isinstance(value, Tensor) or value.is_floating_point()
