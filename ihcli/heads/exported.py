"""Squashing functions of exported programs: nodes of a copied graph call the accurate forms."""

import copy
from typing import Any

import torch

from ihcli.heads.forms import ALONG_AXIS, ELEMENTWISE, rounded
from ihcli.models.formats.exported import ExportedModule


def stable_exported(module: ExportedModule, final: frozenset[int], is_wide: bool) -> ExportedModule:
    """Return a module that computes these squashing functions in their accurate form, counted from the last one back.

    Parameters are shared, nothing is changed. `is_wide` leaves them in float64.
    """
    program = torch.fx.GraphModule(module.graph, copy.deepcopy(module.graph.graph))
    squashes = [node for node in reversed(list(program.graph.nodes)) if _form(node) is not None]
    for position in {i % len(squashes) for i in final if squashes}:
        _replace(program.graph, squashes[position], is_wide)
    program.graph.lint()
    program.recompile()
    stable = ExportedModule(program, module.batch, module.argument_names)
    stable.train(module.training)
    return stable


def _replace(graph: torch.fx.Graph, node: torch.fx.Node, is_wide: bool) -> None:
    form = _form(node)
    if form is None:
        raise ValueError(f"{node} is not a squashing function")
    arguments = node.args[: 1 if _name(node) in ELEMENTWISE else 2]
    with graph.inserting_before(node):
        accurate = graph.call_function(form, arguments)
        if not is_wide:
            accurate = graph.call_function(rounded, (accurate, arguments[0]))
    node.replace_all_uses_with(accurate)
    graph.erase_node(node)


def _form(node: torch.fx.Node) -> Any:
    if not isinstance(node.target, torch._ops.OpOverload) or node.target.namespace != "aten":
        return None
    name = node.target.overloadpacket.__name__
    is_cast = any(isinstance(value, torch.dtype) for value in (*node.args, *node.kwargs.values()))
    return None if is_cast else {**ELEMENTWISE, **ALONG_AXIS}.get(name)


def _name(node: torch.fx.Node) -> str:
    return str(node.target.overloadpacket.__name__)  # type: ignore[union-attr]
