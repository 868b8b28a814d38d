"""The engine for any model against vmap of torch.func.hessian, at the same nodes."""

import numpy as np
import torch

from benchmarks.lines import autograd_engine, paths_from_zero
from benchmarks.published import by_vmap_of_hessian, gauss_nodes
from benchmarks.setup import Seen, Setup, alone, as_tensor, normal_rows, relative_errors, softplus_net, watch
from benchmarks.tables import Cell, Result, absent
from ihcli.integration.assembly import explain_rows
from ihcli.integration.effort import Effort
from ihcli.methods import METHODS

FEATURES = 500
NODES = 8
ROWS = 64
HESSIAN_POINTS = (32, 128)
MEMORY_MIB = (128, 512, 2048)
COLUMNS = (
    "implementation",
    "device",
    "rows",
    "wall s",
    "peak MiB beside result",
    "times fastest of ours",
    "difference",
)
NOTES = (
    f"5 x 128 SoftPlus net, D = {FEATURES}, {NODES} Gauss-Legendre nodes a row, float32. The autograd engine certifies "
    "as well; vmap of hessian only sums. Difference: relative L1, largest of the rows, to vmap of hessian in float64.",
    "Points: Hessians in one call of vmap. Memory: what the engine is given as its bound.",
)


def measure(setup: Setup) -> list[Result]:
    """Measure both at some batch sizes."""
    n = setup.rows(ROWS, 16)
    rows: list[list[Cell]] = []
    for device in setup.devices():
        ours = [(f"autograd engine, {mib} MiB", alone(_ours, n, device, mib)) for mib in MEMORY_MIB]
        theirs = [(f"vmap of hessian, {points} points", alone(_theirs, n, device, points)) for points in HESSIAN_POINTS]
        fastest = min(seen.wall_s for _, seen in ours)
        truth = alone(_truth, min(n, 8))
        for name, one in ours + theirs:
            error = float(relative_errors(one.value, truth).max())
            rows.append([name, device, n, one.wall_s, one.peak_mib, one.wall_s / fastest, error])
    if len(setup.devices()) == 1:
        rows.append(absent(COLUMNS, "cuda"))
    return [Result("general", "General models: autograd engine against vmap of hessian", COLUMNS, rows, NOTES)]


def _ours(n: int, device: str, memory_mib: int) -> Seen:
    engine = autograd_engine(_net(device), memory_mib << 20)
    paths = paths_from_zero(normal_rows(n, FEATURES), device)
    explain_rows(engine.along(paths_from_zero(normal_rows(2, FEATURES), device)), METHODS["ih"], Effort(steps=NODES))
    return _beside_result(
        watch(lambda: explain_rows(engine.along(paths), METHODS["ih"], Effort(steps=NODES)).interactions, device)
    )


def _theirs(n: int, device: str, batch_points: int) -> Seen:
    net, x = _net(device), as_tensor(normal_rows(n, FEATURES), device)
    points = gauss_nodes(torch.zeros(1, FEATURES, device=device), NODES)
    by_vmap_of_hessian(net, x[:2], points, batch_points)
    return _beside_result(watch(lambda: by_vmap_of_hessian(net, x, points, batch_points).cpu().numpy(), device))


def _beside_result(seen: Seen) -> Seen:
    return Seen(seen.value[:8].copy(), seen.wall_s, max(0.0, seen.peak_mib - seen.value.nbytes / 2**20))


def _truth(n: int) -> np.ndarray:
    x = torch.as_tensor(normal_rows(n, FEATURES)).double()
    points = gauss_nodes(torch.zeros(1, FEATURES, dtype=torch.float64), NODES)
    return by_vmap_of_hessian(_net("cpu").double(), x, points, 32).numpy()


def _net(device: str) -> torch.nn.Module:
    return softplus_net(FEATURES).requires_grad_(False).to(device)
