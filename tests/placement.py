"""A CUDA device that is not there: tensors without numbers, which know where they are.

Operations on tensors of different devices raise as they would on a device, and so does whatever asks for a number. What
is fetched is zeros. Forward only: automatic differentiation of such tensors aborts a process whose torch has no CUDA.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch.overrides import TorchFunctionMode

CUDA = torch.device("cuda", 0)


@contextmanager
def fake_device() -> Iterator[None]:
    """Inside, tensors may be made on CUDA, by `placed` and by operations on those that are there."""
    with torch.no_grad(), FakeTensorMode(), _Plain():
        yield


def placed(like: Tensor) -> Tensor:
    """Return a tensor of that shape and dtype on the device; call it inside."""
    return torch.empty(like.shape, dtype=like.dtype, device=CUDA)


class _Plain(TorchFunctionMode):
    """Takes operations that fake tensors know in the place of methods that look for the device themselves."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name, options = getattr(func, "__name__", ""), dict(kwargs or {})
        written = options.pop("out", None)
        if written is not None:
            return torch.ops.aten.copy_.default(written, func(*args, **options))
        if name == "copy_":
            return torch.ops.aten.copy_.default(*args)
        if name == "contiguous":
            return args[0].clone(memory_format=torch.contiguous_format)
        if name == "numpy" and args[0].device.type == "cpu":
            return np.zeros(args[0].shape, str(args[0].dtype).removeprefix("torch."))
        if name == "__getitem__":
            return _taken(*args)
        if name == "__setitem__":
            where, key, values = args
            part = _taken(where, key)
            assert part._is_view(), "setting by indices is not known here"
            return part.fill_(values) if not isinstance(values, Tensor) else torch.ops.aten.copy_.default(part, values)
        return func(*args, **options)


def _taken(values: Tensor, key: Any) -> Tensor:
    dim, by_dim, parts = 0, {}, key if isinstance(key, tuple) else (key,)
    for place, part in enumerate(parts):
        if part is Ellipsis:
            dim = values.dim() - sum(after is not None for after in parts[place + 1 :])
            continue
        if part is None:
            values = values.unsqueeze(dim)
        elif isinstance(part, slice):
            values = torch.ops.aten.slice.Tensor(values, dim, part.start, part.stop, part.step or 1)
        elif isinstance(part, Tensor):
            assert part.device == values.device, f"an index on {part.device} into values on {values.device}"
            by_dim[dim] = part
        else:
            values = values.select(dim, part)
            continue
        dim += 1
    if not by_dim:
        return values
    return torch.ops.aten.index.Tensor(values, [by_dim.get(i) for i in range(dim)])
