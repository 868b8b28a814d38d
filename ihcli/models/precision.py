"""Float64 that stays float64: casts to less inside of a model, seen on its first call and kept out where that can be.

Networks of transformers compute softmax and RMSNorm in float32 whatever they are asked for, and buffers that a forward
makes are float32 unless told otherwise. In a run in float64 that is noise of 1e-7 in f, and more in its derivatives,
where every estimate takes rounding to be that of float64.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves

_AGREEMENT = 1e-2
"""Outputs with casts kept out are those of the same function, so that they differ by what float32 rounds."""


class Precision:
    """What a model of float64 computes in, and how it is called; known after its first call that ends well.

    least  the lowest precision that values pass through, with casts kept out where they can be: casts to half stay,
           as do those that something in the model depends on
    """

    def __init__(self) -> None:
        self.least = torch.float64
        self._call: Callable[[Callable[[Tensor], Any], Tensor], Any] | None = None

    def call(self, module: Callable[[Tensor], Any], inputs: Tensor) -> Any:
        """Return what a module makes of inputs (P, D)."""
        if self._call is None and inputs.dtype == torch.float64:
            self._look(module, inputs)
        return (self._call or _plainly)(module, inputs)

    def _look(self, module: Callable[[Tensor], Any], inputs: Tensor) -> None:
        """Find out how to call it, from one call as it is and, where that rounds or fails, one with casts kept out."""
        plain, wide = _Watch(), _Watch()
        wanted = _tried(_plainly, plain, module, inputs)
        if wanted is not None and plain.least == torch.float64:
            self._call = _plainly
            return
        outputs = _tried(_widely, wide, module, inputs)
        if outputs is not None and (wanted is None or _agree(outputs, wanted)):
            self._call, self.least = _widely, wide.least
        elif wanted is not None:
            self._call, self.least = _plainly, plain.least


def _tried(call: Callable[..., Any], watch: "_Watch", module: Callable[[Tensor], Any], inputs: Tensor) -> Tensor | None:
    """Return the outputs, None where there are none; the call that is meant tells what is wrong."""
    try:
        with _disable_current_modes(), torch.no_grad(), watch:  # whoever watches a call watches the one that is meant
            outputs = call(module, inputs.clone())
    except Exception:
        return None
    return outputs if isinstance(outputs, Tensor) else None


def _agree(outputs: Tensor, wanted: Tensor) -> bool:
    if outputs.shape != wanted.shape:
        return False
    allowed = _AGREEMENT * float(wanted.abs().max())
    return torch.allclose(outputs.double(), wanted.double(), rtol=0, atol=allowed, equal_nan=True)


def _plainly(module: Callable[[Tensor], Any], inputs: Tensor) -> Any:
    return module(inputs)


def _widely(module: Callable[[Tensor], Any], inputs: Tensor) -> Any:
    with _Wide():
        return module(inputs)


class _Mode(TorchDispatchMode):
    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Keep torch from importing its compiler, which takes a second, to tell it to leave this class alone."""
        return False


class _Watch(_Mode):
    """Notes the lowest precision that an operation on float64 gives."""

    def __init__(self) -> None:
        super().__init__()
        self.least = torch.float64

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if any(tensor.dtype == torch.float64 for tensor in _floats((args, kwargs))):
            found = [self.least, *(tensor.dtype for tensor in _floats(result))]
            self.least = max(found, key=lambda dtype: torch.finfo(dtype).eps)
        return result


class _Wide(_Mode):
    """Gives float64 where float32 is asked for, or comes of a buffer being made.

    Below autograd, where TorchScript, exported programs and eager modules are alike: every cast is `_to_copy` here.
    """

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if kwargs.get("dtype") == torch.float32:
            kwargs = {**kwargs, "dtype": torch.float64}
        result = func(*args, **kwargs)
        is_made = isinstance(result, Tensor) and result.dtype == torch.float32 and not any(_floats((args, kwargs)))
        return result.double() if is_made else result


def _floats(values: object) -> Iterator[Tensor]:
    return (value for value in tree_leaves(values) if isinstance(value, Tensor) and value.is_floating_point())
