"""Operations as torch dispatches them while a model runs: those that depend on its inputs, noted one by one.

Eager modules, TorchScript, exported programs and smoothed models of either kind come out alike.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_TURNED_IN_PLACE = frozenset(("t_", "transpose_", "squeeze_", "unsqueeze_", "swapaxes_", "swapdims_", "detach_"))
"""They change how memory is read, and nothing in it."""


@dataclass(frozen=True)
class Ref:
    """The result of a step, or that part of it where it gives several; step -1 is what the steps start from."""

    step: int
    part: int = 0


@dataclass(frozen=True)
class Step:
    """One operation that depends on the inputs; arguments are constants or the `Ref` of an earlier step."""

    operation: Any
    arguments: tuple[Any, ...]
    options: dict[str, Any]

    @property
    def name(self) -> str:
        """Torch's name of the operation, with the mark of an in-place variant."""
        return str(self.operation.overloadpacket.__name__)


class Recorder(TorchDispatchMode):
    """Notes the operations that depend on a tensor, by the identity of their results, which it keeps alive.

    steps   in the order in which they were done
    looked  whether Python code looked at a value, so that other inputs may take other steps
    overwritten  the first operation that read what another had written over through a view, None where none did: the
                 steps then do not say what was read
    """

    def __init__(self, inputs: Tensor) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self.looked = False
        self.overwritten: str | None = None
        self._kept: list[Any] = [inputs]
        self._refs: dict[int, Ref] = {id(inputs): Ref(-1)}
        self._memory = _Memory()
        self._memory.holds(inputs)

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

    def results(self, step: int) -> list[Tensor]:
        """Return all tensors that a step gave."""
        return list(_tensors((self._kept[step + 1],)))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = kwargs or {}
        arguments = tuple(self._noted(argument) for argument in args)
        depends = any(_depends(argument) for argument in arguments) or any(self.ref(o) for o in options.values())
        if any(self._memory.is_stale(tensor) for tensor in _tensors((*args, *options.values()))):
            self.overwritten = self.overwritten or str(func)
        if depends and func._schema.is_mutable and not _depends(arguments[0]) and isinstance(args[0], Tensor):
            arguments = (args[0].clone(), *arguments[1:])  # what was there before
        result = func(*args, **options)
        if depends:
            self.looked |= not isinstance(main_result(result), Tensor)
            for part, one in enumerate(result if isinstance(result, (list, tuple)) else (result,)):
                self._refs[id(one)] = Ref(len(self.steps), part)
            step = Step(func, arguments, options)
            if func._schema.is_mutable and step.name not in _TURNED_IN_PLACE and isinstance(args[0], Tensor):
                self._memory.overwrites(args[0])
            self._memory.holds(result)
            self.steps.append(step)
            self._kept.append(result)
        return result

    def _noted(self, argument: Any) -> Any:
        if isinstance(argument, (list, tuple)):
            return [self._noted(entry) for entry in argument]
        return self.ref(argument) or argument


class _Memory:
    """Which of the tensors that were noted another has written over since."""

    def __init__(self) -> None:
        self._noted: dict[int, dict[int, Tensor]] = {}  # by the memory that they read
        self._written: dict[int, list[Tensor]] = {}
        self._stale: set[int] = set()

    def holds(self, result: Any) -> None:
        """Note what an operation gave."""
        for tensor in _tensors((result,)):
            self._noted.setdefault(_memory_of(tensor), {})[id(tensor)] = tensor
            self._stale.discard(id(tensor))

    def overwrites(self, tensor: Tensor) -> None:
        """Note that an operation wrote to a tensor."""
        memory = _memory_of(tensor)
        self._written.setdefault(memory, []).append(tensor)
        others = (other for other in self._noted.get(memory, {}).values() if other is not tensor)
        self._stale |= {id(other) for other in others if _overlap(other, tensor)}

    def is_stale(self, tensor: Tensor) -> bool:
        """Return whether a tensor holds something else than was noted, or holds what was noted of another."""
        memory = _memory_of(tensor)
        if id(tensor) in self._stale or memory not in self._written:
            return id(tensor) in self._stale
        is_noted = id(tensor) in self._noted[memory]
        return not is_noted and any(_overlap(tensor, other) for other in self._written[memory])


def _overlap(one: Tensor, other: Tensor) -> bool:
    """Return whether two views of one memory may have entries in common."""
    spans = [_span(tensor, 0) for tensor in (one, other)]
    if spans[0].start >= spans[1].stop or spans[1].start >= spans[0].stop:
        return False
    stride = max((max(_strides(tensor), default=0) for tensor in (one, other)), default=0)
    if not stride or any(stride not in _strides(tensor) for tensor in (one, other)):
        return True
    within = [_span(tensor, stride) for tensor in (one, other)]
    if any(span.start % stride + len(span) > stride for span in within):
        return True
    first, second = (range(span.start % stride, span.start % stride + len(span)) for span in within)
    return first.start < second.stop and second.start < first.stop


def _strides(tensor: Tensor) -> list[int]:
    return [stride for stride, size in zip(tensor.stride(), tensor.shape, strict=True) if size > 1]


def _span(tensor: Tensor, left_out: int) -> range:
    """Return where the entries of a tensor lie, but for dimensions of one stride."""
    reach = sum(
        (size - 1) * stride
        for stride, size in zip(tensor.stride(), tensor.shape, strict=True)
        if size > 1 and stride != left_out
    )
    return range(tensor.storage_offset(), tensor.storage_offset() + reach + 1)


def _memory_of(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata if tensor.layout == torch.strided else id(tensor)


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)


def main_result(result: Any) -> Any:
    """Return the result proper: batch normalisation gives statistics beside it."""
    return result[0] if isinstance(result, (list, tuple)) and result else result


def _depends(argument: Any) -> bool:
    return isinstance(argument, Ref) or (isinstance(argument, list) and any(_depends(entry) for entry in argument))
