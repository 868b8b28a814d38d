"""Operations as torch dispatches them while a model runs: those that depend on its inputs, noted one by one.

Eager modules, TorchScript, exported programs and smoothed models of either kind come out alike.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


@dataclass(frozen=True)
class Step:
    """One operation that depends on the inputs; arguments are constants or the `Ref` of an earlier step."""

    operation: Any
    arguments: tuple[Any, ...]
    options: dict[str, Any]


@dataclass(frozen=True)
class Ref:
    """The result of a step; -1 is what the steps start from."""

    step: int


class Recorder(TorchDispatchMode):
    """Notes the operations that depend on a tensor, by the identity of their results, which it keeps alive.

    steps   in the order in which they were done
    looked  whether Python code looked at a value, so that other inputs may take other steps
    """

    def __init__(self, inputs: Tensor) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self.looked = False
        self._kept: list[Any] = [inputs]
        self._refs: dict[int, Ref] = {id(inputs): Ref(-1)}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Keep torch from importing its compiler, which takes a second, to tell it to leave this class alone."""
        return False

    def ref(self, tensor: Any) -> Ref | None:
        """Return the step that a tensor is the result of, None where it depends on no input."""
        return self._refs.get(id(tensor)) if isinstance(tensor, Tensor) else None

    def result(self, ref: Ref) -> Any:
        """Return what a step gave, or what the steps start from."""
        return main_result(self._kept[ref.step + 1])

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = kwargs or {}
        arguments = tuple(self._noted(argument) for argument in args)
        result = func(*args, **options)
        if any(_depends(argument) for argument in arguments) or any(self.ref(o) for o in options.values()):
            self.looked |= not isinstance(main_result(result), Tensor)
            for one in result if isinstance(result, (list, tuple)) else (result,):
                self._refs[id(one)] = Ref(len(self.steps))
            self.steps.append(Step(func, arguments, options))
            self._kept.append(result)
        return result

    def _noted(self, argument: Any) -> Any:
        if isinstance(argument, (list, tuple)):
            return [self._noted(entry) for entry in argument]
        return self.ref(argument) or argument


def main_result(result: Any) -> Any:
    """Return the result proper: batch normalisation gives statistics beside it."""
    return result[0] if isinstance(result, (list, tuple)) and result else result


def _depends(argument: Any) -> bool:
    return isinstance(argument, Ref) or (isinstance(argument, list) and any(_depends(entry) for entry in argument))
