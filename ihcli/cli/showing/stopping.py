"""Ctrl-C and termination: the first stops the computation, and more of them do not disturb it while it stops."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE_S = 5.0
"""Seconds given to stopping before a further signal counts again: one can be lost where Python ignores exceptions."""


class Terminated(KeyboardInterrupt):
    """The process was asked to end, as schedulers and shutdowns do."""


@contextmanager
def stopping_once() -> Iterator[None]:
    """Let the first SIGINT raise KeyboardInterrupt, the first SIGTERM Terminated, and pass over those that follow it.

    A signal that the caller has the process ignore, as nohup does, stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():  # only there can signals be caught
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    caught = {number: found for number, found in before.items() if found is not signal.SIG_IGN}
    stop = _Stop()
    for number in caught:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, found in caught.items():
            signal.signal(number, found)


class _Stop:
    def __init__(self) -> None:
        self._last_s = -GRACE_S

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now_s = time.monotonic()
        if now_s - self._last_s < GRACE_S:
            return
        self._last_s = now_s
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt
