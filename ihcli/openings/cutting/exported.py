"""Cutting exported programs: nodes of a copied graph, found by the layers that they were traced in."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ihcli.models.around import Around
from ihcli.models.formats.exported import ExportedModule
from ihcli.openings.cutting.eager import all_calls
from ihcli.openings.cutting.places import Cut, Place, handed, part_of


class ExportedCutter:
    """See `ihcli.openings.cutting.places.Cutter`."""

    def __init__(self, module: ExportedModule) -> None:
        self._module = module

    def layers(self) -> list[str]:
        """Return the layers that the program was traced in."""
        return list(dict.fromkeys(layer for node in self._module.graph.graph.nodes for layer, _ in _stack(node)))

    def serving(self, n_rows: int) -> list[str]:
        """Return all: each was traced."""
        return self.layers()

    def calls(self, place: Place) -> list[Place]:
        """Count the calls in the graph."""
        return all_calls(place, len(_ends(self._module.graph.graph, place)))

    def showing(self, place: Place) -> nn.Module:
        """Return the program with what is there for its output."""
        program, graph = self._copy()
        _give(graph, _ends(graph, place)[place.call])
        return self._made(program)

    def recording(self, places: Sequence[Place]) -> nn.Module:
        """Return the program with what is there behind its outputs."""
        program, graph = self._copy()
        given: Any = _output(graph).args[0]
        (outputs,) = given
        with graph.inserting_before(_output(graph)):
            found = [_ends(graph, place)[place.call] for place in places]
            _give(graph, graph.call_function(_followed, (outputs, *found)))
        return self._made(program)

    def cut(self, cuts: Sequence[Cut]) -> nn.Module:
        """Return the program that takes what is handed."""
        program, graph = self._copy()
        last = [node for node in graph.nodes if node.op == "placeholder"][-1]
        ends = [(cut, _ends(graph, cut.place)[cut.place.call]) for cut in cuts]
        with graph.inserting_after(last):
            given = graph.placeholder("given")
        at = given
        for number, (cut, end) in enumerate(ends):
            with graph.inserting_after(at):
                at = graph.call_function(_part(cuts, number), (given,))
            inside = _inside(graph, cut.place)
            users = [node for node in end.users if node is not at and (node in inside) == cut.place.is_input]
            for user in users:
                user.replace_input_with(end, at)
        graph.eliminate_dead_code()
        return _Handed(self._made(program, (*self._module.argument_names, "given")))

    def _copy(self) -> tuple[torch.fx.GraphModule, torch.fx.Graph]:
        program = torch.fx.GraphModule(self._module.graph, copy.deepcopy(self._module.graph.graph))
        return program, program.graph

    def _made(self, program: torch.fx.GraphModule, names: tuple[str, ...] | None = None) -> ExportedModule:
        program.graph.lint()
        program.recompile()
        made = ExportedModule(program, self._module.batch, names or self._module.argument_names)
        return made.train(self._module.training)


class _Handed(Around):
    """A program whose last argument is handed."""

    def forward(self, *args: Tensor) -> Any:
        """Run the program."""
        return self.module(*args, handed())


def _followed(outputs: Tensor, *found: Tensor) -> Tensor:
    values = [value.flatten(1).to(outputs.dtype) for value in found]
    return torch.cat([outputs.reshape(len(outputs), -1), *values], dim=1)


def _part(cuts: Sequence[Cut], number: int) -> Any:
    def part(given: Tensor) -> Tensor:
        return part_of(given, cuts, number)

    return part


def _stack(node: torch.fx.Node) -> list[tuple[str, str]]:
    """Return the layers that a node was traced in, and which call of each it is of."""
    stack: Mapping[str, Any] = node.meta.get("nn_module_stack", {})
    return [(str(layer), key) for key, (layer, _) in stack.items() if layer]


def _inside_calls(graph: torch.fx.Graph, layer: str) -> dict[str, list[torch.fx.Node]]:
    """Return the nodes of each call of a layer."""
    found: dict[str, list[torch.fx.Node]] = {}
    for node in graph.nodes:
        for name, key in _stack(node):
            if name == layer and node.op == "call_function":
                found.setdefault(key, []).append(node)
    return found


def _inside(graph: torch.fx.Graph, place: Place) -> set[torch.fx.Node]:
    return set(list(_inside_calls(graph, place.layer).values())[place.call])


def _ends(graph: torch.fx.Graph, place: Place) -> list[torch.fx.Node]:
    """Return for each call the node that the layer gives, or takes."""
    return [_taken(nodes) if place.is_input else _given(nodes) for nodes in _inside_calls(graph, place.layer).values()]


def _given(nodes: list[torch.fx.Node]) -> torch.fx.Node:
    """Return the last node that anything outside uses."""
    inside = set(nodes)
    return next((node for node in reversed(nodes) if any(user not in inside for user in node.users)), nodes[-1])


def _taken(nodes: list[torch.fx.Node]) -> torch.fx.Node:
    """Return the first value from outside that is no weight."""
    inside = set(nodes)
    outside = (each for node in nodes for each in node.all_input_nodes if each not in inside and each.op != "get_attr")
    return next(outside, nodes[0])


def _output(graph: torch.fx.Graph) -> torch.fx.Node:
    return next(node for node in graph.nodes if node.op == "output")


def _give(graph: torch.fx.Graph, node: torch.fx.Node) -> None:
    _output(graph).args = ((node,),)
