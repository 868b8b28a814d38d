"""New processes with all that a worker imports in them: a server imports it once, and forks."""

import multiprocessing
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerContext

from ihcli.errors import OptionError

WORKER = "ihcli.execution.processes"


def begin() -> ForkServerContext:
    """Start the server, which imports while the caller goes on, and return what makes processes of it.

    Importing torch and what stands on it takes seconds, and no row is explained meanwhile: the sooner this is called,
    the better. Processes do not see the environment of the caller, only that of the first call. Nothing runs in the
    server but imports, so there is no thread of ours, and no CUDA, that forking could harm.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([WORKER])
    resource_tracker.ensure_running()  # which lets signals pass again when it starts
    try:
        with _signals_held(), _one_thread():
            forkserver.ensure_running()
    except OSError as error:
        if "AF_UNIX" not in str(error):
            raise
        raise OptionError(
            f"`workers`: processes meet at a socket in {tempfile.gettempdir()}, a path too long for one. "
            "Try a short directory in the environment variable TMPDIR, such as TMPDIR=/tmp."
        ) from error
    return context


@contextmanager
def _signals_held() -> Iterator[None]:
    """Let what is started meanwhile never be interrupted: Ctrl-C reaches a whole group, and the driver ends workers."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let libraries that are imported meanwhile start no threads; a worker says later how many it computes with."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before
