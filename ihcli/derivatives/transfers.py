"""What crosses between this machine's memory and a device: in one copy each way, which nobody waits for.

A device works on by itself while the host prepares what comes next, until somebody asks for a number that it has not
computed yet. Arrays go there from pinned memory, which a copy reads behind the host's back.
"""

import numpy as np
import torch
from torch import Tensor

ALIGNED_BYTES = 16
"""Arrays in a packed buffer begin at multiples of it, whatever their dtype."""


def upload(device: torch.device, *arrays: np.ndarray) -> tuple[Tensor, ...]:
    """Return arrays as tensors on a device: one packed copy; on CPU the arrays themselves, if writable."""
    if device.type == "cpu":
        return tuple(torch.from_numpy(np.require(array, requirements="W")) for array in arrays)
    there = _pinned(torch.from_numpy(packed(arrays))).to(device, non_blocking=True)
    return unpacked(there, arrays)


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


def _room(array: np.ndarray) -> int:
    return -(-array.nbytes // ALIGNED_BYTES) * ALIGNED_BYTES


def _pinned(tensor: Tensor) -> Tensor:
    return tensor.pin_memory() if torch.cuda.is_available() else tensor
