"""What all benchmarks share: how much to run, the nets and rows, and measuring in a process of its own."""

import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

THREADS = 2
SHORT_S = 2.0
"""Below this many seconds a measurement is repeated and the median taken."""
REPEATS = 5


@dataclass(frozen=True)
class Setup:
    """How much to run, and where.

    quick   few rows, to try a benchmark out; its figures mean little
    device  "cpu" or "cuda": where `gpu` measures; the others measure on the CPU, and some on a device besides
    """

    quick: bool = False
    device: str = "cuda"

    def rows(self, full: int, quick: int | None = None) -> int:
        """Return the number of rows to run: all, or for a trial `quick` or a tenth of them."""
        return full if not self.quick else max(2, full // 10) if quick is None else quick

    def devices(self) -> tuple[str, ...]:
        """Return where to measure: here, and on the CUDA device besides when there is one."""
        return ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)


@dataclass(frozen=True)
class Seen:
    """One measurement.

    value     what was returned
    wall_s    seconds, the median of some runs when they are short
    peak_mib  most memory in use at once beyond what was in use before, results included; on CUDA the device's
    """

    value: Any
    wall_s: float
    peak_mib: float


def softplus_net(n_inputs: int, width: int = 128, hidden: int = 5, beta: float = 10.0, seed: int = 0) -> nn.Module:
    """Return a net with torch's default initialisation, one output, and SoftPlus between its layers."""
    return _net(n_inputs, width, hidden, lambda: nn.Softplus(beta=beta), seed)


def relu_net(n_inputs: int, width: int, hidden: int, seed: int = 0) -> nn.Module:
    """Return the same with ReLU."""
    return _net(n_inputs, width, hidden, nn.ReLU, seed)


def _net(n_inputs: int, width: int, hidden: int, activation: Callable[[], nn.Module], seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for size in [n_inputs, *[width] * (hidden - 1)]:
            layers += [nn.Linear(size, width), activation()]
        return nn.Sequential(*layers, nn.Linear(width, 1)).eval()


def normal_rows(n_rows: int, n_inputs: int, seed: int = 1) -> np.ndarray:
    """Return rows of standard normal inputs, float32."""
    return np.random.default_rng(seed).standard_normal((n_rows, n_inputs), dtype=np.float32)


def relative_errors(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the relative L1 error of each row's figures, over the rows that both have."""
    n = min(len(found), len(truth))
    axes = tuple(range(1, truth.ndim))
    return np.abs(found[:n].astype(np.float64) - truth[:n]).sum(axes) / np.abs(truth[:n]).sum(axes)


def alone(task: Callable[..., Any], *arguments: Any) -> Any:
    """Return what the task returns in a fresh process, so that neither memory nor warm caches leak between tasks.

    Raises BrokenProcessPool when that process dies, as when memory runs out.
    """
    started = time.monotonic()
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=fresh, initializer=torch.set_num_threads, initargs=(THREADS,)) as executor:
        value = executor.submit(task, *arguments).result()
    named = ", ".join(getattr(a, "__name__", str(a)) for a in arguments if not isinstance(a, Path))
    print(
        f"{time.monotonic() - started:7.1f} s  {task.__module__} {task.__name__}({named})", file=sys.stderr, flush=True
    )
    return value


def watch(work: Callable[[], Any], device: str = "cpu", repeats: int = REPEATS) -> Seen:
    """Run the work, several times when it is short, and return its time and peak memory."""
    before = _reset_peak(device)
    value, first = _timed(work, device)
    peak = _peak_mib(device) - before
    times = [first]
    while first < SHORT_S and len(times) < repeats:
        value = None
        value, again = _timed(work, device)
        times.append(again)
    return Seen(value, statistics.median(times), max(0.0, peak))


def _timed(work: Callable[[], Any], device: str) -> tuple[Any, float]:
    _synchronize(device)
    started = time.perf_counter()
    value = work()
    _synchronize(device)
    return value, time.perf_counter() - started


def _synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _reset_peak(device: str) -> float:
    """Forget the peak so far and return what is in use, in MiB."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated() / 2**20
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _status_mib("VmRSS")


def _peak_mib(device: str) -> float:
    return torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else _status_mib("VmHWM")


def _status_mib(field: str) -> float:
    """Return a figure of this process: the kernel's own, because a child's `getrusage` begins at its parent's size."""
    if not sys.platform.startswith("linux"):
        return float("nan")
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field + ":"))


def as_tensor(values: np.ndarray, device: str) -> Tensor:
    """Return float32 values on the device."""
    return torch.as_tensor(values, dtype=torch.float32, device=device)
