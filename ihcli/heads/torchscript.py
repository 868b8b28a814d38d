"""Squashing functions of TorchScript modules: the graph of a copy is inlined, and forms compiled into it."""

import warnings
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from ihcli.heads.forms import ALONG_AXIS, ELEMENTWISE, Form, rounded
from ihcli.models.scripts.editing import copied, nodes_within
from ihcli.smoothing.torchscript import inlined


def stable_script(module: torch.jit.ScriptModule, final: frozenset[int], form: Form) -> torch.jit.ScriptModule:
    """Return a copy that computes these squashing functions in another form, counted from the last one back.

    Raises ModelError where the module cannot be copied.
    """
    stable = copied(module)
    graph = inlined(stable)
    squashes = [node for node in reversed(list(nodes_within(graph))) if _is_squash(node)]
    for position in {i % len(squashes) for i in final if squashes}:
        _replace(graph, squashes[position], form)
    graph.lint()
    return copied(stable)


def _name(node: torch.Node) -> str:
    return node.kind().removeprefix("aten::")


def _is_squash(node: torch.Node) -> bool:
    if not node.kind().startswith("aten::"):
        return False
    if _name(node) in ELEMENTWISE:
        return ".out(" not in node.schema()
    return _name(node) in ALONG_AXIS and node.inputsAt(2).toIValue() is None


def _replace(graph: torch.Graph, node: torch.Node, form: Form) -> None:
    arity = 1 if _name(node) in ELEMENTWISE else 2
    other = node.inputsAt(0)
    with graph.insert_point_guard(node):
        if form is not Form.LEFT_OUT:
            function = _compiled({**ELEMENTWISE, **ALONG_AXIS}[_name(node)])
            (other,) = graph.insertGraph(function, [node.inputsAt(i) for i in range(arity)])
        if form is Form.ROUNDED:
            (other,) = graph.insertGraph(_compiled(rounded), [other, node.inputsAt(0)])
    node.output().replaceAllUsesWith(other)
    node.destroy()


@cache
def _compiled(form: Callable[..., Tensor]) -> torch.Graph:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.script` is deprecated")
        return torch.jit.script(form).inlined_graph
