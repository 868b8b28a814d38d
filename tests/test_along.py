"""A batch that does not fit is cut and done again; the answer stays."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from problems import MEMORY_BYTES, network, normal, softplus, straight_paths

from ihcli.derivatives import Along
from ihcli.derivatives.autograd import AutogradEngine
from ihcli.derivatives.chain import find_chain
from ihcli.derivatives.mlp import MlpEngine
from ihcli.derivatives.operations import OperationsEngine
from ihcli.derivatives.paths import Paths
from ihcli.integration.assembly import explain_rows
from ihcli.integration.effort import Effort
from ihcli.methods import METHODS

ROUNDING = 1e-12  # float64 sums in batches of other sizes


class ForgetfulEngine:
    """An engine whose calls fail for want of memory when they get more points than `most`."""

    def __init__(self, engine: AutogradEngine | MlpEngine, most: int, error: Exception) -> None:
        self._engine = engine
        self._most = most
        self._error = error
        self.failures = 0

    name = "forgetful"

    @property
    def memory_bytes(self) -> int:
        return self._engine.memory_bytes

    @memory_bytes.setter
    def memory_bytes(self, value: int) -> None:
        self._engine.memory_bytes = value

    def along(self, paths: Paths) -> Along:
        return Along(self, paths)  # type: ignore[arg-type]

    def batch_points(self, paths: Paths, directions: int) -> int:
        return self._engine.batch_points(paths, directions)

    def __getattr__(self, name: str) -> Callable[..., object]:
        method = getattr(self._engine, name)
        if not callable(method):
            return method  # type: ignore[no-any-return]

        def call(paths: Paths, path: torch.Tensor, *others: torch.Tensor) -> object:
            if len(path) > self._most:
                self.failures += 1
                raise self._error
            return method(paths, path, *others)

        return call


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
]


def problem() -> tuple[torch.nn.Module, Paths]:
    module = network([6, 16, 16], lambda: softplus(20), seed=1)
    return module, straight_paths(normal(20, 6, seed=2), normal(3, 6, seed=3))


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("kind", ["autograd", "mlp", "operations"])
@pytest.mark.parametrize("method", ["eg", "eh"])
def test_running_out_of_memory_does_not_change_the_answer(error: Exception, kind: str, method: str) -> None:
    module, paths = problem()

    def engine() -> AutogradEngine | MlpEngine:
        if kind == "mlp":
            return MlpEngine(find_chain(module, paths.inputs), MEMORY_BYTES)
        return (OperationsEngine if kind == "operations" else AutogradEngine)(module, MEMORY_BYTES)

    forgetful = ForgetfulEngine(engine(), most=50, error=error)
    whole = explain_rows(engine().along(paths), METHODS[method], Effort(1e-3))
    cut = explain_rows(forgetful.along(paths), METHODS[method], Effort(1e-3))
    assert forgetful.failures > 0
    assert forgetful.memory_bytes < MEMORY_BYTES
    np.testing.assert_allclose(cut.attributions, whole.attributions, atol=ROUNDING)
    assert cut.certificate.evaluations.tolist() == whole.certificate.evaluations.tolist()
    if whole.interactions is not None and cut.interactions is not None:
        np.testing.assert_allclose(cut.interactions, whole.interactions, atol=ROUNDING)


def test_a_single_thing_that_does_not_fit_is_a_memory_error() -> None:
    module, paths = problem()
    forgetful = ForgetfulEngine(AutogradEngine(module, MEMORY_BYTES), most=0, error=ERRORS[1])
    with pytest.raises(MemoryError, match="allocate"):
        explain_rows(forgetful.along(paths), METHODS["ig"], Effort())


def test_other_errors_pass() -> None:
    module, paths = problem()

    def fail(_: slice) -> None:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        list(AutogradEngine(module, MEMORY_BYTES).along(paths).in_batches(5, 1, 0, fail))


def test_slices_follow_each_other_and_cover_everything() -> None:
    module, paths = problem()
    engine = AutogradEngine(module, 200_000)
    slices = list(engine.along(paths).in_batches(500, 3, 0, lambda some: some))
    assert len(slices) > 1
    assert [s.start for s in slices] == [0, *(s.stop for s in slices[:-1])]
    assert slices[-1].stop == 500
