"""Checks that torch leaves out, put into the graphs of a TorchScript file before it runs.

On a CPU torch hands an LSTM to oneDNN, which takes the sizes of weights from those of the state, and reads past the
end of smaller ones. A number that stands for a dtype is the place of its facts in a table, whose end is not watched.
And the rest of a division by zero ends the process.
"""

import re
from functools import cache
from typing import Any

import torch

from ihcli.models.scripts.graphs import nodes_of

_CHECKS = """
def lstm(input: Tensor, hx: List[Tensor], weights: List[Tensor], has_biases: bool, layers: int, dropout: float,
         train: bool, bidirectional: bool, batch_first: bool) -> Tensor:
    directions = 2 if bidirectional else 1
    each = 4 if has_biases else 2
    fits = len(hx) == 2 and hx[0].dim() == 3 and hx[1].dim() == 3 and input.dim() == 3
    if fits and hx[0].size(2) == hx[1].size(2):
        hidden = hx[1].size(2)
        batch = input.size(0 if batch_first else 1)
        width = input.size(2)
        for state in hx:
            fits = fits and list(state.size()) == [layers * directions, batch, hidden] and state.dtype == input.dtype
        fits = fits and len(weights) == layers * directions * each
        for place, weight in enumerate(weights):
            wanted = [4 * hidden]
            if place % each == 0:
                wanted = [4 * hidden, width if place < directions * each else hidden * directions]
            elif place % each == 1:
                wanted = [4 * hidden, hidden]
            fits = fits and list(weight.size()) == wanted and weight.dtype == input.dtype and weight.is_contiguous()
    if fits:
        checked = input
    else:
        raise ValueError("an LSTM whose input, state and weights do not fit each other")
    return checked

def divisor(number: int) -> int:
    if number != 0 and number != -1:
        checked = number
    else:
        raise ValueError("the rest of a division by 0 or -1")
    return checked

def number(number: int, most: int) -> int:
    if number >= 0 and number <= most and (number < 12 or number > 14):
        checked = number
    else:
        raise ValueError("a dtype, layout or memory format that torch does not have")
    return checked

def number_or_none(number: Optional[int], most: int) -> Optional[int]:
    if number is None:
        checked: Optional[int] = None
    elif number >= 0 and number <= most and (number < 12 or number > 14):
        checked = number
    else:
        raise ValueError("a dtype, layout or memory format that torch does not have")
    return checked
"""
# What is checked comes from the branch where it holds: torch computes with constants ahead, whatever raises before.
_MOST = {"ScalarType": 15, "Layout": 5, "MemoryFormat": 3}
"""The last number of each; the dtypes 12 to 14 are quantized."""
_LIST = re.compile(r"\[[^\]]*\]|\(\w!?( -> [^)]*)?\)")
_SOUND = ("prim::dtype", "prim::layout")


def put_checks(unit: Any) -> None:
    """Put checks of their arguments before the operators of compiled code that need them; what fails one raises."""
    for function in unit.get_functions():
        graph = function.graph
        for node in list(nodes_of(graph)):
            if node.schema().startswith("aten::lstm.input("):
                _check(graph, node, 0, "lstm")
            elif node.schema().startswith("aten::remainder.int("):
                _check(graph, node, 1, "divisor")
            for place, most in _numbers(node.schema()):
                value = node.inputsAt(place)
                if value.node().kind() == "prim::Constant":
                    _refuse_number(value.toIValue(), most, node.kind())
                elif value.node().kind() not in _SOUND:
                    check = "number" if value.type().annotation_str == "int" else "number_or_none"
                    _check(graph, node, place, check, most)


def _refuse_number(number: Any, most: int, operator: str) -> None:
    if number is not None and not (0 <= number <= most and not 12 <= number <= 14):
        raise ValueError(f"{operator} with {number} for a dtype, layout or memory format that torch does not have")


def _check(graph: Any, node: Any, place: int, check: str, *constants: int) -> None:
    """Replace an input by what the check makes of it; of an LSTM, which looks at all of them, the first."""
    given = list(node.inputs()) if check == "lstm" else [node.inputsAt(place)]
    with graph.insert_point_guard(node):
        arguments = [*given, *(graph.insertConstant(constant) for constant in constants)]
        (checked,) = graph.insertGraph(getattr(_compiled(), check).graph, arguments)
    node.replaceInput(place, checked)


@cache
def _compiled() -> Any:
    return torch.jit.CompilationUnit(_CHECKS)


@cache
def _numbers(schema: str) -> list[tuple[int, int]]:
    """Return which arguments are numbers that stand for something, and the last of them that does."""
    arguments = _LIST.sub("", schema).partition("(")[2].partition(") -> ")[0].replace("*, ", "").split(", ")
    kinds = [_kind(argument) for argument in arguments]
    return [(place, _MOST[kind]) for place, kind in enumerate(kinds) if kind in _MOST]


def _kind(argument: str) -> str:
    kind, _, name = argument.partition("=")[0].partition(" ")
    kind = kind.rstrip("?")
    return "ScalarType" if (kind, name) == ("int", "dtype") else kind
