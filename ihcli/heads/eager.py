"""Squashing functions of eager modules: calls are intercepted while the module runs, it is never touched."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ihcli.derivatives.recording import Recorder
from ihcli.heads.forms import ALONG_AXIS, ELEMENTWISE, Form, rounded

_NAMES = frozenset((*ELEMENTWISE, *ALONG_AXIS))


class StableModule(nn.Module):
    """A module some of whose squashing functions are computed in another form while it runs.

    module  as it was given, shared and not copied
    final   which of its calls of such functions, counted from 0
    """

    def __init__(self, module: nn.Module, final: frozenset[int], form: Form) -> None:
        super().__init__()
        self.module = module
        self.final = final
        self.form = form
        self.training = module.training

    def forward(self, inputs: Tensor) -> Tensor:
        """Run the wrapped module; only this thread sees the other forms."""
        with _Calls(self.final, self.form):
            outputs: Tensor = self.module(inputs)
        return outputs


class Watched(nn.Module):
    """A module that notes what its calls of squashing functions gave when it ran last."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.given: list[Any] = []

    def forward(self, inputs: Tensor) -> Tensor:
        """Run the wrapped module."""
        self.given = []
        with _Calls(frozenset(), Form.WIDE, self.given):
            outputs: Tensor = self.module(inputs)
        return outputs

    def positions(self, recorder: Recorder, steps: frozenset[int]) -> frozenset[int]:
        """Return which of the calls gave the results of these steps."""
        refs = [recorder.ref(given) for given in self.given]
        return frozenset(i for i, ref in enumerate(refs) if ref is not None and ref.step in steps)


class _Calls(TorchFunctionMode):
    """Counts calls of squashing functions, and computes the final ones in another form."""

    def __init__(self, final: frozenset[int], form: Form, given: list[Any] | None = None) -> None:
        super().__init__()
        self._final = final
        self._form = form
        self._given = given
        self._count = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        if name not in _NAMES:
            return func(*args, **(kwargs or {}))
        position, self._count = self._count, self._count + 1
        given = _given(args, kwargs or {}) if position in self._final else None
        if given is not None and self._form is Form.LEFT_OUT:
            return given
        if given is not None:
            accurate = _computed(name, given, args, kwargs or {})
            return accurate if self._form is Form.WIDE else rounded(accurate, given)
        result = func(*args, **(kwargs or {}))
        if self._given is not None:
            self._given.append(result)
        return result


def _given(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor | None:
    """Return what a call squashes, in the dtype that it is asked to do so in; None where it is not floating point."""
    inputs = args[0] if args else kwargs.get("input")
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point() or kwargs.get("out") is not None:
        return None
    dtypes = (value for value in (*args[1:], kwargs.get("dtype")) if isinstance(value, torch.dtype))
    dtype = next(dtypes, inputs.dtype)
    return inputs if dtype == inputs.dtype else inputs.to(dtype)


def _computed(name: str, given: Tensor, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    if name in ELEMENTWISE:
        return ELEMENTWISE[name](given)
    dim = args[1] if len(args) > 1 else kwargs.get("dim")
    if dim is None:  # as torch.nn.functional takes it, with a warning
        dim = 0 if given.dim() in (0, 1, 3) else 1
    return ALONG_AXIS[name](given, dim)
