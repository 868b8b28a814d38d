"""Cutting scripts: in a copy, the calls on the way to a layer are inlined, and the layer's own call is replaced."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ihcli.models.around import Around
from ihcli.models.scripts.editing import GIVEN, copied, nodes_within
from ihcli.openings.cutting.eager import all_calls
from ihcli.openings.cutting.places import Cut, Place, handed

_PART = """def part(given: Tensor):
    return given[:, {start}:{stop}].reshape([-1, {shape}])
"""
_FOLLOWED = """def followed(outputs: Tensor, {names}):
    return torch.cat([outputs.reshape([outputs.shape[0], -1]), {flat}], 1)
"""


class ScriptCutter:
    """See `ihcli.openings.cutting.places.Cutter`."""

    def __init__(self, module: torch.jit.ScriptModule) -> None:
        self._module = module

    def layers(self) -> list[str]:
        """Return the names of submodules."""
        return [name for name, _ in self._module.named_modules() if name]

    def serving(self, n_rows: int) -> list[str]:
        """Return those that are called, outside of branches and loops, and give a tensor each time."""
        module = copied(self._module)
        graph = _graph(module)
        found = []
        for name in self.layers():  # what is around a layer comes before it, and is inlined no sooner
            calls = _calls(module, name)
            always = {value.debugName() for node in graph.nodes() for value in node.outputs()}
            if calls and all(_gives_tensor(node) and node.output().debugName() in always for node in calls):
                found.append(name)
        return found

    def calls(self, place: Place) -> list[Place]:
        """Count the calls in the graph."""
        return all_calls(place, len(_calls(copied(self._module), place.layer)))

    def showing(self, place: Place) -> nn.Module:
        """Return the script with what is there for its output."""
        return self._giving(lambda graph, module: _value(_calls(module, place.layer)[place.call], place))

    def recording(self, places: Sequence[Place]) -> nn.Module:
        """Return the script with what is there behind its outputs."""

        def followed(graph: torch.Graph, module: torch.jit.ScriptModule) -> torch.Value:
            found = [_value(_calls(module, place.layer)[place.call], place) for place in places]
            names = [f"v{i}" for i in range(len(found))]
            code = _FOLLOWED.format(
                names=", ".join(f"{name}: Tensor" for name in names),
                flat=", ".join(f"{name}.reshape([{name}.shape[0], -1]).to(outputs.dtype)" for name in names),
            )
            outputs = next(iter(graph.outputs()))
            with graph.insert_point_guard(graph.return_node()):
                (value,) = graph.insertGraph(torch.jit.CompilationUnit(code).followed.inlined_graph, [outputs, *found])
            return value

        return self._giving(followed)

    def cut(self, cuts: Sequence[Cut]) -> nn.Module:
        """Return the script that takes what is handed."""
        module = copied(self._module)
        module._c._register_attribute(GIVEN, torch._C.TensorType.get(), torch.zeros(1))
        calls = [_calls(module, cut.place.layer) for cut in cuts]
        graph = _graph(module)
        with graph.insert_point_guard(next(iter(graph.nodes()))):
            given = graph.create("prim::GetAttr", [next(iter(graph.inputs()))], 1)
            given.s_("name", GIVEN)
            given.output().setType(torch._C.TensorType.get())
            graph.insertNode(given)
        start = 0
        for cut, of_layer in zip(cuts, calls, strict=True):
            node = of_layer[cut.place.call]
            shape = ", ".join(map(str, cut.shape)) or "1"
            code = _PART.format(start=start, stop=start + cut.width, shape=shape)
            with graph.insert_point_guard(node):
                (part,) = graph.insertGraph(torch.jit.CompilationUnit(code).part.inlined_graph, [given.output()])
            if cut.place.is_input:
                node.replaceInput(1, part)
            else:
                node.output().replaceAllUsesWith(part)
            start += cut.width
        torch._C._jit_pass_dce(graph)
        graph.lint()
        return _Handed(copied(module))

    def _giving(self, output: Callable[[torch.Graph, torch.jit.ScriptModule], torch.Value]) -> torch.jit.ScriptModule:
        """Return a copy that gives something else."""
        module = copied(self._module)
        graph = _graph(module)
        given = output(graph, module)
        graph.eraseOutput(0)
        graph.registerOutput(given)
        graph.lint()
        return copied(module)


class _Handed(Around):
    """A script that finds what it is handed under a name of its own."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the script."""
        script: Any = self.module
        values: Tensor = handed()
        script._c.setattr(GIVEN, values)
        try:
            return script(*args, **kwargs)
        finally:
            script._c.setattr(GIVEN, values.new_zeros(1))


def _graph(module: torch.jit.ScriptModule) -> torch.Graph:
    graph: torch.Graph = module._c._get_method("forward").graph
    return graph


def _calls(module: torch.jit.ScriptModule, layer: str) -> list[torch.Node]:
    """Return the calls of a layer in the graph of a module, which is changed: calls on the way there are inlined."""
    graph = _graph(module)
    owners, part = {next(iter(graph.inputs())).debugName()}, module
    *above, last = layer.split(".")
    _inline_own(graph, owners, part)
    for name in above:
        part = getattr(part, name)
        for node in _calls_of(graph, owners, name):
            _inline(graph, node, part)
        owners = {node.output().debugName() for node in nodes_within(graph) if _is_part(node, owners, name)}
        _inline_own(graph, owners, part)
    return _calls_of(graph, owners, last)


def _inline_own(graph: torch.Graph, owners: set[str], part: Any) -> None:
    """Inline the calls that a module makes of its own methods, and those that these make."""
    while own := [node for node in nodes_within(graph) if _is_call(node) and node.inputsAt(0).debugName() in owners]:
        for node in own:
            _inline(graph, node, part)


def _is_call(node: torch.Node) -> bool:
    return node.kind() == "prim::CallMethod"


def _gives_tensor(node: torch.Node) -> bool:
    return node.output().type().kind() == "TensorType"


def _calls_of(graph: torch.Graph, owners: set[str], name: str) -> list[torch.Node]:
    """Return the calls of a submodule of what these values stand for, in order."""
    calls = (node for node in nodes_within(graph) if _is_call(node))
    return [node for node in calls if _is_part(node.inputsAt(0).node(), owners, name)]


def _is_part(node: torch.Node, owners: set[str], name: str) -> bool:
    """Return whether a node gives a submodule of what these values stand for."""
    return node.kind() == "prim::GetAttr" and node.s("name") == name and node.inputsAt(0).debugName() in owners


def _inline(graph: torch.Graph, node: torch.Node, module: Any) -> None:
    """Put what a call does in its place."""
    callee = module._c._get_method(node.s("name")).graph
    with graph.insert_point_guard(node):
        outputs = graph.insertGraph(callee, list(node.inputs()))
    for before, after in zip(node.outputs(), outputs, strict=True):
        before.replaceAllUsesWith(after)
    node.destroy()


def _value(node: torch.Node, place: Place) -> torch.Value:
    return node.inputsAt(1) if place.is_input else node.output()
