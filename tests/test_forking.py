"""Processes that begin with what a worker imports, whatever became of the server that forks them."""

import os
import signal
import sys
import threading
from multiprocessing import forkserver
from multiprocessing.connection import Connection

from ihcli.execution import forking


def tell(pipe: Connection) -> None:
    """Send what a new process finds before it did anything."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    pipe.send((os.getppid(), "torch" in sys.modules, signal.SIGINT in blocked, threading.active_count()))


def told() -> tuple[int, bool, bool, int]:
    context = forking.begin()
    mine, its = context.Pipe()
    process = context.Process(target=tell, args=(its,))
    process.start()
    found: tuple[int, bool, bool, int] = mine.recv()
    process.join()
    return found


def test_a_process_has_torch_one_thread_and_no_ctrl_c() -> None:
    server, has_torch, is_shielded, threads = told()
    assert server == forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    assert has_torch
    assert is_shielded
    assert threads == 1


def test_the_caller_keeps_its_signals_and_its_threads() -> None:
    before = os.environ.get("OMP_NUM_THREADS"), signal.pthread_sigmask(signal.SIG_BLOCK, [])
    forking.begin()
    assert (os.environ.get("OMP_NUM_THREADS"), signal.pthread_sigmask(signal.SIG_BLOCK, [])) == before


def test_a_server_that_was_killed_is_begun_again() -> None:
    first, *_ = told()
    os.kill(first, signal.SIGKILL)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    second, has_torch, *_ = told()
    assert second != first
    assert has_torch
