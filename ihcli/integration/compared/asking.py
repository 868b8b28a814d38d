"""Captum, asked by one thread at a time: imported when it is first needed, quiet, with random numbers of its own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ihcli.derivatives.calling import SILENCE

SEED = 0
"""That draws begin with for each row, so that they are the same for all rows."""
_ONE = threading.Lock()


def captum() -> Any:
    """Return captum's module of methods."""
    with SILENCE:  # it warns of what is none of the user's
        import captum.attr as attr
    return attr


@contextmanager
def alone() -> Iterator[None]:
    """Ask captum inside: hooks and torch's generator belong to this thread, and what is said of them goes nowhere.

    The generator begins with SEED, and is as it was on the way out.
    """
    with _ONE, SILENCE, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(SEED)
        yield
