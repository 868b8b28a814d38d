"""The graphs of a TorchScript archive, after torch has compiled them and before anything of them runs.

What a name in the code stands for is for torch to say: here stands what it said. Every function and every method of
every class that was compiled is looked through, with the blocks and graphs within; nothing else can be called later.
"""

from collections.abc import Iterator
from typing import Any

import torch

from ihcli.models.scripts.operators import is_allowed
from ihcli.wording import printable

_CASTS = ("Tensor", "int", "float", "bool", "str", "complex", "number", "Device", "NoneType", "Any")
_REPEAT = "aten::repeat_interleave"


def refused_operators(unit: Any) -> Iterator[str]:
    """Yield what compiled code would do that is not done without trust, in words that go on "its code ...".

    unit  the torch._C.CompilationUnit that it was compiled into
    """
    functions = unit.get_functions()
    names = {function.qualified_name for function in functions}
    for function in functions:
        for node in nodes_of(function.graph):
            for words in _refused(node, names):
                yield f"({printable(function.qualified_name)}) {words}"


def all_nodes(unit: Any) -> Iterator[Any]:
    """Yield every node of every function that was compiled."""
    for function in unit.get_functions():
        yield from nodes_of(function.graph)


def nodes_of(graph: Any) -> Iterator[Any]:
    """Yield every node of a graph or block, also of the blocks and graphs within."""
    pending = [graph]
    while pending:
        for node in pending.pop().nodes():
            yield node
            pending += node.blocks()
            for name in node.attributeNames():
                if node.kindOf(name) == "g":
                    pending.append(node.g(name))
                elif node.kindOf(name) == "gs":
                    pending += node.gs(name)


def _refused(node: Any, names: set[str]) -> Iterator[str]:
    kind = node.kind()
    if not is_allowed(kind):
        yield f"uses {printable(kind)}, which is not on the list of what is run"
    elif kind == "prim::unchecked_cast" and not _is_sound(node.inputsAt(0).type(), node.output().type()):
        yield "casts a value to a type that it may not have (prim::unchecked_cast)"
    elif kind == "prim::CallFunction" and node.inputsAt(0).type().annotation_str not in names:
        yield f"calls {printable(node.inputsAt(0).type().annotation_str)}, which is not of the file"
    elif kind == _REPEAT and _is_sized(node):
        yield f"uses {_REPEAT} with output_size, which torch does not check"
    elif "!)" in node.schema().partition("*, ")[2].partition(" -> ")[0]:
        yield f"uses {kind} with out=, which torch checks less"
    elif any("torch.classes" in value.type().annotation_str for value in node.outputs()):
        yield "uses C++ classes, which run code of their own"


def _is_sound(given: Any, wanted: Any) -> bool:
    """Tell whether a cast can at most meet None, or a value that torch looks at before it uses it."""
    is_unwrapped = isinstance(given, torch._C.OptionalType) and given.getElementType() == wanted
    return is_unwrapped or given == wanted or wanted.annotation_str in _CASTS


def _is_sized(node: Any) -> bool:
    """Tell whether a size of the result is given: torch then writes as much as the counts say."""
    *_, size = node.inputs()
    return not (size.node().kind() == "prim::Constant" and size.toIValue() is None)
