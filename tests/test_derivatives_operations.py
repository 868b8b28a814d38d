"""The engine that takes second derivatives by operation keeps what every engine promises."""

from engine_contract import EngineContract
from problems import MEMORY_BYTES, Function

from ihcli.derivatives.operations import OperationsEngine
from ihcli.derivatives.paths import Paths


class TestOperations(EngineContract):
    def engine(self, function: Function, paths: Paths, memory_bytes: int = MEMORY_BYTES) -> OperationsEngine:
        return OperationsEngine(function, memory_bytes)
