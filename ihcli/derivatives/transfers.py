"""What crosses between this machine's memory and a device: in one copy each way, which nobody waits for.

A device works on by itself while the host prepares what comes next, until somebody asks for a number that it has not
computed yet. Arrays go there from pinned memory, which a copy reads behind the host's back.
"""

from collections.abc import Iterator
from itertools import chain

import numpy as np
import torch
from torch import Tensor

ALIGNED_BYTES = 16
"""Arrays in a packed buffer begin at multiples of it, whatever their dtype."""
PIECE_NUMBERS = 1 << 24
"""Of a large tensor that are fetched at a time: memory is pinned for two pieces, not for all of it."""


def upload(device: torch.device, *arrays: np.ndarray) -> tuple[Tensor, ...]:
    """Return arrays as tensors on a device: one packed copy; on CPU the arrays themselves, if writable."""
    if device.type == "cpu":
        return tuple(torch.from_numpy(np.require(array, requirements="W")) for array in arrays)
    return unpacked(sent(torch.from_numpy(packed(arrays)), device), arrays)


def sent(tensor: Tensor, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """Return a tensor on a device, in another dtype where one is given; one that is there stays where it is."""
    tensor = tensor.to(dtype or tensor.dtype)
    if tensor.device.type == "cpu" and device.type == "cuda" and torch.cuda.is_available():
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def packed(arrays: tuple[np.ndarray, ...]) -> np.ndarray:
    """Return arrays one behind the other, as bytes."""
    room = np.zeros(sum(map(_room, arrays)), np.uint8)
    start = 0
    for array in arrays:
        room[start : start + array.nbytes] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        start += _room(array)
    return room


def unpacked(there: Tensor, like: tuple[np.ndarray, ...]) -> tuple[Tensor, ...]:
    """Return the parts of packed bytes as tensors of the dtypes and shapes of these arrays."""
    found, start = [], 0
    for array in like:
        dtype = torch.from_numpy(np.empty(0, array.dtype)).dtype
        found.append(there[start : start + array.nbytes].view(dtype).view(array.shape))
        start += _room(array)
    return tuple(found)


class Coming:
    """Tensors of one dtype on their way to this machine's memory, packed into one copy; on CPU they are there."""

    def __init__(self, *tensors: Tensor) -> None:
        """Begin the copy, which starts when the device has computed the tensors; nobody waits here."""
        self._parts = [_known(tensor.detach()) for tensor in tensors]
        self._arrived: torch.cuda.Event | None = None
        if tensors[0].device.type == "cpu":
            return
        there, has_cuda = torch.cat([part.reshape(-1) for part in self._parts]), torch.cuda.is_available()
        here = torch.empty(there.shape, dtype=there.dtype, pin_memory=has_cuda)
        here.copy_(there, non_blocking=has_cuda)
        if has_cuda:
            self._arrived = torch.cuda.Event()
            self._arrived.record(torch.cuda.current_stream(there.device))
        sizes = [part.numel() for part in self._parts]
        self._parts = [some.view(part.shape) for some, part in zip(here.split(sizes), self._parts, strict=True)]

    def arrays(self) -> tuple[np.ndarray, ...]:
        """Return the tensors as arrays, once they are here."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return tuple(part.numpy() for part in self._parts)


def download(tensor: Tensor) -> np.ndarray:
    """Return a tensor as an array, when the device has computed it; a large one in pieces, one ahead of the other."""
    if tensor.device.type == "cpu":
        return _known(tensor.detach()).numpy()
    arriving = pieces(tensor)
    first = next(arriving)
    found, start = np.empty(tensor.numel(), first.dtype), 0
    for piece in chain([first], arriving):
        found[start : start + len(piece)] = piece
        start += len(piece)
    return found.reshape(tensor.shape)


def pieces(tensor: Tensor) -> Iterator[np.ndarray]:
    """Yield the numbers of a tensor in order, some at a time; those that come next are on their way meanwhile."""
    before: Coming | None = None
    for some in tensor.detach().reshape(-1).split(PIECE_NUMBERS):
        coming = Coming(some)
        if before is not None:
            yield before.arrays()[0]
        before = coming
    if before is not None:
        yield before.arrays()[0]


def _known(tensor: Tensor) -> Tensor:
    """Return a tensor in a dtype that numpy has too."""
    return tensor.float() if tensor.dtype is torch.bfloat16 else tensor


def _room(array: np.ndarray) -> int:
    return -(-array.nbytes // ALIGNED_BYTES) * ALIGNED_BYTES
