"""What this process may still write, given up before the model of a stranger is read: Landlock of Linux, since 5.13.

A process can only give rights up, for itself and for whatever it starts, and never gets them back. Files that are open
stay as they are; reading is not touched.
"""

import ctypes
import os
import sys
import tempfile
from collections.abc import Iterable
from glob import glob
from pathlib import Path

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # of the kernel, on every architecture that torch runs on
ASK_VERSION, BENEATH_PATH = 1, 1
NO_NEW_PRIVILEGES = 38  # of prctl
# Rights by the bit that stands for them in linux/landlock.h; a kernel refuses bits that it does not know yet.
WRITE_FILE, REMOVE_DIRECTORY, REMOVE_FILE, MAKE_DIRECTORY, REFER, TRUNCATE = 1, 4, 5, 7, 13, 14
MAKING = (6, MAKE_DIRECTORY, 8, 9, 10, 11, 12)  # devices, directories, files, sockets, pipes, links
SINCE_VERSION = {REFER: 2, TRUNCATE: 3}
OF_FILES = (WRITE_FILE, TRUNCATE)
# Where computing itself writes: nothing, the terminal, memory that processes share, and accelerators.
DEVICES = ("/dev/null", "/dev/tty", "/dev/pts", "/dev/shm", "/dev/nvidia*", "/dev/kfd", "/dev/dri")


class _Ruleset(ctypes.Structure):
    _fields_ = (("handled", ctypes.c_uint64),)


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("directory", ctypes.c_int32))


def confine(writable: Iterable[Path], emptied: Iterable[Path] = ()) -> bool:
    """Let this process write nowhere but in directories, in the one for temporary files, and to DEVICES.

    It holds for the thread that calls, for threads and processes that it starts later on, and until their end. Threads
    that are there already keep their rights. Cost: about 1 ms.

    Parameters:
        writable: directories in which everything stays allowed; one that is not there is passed over.
        emptied: directories beneath which directories may be made, and removed where nothing is in them.

    Returns whether the kernel does so; without Landlock nothing happens.
    """
    version = _call(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(ASK_VERSION))
    if version < 1:
        return False
    known = (WRITE_FILE, REMOVE_DIRECTORY, REMOVE_FILE, *MAKING, REFER, TRUNCATE)
    rights = tuple(right for right in known if SINCE_VERSION.get(right, 1) <= version)
    asked = _Ruleset(_bits(rights))
    ruleset = _call(CREATE_RULESET, ctypes.byref(asked), ctypes.c_size_t(ctypes.sizeof(asked)), ctypes.c_uint32(0))
    if ruleset < 0:
        return False
    try:
        devices = [Path(path) for pattern in DEVICES for path in glob(pattern)]
        for path in (*writable, Path(tempfile.gettempdir()), *devices):
            _allow(ruleset, path, rights if path.is_dir() else tuple(set(rights) & set(OF_FILES)))
        for path in emptied:
            _allow(ruleset, path, (MAKE_DIRECTORY, REMOVE_DIRECTORY))
        return _give_up(ruleset)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: tuple[int, ...]) -> None:
    try:
        directory = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        rule = _Beneath(_bits(rights), directory)
        _call(ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(BENEATH_PATH), ctypes.byref(rule), ctypes.c_uint32(0))
    finally:
        os.close(directory)


def _give_up(ruleset: int) -> bool:
    _libc().prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    return _call(RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0)) == 0


def _bits(rights: Iterable[int]) -> int:
    return sum(1 << right for right in rights)


def _call(number: int, *arguments: object) -> int:
    """Return what the kernel answers, -1 where it refuses or is not Linux."""
    if sys.platform != "linux":
        return -1
    return int(_libc().syscall(ctypes.c_long(number), *arguments))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
