"""How much memory a run may work in, a share of what this process can still have; and errors that say it ran out."""

import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

MOST_ON_CPU, LEAST_ON_CPU = 2 << 30, 64 << 20
ROOT = Path("/")
"""Where /proc and /sys are."""
MOUNTED = ("sys/fs/cgroup", "sys/fs/cgroup/memory", "sys/fs/cgroup/unified")
LIMITS = {"memory.max": "memory.current", "memory.limit_in_bytes": "memory.usage_in_bytes"}
"""Of control groups of version 2 and 1: the file of a limit, and that of what is used of it."""


def default_memory_bytes(device: torch.device) -> int:
    """Return half of the GPU's free memory, or a quarter of the available RAM, at least 64 MiB and at most 2 GiB."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free // 2
    return max(LEAST_ON_CPU, min(MOST_ON_CPU, available_ram_bytes() // 4))


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out, on the CPU, on a GPU or inside TorchScript."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    # The CPU has no error class of its own for this, and TorchScript has one for everything.
    told = str(error) if isinstance(error, (RuntimeError, torch.jit.Error)) else ""
    return "DefaultCPUAllocator" in told or "CUDA out of memory" in told


def peak_bytes() -> int:
    """Return the most memory that this process had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def available_ram_bytes(root: Path = ROOT) -> int:
    """Return what this process can still have: the least that the system, its control groups and its own limit leave.

    What the system caches of files counts as available: it gives that back to whoever asks.
    """
    left = [_available_on_machine(root), *_left_in_groups(root), *_left_in_address_space(root)]
    return max(0, min(left))


def _available_on_machine(root: Path) -> int:
    told = _figures(root / "proc/meminfo")
    if "MemAvailable" in told:
        return told["MemAvailable"] * 1024
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not every system counts its free pages
        return MOST_ON_CPU


def _left_in_groups(root: Path) -> Iterator[int]:
    """Yield what is left in the control group of this process and in each one above; groups without a limit are silent.

    A container often sees its own group as the top of the tree, while the path that it is told begins further up: the
    top is looked at in any case, and a directory that is not there has no say.
    """
    for group in dict.fromkeys(_groups(root)):
        for limit_file, usage_file in LIMITS.items():
            limit, used = _number(group / limit_file), _number(group / usage_file)
            if limit is not None and used is not None:
                statistics = _figures(group / "memory.stat")
                cached = statistics.get("total_inactive_file", statistics.get("inactive_file", 0))
                yield limit - max(0, used - cached)


def _groups(root: Path) -> Iterator[Path]:
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers and "memory" not in controllers.split(","):
            continue
        inner = Path(path.lstrip("/"))
        for mounted in MOUNTED:
            yield from (root / mounted / above for above in (inner, *inner.parents))


def _left_in_address_space(root: Path) -> Iterator[int]:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        yield limit - 1024 * _figures(root / "proc/self/status").get("VmSize", 0)


def _figures(file: Path) -> dict[str, int]:
    """Return the numbers of a file of lines such as "MemFree:  1024 kB", by their names."""
    words = (line.replace(":", " ").split() for line in _lines(file))
    return {name: int(value) for name, value, *_ in (line for line in words if len(line) > 1) if value.isdecimal()}


def _number(file: Path) -> int | None:
    """Return the number in a file; None where there is none, as where a limit is "max"."""
    text = "".join(_lines(file)).strip()
    return int(text) if text.isdecimal() else None


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
