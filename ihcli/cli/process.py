"""What the command line does to its own process, and never to one that merely imports ihcli."""

import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ihcli.cli import watcher
from ihcli.wording import printable

if TYPE_CHECKING:
    from ihcli.files.locations import Location


ENDED_AFTER_S = 8.0


class _Process:
    """Whether this process is the command's own, and who watches it."""

    is_own = False
    told: int | None = None  # the descriptor by which its watcher hears


def own() -> None:
    """Take this process for the command's: it may be watched, killed and confined."""
    _Process.is_own = True


@contextmanager
def importing() -> Iterator[None]:
    """Look for no garbage while torch and what stands on it are imported, nor ever again among what is there then.

    They leave hardly any, and to look through their hundred thousand objects time and again takes a tenth of the start.
    """
    if not _Process.is_own:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def ended_when_stuck(kept: str = "") -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the process within ENDED_AFTER_S, whatever a model or a tokenizer does.

    A process started beside it kills it when it neither ends nor says `saving` in time after a signal. Cost: 10 ms of
    another core.

    kept  a sentence on what is kept then
    """
    if not _Process.is_own or _Process.told is not None or threading.current_thread() is not threading.main_thread():
        yield
        return
    import subprocess

    heard, told = os.pipe()
    os.set_blocking(told, False)
    words = f"Interrupted. The model did not stop within {ENDED_AFTER_S:g} s, so the process was killed. {kept}".strip()
    words = printable(words, at_most=None)
    command = [sys.executable, "-I", "-S", watcher.__file__, str(os.getpid()), str(ENDED_AFTER_S), words]
    # A session of its own, so that what is sent to all processes of a terminal does not end it first.
    started = subprocess.Popen(command, stdin=heard, stdout=subprocess.DEVNULL, start_new_session=True)
    os.close(heard)
    before = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    _Process.told = told
    try:
        yield
    finally:
        _Process.told = None
        signal.set_wakeup_fd(before)
        os.close(told)
        started.wait()


def saving() -> None:
    """Tell who watches that the computing was left and what is finished is being saved, which may take its time."""
    if _Process.told is not None:
        os.write(_Process.told, watcher.SAVES)


def give_up_writing(trust: bool, *, but: "Sequence[Location]" = (), emptied: "Sequence[Location]" = ()) -> None:
    """Write nowhere else from here on, before the model of a stranger is read; see `ihcli.files.confinement.confine`.

    A model that is trusted may write where its author likes.
    """
    if _Process.is_own and not trust:
        from ihcli.files.confinement import confine

        confine(_on_disk(but), _on_disk(emptied))


def _on_disk(locations: "Sequence[Location]") -> list[Path]:
    return [location for location in locations if isinstance(location, Path)]
