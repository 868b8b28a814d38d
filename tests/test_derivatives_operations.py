"""The engine that takes second derivatives by operation keeps what every engine promises."""

import pytest
import torch
from engine_contract import EngineContract, network, paths_of, some_points
from problems import MEMORY_BYTES, Function
from torch import Tensor

from ihcli.derivatives.operations import OperationsEngine
from ihcli.derivatives.paths import Paths


class TestOperations(EngineContract):
    def engine(self, function: Function, paths: Paths, memory_bytes: int = MEMORY_BYTES) -> OperationsEngine:
        return OperationsEngine(function, memory_bytes)


@pytest.mark.parametrize(("asked", "of_function"), [("values", 1), ("gradients", 1), ("curvatures", 0)])
def test_values_and_gradients_are_the_functions_own_and_certify_what_a_program_gives(
    asked: str, of_function: int
) -> None:
    net, paths, calls = network(), paths_of(), 0

    def counted(z: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        outputs: Tensor = net(z)
        return outputs

    engine = OperationsEngine(counted, MEMORY_BYTES)
    with torch.no_grad():
        engine.find_program(paths)
    calls = 0
    getattr(engine, asked)(paths, *some_points(paths))
    assert calls == of_function
