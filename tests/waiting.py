"""Calls that would wait for a device, counted where there is none: on the CPU, where they cost nothing.

A device is handed work, and the host goes on at once; it waits where it asks for a number, or for a shape that depends
on numbers. Copies to a device wait too, but for those that leave from pinned memory, as `transfers.upload` lets them.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ihcli.derivatives.transfers import Coming

CONVERTED = ("__array__", "__bool__", "__complex__", "__contains__", "__float__", "__format__", "__index__", "__int__")
ASK_FOR_NUMBERS = {"cpu", "item", "tolist", "numpy", "equal", "allclose", "is_nonzero", *CONVERTED}
SHAPES_BY_NUMBERS = {"unique", "unique_consecutive", "nonzero", "argwhere", "masked_select", "bincount"}
PLACING = {"tensor", "as_tensor", "asarray"}


class Waits(TorchFunctionMode):
    """Inside of it, calls that would wait are counted by name in `counted`, and fetching what is packed as one."""

    def __init__(self) -> None:
        super().__init__()
        self.counted: Counter[str] = Counter()

    def fetching(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Count each fetch once, however many arrays come with it."""
        arrays = Coming.arrays

        def one(coming: Coming) -> tuple[np.ndarray, ...]:
            before = self.counted.copy()
            found = arrays(coming)
            self.counted = before + Counter(["fetch"])
            return found

        monkeypatch.setattr(Coming, "arrays", one)

    def taken(self) -> int:
        """Return how many there were, and begin to count anew."""
        total = self.counted.total()
        self.counted.clear()
        return total

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name, options = getattr(func, "__name__", ""), kwargs or {}
        if _waits(name, args, options):
            self.counted[name] += 1
        return func(*args, **options)


def _waits(name: str, args: tuple, options: dict[str, Any]) -> bool:
    if name in ASK_FOR_NUMBERS | SHAPES_BY_NUMBERS:
        return True
    if name == "to":
        return "cpu" in map(str, (*args[1:], *options.values()))
    if name in PLACING:
        return options.get("device") is not None
    if name == "repeat_interleave":
        return any(isinstance(part, Tensor) for part in (*args[1:], *options.values())) and "output_size" not in options
    if name == "where":
        return len(args) + len(options) == 1
    return name in ("__getitem__", "__setitem__", "index_put_", "index_put") and _chooses(args[1])


def _chooses(key: Any) -> bool:
    """Return whether an index is a mask, or lies on the host, from where it would be copied."""
    if isinstance(key, tuple | list):
        return any(map(_chooses, key))
    if isinstance(key, Tensor):
        return key.dtype in (torch.bool, torch.uint8)
    return isinstance(key, np.ndarray)
