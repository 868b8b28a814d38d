"""A process of its own that ends another which does not react to Ctrl-C or SIGTERM; run as a script.

Python only notes a signal and reacts when the code that runs returns to it. A model can loop in C++ without end, and a
tokenizer also keeps the interpreter's lock, so that no thread of the same process can help. What always works is the
byte that Python's own handler writes at once: see `signal.set_wakeup_fd`. It arrives here, at standard input.

Only the standard library is imported, and little of it: this starts with every command that reads a model.
"""

import os
import select
import signal
import sys
import time
from collections.abc import Sequence

SAVES = b"\x00"  # the process has reacted, and saves what is finished
ASKS = (signal.SIGINT, signal.SIGTERM)
SHOW_CURSOR = "\x1b[?25h"  # which a progress bar hides


def watch(heard: int, process: int, seconds: float, words: str) -> None:
    """Wait for signals that the process is sent; kill it where it is still there so many seconds after one.

    Parameters:
        heard: the descriptor to read from: bytes of signals, SAVES, and its end when the process is gone.
        words: what standard error is told then.
    """
    while _next(heard, ASKS, None):
        if _next(heard, (*SAVES,), seconds) is None:
            _end(process, words)
            return


def _next(heard: int, wanted: Sequence[int], seconds: float | None) -> bool | None:
    """Wait for one of the bytes: True when it comes, False at the end, None when nothing of it comes in time."""
    # Other bytes, such as a second Ctrl-C, begin no new wait: the first one counts.
    poll = select.poll()
    poll.register(heard, select.POLLIN)
    until = None if seconds is None else time.monotonic() + seconds
    while True:
        left_ms = None if until is None else max(0.0, until - time.monotonic()) * 1000
        if not poll.poll(left_ms):
            return None
        byte = os.read(heard, 1)
        if not byte:
            return False
        if byte[0] in wanted:
            return True


def _end(process: int, words: str) -> None:
    if os.getppid() != process:
        return
    try:
        os.write(2, f"{SHOW_CURSOR if os.isatty(2) else ''}{words}\n".encode())
    finally:
        os.kill(process, signal.SIGKILL)


if __name__ == "__main__":
    watch(0, int(sys.argv[1]), float(sys.argv[2]), sys.argv[3])
