"""What share of the machine's matrix multiplication assembly reaches at D = 500, and the whole command against it."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.lines import chosen_engine, paths_from_zero
from benchmarks.setup import Setup, alone, normal_rows, softplus_net, watch
from benchmarks.tables import Cell, Result, absent
from ihcli.execution.refusals import parse
from ihcli.integration import assembly
from ihcli.integration.certify import Refinement
from ihcli.integration.effort import Effort

ROWS, FEATURES, WIDTH, HIDDEN = 1_000, 500, 128, 5
TOLERANCE = 1e-3
COMMAND_RUNS = 3
SMALLEST_SHARE = 0.003
"""Products below this share of the arithmetic are not timed."""
aten = torch.ops.aten
_FACTORS = {
    aten.mm.default: 0,
    aten.bmm.default: 0,
    aten.addmm.default: 1,
    aten.baddbmm.default: 1,
    aten.baddbmm_.default: 1,
    aten.addmm_.default: 1,
}
"""Position of a product's left factor among its arguments."""
RATE_COLUMNS = ("product", "device", "calls", "GFLOP", "s at its own rate", "GFLOP/s")
RATE_NOTES = (
    f"Assembly of {ROWS:,} rows, {HIDDEN} x {WIDTH} SoftPlus net, zero baseline, the mesh of tolerance {TOLERANCE:g}, "
    "float32. Products: every one that assembly asks for, by shape (batches x rows x inner x columns), each timed "
    "alone on such matrices.",
    "Share: the time that the products take alone, over the time of assembly.",
    "Formula: with m <= D and L hidden layers of width m, tangents of L - 2 layers and sums over L - 1 layers cost "
    "2 m^3 each at every node: 2 (2 L - 3) m^3; and 2 m^2 D + 2 m D^2 a row map the sums to features.",
)
COMMAND_COLUMNS = ("what", "wall s", "times assembly alone")
COMMAND_NOTES = (
    f"ih of the same {ROWS:,} rows, read from Parquet, to {ROWS * FEATURES**2 * 4 / 1e9:.0f} GB of tensors. Assembly "
    "alone is timed in blocks as the command cuts them; imports are torch's and ours. Median of "
    f"{COMMAND_RUNS} commands, the disk's caches as they are.",
)


@dataclass(frozen=True)
class Product:
    """A matrix product of (batches, rows, inner) with (batches, inner, columns)."""

    batches: int
    rows: int
    inner: int
    columns: int

    @property
    def flop(self) -> int:
        """Multiplications and additions."""
        return 2 * self.batches * self.rows * self.inner * self.columns

    @property
    def label(self) -> str:
        """The shape in words."""
        return " x ".join(map(str, (self.batches, self.rows, self.inner, self.columns)))


def measure(setup: Setup) -> list[Result]:
    """Measure both tables."""
    rates: list[list[Cell]] = []
    for device in setup.devices():
        rates += alone(_rates, setup.rows(ROWS, 50), device)
    if len(setup.devices()) == 1:
        rates.append(absent(RATE_COLUMNS, "cuda"))
    return [
        Result("rates", "Assembly at D = 500 against matrix multiplication", RATE_COLUMNS, rates, RATE_NOTES),
        _command(setup),
    ]


