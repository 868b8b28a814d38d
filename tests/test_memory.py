"""The default of --memory: what this process can still have, told by files like those of Linux."""

import resource
from pathlib import Path

import pytest
import torch

from ihcli import memory
from ihcli.memory import LEAST_ON_CPU, MOST_ON_CPU, available_ram_bytes, default_memory_bytes

MIB = 1 << 20
NO_LIMIT = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@pytest.fixture(autouse=True)
def without_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: NO_LIMIT)


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in {"proc/meminfo": meminfo(8000), **files}.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def meminfo(available_mib: int) -> str:
    return f"MemTotal:       99999999 kB\nMemFree:            1024 kB\nMemAvailable:   {1024 * available_mib} kB\n"


def test_what_is_available_counts_not_what_is_free(tmp_path: Path) -> None:
    assert available_ram_bytes(write(tmp_path, {})) == 8000 * MIB


VERSION_2 = {"proc/self/cgroup": "0::/user.slice/job\n"}
VERSION_1 = {"proc/self/cgroup": "9:name=systemd:/\n5:cpu,memory:/docker/abc\n0::/\n"}
GROUPS = {
    "version 2": (
        {
            **VERSION_2,
            "sys/fs/cgroup/user.slice/job/memory.max": f"{1000 * MIB}\n",
            "sys/fs/cgroup/user.slice/job/memory.current": f"{900 * MIB}\n",
            "sys/fs/cgroup/user.slice/job/memory.stat": f"anon {600 * MIB}\ninactive_file {250 * MIB}\n",
        },
        350,
    ),
    "a limit above": (
        {
            **VERSION_2,
            "sys/fs/cgroup/user.slice/job/memory.max": "max\n",
            "sys/fs/cgroup/user.slice/job/memory.current": f"{100 * MIB}\n",
            "sys/fs/cgroup/user.slice/memory.max": f"{500 * MIB}\n",
            "sys/fs/cgroup/user.slice/memory.current": f"{200 * MIB}\n",
        },
        300,
    ),
    "no limit": (
        {
            **VERSION_2,
            "sys/fs/cgroup/user.slice/job/memory.max": "max\n",
            "sys/fs/cgroup/user.slice/job/memory.current": f"{100 * MIB}\n",
        },
        8000,
    ),
    "a container's own top, version 2": (
        {
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/memory.max": f"{512 * MIB}\n",
            "sys/fs/cgroup/memory.current": f"{12 * MIB}\n",
        },
        500,
    ),
    "version 1": (
        {
            **VERSION_1,
            "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": f"{2000 * MIB}\n",
            "sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes": f"{1500 * MIB}\n",
            "sys/fs/cgroup/memory/docker/abc/memory.stat": (
                f"inactive_file {1 * MIB}\ntotal_inactive_file {1000 * MIB}\n"
            ),
        },
        1500,
    ),
    "version 1, a path of the host that is not there": (
        {
            **VERSION_1,
            "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{700 * MIB}\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{100 * MIB}\n",
        },
        600,
    ),
    "version 1 without a limit": (
        {
            **VERSION_1,
            "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes": "100\n",
        },
        8000,
    ),
    "over its limit": (
        {
            **VERSION_2,
            "sys/fs/cgroup/user.slice/job/memory.max": f"{100 * MIB}\n",
            "sys/fs/cgroup/user.slice/job/memory.current": f"{900 * MIB}\n",
        },
        0,
    ),
    "files that say nothing": (
        {
            "proc/self/cgroup": "odd\n\n0:\n0::/user.slice/job\n",
            "sys/fs/cgroup/user.slice/job/memory.max": "",
            "sys/fs/cgroup/user.slice/job/memory.current": "?\n",
            "sys/fs/cgroup/user.slice/job/memory.stat": "inactive_file\n",
        },
        8000,
    ),
}


@pytest.mark.parametrize("kind", GROUPS)
def test_limits_of_control_groups_are_respected(tmp_path: Path, kind: str) -> None:
    files, expected_mib = GROUPS[kind]
    assert available_ram_bytes(write(tmp_path, files)) == expected_mib * MIB


def test_a_limit_of_the_process_is_respected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (3000 * MIB, resource.RLIM_INFINITY))
    files = {"proc/self/status": f"Name:\tpython\nVmSize:\t {1024 * 1000} kB\nVmRSS:\t 5 kB\n"}
    assert available_ram_bytes(write(tmp_path, files)) == 2000 * MIB


def test_systems_without_such_files_count_their_free_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.os, "sysconf", {"SC_AVPHYS_PAGES": 10, "SC_PAGE_SIZE": 4096}.__getitem__)
    assert available_ram_bytes(tmp_path) == 40960

    def refuse(_: str) -> int:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(memory.os, "sysconf", refuse)
    assert available_ram_bytes(tmp_path) == MOST_ON_CPU


@pytest.mark.parametrize(
    ("available", "expected"), [(400 * MIB, 100 * MIB), (64 << 30, MOST_ON_CPU), (0, LEAST_ON_CPU)]
)
def test_the_default_is_a_quarter_of_it_within_bounds(
    monkeypatch: pytest.MonkeyPatch, available: int, expected: int
) -> None:
    monkeypatch.setattr(memory, "available_ram_bytes", lambda: available)
    assert default_memory_bytes(torch.device("cpu")) == expected


def test_a_gpu_gives_half_of_its_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (1000, 4000))
    assert default_memory_bytes(torch.device("cuda")) == 500


def test_this_machine_has_some() -> None:
    assert 0 < available_ram_bytes() <= (1 << 50)


def test_the_peak_of_this_process_is_known() -> None:
    assert 10 * MIB < memory.peak_bytes() < (1 << 50)
