"""What stands before the first layer of a chain where it is affine, whatever it is made of: read off at a few rows.

Behind openings this is what puts numbers and what codes are looked up as side by side.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ihcli.derivatives.recording import Recorder, Ref, Step

MOST_INPUTS = 8192
"""Of which a front is read off: as many forwards, and a matrix of so many columns."""
_READ_NUMBERS = 1 << 20


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LINEAR = _words(
    """view _unsafe_view reshape slice select cat stack split split_with_sizes unbind squeeze unsqueeze transpose
    permute t expand clone alias detach neg sum mean index index_select gather flip roll constant_pad_nd _to_copy
    native_batch_norm _native_batch_norm_legit_no_training"""
)
_SUMS, _SCALING = _words("add sub rsub"), _words("mul div")


def used_steps(steps: Sequence[Step], result: Ref) -> set[int]:
    """Return the steps that a result is made of."""
    pending, used = [result], set()
    while pending:
        ref = pending.pop()
        if ref.step >= 0 and ref.step not in used:
            used.add(ref.step)
            pending += _refs((*steps[ref.step].arguments, *steps[ref.step].options.values()))
    return used


def is_linear(step: Step) -> bool:
    """Return whether a step is affine in what comes from the inputs."""
    name = str(step.operation.overloadpacket.__name__)
    if name in _SCALING:
        is_divisor = name == "div" and isinstance(step.arguments[1], Ref)
        return len(list(_refs(step.arguments))) == 1 and not is_divisor
    return name in _LINEAR or name in _SUMS


@dataclass(frozen=True)
class Front:
    """What a function does before one of its steps.

    index     of the step among all that depend on the inputs
    input_of  what of a step's arguments comes from the front; None where the step is none that takes one
    """

    function: Callable[[Tensor], Tensor]
    index: int
    input_of: Callable[[Step], Ref | None]

    def read_off(self, probe: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the step gets for each input, (D, k), and where all are 0, (k,).

        probe  (n, D) rows like those that are wanted

        Cost: D + 1 forwards. Raises LookupError where the function does something else for such rows.
        """
        n_inputs = probe.shape[1]
        at_zero = self._arriving(probe.new_zeros(1, n_inputs))[0]
        units = torch.eye(n_inputs, dtype=probe.dtype, device=probe.device)
        pieces = units.split(max(1, _READ_NUMBERS // n_inputs))
        return torch.cat([self._arriving(some) - at_zero for some in pieces]), at_zero

    def _arriving(self, rows: Tensor) -> Tensor:
        recorder = Recorder(rows)
        with torch.no_grad(), recorder:
            self.function(rows)
        ref = self.input_of(recorder.steps[self.index]) if self.index < len(recorder.steps) else None
        if ref is None:
            raise LookupError("other steps")
        arrived: Tensor = recorder.result(ref)
        return arrived


def _refs(arguments: Iterable[Any]) -> Iterator[Ref]:
    for argument in arguments:
        if isinstance(argument, Ref):
            yield argument
        elif isinstance(argument, list):
            yield from _refs(argument)
