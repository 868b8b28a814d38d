"""Squashing functions of exported programs: nodes of a copied graph call the accurate forms."""

import copy
from typing import Any

import torch

from ihcli.heads.forms import ALONG_AXIS, ELEMENTWISE, Form, rounded
from ihcli.models.formats.exported import ExportedModule


def stable_exported(module: ExportedModule, final: frozenset[int], form: Form) -> ExportedModule:
    """Return a module that computes these squashing functions in another form, counted from the last one back.

    Parameters are shared, nothing is changed.
    """
    program = torch.fx.GraphModule(module.graph, copy.deepcopy(module.graph.graph))
    squashes = [node for node in reversed(list(program.graph.nodes)) if _accurate(node) is not None]
    for position in {i % len(squashes) for i in final if squashes}:
        _replace(program.graph, squashes[position], form)
    program.graph.lint()
    program.recompile()
    stable = ExportedModule(program, module.batch, module.argument_names)
    stable.train(module.training)
    return stable


def _replace(graph: torch.fx.Graph, node: torch.fx.Node, form: Form) -> None:
    function = _accurate(node)
    if function is None:
        raise ValueError(f"{node} is not a squashing function")
    arguments = node.args[: 1 if _name(node) in ELEMENTWISE else 2]
    with graph.inserting_before(node):
        other: Any = arguments[0]
        if form is not Form.LEFT_OUT:
            other = graph.call_function(function, arguments)
        if form is Form.ROUNDED:
            other = graph.call_function(rounded, (other, arguments[0]))
    node.replace_all_uses_with(other)
    graph.erase_node(node)


def _accurate(node: torch.fx.Node) -> Any:
    if not isinstance(node.target, torch._ops.OpOverload) or node.target.namespace != "aten":
        return None
    name = node.target.overloadpacket.__name__
    is_cast = any(isinstance(value, torch.dtype) for value in (*node.args, *node.kwargs.values()))
    return None if is_cast else {**ELEMENTWISE, **ALONG_AXIS}.get(name)


def _name(node: torch.fx.Node) -> str:
    return str(node.target.overloadpacket.__name__)  # type: ignore[union-attr]