class _Products(TorchDispatchMode):
    """Counts matrix products by shape."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[Product] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _FACTORS:
            left, right = args[_FACTORS[func] : _FACTORS[func] + 2]
            self.seen[Product(len(left) if left.dim() == 3 else 1, *left.shape[-2:], right.shape[-1])] += 1
        return func(*args, **(kwargs or {}))


def _rates(n: int, device: str) -> list[list[Cell]]:
    net = softplus_net(FEATURES, WIDTH, HIDDEN).requires_grad_(False).to(device)
    paths = paths_from_zero(normal_rows(n, FEATURES), device)
    engine = chosen_engine(net, paths)
    refinement = Refinement(engine.along(paths), True, Effort(TOLERANCE))
    refinement.settle()
    assembly.settle_matrices(refinement)  # which may refine the mesh once more
    with _Products() as products:
        assembly.settle_matrices(refinement)
    took = watch(lambda: assembly.settle_matrices(refinement), device).wall_s
    total = sum(product.flop * calls for product, calls in products.seen.items())
    lines: list[list[Cell]] = []
    for product, calls in sorted(products.seen.items(), key=lambda item: -item[0].flop * item[1]):
        flop = product.flop * calls
        if flop > SMALLEST_SHARE * total:
            seconds = _seconds_alone(product, device) * calls
            lines.append([product.label, device, calls, flop / 1e9, seconds, flop / seconds / 1e9])
    alone_s = sum(float(line[4]) for line in lines)
    nodes = int(refinement.nodes().sum())
    formula = nodes * 2 * (2 * HIDDEN - 3) * WIDTH**3 + n * 2 * WIDTH * FEATURES * (WIDTH + FEATURES)
    counted = sum(float(line[3]) for line in lines)
    lines.append(["all products alone", device, "", counted, alone_s, counted / alone_s])
    name = f"assembly of {n:,} rows by {engine.name}, {nodes / n:.1f} nodes a row"
    lines.append([name, device, "", counted, took, counted / took])
    lines.append([f"share reached: {alone_s / took:.0%}", device, "", "", "", ""])
    lines.append(["by the formula", device, "", formula / 1e9, "", formula / took / 1e9])
    return lines


def _seconds_alone(product: Product, device: str) -> float:
    """Return the time of one such product, of many, on matrices that are not yet in the cache."""
    pairs = max(1, min(8, int(2e8 / (4 * product.batches * product.inner * (product.rows + product.columns)))))
    left = torch.randn(pairs, product.batches, product.rows, product.inner, device=device)
    right = torch.randn(pairs, product.batches, product.inner, product.columns, device=device)
    result = torch.empty(product.batches, product.rows, product.columns, device=device)

    def multiply() -> None:
        for a, b in zip(left, right, strict=True):
            torch.bmm(a, b, out=result)

    multiply()
    return watch(multiply, device).wall_s / pairs


def _command(setup: Setup) -> Result:
    """Time the whole command in a process of its own, its parts, and assembly alone as the command does it."""
    n = setup.rows(ROWS, 100)
    with tempfile.TemporaryDirectory() as folder:
        model, data = Path(folder, "model.pt"), Path(folder, "data.parquet")
        torch.save(softplus_net(FEATURES, WIDTH, HIDDEN), model)
        columns = {f"f{i}": column for i, column in enumerate(normal_rows(n, FEATURES).T)}
        pq.write_table(pa.table(columns), data)
        command = [sys.executable, "-m", "ihcli", "explain", str(model), str(data), "-o", f"{folder}/run", "-m", "ih"]
        command += ["--tolerance", str(TOLERANCE), "--overwrite", "--quiet", "--device", "cpu"]
        runs = [_timed_command(command, Path(folder, "run")) for _ in range(setup.rows(COMMAND_RUNS, 1))]
        whole_s, run_s = (statistics.median(values) for values in zip(*runs, strict=True))
        imports_s = _wall_s([sys.executable, "-c", "import ihcli.execution.pipeline, ihcli.cli"])
        assembly_s, explain_s = _assembly_as_in_the_command(model, data)
    lines: list[list[Cell]] = [
        ["assembly alone", assembly_s, 1.0],
        ["certified and assembled, in memory", explain_s, explain_s / assembly_s],
        ["run: read, certify, assemble, summarise, write", run_s, run_s / assembly_s],
        ["command without imports: checks and run", whole_s - imports_s, (whole_s - imports_s) / assembly_s],
        ["imports", imports_s, imports_s / assembly_s],
        ["command", whole_s, whole_s / assembly_s],
    ]
    return Result(
        "command", f"The command line's whole run, ih at D = {FEATURES}", COMMAND_COLUMNS, lines, COMMAND_NOTES
    )


def _timed_command(command: list[str], run: Path) -> tuple[float, float]:
    wall_s = _wall_s(command)
    return wall_s, json.loads((run / "run.json").read_text())["totals"]["wall_s"]


def _wall_s(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def _assembly_as_in_the_command(model: Path, data: Path) -> tuple[float, float]:
    """Return what `_assembly_in_blocks` does in a process whose threads and memory are those of the command."""
    settings_first = (
        "import sys, ihcli.cli, benchmarks.rates as rates; print(*rates._assembly_in_blocks(*sys.argv[1:]))"
    )
    command = [sys.executable, "-c", settings_first, str(model), str(data)]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    assembly_s, explain_s = map(float, told.split())
    return assembly_s, explain_s


def _assembly_in_blocks(model: str, data: str) -> tuple[float, float]:
    """Return the seconds of assembly and of all explaining, in the chunks of the command; nothing is kept."""
    from ihcli.execution.preparation import prepare_run
    from ihcli.runs.request import RunRequest

    prepared = prepare_run(parse(RunRequest(model, data, tolerance=TOLERANCE, device="cpu")))
    chunks = list(prepared.chunks())
    prepared.explainer.explain(chunks[0].inputs[:8])
    clock = _Clock(assembly.settle_matrices)
    assembly.settle_matrices = clock
    started = time.perf_counter()
    for chunk in chunks:
        prepared.explainer.explain(chunk.inputs)
    return clock.seconds, time.perf_counter() - started


class _Clock:
    """A function that adds up the time it takes."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.seconds = 0.0

    def __call__(self, *arguments: Any) -> Any:
        started = time.perf_counter()
        value = self._function(*arguments)
        self.seconds += time.perf_counter() - started
        return value
