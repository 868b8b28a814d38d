"""SoftPlus in TorchScript modules: the graph of a copy is inlined and rewritten node by node.

A ScriptModule offers no call to intercept and no submodule to swap, and torch's pattern rewriting misses in-place and
clamp forms; so every node is replaced by a small compiled function that is inlined where the node stood.
"""

from dataclasses import dataclass
from typing import Any

import torch

from ihcli.models.scripts.editing import GIVEN, copied, nodes_within
from ihcli.smoothing.forms import FORMS, Hinges, linear_beyond
from ihcli.smoothing.vocabulary import RESHAPES, Tally, is_guard, is_in_place, is_squashing, plain_name

_CLAMPS = ("clamp", "clip", "clamp_min", "clamp_max")


def smooth_script(module: torch.jit.ScriptModule, beta: float, dtype: torch.dtype) -> torch.jit.ScriptModule:
    """Return a copy of a scripted, traced or frozen module, in its place and dtype, computed with SoftPlus_beta.

    `dtype` of the activations decides where SoftPlus turns linear (`linear_beyond`).
    """
    smooth = copied(module)
    graph = inlined(smooth)
    for node in list(nodes_within(graph)):
        call = _read_node(node)
        if call is not None and call.hinges is not None:
            _replace(graph, node, call, _compiled(call, beta, linear_beyond(dtype)))
    graph.lint()
    # Reloading checks the edited graph, and leaves behind whatever plan was made of the old one.
    return copied(smooth)


def tally_graph(module: torch.jit.ScriptModule, tally: Tally) -> None:
    """Count the operations of a module's graph that depend on its inputs."""
    graph = module.inlined_graph
    _simplify(graph)
    for node in nodes_within(graph):
        if node.kind() in ("prim::CallMethod", "prim::CallFunction", "prim::PythonOp"):
            tally.add_kink("a call that cannot be inlined")
        elif node.kind().startswith("aten::") and any(_depends_on_inputs(value) for value in _tensors(node)):
            inputs = list(node.inputs())
            setting = inputs[1].toIValue() if len(inputs) > 1 else None
            call = _read_node(node)
            replaceable = call is not None and call.hinges is not None
            tally.add(_name(node), setting, replaceable=replaceable)


@dataclass(frozen=True)
class _Call:
    """A node of one of FORMS: its settings as constants, or as names of the tensors that hold them."""

    name: str
    settings: dict[str, Any]
    tensors: dict[str, torch.Value]
    hinges: Hinges | None
    in_place: bool


def _read_node(node: torch.Node) -> _Call | None:
    form = FORMS.get(_name(node)) if node.kind().startswith("aten::") else None
    # A clamped weight is constant along every path.
    if form is None or node.inputsAt(0).node().kind() == "prim::GetAttr":
        return None
    settings: dict[str, Any] = {}
    tensors: dict[str, torch.Value] = {}
    readable = ".out(" not in node.schema()
    for name, value in zip(form.settings, list(node.inputs())[1:], strict=False):
        if value.type().kind() == "TensorType":
            settings[name] = f"{name}_"
            tensors[f"{name}_"] = value
        elif value.node().kind() == "prim::Constant":
            settings[name] = value.toIValue()
        elif name != "training":
            readable = False
    is_smoothed = readable and not is_guard(_name(node), settings, _squash(node.inputsAt(0)))
    hinges = form.hinges(**settings) if is_smoothed else None
    return _Call(_name(node), settings, tensors, hinges, is_in_place(node.kind()))


def _squash(value: torch.Value) -> str | None:
    """Return the squashing function that gave a value, None where none did."""
    while _name(value.node()) in RESHAPES:
        value = value.node().inputsAt(0)
    return _name(value.node()) if is_squashing(_name(value.node())) else None


def _compiled(call: _Call, beta: float, threshold: float) -> torch.Graph:
    """Compile the smoothed call as a function of z and the tensors that its settings name."""
    if call.hinges is None:
        raise ValueError(f"{call.name} has no hinges")
    arguments = ", ".join(f"{name}: Tensor" for name in ("given", *call.tensors))
    lines = [f"def smooth({arguments}):", f"z = {'given.clone()' if call.in_place else 'given'}"]
    if call.name == "prelu":
        lines += ["if weight_.numel() > 1 and z.dim() > 2:"]
        lines += ["    weight_ = weight_.reshape([1, -1] + [1] * (z.dim() - 2))"]
    value = call.hinges.source(beta, threshold)
    if call.name in _CLAMPS:
        # Clamped indices are no activation, and a graph does not say which tensors hold integers.
        bounds = ", ".join(f"{name}={_literal(bound)}" for name, bound in call.settings.items())
        lines += ["if z.is_floating_point():", f"    y = {value}", "else:", f"    y = torch.clamp(z, {bounds})"]
    else:
        lines += [f"y = {value}"]
    lines += ["return given.copy_(y)" if call.in_place else "return y"]
    return torch.jit.CompilationUnit("\n    ".join(lines) + "\n").smooth.inlined_graph


def _literal(bound: float | str | None) -> str:
    return f"float('{bound}')" if isinstance(bound, float) else str(bound)


def _replace(graph: torch.Graph, node: torch.Node, call: _Call, function: torch.Graph) -> None:
    with graph.insert_point_guard(node):
        (smoothed,) = graph.insertGraph(function, [node.inputsAt(0), *call.tensors.values()])
    node.output().replaceAllUsesWith(smoothed)
    node.destroy()


def inlined(module: torch.jit.ScriptModule) -> torch.Graph:
    """Return the graph of a module, to be rewritten in place, with all that it calls inlined and settings constant."""
    graph: torch.Graph = module._c._get_method("forward").graph
    torch._C._jit_pass_inline(graph)
    _simplify(graph)
    return graph


def _simplify(graph: torch.Graph) -> None:
    """Turn settings into constants and drop the branches that they rule out."""
    torch._C._jit_pass_constant_propagation(graph)
    torch._C._jit_pass_dce(graph)


def _name(node: torch.Node) -> str:
    return plain_name(node.kind().removeprefix("aten::"))


def _tensors(node: torch.Node) -> list[torch.Value]:
    return [value for value in node.inputs() if value.type().kind() == "TensorType"]


def _depends_on_inputs(value: torch.Value) -> bool:
    """Tell whether a value can depend on the module's inputs: sizes and weights do not, loop variables may.

    What a cut script is handed counts as an input.
    """
    pending, seen = [value], set()
    while pending:
        value = pending.pop()
        node = value.node()
        if value.unique() in seen or value.type().kind() in ("IntType", "BoolType"):
            continue
        seen.add(value.unique())
        if node.kind() == "prim::Param" or (node.kind() == "prim::GetAttr" and node.s("name") == GIVEN):
            return True
        if node.kind() != "prim::GetAttr":
            pending += node.inputs()
            pending += [returned for inner in node.blocks() for returned in inner.outputs()]
    return False
